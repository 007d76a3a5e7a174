//! Finds the dead letters of a run in the dead-letter queue.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::run_id::{RunId, Tag};
use crate::aws::{Failure, Queue};
use crate::dead_letter::{Filter, Selection, SelectionEnd};
use crate::retry::{Backoff, SharedRetry, Transient};

/// The dead letters that a scan found.
#[derive(Debug, Default)]
pub(super) struct RunDeadLetters {
    /// Reasons of the run's dead letters; one message may have become several.
    reasons: BTreeMap<Tag, Vec<String>>,
    /// Ids and reasons of dead letters from elsewhere that came since the run began.
    pub(super) others: Vec<(String, String)>,
    /// Approximate number of dead letters that could not be read.
    pub(super) unread: u64,
    /// Whether the scan was stopped: dead letters that it did not find may exist.
    pub(super) is_incomplete: bool,
}

pub(super) const SCAN_RECEIVES_IN_PARALLEL: usize = 8;
const DEAD_LETTER_SCAN_PAUSE: Duration = Duration::from_secs(2);

impl RunDeadLetters {
    /// Reads all dead letters and leaves them in the queue. While one of `expected` is
    /// missing, it scans again for the time of `quiet_period`.
    pub(super) async fn read(
        queue: &Queue,
        run: &RunId,
        since: jiff::Timestamp,
        expected: &BTreeSet<Tag>,
        quiet_period: Duration,
        retry: &SharedRetry,
        stop: &CancellationToken,
    ) -> Result<Self, Failure> {
        let mut until = None;
        loop {
            let dead_letters = Self::scan(queue, run, since, retry, stop).await?;
            let is_complete = expected
                .iter()
                .all(|tag| dead_letters.reasons.contains_key(tag));
            let until = *until.get_or_insert_with(|| Instant::now() + quiet_period);
            if is_complete || Instant::now() > until || stop.is_cancelled() {
                return Ok(dead_letters);
            }
            tokio::select! {
                () = tokio::time::sleep(DEAD_LETTER_SCAN_PAUSE) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// Must not be cancelled: the dead letters that it received would stay hidden.
    async fn scan(
        queue: &Queue,
        run: &RunId,
        since: jiff::Timestamp,
        retry: &SharedRetry,
        stop: &CancellationToken,
    ) -> Result<Self, Failure> {
        let mut backoff = Backoff::default();
        let mut selection = Selection::new(
            queue,
            SCAN_RECEIVES_IN_PARALLEL,
            Filter::default(),
            stop.clone(),
        );
        let mut dead_letters = Self::default();
        let result = loop {
            match selection.next(|_| true, |_| {}).await {
                Ok(Some(found)) => {
                    retry.record_success();
                    for dead_letter in found {
                        let summary = dead_letter.summary;
                        match run.find(&dead_letter.message.body) {
                            Some(tag) => dead_letters
                                .reasons
                                .entry(tag)
                                .or_default()
                                .push(summary.reason),
                            // Dead letters of another run are not checked.
                            None if RunId::contains_run_name(&dead_letter.message.body) => {}
                            None if summary.dead_lettered_at.is_some_and(|at| at >= since) => {
                                dead_letters.others.push((summary.id, summary.reason));
                            }
                            None => {}
                        }
                    }
                }
                Ok(None) => break Ok(()),
                Err(failure)
                    if failure.is_transient() && retry.wait_to_retry(&mut backoff).await => {}
                Err(failure) => break Err(failure),
            }
        };
        match selection.finish().await {
            SelectionEnd::Exhausted(unseen) => {
                dead_letters.unread = unseen.hidden_elsewhere + unseen.not_received;
            }
            SelectionEnd::Limit | SelectionEnd::Stopped => dead_letters.is_incomplete = true,
        }
        result.map(|()| dead_letters)
    }

    pub(super) fn reasons_of(&self, tag: Tag) -> &[String] {
        self.reasons.get(&tag).map_or(&[], Vec::as_slice)
    }

    /// Dead letters of sign-ups and bystanders; none are expected.
    pub(super) fn reasons_of_users(&self) -> impl Iterator<Item = (Tag, &String)> {
        let users_only = self
            .reasons
            .iter()
            .filter(|(tag, _)| !matches!(tag, Tag::Poison(_)));
        users_only.flat_map(|(tag, reasons)| reasons.iter().map(|reason| (*tag, reason)))
    }
}
