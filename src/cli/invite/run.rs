//! Processes rows in parallel. Each result is written and printed at once.

use std::collections::{BTreeMap, VecDeque};

use futures_util::stream::{FuturesUnordered, StreamExt};
use indicatif::ProgressBar;
use tokio_util::sync::CancellationToken;

use super::options::Row;
use super::results::ResultsFile;
use super::row_result::{RowResult, RowStatus};
use super::stop_reason::{StopReason, stop_reason};
use crate::cli::operator::Operator;
use crate::cli::{Output, print};
use crate::provision::CommandResult;

/// An invitation takes about half a second, mostly for Cognito's mail. With this many rows the
/// budget limits the rate, and latency does not.
const ROWS_IN_PARALLEL: usize = 16;

#[derive(Debug)]
pub(super) struct PendingRow {
    pub(super) row: Row,
    /// Identifies the row in the results file.
    pub(super) hash: String,
    /// An earlier mail was never sent.
    pub(super) has_pending_mail: bool,
}

#[derive(Debug, Default)]
pub(super) struct InviteTally {
    pub(super) by_status: BTreeMap<RowStatus, u64>,
    /// Mails that may have been sent: the response was lost.
    pub(super) unknown_mails: u64,
    pub(super) unsent_mails: u64,
    pub(super) untried: u64,
    pub(super) stop_reason: Option<StopReason>,
}

pub(super) struct InviteRun<'a> {
    pub(super) operator: &'a Operator,
    pub(super) output: Output,
    pub(super) progress: &'a ProgressBar,
    pub(super) results: Option<ResultsFile>,
    pub(super) stop: &'a CancellationToken,
}

impl InviteRun<'_> {
    /// Starts no more rows after a signal, after a result with a stop reason, or when a result
    /// cannot be written. Rows in progress are finished.
    pub(super) async fn invite_all(mut self, rows: Vec<PendingRow>) -> anyhow::Result<InviteTally> {
        let operator = self.operator;
        let invite = |pending: PendingRow| async move {
            let result = operator
                .invite(&pending.row.invitation, pending.has_pending_mail)
                .await;
            (pending, result)
        };
        let mut tally = InviteTally::default();
        let mut first_error = None;
        let mut waiting = VecDeque::from(rows);
        let mut in_progress = FuturesUnordered::new();
        loop {
            let may_start =
                tally.stop_reason.is_none() && first_error.is_none() && !self.stop.is_cancelled();
            if may_start
                && in_progress.len() < ROWS_IN_PARALLEL
                && let Some(pending) = waiting.pop_front()
            {
                in_progress.push(invite(pending));
                continue;
            }
            let Some((pending, result)) = in_progress.next().await else {
                break;
            };
            if let Err(error) = self.record(pending, &result, &mut tally) {
                first_error.get_or_insert(error);
            }
        }
        tally.untried = waiting.len() as u64;
        first_error.map_or(Ok(tally), Err)
    }

    fn record(
        &mut self,
        pending: PendingRow,
        result: &CommandResult,
        tally: &mut InviteTally,
    ) -> anyhow::Result<()> {
        let row_result = RowResult::new(pending.row.line, result);
        *tally.by_status.entry(row_result.status).or_default() += 1;
        tally.unknown_mails += u64::from(row_result.mail.as_deref() == Some("unknown"));
        tally.unsent_mails += u64::from(row_result.has_pending_mail());
        if tally.stop_reason.is_none() && !self.stop.is_cancelled() {
            tally.stop_reason = stop_reason(result);
        }
        self.progress.inc(1);
        if let Some(results) = &mut self.results {
            results.write(pending.hash, &row_result)?;
        }
        let text = match self.output {
            Output::Json => serde_json::to_string(&row_result)?,
            Output::Text => row_result.text(),
        };
        self.progress.suspend(|| print(&(text + "\n")))
    }
}

impl InviteTally {
    pub(super) fn is_success(&self) -> bool {
        let done = self.by_status.keys().all(|status| status.is_done());
        done && self.untried == 0
    }

    /// `30 rows: 28 invited, 2 refused`
    pub(super) fn text(&self) -> String {
        let rows = self.by_status.values().sum::<u64>() + self.untried;
        let ends = self.by_status.iter();
        let ends = ends.map(|(status, count)| format!("{count} {}", status.name()));
        let untried = (self.untried > 0).then(|| format!("{} not tried", self.untried));
        let parts: Vec<String> = ends.chain(untried).collect();
        let rows = if rows == 1 {
            "1 row".to_owned()
        } else {
            format!("{rows} rows")
        };
        format!("{rows}: {}", parts.join(", "))
    }
}
