//! A user who lacks something, and the message that asks a worker for it.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::json;

use crate::aws::{ListedUser, Outgoing};
use crate::config::GroupName;
use crate::event::{PoolId, Scope, Sub, escape_for_sqs, is_loggable_sub};

/// A confirmed user without a record under their `sub`, or outside a group that was compared.
#[derive(Debug)]
pub(crate) struct IncompleteUser {
    pub(super) user: ListedUser,
    pub(super) groups: Vec<GroupName>,
    pub(super) profile: ProfileState,
}

/// A user's record, as far as a run knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProfileState {
    /// It is there, or nothing is asked for.
    Present,
    /// There is one under another id: a second one would be written beside it.
    OtherId,
    /// There is none.
    Missing,
}

/// A line about a user, without personal data.
#[derive(Debug, Serialize)]
pub(crate) struct IncompleteUserLine<'a> {
    /// The user pool.
    pub pool: &'a str,
    /// The user, where the pool shows a `sub`.
    pub sub: Option<&'a str>,
    /// Default groups that the user is not in.
    pub lacks_groups: Vec<&'a str>,
    /// Whether there is no profile.
    pub lacks_profile: bool,
    /// Whether there is one under another id than the `sub`.
    pub record_elsewhere: bool,
}

impl IncompleteUser {
    /// What may be shown.
    pub(crate) fn line<'a>(&'a self, pool: &'a PoolId) -> IncompleteUserLine<'a> {
        let sub = self.user.sub.as_ref().map(Sub::as_str);
        IncompleteUserLine {
            pool: pool.as_str(),
            sub: sub.filter(|sub| is_loggable_sub(sub)),
            lacks_groups: self.groups.iter().map(GroupName::as_str).collect(),
            lacks_profile: self.profile == ProfileState::Missing,
            record_elsewhere: self.profile == ProfileState::OtherId,
        }
    }

    /// Whether a worker can give what is lacking. It cannot move a record.
    pub(super) fn is_queueable(&self) -> bool {
        self.profile == ProfileState::Missing || !self.groups.is_empty()
    }

    /// What a worker does. A record is the receipt of a finished sign-up, so a user without
    /// one may lack any group; others lack only the groups that were compared.
    fn scope(&self) -> Scope {
        match self.profile {
            ProfileState::Missing => Scope::NoProfile,
            ProfileState::Present | ProfileState::OtherId => Scope::Groups(self.groups.clone()),
        }
    }

    /// The event that the user's trigger should have sent, with its scope. The app client is
    /// not known any more, so no rule on it applies.
    pub(super) fn to_outgoing(&self, pool: &PoolId) -> Outgoing {
        let attributes: BTreeMap<&str, &str> = self.user.attributes.iter().collect();
        let region = pool
            .as_str()
            .split_once('_')
            .map_or("", |(region, _)| region);
        let mut body = json!({
            "version": "1",
            "triggerSource": "PostConfirmation_ConfirmSignUp",
            "region": region,
            "userPoolId": pool,
            "userName": self.user.username.reveal(),
            "callerContext": {
                "awsSdkVersion": concat!("usher-reconcile-", env!("CARGO_PKG_VERSION")),
                "clientId": "CLIENT_ID_NOT_APPLICABLE",
            },
            "request": {"userAttributes": attributes},
            "response": {},
        });
        body[Scope::BODY_FIELD] = self.scope().to_json().into();
        Outgoing {
            body: escape_for_sqs(&body.to_string()),
            attributes: [
                ("usher.kind", "PostConfirmation".to_owned()),
                ("usher.origin", "reconcile".to_owned()),
                (
                    "usher.forwarded_at",
                    format!("{:.3}", jiff::Timestamp::now()),
                ),
            ]
            .map(|(name, value)| (name.to_owned(), value))
            .into(),
            // A tenant of its own: fair queues let live sign-ups pass.
            message_group: Some(format!("{pool}.reconcile")),
            ..Outgoing::default()
        }
    }
}
