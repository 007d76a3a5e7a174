//! The options of a run, and the services that it uses.

use super::other_ids::OtherIdSearch;
use crate::aws::{Cognito, ProfileTable, Queue};
use crate::config::{Config, GroupName};
use crate::event::PoolId;

/// The services that a run reads, and the queue that it sends to.
#[derive(Debug, Clone)]
pub(crate) struct ReconcileServices {
    /// Lists users and group members.
    pub cognito: Cognito,
    /// The profile table; `None` when profiles are switched off.
    pub profiles: Option<ProfileTable>,
    /// The source queue, which gets the sign-ups.
    pub queue: Queue,
}

impl ReconcileServices {
    /// Name of the profile table; `None` when profiles are switched off.
    pub(crate) fn table(&self) -> Option<String> {
        self.profiles.as_ref().map(|table| table.name().to_owned())
    }
}

/// The users that a run checks, and the limits of what it queues.
#[derive(Debug, Clone)]
pub(crate) struct ReconcilePlan {
    pub pool: PoolId,
    /// The groups that each user must be in; empty if memberships are not compared.
    pub groups: Vec<GroupName>,
    /// Name of the profile table; `None` when profiles are switched off.
    pub table: Option<String>,
    /// How to find users with a profile under another id: they get no second one.
    pub(crate) search: OtherIdSearch,
    /// Whether federated users are checked.
    pub(crate) include_federated: bool,
    /// Only users created at this time or later.
    pub since: Option<jiff::Timestamp>,
    /// Most users that the run queues.
    pub limit: Option<u64>,
    /// Nothing is queued while more messages than this are visible on the queue, so that
    /// live sign-ups do not wait. `None` sends without a check.
    pub(crate) max_backlog: Option<u64>,
    /// Nothing is queued; users are only reported.
    pub(crate) dry_run: bool,
    /// Users queued in a second, at most.
    pub rate: f64,
}

/// A run pauses while more messages than this are on the queue, unless it is told another number.
pub(crate) const DEFAULT_BACKLOG: u64 = 1000;

/// Why no profile is found under another id; `None` if it is, or if profiles are switched off.
pub(crate) fn why_no_search(config: &Config) -> Option<&'static str> {
    let profiles = config.profiles.as_ref()?;
    profiles.owner.is_none().then_some(
        "no attribute of profiles.attributes names the owner of a profile, in a template of {sub}, \
         {username} or both",
    )
}

impl ReconcilePlan {
    /// The default groups if a run compares memberships, otherwise none. It compares them
    /// on request, and if no profile shows who is finished.
    pub(crate) fn groups_to_compare(config: &Config, asked: bool) -> Vec<GroupName> {
        if asked || config.profiles.is_none() {
            config.groups.default.clone()
        } else {
            Vec::new()
        }
    }

    /// Searches with `index`, with the configured index, or by a scan. It does not search if
    /// `forced`, or if no attribute names the owner of a profile.
    pub(crate) fn choose_search(
        config: &Config,
        index: Option<&str>,
        forced: bool,
    ) -> OtherIdSearch {
        let profiles = config.profiles.as_ref().filter(|_| !forced);
        let owner = profiles.and_then(|profiles| profiles.owner.clone());
        let index = index.or(profiles.and_then(|profiles| profiles.owner_index.as_deref()));
        match (owner, index) {
            (None, _) => OtherIdSearch::None,
            (Some(owner), None) => OtherIdSearch::Scan(owner),
            (Some(owner), Some(index)) => OtherIdSearch::Index(owner, index.to_owned()),
        }
    }
}
