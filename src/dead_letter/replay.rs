//! Replays dead letters through the source queue, or provisions them in this process.
//! Each is sent or provisioned first and deleted afterwards. So a stop at any point
//! loses nothing. A second replay changes nothing further, but may mail an invitation again.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};

use super::audit::AuditLog;
use super::received_dead_letter::ReceivedDeadLetter;
use super::replay_result::ReplayResult;
use super::replay_target::{ReplayAttempt, ReplayTarget};
use super::selection::{Selection, SelectionEnd};
use crate::aws::Failure;
use crate::quota::RateBudget;

/// One run over the dead letters of a [`Selection`].
#[derive(Debug)]
pub(crate) struct Replay {
    target: ReplayTarget,
    /// Dead letters a second.
    budget: RateBudget,
    /// Dead letters that are replayed together.
    batch_size: usize,
    audit: AuditLog,
    /// Ids of the messages that this run sent. One that is dead-lettered again during
    /// the run must not be replayed again.
    sent_ids: HashSet<String>,
    started_at: jiff::Timestamp,
    skipped: AtomicU64,
    tally: ReplayTally,
}

/// The number of dead letters with each result.
pub(crate) type ReplayTally = BTreeMap<ReplayResult, u64>;

/// Counts for the progress bar.
#[derive(Debug)]
pub(crate) struct ReplayProgress<'a> {
    pub tally: &'a ReplayTally,
    /// Dead letters received, also those that do not match the filter.
    pub seen: u64,
    /// About how many dead letters other processes hide; the replay waits for them.
    pub(crate) hidden_elsewhere: u64,
}

/// The result of [`Replay::run`].
#[derive(Debug)]
pub(crate) struct ReplayReport {
    pub tally: ReplayTally,
    /// Why the selection returned no more.
    pub end: SelectionEnd,
    /// The failure that stopped the replay.
    pub failure: Option<Failure>,
    /// Dead letters that were skipped because they are newer than the run.
    pub skipped: u64,
}

impl Replay {
    /// `rate` is in dead letters a second.
    pub(crate) fn new(target: ReplayTarget, rate: f64, audit: AuditLog) -> Self {
        Self {
            target,
            budget: RateBudget::new("replay", rate),
            batch_size: batch_size(rate),
            audit,
            sent_ids: HashSet::new(),
            started_at: jiff::Timestamp::now(),
            skipped: AtomicU64::new(0),
            tally: ReplayTally::new(),
        }
    }

    /// Stops at the first failure that concerns every dead letter, or a failed delete.
    pub(crate) async fn run(
        mut self,
        mut selection: Selection,
        mut progress: impl FnMut(ReplayProgress<'_>),
    ) -> ReplayReport {
        let mut failure = None;
        loop {
            let (tally, seen) = (&self.tally, selection.seen());
            let next = selection
                .next(
                    |dead_letter| !self.is_from_this_run(dead_letter),
                    |hidden_elsewhere| {
                        progress(ReplayProgress {
                            tally,
                            seen,
                            hidden_elsewhere,
                        });
                    },
                )
                .await;
            let dead_letters = match next {
                Ok(Some(dead_letters)) => {
                    self.adjust_start(&dead_letters);
                    dead_letters
                }
                Ok(None) => break,
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            };
            for dead_letters in dead_letters.chunks(self.batch_size) {
                if !self.acquire_permits(dead_letters.len(), &selection).await {
                    break;
                }
                let results = self.target.replay(dead_letters).await;
                failure = self
                    .settle(&mut selection, dead_letters, results)
                    .await
                    .or(failure);
                progress(ReplayProgress {
                    tally: &self.tally,
                    seen: selection.seen(),
                    hidden_elsewhere: 0,
                });
                if failure.is_some() {
                    break;
                }
            }
            if failure.is_some() {
                break;
            }
        }
        ReplayReport {
            end: selection.finish().await,
            skipped: self.skipped.into_inner(),
            tally: self.tally,
            failure,
        }
    }

    /// Waits for a permit for each of `count` dead letters. Returns `false` after a stop
    /// signal; the rest is not replayed.
    async fn acquire_permits(&self, count: usize, selection: &Selection) -> bool {
        for _ in 0..count {
            tokio::select! {
                biased;
                () = selection.stopped() => return false,
                _ = self.budget.acquire() => {}
            }
        }
        true
    }

    /// Deletes the replayed dead letters, and logs and counts each result.
    async fn settle(
        &mut self,
        selection: &mut Selection,
        dead_letters: &[ReceivedDeadLetter],
        results: Vec<ReplayAttempt>,
    ) -> Option<Failure> {
        let done: Vec<&str> = dead_letters
            .iter()
            .zip(&results)
            .filter(|(_, replayed)| !matches!(replayed.result, ReplayResult::Unchanged(_)))
            .map(|(dead_letter, _)| dead_letter.summary.id.as_str())
            .collect();
        let undeleted = selection.delete(&done).await;
        let mut failure = None;
        for (dead_letter, replayed) in dead_letters.iter().zip(results) {
            let undeleted_entry = undeleted
                .iter()
                .find(|(id, _)| *id == dead_letter.summary.id);
            let result = undeleted_entry.map_or(replayed.result, |_| ReplayResult::NotDeleted);
            self.audit.log(&dead_letter.summary, &result.to_string());
            *self.tally.entry(result).or_default() += 1;
            self.sent_ids.extend(replayed.sent_id);
            // Stop: without deletes, a replay fills the source queue with copies.
            let delete_failure = undeleted_entry.map(|(_, failure)| failure.clone());
            failure = failure.or(replayed.failure).or(delete_failure);
        }
        failure
    }

    /// Moves the start forward if SQS's clock is ahead of this machine's. Before the first
    /// send, every received dead letter is older than the run.
    fn adjust_start(&mut self, dead_letters: &[ReceivedDeadLetter]) {
        if self.sent_ids.is_empty() {
            let receive_times = dead_letters
                .iter()
                .filter_map(|dead_letter| dead_letter.message.first_received_at);
            self.started_at = receive_times.fold(self.started_at, jiff::Timestamp::max);
        }
    }

    /// Whether the dead letter comes from a message of this run, or is younger than the
    /// run. A worker may have renewed the message under a new id, and clocks differ, so
    /// an id or a date is enough.
    fn is_from_this_run(&self, dead_letter: &ReceivedDeadLetter) -> bool {
        if self.sent_ids.is_empty() {
            return false;
        }
        let ids = [
            Some(&dead_letter.summary.id),
            dead_letter.summary.source_message_id.as_ref(),
        ];
        let after = |at: Option<jiff::Timestamp>| at.is_some_and(|at| at > self.started_at);
        let came_back = ids
            .into_iter()
            .flatten()
            .any(|id| self.sent_ids.contains(id))
            || after(dead_letter.message.sent_at)
            || after(dead_letter.summary.dead_lettered_at);
        self.skipped
            .fetch_add(u64::from(came_back), Ordering::Relaxed);
        came_back
    }
}

/// The dead letters of a quarter of a second, 1 to 10, so that a stop does not wait long.
fn batch_size(rate: f64) -> usize {
    let max = crate::aws::MAX_BATCH_ENTRIES;
    #[expect(clippy::cast_precision_loss, reason = "ten at most")]
    let is_within_rate = |batch: &usize| *batch as f64 <= rate / 4.0;
    (1..=max).rev().find(is_within_rate).unwrap_or(1)
}
