//! Replays dead letters through the source queue, or provisions them in this process.
//! Each is sent or provisioned first and deleted afterwards. So a stop at any point
//! loses nothing. A second replay changes nothing further, but may mail an invitation again.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;

use super::audit::AuditLog;
use super::reason_counts::ReasonCounts;
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
    arrivals: Arrivals,
    tally: ReplayTally,
    /// Reasons of hopeless dead letters that were announced.
    announced: BTreeSet<String>,
}

/// The dead letters that arrive during a run, which must not be replayed again.
#[derive(Debug)]
struct Arrivals {
    started_at: jiff::Timestamp,
    /// Ids of the messages that this run sent.
    sent_ids: HashSet<String>,
    /// Those that come from a message of this run, by their new reason.
    returned: ReasonCounts,
    /// Others. A worker may have renewed a message of this run under a new id.
    newer: u64,
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
    /// Reasons of hopeless dead letters that are about to be sent to the source queue; each comes
    /// once, and mostly there are none.
    pub(crate) hopeless: String,
}

/// The result of [`Replay::run`].
#[derive(Debug)]
pub(crate) struct ReplayReport {
    pub tally: ReplayTally,
    /// Why the selection returned no more.
    pub end: SelectionEnd,
    /// The failure that stopped the replay.
    pub failure: Option<Failure>,
    /// Dead letters that arrived during the run and were not replayed.
    pub(crate) newer: u64,
    /// Those that were sent to the source queue, and are dead letters again by now.
    pub(crate) returned: ReasonCounts,
    /// All dead letters that were received.
    pub(crate) seen: ReasonCounts,
}

impl Replay {
    /// `rate` is in dead letters a second.
    pub(crate) fn new(target: ReplayTarget, rate: f64, audit: AuditLog) -> Self {
        Self {
            target,
            budget: RateBudget::new("replay", rate),
            batch_size: batch_size(rate),
            audit,
            arrivals: Arrivals {
                started_at: jiff::Timestamp::now(),
                sent_ids: HashSet::new(),
                returned: ReasonCounts::default(),
                newer: 0,
            },
            tally: ReplayTally::new(),
            announced: BTreeSet::new(),
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
            let (tally, seen) = (&self.tally, selection.seen().total());
            let next = selection
                .next(
                    |dead_letter| !self.arrivals.add(dead_letter),
                    |hidden_elsewhere| {
                        progress(ReplayProgress {
                            tally,
                            seen,
                            hidden_elsewhere,
                            hopeless: String::new(),
                        });
                    },
                )
                .await;
            let dead_letters = match next {
                Ok(Some(dead_letters)) => {
                    self.arrivals.adjust_start(&dead_letters);
                    dead_letters
                }
                Ok(None) => break,
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            };
            let hopeless = self.announce_hopeless(&dead_letters);
            progress(ReplayProgress {
                tally: &self.tally,
                seen: selection.seen().total(),
                hidden_elsewhere: 0,
                hopeless,
            });
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
                    seen: selection.seen().total(),
                    hidden_elsewhere: 0,
                    hopeless: String::new(),
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
            seen: selection.take_seen(),
            end: selection.finish().await,
            newer: self.arrivals.newer,
            returned: match self.target {
                ReplayTarget::Queue(_) => self.arrivals.returned,
                // The tally has them.
                ReplayTarget::Direct(..) => ReasonCounts::default(),
            },
            tally: self.tally,
            failure,
        }
    }

    /// The reasons, not announced before, of those that the source queue gets in vain.
    fn announce_hopeless(&mut self, dead_letters: &[ReceivedDeadLetter]) -> String {
        if !matches!(self.target, ReplayTarget::Queue(_)) {
            return String::new();
        }
        let hopeless = dead_letters.iter().filter(|it| it.summary.is_hopeless());
        let reasons: BTreeSet<String> = hopeless.map(|it| it.summary.reason.clone()).collect();
        let new: Vec<String> = reasons.difference(&self.announced).cloned().collect();
        self.announced.extend(reasons);
        new.join(", ")
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
            self.arrivals.sent_ids.extend(replayed.sent_id);
            // Stop: without deletes, a replay fills the source queue with copies.
            let delete_failure = undeleted_entry.map(|(_, failure)| failure.clone());
            failure = failure.or(replayed.failure).or(delete_failure);
        }
        failure
    }
}

impl ReplayReport {
    /// Whether no dead letter stays or came back. Does not say whether all were seen.
    pub(crate) fn is_success(&self) -> bool {
        let is_done = self.tally.keys().all(ReplayResult::is_success);
        is_done && self.returned.total() == 0 && self.failure.is_none()
    }
}

/// One line: what was replayed, and what was not or came back.
impl fmt::Display for ReplayReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |kind: fn(&ReplayResult) -> bool| -> u64 {
            let of_kind = self.tally.iter().filter(|(result, _)| kind(result));
            of_kind.map(|(_, count)| count).sum()
        };
        let queued = count(|it| *it == ReplayResult::Queued);
        let total = count(|_| true);
        if queued > 0 {
            let plural = if queued == 1 { "" } else { "s" };
            write!(f, "{queued} dead letter{plural} sent to the source queue")?;
        } else {
            write!(f, "{} of {total} replayed", count(ReplayResult::is_success))?;
        }
        for (result, count) in self.tally.iter().filter(|(it, _)| !it.is_success()) {
            let what = match result {
                ReplayResult::FailedAgain(reason) => format!("failed again ({reason})"),
                ReplayResult::Unchanged(reason) => format!("not replayed ({reason})"),
                _ => "replayed, but not deleted".to_owned(),
            };
            write!(f, "; {count} {what}")?;
        }
        match self.returned.total() {
            0 => Ok(()),
            1 => write!(f, "; 1 is back already ({})", self.returned.reasons()),
            back => write!(f, "; {back} are back already ({})", self.returned.reasons()),
        }
    }
}

impl Arrivals {
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

    /// Counts the dead letter if it comes from a message of this run, or is younger than the
    /// run. Clocks differ, so an id or a date is enough.
    fn add(&mut self, dead_letter: &ReceivedDeadLetter) -> bool {
        if self.sent_ids.is_empty() {
            return false;
        }
        let ids = [
            Some(&dead_letter.summary.id),
            dead_letter.summary.source_message_id.as_ref(),
        ];
        let after = |at: Option<jiff::Timestamp>| at.is_some_and(|at| at > self.started_at);
        if ids
            .into_iter()
            .flatten()
            .any(|id| self.sent_ids.contains(id))
        {
            self.returned.add(&dead_letter.summary);
            return true;
        }
        let is_newer =
            after(dead_letter.message.sent_at) || after(dead_letter.summary.dead_lettered_at);
        self.newer += u64::from(is_newer);
        is_newer
    }
}

/// Says before a replay that dead letters with these reasons are hopeless.
pub(crate) fn fails_again(reasons: &str) -> String {
    format!("these will fail again unless usher or its configuration has changed: {reasons}")
}

/// The dead letters of a quarter of a second, 1 to 10, so that a stop does not wait long.
fn batch_size(rate: f64) -> usize {
    let max = crate::aws::MAX_BATCH_ENTRIES;
    #[expect(clippy::cast_precision_loss, reason = "ten at most")]
    let is_within_rate = |batch: &usize| *batch as f64 <= rate / 4.0;
    (1..=max).rev().find(is_within_rate).unwrap_or(1)
}
