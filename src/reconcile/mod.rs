//! Finds confirmed users without a profile, and queues the sign-up that the trigger should
//! have sent. A profile is the receipt of a finished sign-up, so a missing one shows a missed
//! user. Without profiles, or on request, a run compares group memberships.
//!
//! `run` reads the pool page by page, as `plan` says. `memberships` holds the members of the
//! compared groups, `other_ids` finds profiles under other ids. `incomplete_user` builds the
//! sign-up, and `checkpoint` stores how far a run came. `single_user` checks one user.
//! A run only lists users and members, so no user counts as active this month.

mod checkpoint;
mod fingerprints;
mod incomplete_user;
mod memberships;
mod other_ids;
mod plan;
mod run;
mod single_user;

pub(crate) use checkpoint::Checkpoint;
pub(crate) use incomplete_user::{IncompleteUserLine, ProfileState, why_not_queued};
pub(crate) use other_ids::OtherIdSearch;
pub(crate) use plan::{ReconcilePlan, ReconcileServices};
pub(crate) use run::{ReconcileCache, ReconcileRun, ReconcileStep};
pub(crate) use single_user::SingleUser;
