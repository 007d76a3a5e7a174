//! What one user has and lacks, which rule says so, and the sign-up that repairs it.
//! `operator` executes admin commands, and `invite` many of them. `account` disables and signs out,
//! `forget` deletes.
//!
//! `UserReport` holds all of it; `usher users show` draws it. `groups` compares memberships,
//! `profile` looks for the profile, and `dead_letters` reads those of the user. `repair` chooses
//! the sign-up, as reconcile does; `commands` are the commands that do the same.

mod account;
mod commands;
mod dead_letters;
mod forget;
mod groups;
mod invite;
mod operator;
mod profile;
mod repair;
mod report;

pub(crate) use account::AccountChange;
pub(crate) use commands::{groups_command, pool_option};
pub(crate) use dead_letters::DeadLetters;
pub(crate) use forget::{Forget, ForgetReport, ForgetStatus, Parts};
pub(crate) use groups::GroupState;
pub(crate) use invite::{
    COGNITO_MAILS_PER_DAY, GroupPlan, HashKey, InviteTally, LINE_PREFIX, ListedGroups, PendingRow,
    ResultsEntry, ResultsHeader, Row, RowError, RowResult, RowStatus, StopReason, invite_all,
    parse as parse_invitations,
};
pub(crate) use operator::Operator;
pub(crate) use repair::Additions;
pub(crate) use report::{User, UserReport};

/// Called with the number of things that were read, and their name.
pub(crate) type OnProgress<'a> = &'a (dyn Fn(u64, &'static str) + Sync);
