//! What an administrator asks for, and its form on the queue:
//! `{"usher": 1, "command": "AddUserToGroup", "requestId": …, "requestedBy": {"sub": …},
//! "userPoolId": …, "username": …, "groupName": …}`.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::invitation::{FieldError, Invitation, InvitationDraft};
use super::{GroupName, PoolId, Username, is_loggable_sub};

/// One action that an administrator asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminCommand {
    /// Names it in every answer and every audit line.
    pub(crate) request_id: String,
    /// Who asked: the `sub` of an administrator, the ARN of an operator. From the queue
    /// comes a `sub` alone: what operators ask for is done in their own process.
    pub requested_by: String,
    /// When they asked. What was there before is not of this order's making.
    pub(crate) requested_at: Option<Timestamp>,
    /// Where it is done: the pool that the administrator is in.
    pub pool: PoolId,
    /// What is done.
    pub operation: AdminOperation,
}

/// What is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdminOperation {
    /// The user becomes a member.
    AddToGroup(Membership),
    /// The user is no longer a member.
    RemoveFromGroup(Membership),
    /// A person who may not exist yet is created, with groups and profile.
    Invite(Invitation),
    /// A person who was invited gets a new code.
    ResendInvitation(Username),
}

/// A user and a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The user: name, alias or `sub`.
    pub username: Username,
    /// The group, which exists already.
    pub group: GroupName,
}

impl Membership {
    /// Of the two texts that a request holds.
    ///
    /// # Errors
    /// The first that cannot be meant.
    pub(crate) fn new(
        user: (&'static str, &str),
        group: (&'static str, &str),
    ) -> Result<Self, FieldError> {
        let wrong = |field| move |rule| FieldError { field, rule };
        Ok(Self {
            username: Username::parse(user.1).map_err(wrong(user.0))?,
            group: GroupName::parse(group.1).map_err(wrong(group.0))?,
        })
    }
}

impl AdminOperation {
    /// The command's name on the queue.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::AddToGroup(_) => "AddUserToGroup",
            Self::RemoveFromGroup(_) => "RemoveUserFromGroup",
            Self::Invite(_) => "InviteUser",
            Self::ResendInvitation(_) => "ResendInvitation",
        }
    }

    /// The groups that it gives or takes.
    pub(crate) fn groups(&self) -> &[GroupName] {
        match self {
            Self::AddToGroup(membership) | Self::RemoveFromGroup(membership) => {
                std::slice::from_ref(&membership.group)
            }
            Self::Invite(invitation) => &invitation.groups,
            Self::ResendInvitation(_) => &[],
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawCommand {
    command: String,
    request_id: String,
    requested_by: RawRequester,
    #[serde(default)]
    requested_at: Option<Timestamp>,
    #[serde(rename = "userPoolId")]
    pool: PoolId,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    group_name: Option<String>,
}

#[derive(Deserialize)]
struct RawRequester {
    sub: String,
}

impl AdminCommand {
    /// A new id for a request.
    pub(crate) fn new_request_id() -> String {
        format!("{:032x}", fastrand::u128(..))
    }

    /// The order as a replayed letter asks for it: whoever is there now was there before.
    #[must_use]
    pub(crate) fn replayed(&self) -> Self {
        Self {
            requested_at: None,
            ..self.clone()
        }
    }

    pub(super) fn is_known_name(command: &str) -> bool {
        matches!(
            command,
            "AddUserToGroup" | "RemoveUserFromGroup" | "InviteUser" | "ResendInvitation"
        )
    }

    /// `None` when a field is missing or cannot be meant.
    pub(super) fn from_json(body: &Value) -> Option<Self> {
        let raw = RawCommand::deserialize(body).ok()?;
        let action = match raw.command.as_str() {
            "InviteUser" => {
                let draft = InvitationDraft::deserialize(body).ok()?;
                AdminOperation::Invite(Invitation::new(draft).ok()?)
            }
            "ResendInvitation" => {
                AdminOperation::ResendInvitation(Username::parse(raw.username.as_deref()?).ok()?)
            }
            command => {
                let user = ("username", raw.username.as_deref()?);
                let group = ("groupName", raw.group_name.as_deref()?);
                let membership = Membership::new(user, group).ok()?;
                if command == "AddUserToGroup" {
                    AdminOperation::AddToGroup(membership)
                } else {
                    AdminOperation::RemoveFromGroup(membership)
                }
            }
        };
        let sound = |text: &str| {
            (1..=256).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
        };
        // It gets into the audit line, where no address belongs.
        let named = is_loggable_sub(&raw.requested_by.sub) && !raw.requested_by.sub.is_empty();
        (sound(&raw.request_id) && named).then_some(Self {
            request_id: raw.request_id,
            requested_by: raw.requested_by.sub,
            requested_at: raw.requested_at,
            pool: raw.pool,
            operation: action,
        })
    }

    /// The body of the message that asks a worker for it.
    pub(crate) fn to_body(&self) -> String {
        let mut body = match &self.operation {
            AdminOperation::AddToGroup(membership)
            | AdminOperation::RemoveFromGroup(membership) => json!({
                "username": membership.username.reveal(),
                "groupName": membership.group.as_str(),
            }),
            AdminOperation::Invite(invitation) => invitation.to_json(),
            AdminOperation::ResendInvitation(username) => json!({ "username": username.reveal() }),
        };
        body["usher"] = 1.into();
        body["command"] = self.operation.name().into();
        body["requestId"] = self.request_id.clone().into();
        body["requestedBy"] = json!({ "sub": self.requested_by });
        body["requestedAt"] = self.requested_at.map(|at| format!("{at:.3}")).into();
        body["userPoolId"] = self.pool.as_str().into();
        body.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, Malformed};

    fn read(body: &str) -> Result<AdminCommand, Malformed> {
        match crate::event::parse(body)? {
            Event::AdminCommand(order) => Ok(*order),
            other => panic!("not an order: {other:?}"),
        }
    }

    fn order(action: AdminOperation) -> AdminCommand {
        AdminCommand {
            request_id: AdminCommand::new_request_id(),
            requested_by: "b662d2e4-d0a1-7098-4973-20a5d6ff5a12".to_owned(),
            requested_at: "2026-08-07T12:00:00.123Z".parse().ok(),
            pool: PoolId::new("eu-west-1_x").expect("not empty"),
            operation: action,
        }
    }

    #[test]
    fn an_order_reads_back_as_it_was_written() {
        let member = Membership::new(("u", "ada@example.com"), ("g", "STAFF")).expect("valid");
        let invitation = Invitation::new(InvitationDraft {
            email: "ada@example.com".to_owned(),
            username: Some("ada".to_owned()),
            given_name: Some("Ada".to_owned()),
            attributes: Some(json!({"custom:plan": "pro"})),
            groups: Some(vec!["STAFF".to_owned()]),
            resend: Some(true),
            ..InvitationDraft::default()
        })
        .expect("valid");
        for action in [
            AdminOperation::AddToGroup(member.clone()),
            AdminOperation::RemoveFromGroup(member),
            AdminOperation::Invite(invitation),
            AdminOperation::ResendInvitation(Username::new("ada").expect("not empty")),
        ] {
            let order = order(action);
            assert_eq!(read(&order.to_body()), Ok(order));
        }
    }

    #[test]
    fn an_order_that_lacks_something_is_a_bad_command() {
        let body = |field: &str, value: Value| {
            let member = Membership::new(("u", "ada"), ("g", "STAFF")).expect("valid");
            let mut body: Value =
                serde_json::from_str(&order(AdminOperation::AddToGroup(member)).to_body())
                    .expect("JSON");
            body[field] = value;
            body.to_string()
        };
        for (field, value) in [
            ("requestId", json!("")),
            ("requestId", json!("a b")),
            ("requestedBy", json!("x")),
            ("requestedBy", json!({"sub": ""})),
            ("requestedBy", json!({"sub": "ada@example.com"})),
            // An operator does at once what they ask for, and never through a queue.
            ("requestedBy", json!({"sub": "arn:aws:iam::1:user/ops"})),
            ("userPoolId", json!("")),
            ("username", json!("")),
            ("username", json!("a b")),
            ("username", json!(null)),
            ("groupName", json!("a b")),
            ("groupName", json!(7)),
            ("command", json!("InviteUser")),
        ] {
            let refused = read(&body(field, value)).map_err(Malformed::code);
            assert_eq!(refused.err(), Some("bad_command"), "{field}");
        }
    }

    #[test]
    fn formatting_reveals_nobody() {
        // The order's random id is hexadecimal and cannot contain this name.
        let member = Membership::new(("u", "zoltan@example.com"), ("g", "STAFF")).expect("valid");
        assert!(!format!("{:?}", order(AdminOperation::AddToGroup(member))).contains("zoltan"));
    }
}
