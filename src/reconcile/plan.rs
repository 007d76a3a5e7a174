//! What a run looks for, and where.

use super::members::MOST;
use crate::aws::{Listing, Profiles, Queue};
use crate::config::GroupName;
use crate::event::PoolId;

/// The services that a run reads, and the queue it feeds.
#[derive(Debug, Clone)]
pub struct Services {
    /// Users and members.
    pub listing: Listing,
    /// The profile table; `None` when profiles are switched off.
    pub profiles: Option<Profiles>,
    /// The source queue.
    pub queue: Queue,
}

/// What is looked for.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The user pool.
    pub pool: PoolId,
    /// The groups that everybody is in.
    pub groups: Vec<GroupName>,
    /// Whether federated users are looked at.
    pub include_federated: bool,
    /// Only users created then or later.
    pub since: Option<jiff::Timestamp>,
    /// No more users than this are queued.
    pub limit: Option<u64>,
    /// Nothing is queued while more messages than this wait on the queue, so
    /// that live sign-ups find it short. `None` sends without looking.
    pub backlog: Option<u64>,
    /// Nothing is queued at all.
    pub dry_run: bool,
    /// Users queued in a second, as the worker may work on them.
    pub rate: f64,
    /// Memberships held at once, sixteen bytes each; see [`Plan::MEMBERSHIPS`].
    pub memberships: usize,
}

impl Plan {
    /// More than half a million, in 8 MiB.
    pub const MEMBERSHIPS: usize = MOST;
}
