//! Finds confirmed users without a profile, and queues the sign-up that the trigger should
//! have sent. A profile is the receipt of a finished sign-up, so a missing one shows a missed
//! user. Without profiles, or on request, a run compares group memberships.
//!
//! `run` reads the pool page by page, as `plan` says. `pool_run` takes it to its end, and
//! `summary` says what it has found and done. `memberships` holds the members of the compared
//! groups, `other_ids` finds profiles under other ids. `incomplete_user` builds the sign-up, and
//! `checkpoint` stores how far a run came. `single_user` checks one user.
//! A run only lists users and members, so no user counts as active this month.

mod checkpoint;
mod fingerprints;
mod incomplete_user;
mod memberships;
mod other_ids;
mod plan;
mod pool_run;
mod run;
mod single_user;
mod summary;

pub(crate) use checkpoint::Checkpoint;
pub(crate) use incomplete_user::{IncompleteUserLine, ProfileState, why_not_queued};
pub(crate) use plan::{DEFAULT_BACKLOG, ReconcilePlan, ReconcileServices, why_no_search};
pub(crate) use pool_run::{PoolRun, PoolRunProgress};
pub(crate) use run::{ReconcileCache, ReconcileRun, ReconcileStep};
pub(crate) use single_user::SingleUser;
pub(crate) use summary::PoolSummary;
