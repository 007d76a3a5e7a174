//! How much is done for a user.

use serde_json::{Value, json};

use super::GroupName;

/// How much is done for the user. Reconcile sends the same event as a trigger, but no one
/// signed up just now: what an administrator took away must not come back with it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) enum Scope {
    /// Every group that applies, and the record.
    #[default]
    Full,
    /// The user has no record: every group that applies except privileged ones, and the
    /// record.
    NoProfile,
    /// The user is not in these groups: these except privileged ones, and no record.
    Groups(Vec<GroupName>),
    /// The user has chosen a new password (`ConfirmForgotPassword`). As [`Self::NoProfile`] if
    /// they have no record, and nothing otherwise: imported users come in this way only.
    NewPassword,
}

impl Scope {
    /// The member of the event's body that holds it. Cognito sends none of this name.
    pub(crate) const BODY_FIELD: &str = "usher";

    /// Whether a record is written once the user is in the groups.
    pub(crate) fn includes_profile(&self) -> bool {
        !matches!(self, Self::Groups(_))
    }

    /// The member's value; `None` for a trigger's event, which has no such member.
    pub(crate) fn to_json(&self) -> Option<Value> {
        match self {
            Self::Full | Self::NewPassword => None,
            Self::NoProfile => Some(json!({"reconcile": {"record": true}})),
            Self::Groups(groups) => {
                let groups: Vec<&str> = groups.iter().map(GroupName::as_str).collect();
                Some(json!({"reconcile": {"groups": groups}}))
            }
        }
    }

    /// `None` for a member that no version of usher wrote: nothing is given then.
    pub(super) fn from_json(member: Option<&Value>) -> Option<Self> {
        let Some(member) = member else {
            return Some(Self::Full);
        };
        let found = member.get("reconcile")?;
        match (found.get("record"), found.get("groups")) {
            (Some(Value::Bool(true)), None) => Some(Self::NoProfile),
            (None, Some(Value::Array(groups))) => {
                let groups = groups.iter().map(|name| GroupName::new(name.as_str()?));
                groups.collect::<Option<_>>().map(Self::Groups)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, Malformed, parse};

    fn minimal() -> Value {
        json!({
            "triggerSource": "PostConfirmation_ConfirmSignUp",
            "userPoolId": "eu-west-1_Example1",
            "userName": "someone",
        })
    }

    fn scope_of(event: &Value) -> Result<Scope, &'static str> {
        match parse(&event.to_string()).map_err(Malformed::code)? {
            Event::SignUp(sign_up) => Ok(sign_up.scope),
            other => panic!("not a sign-up: {other:?}"),
        }
    }

    #[test]
    fn a_scope_reads_back_as_it_was_written_and_no_other_is_taken() {
        let groups = [GroupName::new("STAFF"), GroupName::new("EVERYONE")];
        let groups: Vec<GroupName> = groups.into_iter().flatten().collect();
        for scope in [Scope::Full, Scope::NoProfile, Scope::Groups(groups)] {
            let mut event = minimal();
            if let Some(member) = scope.to_json() {
                event[Scope::BODY_FIELD] = member;
            }
            assert_eq!(scope_of(&event), Ok(scope));
        }
        for member in [
            json!(null),
            json!(1),
            json!({}),
            json!({"reconcile": {}}),
            json!({"reconcile": {"record": false}}),
            json!({"reconcile": {"record": true, "groups": ["STAFF"]}}),
            json!({"reconcile": {"groups": "STAFF"}}),
            json!({"reconcile": {"groups": ["a b"]}}),
        ] {
            let mut event = minimal();
            event[Scope::BODY_FIELD] = member;
            assert_eq!(scope_of(&event), Err("unsupported_command"), "{event}");
        }
    }
}
