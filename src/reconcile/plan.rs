//! What a run looks for, and where.

use super::other_ids::OtherIdSearch;
use crate::aws::{Listing, ProfileTable, Queue};
use crate::config::{Config, GroupName};
use crate::event::PoolId;

/// The services that a run reads, and the queue it feeds.
#[derive(Debug, Clone)]
pub(crate) struct ReconcileServices {
    /// Users and members.
    pub listing: Listing,
    /// The profile table; `None` when profiles are switched off.
    pub profiles: Option<ProfileTable>,
    /// The source queue.
    pub queue: Queue,
}

/// What is looked for.
#[derive(Debug, Clone)]
pub(crate) struct ReconcilePlan {
    /// The user pool.
    pub pool: PoolId,
    /// The groups that each user must be in; empty where memberships are not compared.
    pub groups: Vec<GroupName>,
    /// The table of the records; `None` when profiles are switched off.
    pub table: Option<String>,
    /// How users are found who have a record under another id: they get no second one.
    pub(crate) search: OtherIdSearch,
    /// Whether federated users are looked at.
    pub(crate) include_federated: bool,
    /// Only users created then or later.
    pub since: Option<jiff::Timestamp>,
    /// No more users than this are queued.
    pub limit: Option<u64>,
    /// Nothing is queued while more messages than this wait on the queue, so
    /// that live sign-ups find it short. `None` sends without looking.
    pub(crate) max_backlog: Option<u64>,
    /// Nothing is queued at all.
    pub(crate) dry_run: bool,
    /// Users queued in a second, as the worker may work on them.
    pub rate: f64,
}

impl ReconcilePlan {
    /// The default groups as far as a run compares memberships with them: when it is asked
    /// to, and where no record tells who is finished.
    pub(crate) fn groups_to_compare(config: &Config, asked: bool) -> Vec<GroupName> {
        if asked || config.profiles.is_none() {
            config.groups.default.clone()
        } else {
            Vec::new()
        }
    }

    /// How a run looks for records under other ids: with this index, with that of the
    /// configuration, or by a scan. Not at all when it is forced, and where no attribute names
    /// the owner of a record.
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
