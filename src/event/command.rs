//! Admin commands: `{"usher": 1, "command": "…", "requestId": "…", …}`.
//!
//! Recognised, so that a command which reaches a worker older than its producer
//! waits in the dead-letter queue under its own name and can be replayed once
//! the worker knows it.

use serde_json::{Map, Value};

/// Whether the object is an usher command, of whatever version.
pub(super) fn is_command(object: &Map<String, Value>) -> bool {
    object.contains_key("usher") && object.get("command").is_some_and(Value::is_string)
}
