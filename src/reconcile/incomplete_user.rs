//! A user who lacks a group or the profile, and the sign-up that repairs it.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::json;

use crate::aws::{ListedUser, Outgoing, UserStatus};
use crate::config::GroupName;
use crate::event::{FEDERATED_STATUS, PoolId, STATUS_ATTRIBUTE, Scope, Sub, escape_for_sqs};
use crate::message::outgoing;

/// A user without a profile under their `sub`, or outside a compared group.
#[derive(Debug)]
pub(crate) struct IncompleteUser {
    pub(super) user: ListedUser,
    pub(super) groups: Vec<GroupName>,
    pub(super) profile: ProfileState,
}

/// Whether a run has found the user's profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProfileState {
    /// Under their `sub`; also when profiles are switched off.
    Present,
    /// Under another id: a sign-up would write a second one.
    OtherId,
    /// No profile was found.
    Missing,
}

/// Why no sign-up is queued for a user of this status, and what must come first. A run also
/// leaves out federated users, unless it is asked for them.
pub(crate) fn why_not_queued(status: UserStatus) -> Option<&'static str> {
    match status {
        UserStatus::Confirmed | UserStatus::Federated => None,
        UserStatus::Disabled => Some("the user is disabled: enable them first"),
        UserStatus::Invited => Some(
            "the user must first choose a password; usher users invite gives groups and profile \
             at once",
        ),
        UserStatus::Other => Some("the user must first confirm the sign-up"),
    }
}

/// The output line for one user, without personal data.
#[derive(Debug, Serialize)]
pub(crate) struct IncompleteUserLine<'a> {
    /// Tells the line from that of a pool.
    kind: &'static str,
    pub pool: &'a str,
    /// The user's `sub`; `None` if the pool shows none or it may hold personal data.
    pub sub: Option<&'a str>,
    /// Default groups that the user is not in.
    pub missing_groups: Vec<&'a str>,
    /// Whether no profile was found, under any id.
    pub missing_profile: bool,
    /// Whether the profile is under another id than the `sub`.
    pub under_another_id: bool,
}

impl IncompleteUserLine<'_> {
    /// In words: `missing EVERYONE, profile`.
    pub(crate) fn describe(&self) -> String {
        let mut missing = self.missing_groups.clone();
        missing.extend(self.missing_profile.then_some("profile"));
        let mut found = Vec::new();
        if !missing.is_empty() {
            found.push(format!("missing {}", missing.join(", ")));
        }
        if self.under_another_id {
            found.push("profile under another id".to_owned());
        }
        found.join("; ")
    }
}

impl IncompleteUser {
    pub(crate) fn line<'a>(&'a self, pool: &'a PoolId) -> IncompleteUserLine<'a> {
        IncompleteUserLine {
            kind: "user",
            pool: pool.as_str(),
            sub: self.user.sub.as_ref().and_then(Sub::loggable),
            missing_groups: self.groups.iter().map(GroupName::as_str).collect(),
            missing_profile: self.profile == ProfileState::Missing,
            under_another_id: self.profile == ProfileState::OtherId,
        }
    }

    /// Whether a sign-up would add something. A worker cannot move a profile.
    pub(super) fn is_queueable(&self) -> bool {
        self.profile == ProfileState::Missing || !self.groups.is_empty()
    }

    /// A profile is the receipt of a finished sign-up, so a user without one may lack any
    /// group. Other users lack only groups that were compared.
    pub(super) fn scope(&self) -> Scope {
        match self.profile {
            ProfileState::Missing => Scope::NoProfile,
            ProfileState::Present | ProfileState::OtherId => Scope::Groups(self.groups.clone()),
        }
    }

    /// The event that the trigger should have sent, with its scope. The app client is
    /// unknown, so no group rule for an app client applies.
    pub(super) fn to_outgoing(&self, pool: &PoolId) -> Outgoing {
        let mut attributes: BTreeMap<&str, &str> = self.user.attributes.iter().collect();
        if self.user.status == UserStatus::Federated {
            // As in the events of the trigger: rules read it.
            attributes.insert(STATUS_ATTRIBUTE, FEDERATED_STATUS);
        }
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
        outgoing::missed_sign_up(escape_for_sqs(&body.to_string()), pool)
    }
}
