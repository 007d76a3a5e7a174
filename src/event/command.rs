//! Commands: `{"usher": 1, "command": "…", "requestId": "…", …}`.

use serde_json::{Map, Value};

use super::{AdminCommand, Event, Malformed};

/// Whether the object is an usher command, of whatever version.
pub(super) fn is_command(object: &Map<String, Value>) -> bool {
    object.contains_key("usher") && object.get("command").is_some_and(Value::is_string)
}

/// A command that this version does not know waits in the dead-letter queue
/// under its own name, and can be replayed once the worker knows it.
pub(super) fn parse(object: Map<String, Value>) -> Result<Event, Malformed> {
    let version = object.get("usher").and_then(Value::as_u64);
    match (version, object.get("command").and_then(Value::as_str)) {
        (Some(1), Some("Reconcile")) => serde_json::from_value(Value::Object(object))
            .map(Event::Reconcile)
            .map_err(|_| Malformed::BadCommand),
        (Some(1), Some(name)) if AdminCommand::is_known_name(name) => {
            AdminCommand::from_json(&Value::Object(object))
                .map(|order| Event::AdminCommand(Box::new(order)))
                .ok_or(Malformed::BadCommand)
        }
        _ => Err(Malformed::UnsupportedCommand),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_command_of_another_version_or_name_waits_for_a_worker_that_knows_it() {
        for body in [
            r#"{"usher":2,"command":"Reconcile"}"#,
            r#"{"usher":2,"command":"AddUserToGroup"}"#,
            r#"{"usher":1,"command":"Unheard"}"#,
        ] {
            let reason = crate::event::parse(body).map_err(super::Malformed::code);
            assert_eq!(reason.err(), Some("unsupported_command"), "{body}");
        }
    }
}
