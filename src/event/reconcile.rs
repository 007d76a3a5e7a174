//! The command `Reconcile`: find users whose sign-up was not finished, and queue them.

use serde::{Deserialize, Serialize};

use super::PoolId;

/// Find users whose sign-up was not finished, and queue them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReconcileCommand {
    /// Names the run in logs; a schedule may leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) request_id: Option<String>,
    /// Absent: every pool of `pools.allowed`.
    #[serde(
        rename = "userPoolId",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub pool: Option<PoolId>,
    /// Whether memberships in the default groups are compared as well as records.
    #[serde(default)]
    pub groups: bool,
    /// Whether users of an external provider are checked, too.
    #[serde(default)]
    pub(crate) include_federated: bool,
    /// Only users created then or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<jiff::Timestamp>,
    /// Whether a user who has a record under another id than their `sub` gets a second one.
    #[serde(default)]
    pub force: bool,
    /// How far the run came; written by usher alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cursor: Option<Cursor>,
}

/// Where a run goes on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Cursor {
    /// A name for the run, made when it begins.
    #[serde(default)]
    pub run: String,
    /// Cognito's token of the next page; `None` at the beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Users checked so far.
    pub users: u64,
    /// Users queued so far.
    pub queued: u64,
    /// Users so far who have a record under another id, and get none.
    #[serde(default)]
    pub elsewhere: u64,
}

impl ReconcileCommand {
    /// The body of a message that asks for it.
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
            Event::Reconcile(task) => Ok(task),
            other => panic!("not a command: {other:?}"),
        }
    }

    #[test]
    fn a_schedule_needs_to_name_the_command_and_nothing_else() {
        let task = reconcile(r#"{"usher":1,"command":"Reconcile"}"#).expect("a command");
        assert_eq!((task.pool, task.since, task.cursor), (None, None, None));
        assert!(!task.include_federated && !task.groups && !task.force);
    }

    #[test]
    fn a_command_reads_back_as_it_was_written() {
        let task = ReconcileCommand {
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
        assert_eq!(reconcile(&task.to_body()), Ok(task));
    }

    #[test]
    fn what_is_wrong_with_a_command_has_a_reason() {
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
