//! The command `Reconcile`: find the users that lack something, and queue them.

use serde::{Deserialize, Serialize};

use super::PoolId;

/// `Reconcile`: find the users that lack something, and queue them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reconcile {
    /// Names the run in logs; a schedule may leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Absent: every pool of `pools.allowed`.
    #[serde(
        rename = "userPoolId",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub pool: Option<PoolId>,
    /// Whether users of an external provider are looked at, too.
    #[serde(default)]
    pub include_federated: bool,
    /// Only users created then or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<jiff::Timestamp>,
    /// How far the run came; written by usher alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Cursor>,
}

/// Where a run goes on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cursor {
    /// A name for the run, made when it begins.
    #[serde(default)]
    pub run: String,
    /// The part of the users that is looked at, of `parts`: they are parted by a
    /// hash when their memberships do not fit into memory at once.
    pub part: u64,
    /// A power of two; 0 before it is known.
    pub parts: u64,
    /// Cognito's token of the next page; `None` at a part's beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Users looked at so far.
    pub users: u64,
    /// Users queued so far.
    pub queued: u64,
}

impl Cursor {
    /// The most parts: enough for some two billion memberships.
    pub const MOST_PARTS: u64 = 4096;

    /// Whether it can be one that usher wrote: other parts would leave users out.
    pub fn is_sound(&self) -> bool {
        let beginning = (self.part, self.parts) == (0, 0);
        beginning
            || self.parts.is_power_of_two()
                && self.parts <= Self::MOST_PARTS
                && self.part <= self.parts
    }
}

impl Reconcile {
    /// The body of a message that asks for it.
    pub fn to_body(&self) -> String {
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

    fn reconcile(body: &str) -> Result<Reconcile, Malformed> {
        match crate::event::parse(body)? {
            Event::Reconcile(task) => Ok(task),
            other => panic!("not a command: {other:?}"),
        }
    }

    #[test]
    fn a_schedule_needs_to_name_the_command_and_nothing_else() {
        let task = reconcile(r#"{"usher":1,"command":"Reconcile"}"#).expect("a command");
        assert_eq!((task.pool, task.since, task.cursor), (None, None, None));
        assert!(!task.include_federated);
    }

    #[test]
    fn a_command_reads_back_as_it_was_written() {
        let task = Reconcile {
            request_id: Some("daily".to_owned()),
            pool: PoolId::new("eu-west-1_x"),
            include_federated: true,
            since: "2026-08-07T12:00:00Z".parse().ok(),
            cursor: Some(Cursor {
                run: "r".to_owned(),
                part: 1,
                parts: 4,
                token: Some("t".to_owned()),
                users: 120,
                queued: 7,
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
                r#"{"usher":1,"command":"Reconcile","cursor":{"part":1,"parts":3,"users":0,"queued":0}}"#,
                "bad_command",
            ),
            (
                r#"{"usher":1,"command":"Reconcile","cursor":{"part":7,"parts":0,"users":0,"queued":0}}"#,
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
