//! Finds confirmed users without a record, and queues the sign-up that their trigger should
//! have sent. The record is the receipt of a finished sign-up, so it tells who was missed;
//! where there are no records, and when it is asked for, memberships are compared.
//!
//! `run` goes through the pool page by page, `members` holds who is in the groups that are
//! compared, `elsewhere` finds records under other ids, `lacking` is a user who lacks
//! something, `checkpoint` keeps how far a run came.
//! Only lists are read: none of these calls makes a user count as active this month.

mod checkpoint;
mod fingerprints;
mod incomplete_user;
mod memberships;
mod other_ids;
mod plan;
mod restarts;
mod run;

pub(crate) use checkpoint::Checkpoint;
pub(crate) use incomplete_user::IncompleteUserLine;
pub(crate) use other_ids::OtherIdSearch;
pub(crate) use plan::{ReconcilePlan, ReconcileServices};
pub(crate) use run::{ReconcileCache, ReconcileRun, ReconcileStep};
