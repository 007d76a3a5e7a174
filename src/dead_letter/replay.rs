//! Letters, once more: back through the source queue, or through the
//! provisioner in this process. Sent or done first, deleted after: stopped at any
//! point it loses nothing, and what it repeats changes nothing.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};

use super::audit::Audit;
use super::became::Became;
use super::found::Found;
use super::selection::{Ended, Selection};
use super::way::{End, Way};
use crate::aws::Failure;
use crate::quota::Budget;

/// A replay, ready to run.
#[derive(Debug)]
pub struct Replay {
    way: Way,
    /// Letters a second.
    pace: Budget,
    /// Letters that go together.
    batch: usize,
    audit: Audit,
    /// Ids of what this run sent: it may come back as a letter while the run
    /// lasts and must not go round for ever.
    sent: HashSet<String>,
    begun: jiff::Timestamp,
    came_back: AtomicU64,
    tally: Tally,
}

/// Letters by what became of them.
pub type Tally = BTreeMap<Became, u64>;

/// How far a replay is.
#[derive(Debug)]
pub struct Progress<'a> {
    /// By outcome.
    pub tally: &'a Tally,
    /// Letters looked at, meant or not.
    pub seen: u64,
    /// Letters that somebody else hides and that are waited for, about.
    pub elsewhere: u64,
}

/// How a replay ended.
#[derive(Debug)]
pub struct Replayed {
    /// By outcome.
    pub tally: Tally,
    /// Why there were no more letters.
    pub ended: Ended,
    /// What stopped it before its end.
    pub failure: Option<Failure>,
    /// Letters that were left alone because they are newer than the run.
    pub newer: u64,
}

impl Replay {
    /// `rate` is letters a second.
    pub fn new(way: Way, rate: f64, audit: Audit) -> Self {
        Self {
            way,
            pace: Budget::new("replay", rate),
            batch: batch(rate),
            audit,
            sent: HashSet::new(),
            begun: jiff::Timestamp::now(),
            came_back: AtomicU64::new(0),
            tally: Tally::new(),
        }
    }

    /// Replays what the selection hands out.
    pub async fn run(
        mut self,
        mut selection: Selection,
        mut progress: impl FnMut(Progress<'_>),
    ) -> Replayed {
        let mut failure = None;
        loop {
            let (tally, seen) = (&self.tally, selection.seen());
            let next = selection
                .next(
                    |letter| !self.came_back(letter),
                    |elsewhere| {
                        progress(Progress {
                            tally,
                            seen,
                            elsewhere,
                        });
                    },
                )
                .await;
            let letters = match next {
                Ok(Some(letters)) => {
                    self.set_begin(&letters);
                    letters
                }
                Ok(None) => break,
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            };
            for letters in letters.chunks(self.batch) {
                if !self.turns(letters.len(), &selection).await {
                    break;
                }
                let ends = self.way.go(letters).await;
                failure = self.settle(&selection, letters, ends).await.or(failure);
                progress(Progress {
                    tally: &self.tally,
                    seen: selection.seen(),
                    elsewhere: 0,
                });
                if failure.is_some() {
                    break;
                }
            }
            if failure.is_some() {
                break;
            }
        }
        Replayed {
            ended: selection.finish().await,
            newer: self.came_back.into_inner(),
            tally: self.tally,
            failure,
        }
    }

    /// Waits until so many letters may go; `false` when it was told to stop. What
    /// has not gone is shown again.
    async fn turns(&self, letters: usize, selection: &Selection) -> bool {
        for _ in 0..letters {
            tokio::select! {
                biased;
                () = selection.stopped() => return false,
                _ = self.pace.turn() => {}
            }
        }
        true
    }

    /// Deletes what is done with, and notes each letter's end.
    async fn settle(
        &mut self,
        selection: &Selection,
        letters: &[Found],
        ends: Vec<End>,
    ) -> Option<Failure> {
        let done: Vec<&str> = letters
            .iter()
            .zip(&ends)
            .filter(|(_, end)| !matches!(end.became, Became::Left(_)))
            .map(|(letter, _)| letter.about.id.as_str())
            .collect();
        let undeleted = selection.delete(&done).await;
        let mut failure = None;
        for (letter, end) in letters.iter().zip(ends) {
            let kept = undeleted.iter().find(|(id, _)| *id == letter.about.id);
            let became = kept.map_or(end.became, |_| Became::NotDeleted);
            self.audit.line(&letter.about, &became.to_string());
            *self.tally.entry(became).or_default() += 1;
            self.sent.extend(end.sent);
            // Sending what cannot be deleted would fill the source queue.
            let of_delete = kept.map(|(_, failure)| failure.clone());
            failure = failure.or(end.failure).or(of_delete);
        }
        failure
    }

    /// By SQS's clock, when it is ahead of this machine's: nothing was sent yet, so
    /// what it handed out now was there when the run began.
    fn set_begin(&mut self, letters: &[Found]) {
        if self.sent.is_empty() {
            let now = letters
                .iter()
                .filter_map(|letter| letter.message.first_received_at);
            self.begun = now.fold(self.begun, jiff::Timestamp::max);
        }
    }

    /// Whether the letter was made of what this run sent, or after it began. A
    /// worker may have given the message a new id, and clocks differ: either sign
    /// is enough. Before anything was sent, nothing can have come back.
    fn came_back(&self, letter: &Found) -> bool {
        if self.sent.is_empty() {
            return false;
        }
        let ids = [
            Some(&letter.about.id),
            letter.about.source_message_id.as_ref(),
        ];
        let after = |at: Option<jiff::Timestamp>| at.is_some_and(|at| at > self.begun);
        let came_back = ids.into_iter().flatten().any(|id| self.sent.contains(id))
            || after(letter.message.sent_at)
            || after(letter.about.dead_lettered_at);
        self.came_back
            .fetch_add(u64::from(came_back), Ordering::Relaxed);
        came_back
    }
}

/// As many as go in a quarter of a second, so that a stop does not wait long.
fn batch(rate: f64) -> usize {
    let most = crate::aws::BATCH;
    #[expect(clippy::cast_precision_loss, reason = "ten at most")]
    let fits = |batch: &usize| *batch as f64 <= rate / 4.0;
    (1..=most).rev().find(fits).unwrap_or(1)
}
