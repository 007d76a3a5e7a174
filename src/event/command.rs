//! Parses commands: `{"usher": 1, "command": "…", "requestId": "…", …}`.

use serde_json::{Map, Value};

use super::{AdminCommand, Event, Malformed};

/// Whether the object is an usher command, of any version.
pub(super) fn is_command(object: &Map<String, Value>) -> bool {
    object.contains_key("usher") && object.get("command").is_some_and(Value::is_string)
}

/// A command that this version does not know becomes a dead letter with its own reason. It
/// can be replayed once the worker knows it.
pub(super) fn parse(object: Map<String, Value>) -> Result<Event, Malformed> {
    let version = object.get("usher").and_then(Value::as_u64);
    match (version, object.get("command").and_then(Value::as_str)) {
        (Some(1), Some("Reconcile")) => serde_json::from_value(Value::Object(object))
            .map(Event::Reconcile)
            .map_err(|_| Malformed::BadCommand),
        (Some(1), Some(name)) if AdminCommand::is_known_name(name) => {
            AdminCommand::from_json(&Value::Object(object))
                .map(|command| Event::AdminCommand(Box::new(command)))
                .ok_or(Malformed::BadCommand)
        }
        _ => Err(Malformed::UnsupportedCommand),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn unknown_command_version_or_name_is_unsupported() {
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
