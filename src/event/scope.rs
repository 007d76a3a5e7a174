//! The part of a sign-up that is provisioned.

use serde_json::{Value, json};

use super::GroupName;

/// The part of a sign-up that is provisioned. Reconcile sends the same event as the trigger
/// for a user who signed up earlier: groups that an administrator removed must not come back.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) enum Scope {
    /// Every group that applies, and the profile.
    #[default]
    Full,
    /// The user has no profile: every group that applies except privileged ones, and the
    /// profile.
    NoProfile,
    /// The user is not in these groups: these except privileged ones, and no profile.
    Groups(Vec<GroupName>),
    /// The user has chosen a new password, or has signed in through a provider. As
    /// [`Self::NoProfile`] if they have no profile, else nothing: some users have no other event.
    IfNoProfile,
}

impl Scope {
    /// The member of the event's body that holds it. Cognito has no member of this name.
    pub(crate) const BODY_FIELD: &str = "usher";

    /// Whether a profile is written after the groups.
    pub(crate) fn includes_profile(&self) -> bool {
        !matches!(self, Self::Groups(_))
    }

    /// The value of [`Self::BODY_FIELD`]; `None` for an event of the trigger, which has none.
    pub(crate) fn to_json(&self) -> Option<Value> {
        match self {
            Self::Full | Self::IfNoProfile => None,
            Self::NoProfile => Some(json!({"reconcile": {"record": true}})),
            Self::Groups(groups) => {
                let groups: Vec<&str> = groups.iter().map(GroupName::as_str).collect();
                Some(json!({"reconcile": {"groups": groups}}))
            }
        }
    }

    /// `None` for an unknown value; the message is then refused.
    pub(super) fn from_json(member: Option<&Value>) -> Option<Self> {
        let Some(member) = member else {
            return Some(Self::Full);
        };
        let scope = member.get("reconcile")?;
        match (scope.get("record"), scope.get("groups")) {
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
    fn scope_round_trips_and_unknown_values_are_unsupported() {
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
