//! Many rows at once: each is told and written down as it ends.

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

/// Rows in work. An invitation takes some half a second, most of it Cognito's mail: so
/// many that the budget sets the pace and latency does not.
const ROWS_IN_PARALLEL: usize = 16;

/// A row that is left to do.
#[derive(Debug)]
pub(super) struct PendingRow {
    pub(super) row: Row,
    /// How the results file knows it.
    pub(super) hash: String,
    /// An earlier mail never went.
    pub(super) has_pending_mail: bool,
}

#[derive(Debug, Default)]
pub(super) struct InviteTally {
    pub(super) by_status: BTreeMap<RowStatus, u64>,
    /// Mails of which nobody knows whether they went.
    pub(super) unknown_mails: u64,
    /// Mails that did not go.
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
    /// Ends before the last row when it is told to stop, when the others would fare no
    /// better, and when a result cannot be written. Rows in work come to their end.
    pub(super) async fn invite_all(
        mut self,
        tasks: Vec<PendingRow>,
    ) -> anyhow::Result<InviteTally> {
        let operator = self.operator;
        let invite = |task: PendingRow| async move {
            let performed = operator
                .invite(&task.row.invitation, task.has_pending_mail)
                .await;
            (task, performed)
        };
        let mut tally = InviteTally::default();
        let mut unwritten = None;
        let mut waiting = VecDeque::from(tasks);
        let mut working = FuturesUnordered::new();
        loop {
            let goes_on =
                tally.stop_reason.is_none() && unwritten.is_none() && !self.stop.is_cancelled();
            if goes_on
                && working.len() < ROWS_IN_PARALLEL
                && let Some(task) = waiting.pop_front()
            {
                working.push(invite(task));
                continue;
            }
            let Some((task, performed)) = working.next().await else {
                break;
            };
            if let Err(error) = self.record(task, &performed, &mut tally) {
                unwritten.get_or_insert(error);
            }
        }
        tally.untried = waiting.len() as u64;
        unwritten.map_or(Ok(tally), Err)
    }

    fn record(
        &mut self,
        task: PendingRow,
        performed: &CommandResult,
        tally: &mut InviteTally,
    ) -> anyhow::Result<()> {
        let answer = RowResult::new(task.row.line, performed);
        *tally.by_status.entry(answer.status).or_default() += 1;
        tally.unknown_mails += u64::from(answer.mail.as_deref() == Some("unknown"));
        tally.unsent_mails += u64::from(answer.has_pending_mail());
        if tally.stop_reason.is_none() && !self.stop.is_cancelled() {
            tally.stop_reason = stop_reason(performed);
        }
        self.progress.inc(1);
        if let Some(results) = &mut self.results {
            results.write(task.hash, &answer)?;
        }
        let text = match self.output {
            Output::Json => serde_json::to_string(&answer)?,
            Output::Text => answer.text(),
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
