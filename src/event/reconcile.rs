//! The command `Reconcile`, and how far a run of it has come.

use serde::{Deserialize, Serialize};

use super::PoolId;

/// A request to find users whose sign-up was not finished, and to queue them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReconcileCommand {
    /// Names the run in logs. A schedule may omit it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) request_id: Option<String>,
    /// Absent: every pool of `pools.allowed`.
    #[serde(
        rename = "userPoolId",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub pool: Option<PoolId>,
    /// Whether memberships in the default groups are compared as well as profiles.
    #[serde(default)]
    pub groups: bool,
    /// Whether users of an external provider are checked too.
    #[serde(default)]
    pub(crate) include_federated: bool,
    /// Only users created then or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<jiff::Timestamp>,
    /// Whether a user whose profile is under another id than their `sub` gets a second one.
    #[serde(default)]
    pub force: bool,
    /// How far the run has come. Only usher writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cursor: Option<Cursor>,
}

/// The position at which a run continues, and its counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Cursor {
    /// The name of the run, chosen at its start.
    #[serde(default)]
    pub run: String,
    /// Cognito's token of the next page; `None` at the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Users checked so far.
    pub users: u64,
    /// Users queued so far.
    pub queued: u64,
    /// Users so far who have a profile under another id, and get no second one.
    #[serde(default)]
    pub elsewhere: u64,
}

impl ReconcileCommand {
    /// The body of the command's message, as JSON.
    pub(crate) fn to_body(&self) -> String {
        let mut body = serde_json::to_value(self).unwrap_or_default();
        body["usher"] = 1.into();
        body["command"] = "Reconcile".into();
        body.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, Malformed};

    fn reconcile(body: &str) -> Result<ReconcileCommand, Malformed> {
        match crate::event::parse(body)? {
            Event::Reconcile(command) => Ok(command),
            other => panic!("not a command: {other:?}"),
        }
    }

    #[test]
    fn reconcile_needs_only_the_command_name() {
        let command = reconcile(r#"{"usher":1,"command":"Reconcile"}"#).expect("a command");
        assert_eq!(
            (command.pool, command.since, command.cursor),
            (None, None, None)
        );
        assert!(!command.include_federated && !command.groups && !command.force);
    }

    #[test]
    fn reconcile_command_round_trips_through_its_body() {
        let command = ReconcileCommand {
            request_id: Some("daily".to_owned()),
            pool: PoolId::new("eu-west-1_x"),
            groups: true,
            include_federated: true,
            since: "2026-08-07T12:00:00Z".parse().ok(),
            force: true,
            cursor: Some(Cursor {
                run: "r".to_owned(),
                token: Some("t".to_owned()),
                users: 120,
                queued: 7,
                elsewhere: 50,
            }),
        };
        assert_eq!(reconcile(&command.to_body()), Ok(command));
    }

    #[test]
    fn invalid_reconcile_field_is_a_bad_command() {
        for (body, reason) in [
            (
                r#"{"usher":1,"command":"Reconcile","userPoolId":""}"#,
                "bad_command",
            ),
            (
                r#"{"usher":1,"command":"Reconcile","userPoolId":5}"#,
                "bad_command",
            ),
            (
                r#"{"usher":1,"command":"Reconcile","since":"yesterday"}"#,
                "bad_command",
            ),
            (
                r#"{"usher":1,"command":"Reconcile","groups":["EVERYONE"]}"#,
                "bad_command",
            ),
            (
                r#"{"usher":1,"command":"Reconcile","cursor":{"users":0,"queued":-1}}"#,
                "bad_command",
            ),
        ] {
            assert_eq!(
                reconcile(body).map_err(Malformed::code),
                Err(reason),
                "{body}"
            );
        }
    }
}
