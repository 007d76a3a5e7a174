//! Letters, once more: back through the source queue, or through the
//! provisioner in this process. Sent or done first, deleted after: stopped at any
//! point it loses nothing, and what it repeats changes nothing.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};

use super::audit::AuditLog;
use super::held_dead_letter::HeldDeadLetter;
use super::replay_result::ReplayResult;
use super::replay_target::{ReplayTarget, Replayed};
use super::selection::{Selection, SelectionEnd};
use crate::aws::Failure;
use crate::quota::RateBudget;

/// A replay, ready to run.
#[derive(Debug)]
pub(crate) struct Replay {
    target: ReplayTarget,
    /// Letters a second.
    budget: RateBudget,
    /// Letters that go together.
    batch_size: usize,
    audit: AuditLog,
    /// Ids of what this run sent: it may come back as a letter while the run
    /// lasts and must not go round for ever.
    sent_ids: HashSet<String>,
    started_at: jiff::Timestamp,
    newer: AtomicU64,
    tally: ReplayTally,
}

/// Letters by what became of them.
pub(crate) type ReplayTally = BTreeMap<ReplayResult, u64>;

/// How far a replay is.
#[derive(Debug)]
pub(crate) struct ReplayProgress<'a> {
    /// By outcome.
    pub tally: &'a ReplayTally,
    /// Letters looked at, meant or not.
    pub seen: u64,
    /// Letters that somebody else hides and that are waited for, about.
    pub(crate) hidden_elsewhere: u64,
}

/// How a replay ended.
#[derive(Debug)]
pub(crate) struct ReplayReport {
    /// By outcome.
    pub tally: ReplayTally,
    /// Why there were no more letters.
    pub end: SelectionEnd,
    /// What stopped it before its end.
    pub failure: Option<Failure>,
    /// Letters that were left alone because they are newer than the run.
    pub newer: u64,
}

impl Replay {
    /// `rate` is letters a second.
    pub(crate) fn new(target: ReplayTarget, rate: f64, audit: AuditLog) -> Self {
        Self {
            target,
            budget: RateBudget::new("replay", rate),
            batch_size: batch_size(rate),
            audit,
            sent_ids: HashSet::new(),
            started_at: jiff::Timestamp::now(),
            newer: AtomicU64::new(0),
            tally: ReplayTally::new(),
        }
    }

    /// Replays what the selection hands out.
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
                    |letter| !self.is_newer(letter),
                    |elsewhere| {
                        progress(ReplayProgress {
                            tally,
                            seen,
                            hidden_elsewhere: elsewhere,
                        });
                    },
                )
                .await;
            let letters = match next {
                Ok(Some(letters)) => {
                    self.adjust_start(&letters);
                    letters
                }
                Ok(None) => break,
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            };
            for letters in letters.chunks(self.batch_size) {
                if !self.acquire_permits(letters.len(), &selection).await {
                    break;
                }
                let ends = self.target.replay(letters).await;
                failure = self.settle(&selection, letters, ends).await.or(failure);
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
            newer: self.newer.into_inner(),
            tally: self.tally,
            failure,
        }
    }

    /// Waits until so many letters may go; `false` when it was told to stop. What
    /// has not gone is shown again.
    async fn acquire_permits(&self, letters: usize, selection: &Selection) -> bool {
        for _ in 0..letters {
            tokio::select! {
                biased;
                () = selection.stopped() => return false,
                _ = self.budget.acquire() => {}
            }
        }
        true
    }

    /// Deletes what is done with, and notes each letter's end.
    async fn settle(
        &mut self,
        selection: &Selection,
        letters: &[HeldDeadLetter],
        ends: Vec<Replayed>,
    ) -> Option<Failure> {
        let done: Vec<&str> = letters
            .iter()
            .zip(&ends)
            .filter(|(_, end)| !matches!(end.result, ReplayResult::Unchanged(_)))
            .map(|(letter, _)| letter.summary.id.as_str())
            .collect();
        let undeleted = selection.delete(&done).await;
        let mut failure = None;
        for (letter, end) in letters.iter().zip(ends) {
            let kept = undeleted.iter().find(|(id, _)| *id == letter.summary.id);
            let became = kept.map_or(end.result, |_| ReplayResult::NotDeleted);
            self.audit.log(&letter.summary, &became.to_string());
            *self.tally.entry(became).or_default() += 1;
            self.sent_ids.extend(end.sent_id);
            // Sending what cannot be deleted would fill the source queue.
            let of_delete = kept.map(|(_, failure)| failure.clone());
            failure = failure.or(end.failure).or(of_delete);
        }
        failure
    }

    /// By SQS's clock, when it is ahead of this machine's: nothing was sent yet, so
    /// what it handed out now was there when the run began.
    fn adjust_start(&mut self, letters: &[HeldDeadLetter]) {
        if self.sent_ids.is_empty() {
            let now = letters
                .iter()
                .filter_map(|letter| letter.message.first_received_at);
            self.started_at = now.fold(self.started_at, jiff::Timestamp::max);
        }
    }

    /// Whether the letter was made of what this run sent, or after it began. A
    /// worker may have given the message a new id, and clocks differ: either sign
    /// is enough. Before anything was sent, nothing can have come back.
    fn is_newer(&self, letter: &HeldDeadLetter) -> bool {
        if self.sent_ids.is_empty() {
            return false;
        }
        let ids = [
            Some(&letter.summary.id),
            letter.summary.source_message_id.as_ref(),
        ];
        let after = |at: Option<jiff::Timestamp>| at.is_some_and(|at| at > self.started_at);
        let came_back = ids
            .into_iter()
            .flatten()
            .any(|id| self.sent_ids.contains(id))
            || after(letter.message.sent_at)
            || after(letter.summary.dead_lettered_at);
        self.newer
            .fetch_add(u64::from(came_back), Ordering::Relaxed);
        came_back
    }
}

/// As many as go in a quarter of a second, so that a stop does not wait long.
fn batch_size(rate: f64) -> usize {
    let most = crate::aws::MAX_BATCH_ENTRIES;
    #[expect(clippy::cast_precision_loss, reason = "ten at most")]
    let fits = |batch: &usize| *batch as f64 <= rate / 4.0;
    (1..=most).rev().find(fits).unwrap_or(1)
}
