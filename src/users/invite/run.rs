//! Processes rows in parallel.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::iter;

use futures_util::stream::{self, StreamExt};
use tokio_util::sync::CancellationToken;

use super::file::Row;
use super::row_result::{RowResult, RowStatus, StopReason, stop_reason};
use crate::users::operator::Operator;

/// An invitation takes about half a second, mostly for Cognito's mail. With this many rows the
/// budget limits the rate, and latency does not.
const ROWS_IN_PARALLEL: usize = 16;

#[derive(Debug)]
pub(crate) struct PendingRow {
    pub(crate) row: Row,
    /// Identifies the row in the results file.
    pub(crate) hash: String,
    /// An earlier mail was never sent.
    pub(crate) has_pending_mail: bool,
}

#[derive(Debug, Default)]
pub(crate) struct InviteTally {
    pub(crate) by_status: BTreeMap<RowStatus, u64>,
    /// Mails that may have been sent: the response was lost.
    pub(crate) unknown_mails: u64,
    pub(crate) unsent_mails: u64,
    pub(crate) untried: u64,
    pub(crate) stop_reason: Option<StopReason>,
}

/// Starts no more rows after a signal, after a result with a stop reason, or when `record` fails.
/// Rows in progress are finished.
///
/// # Errors
/// The first error of `record`.
pub(crate) async fn invite_all(
    operator: &Operator,
    rows: Vec<PendingRow>,
    stop: &CancellationToken,
    mut record: impl FnMut(&PendingRow, &RowResult) -> anyhow::Result<()>,
) -> anyhow::Result<InviteTally> {
    let mut tally = InviteTally::default();
    let mut first_error = None;
    let has_ended = Cell::new(false);
    let mut waiting = rows.into_iter();
    let starting = iter::from_fn(|| {
        let may_start = !has_ended.get() && !stop.is_cancelled();
        may_start.then(|| waiting.next()).flatten()
    });
    let results = starting.map(|pending: PendingRow| async move {
        let invitation = &pending.row.invitation;
        let result = operator.invite(invitation, pending.has_pending_mail).await;
        (pending, result)
    });
    let mut results = stream::iter(results).buffer_unordered(ROWS_IN_PARALLEL);
    while let Some((pending, result)) = results.next().await {
        let row_result = RowResult::new(pending.row.line, &result);
        tally.add(&row_result);
        if tally.stop_reason.is_none() && !stop.is_cancelled() {
            tally.stop_reason = stop_reason(&result);
        }
        if let Err(error) = record(&pending, &row_result) {
            first_error.get_or_insert(error);
        }
        has_ended.set(tally.stop_reason.is_some() || first_error.is_some());
    }
    drop(results);
    tally.untried = waiting.len() as u64;
    first_error.map_or(Ok(tally), Err)
}

impl InviteTally {
    pub(crate) fn add(&mut self, result: &RowResult) {
        *self.by_status.entry(result.status).or_default() += 1;
        self.unknown_mails += u64::from(result.mail.as_deref() == Some("unknown"));
        self.unsent_mails += u64::from(result.has_pending_mail());
    }

    pub(crate) fn is_success(&self) -> bool {
        let done = self.by_status.keys().all(|status| status.is_done());
        done && self.untried == 0
    }

    pub(crate) fn rows(&self) -> u64 {
        self.by_status.values().sum::<u64>() + self.untried
    }

    /// `28 invited, 2 refused`
    pub(crate) fn text(&self) -> String {
        let ends = self.by_status.iter();
        let ends = ends.map(|(status, count)| format!("{count} {}", status.name()));
        let untried = (self.untried > 0).then(|| format!("{} not tried", self.untried));
        let parts: Vec<String> = ends.chain(untried).collect();
        parts.join(", ")
    }
}
