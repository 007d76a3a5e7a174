//! An admin command, and its form on the queue:
//! `{"usher": 1, "command": "AddUserToGroup", "requestId": …, "requestedBy": {"sub": …},
//! "userPoolId": …, "username": …, "groupName": …}`.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::invitation::{FieldError, Invitation, InvitationDraft};
use super::{GroupName, PoolId, Username, is_uuid};

/// One request of an administrator or an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminCommand {
    /// Names the command in every response and every audit line.
    pub(crate) request_id: String,
    /// The `sub` of an administrator, or the ARN of an operator. On the queue it is always a
    /// `sub`, since the commands of operators run in their own process.
    pub requested_by: String,
    /// A user who was created before this time was not created by this command.
    pub(crate) requested_at: Option<Timestamp>,
    /// The pool of the user; an administrator's own pool.
    pub pool: PoolId,
    /// The change that is asked for, with its parameters.
    pub operation: AdminOperation,
}

/// The operation of an admin command, with its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdminOperation {
    /// The user becomes a member of the group.
    AddToGroup(Membership),
    /// The user is no longer a member of the group.
    RemoveFromGroup(Membership),
    /// Creates a user with groups and profile, unless the user exists.
    Invite(Invitation),
    /// Sends a new code to a user who was invited.
    ResendInvitation(Username),
}

/// The user and the group of a membership change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// A user name, an alias or a `sub`.
    pub username: Username,
    /// A group that exists in the pool.
    pub group: GroupName,
}

impl Membership {
    /// Each argument is the name of the field and its text. The error is the first field that
    /// breaks a rule.
    pub(crate) fn new(
        user: (&'static str, &str),
        group: (&'static str, &str),
    ) -> Result<Self, FieldError> {
        let error_in = |field| move |rule| FieldError { field, rule };
        Ok(Self {
            username: Username::parse(user.1).map_err(error_in(user.0))?,
            group: GroupName::parse(group.1).map_err(error_in(group.0))?,
        })
    }
}

impl AdminOperation {
    /// The value of `command` on the queue.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::AddToGroup(_) => "AddUserToGroup",
            Self::RemoveFromGroup(_) => "RemoveUserFromGroup",
            Self::Invite(_) => "InviteUser",
            Self::ResendInvitation(_) => "ResendInvitation",
        }
    }

    /// The groups that the operation adds or removes.
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
    /// 32 random hexadecimal digits.
    pub(crate) fn new_request_id() -> String {
        format!("{:032x}", fastrand::u128(..))
    }

    /// The command of a replayed dead letter. It has no time, so no user counts as created by it.
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

    /// `None` if a field is missing or invalid.
    pub(super) fn from_json(body: &Value) -> Option<Self> {
        let raw = RawCommand::deserialize(body).ok()?;
        let operation = match raw.command.as_str() {
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
        let is_valid = |text: &str| {
            (1..=256).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
        };
        // The audit line holds the `sub`, and must not hold a name or a number.
        (is_valid(&raw.request_id) && is_uuid(&raw.requested_by.sub)).then_some(Self {
            request_id: raw.request_id,
            requested_by: raw.requested_by.sub,
            requested_at: raw.requested_at,
            pool: raw.pool,
            operation,
        })
    }

    /// The body of the command's message, as JSON.
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
            Event::AdminCommand(command) => Ok(*command),
            other => panic!("not an admin command: {other:?}"),
        }
    }

    fn command(operation: AdminOperation) -> AdminCommand {
        AdminCommand {
            request_id: AdminCommand::new_request_id(),
            requested_by: "b662d2e4-d0a1-7098-4973-20a5d6ff5a12".to_owned(),
            requested_at: "2026-08-07T12:00:00.123Z".parse().ok(),
            pool: PoolId::new("eu-west-1_x").expect("not empty"),
            operation,
        }
    }

    #[test]
    fn admin_command_round_trips_through_its_body() {
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
        for operation in [
            AdminOperation::AddToGroup(member.clone()),
            AdminOperation::RemoveFromGroup(member),
            AdminOperation::Invite(invitation),
            AdminOperation::ResendInvitation(Username::new("ada").expect("not empty")),
        ] {
            let command = command(operation);
            assert_eq!(read(&command.to_body()), Ok(command));
        }
    }

    #[test]
    fn incomplete_admin_command_is_a_bad_command() {
        let body = |field: &str, value: Value| {
            let member = Membership::new(("u", "ada"), ("g", "STAFF")).expect("valid");
            let mut body: Value =
                serde_json::from_str(&command(AdminOperation::AddToGroup(member)).to_body())
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
            ("requestedBy", json!({"sub": "Ada"})),
            // The commands of operators never pass through a queue.
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
    fn debug_output_hides_personal_data() {
        // The random request id is hexadecimal and cannot contain this name.
        let member = Membership::new(("u", "zoltan@example.com"), ("g", "STAFF")).expect("valid");
        assert!(!format!("{:?}", command(AdminOperation::AddToGroup(member))).contains("zoltan"));
    }
}
