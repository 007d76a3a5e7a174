//! Invites many users: the rows of a CSV file, a run over them, and the result of each.

mod file;
mod groups;
mod results;
mod row_result;
mod run;

pub(crate) use file::{Row, RowError, parse};
pub(crate) use groups::{GroupPlan, ListedGroups};
pub(crate) use results::{HashKey, LINE_PREFIX, ResultsEntry, ResultsHeader};
pub(crate) use row_result::{RowResult, RowStatus, StopReason};
pub(crate) use run::{InviteTally, PendingRow, invite_all};

/// E-mails that Cognito sends a day from its own address.
///
/// <https://docs.aws.amazon.com/cognito/latest/developerguide/quotas.html>
pub(crate) const COGNITO_MAILS_PER_DAY: usize = 50;
