//! The letters that a filter means, as a scan finds them.

use tokio_util::sync::CancellationToken;

use super::filter::Filter;
use super::held_dead_letter::HeldDeadLetter;
use super::scan::{Scan, ScanStep, Unseen};
use crate::aws::{Failure, Queue};

/// A scan that hands out what the filter means and holds the rest until its end.
#[derive(Debug)]
pub struct Selection {
    scan: Scan,
    filter: Filter,
    stop: CancellationToken,
    selected: u64,
    seen: u64,
    end: Option<SelectionEnd>,
}

/// Why there are no more letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SelectionEnd {
    /// All were seen but these.
    Exhausted(Unseen),
    /// The filter's limit is reached.
    Limit,
    /// It was told to stop.
    Stopped,
}

impl Selection {
    /// Nothing is received before the first [`Self::next`]; then `width` receives
    /// are out at once, 1 to 8.
    pub fn new(queue: &Queue, width: usize, filter: Filter, stop: CancellationToken) -> Self {
        Self {
            scan: Scan::new(queue, width),
            filter,
            stop,
            selected: 0,
            seen: 0,
            end: None,
        }
    }

    /// The next letters that are meant, at least one; `None` at the end.
    /// `notice` hears how many letters somebody else hides, while that is waited for.
    ///
    /// # Errors
    /// When the queue cannot be read. [`Self::finish`] is to be called all the same.
    pub async fn next(
        &mut self,
        accept: impl Fn(&HeldDeadLetter) -> bool,
        mut notice: impl FnMut(u64),
    ) -> Result<Option<Vec<HeldDeadLetter>>, Failure> {
        let limit = self.filter.limit.unwrap_or(u64::MAX);
        while self.end.is_none() {
            // Between the looks: a receive that is dropped would strand letters.
            if self.stop.is_cancelled() {
                self.end = Some(SelectionEnd::Stopped);
            } else if self.selected >= limit {
                self.end = Some(SelectionEnd::Limit);
            } else {
                match self.scan.step().await? {
                    ScanStep::Waiting(elsewhere) => notice(elsewhere),
                    ScanStep::End(unseen) => self.end = Some(SelectionEnd::Exhausted(unseen)),
                    ScanStep::DeadLetters(letters) => {
                        self.seen += letters.len() as u64;
                        let left = usize::try_from(limit - self.selected).unwrap_or(usize::MAX);
                        let meant = |letter: &HeldDeadLetter| {
                            self.filter.matches(&letter.summary) && accept(letter)
                        };
                        let letters: Vec<HeldDeadLetter> =
                            letters.into_iter().filter(meant).take(left).collect();
                        self.selected += letters.len() as u64;
                        if !letters.is_empty() {
                            return Ok(Some(letters));
                        }
                    }
                }
            }
        }
        Ok(None)
    }

    /// Letters looked at so far, meant or not.
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// Whether it was told to stop.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Resolves when it is told to stop.
    pub async fn stopped(&self) {
        self.stop.cancelled().await;
    }

    /// Deletes letters that were handed out. Answers with those that could not be.
    pub(crate) async fn delete(&self, ids: &[&str]) -> Vec<(String, Failure)> {
        self.scan.delete(ids).await
    }

    /// Shows every letter again that was not deleted, and says how it ended.
    pub async fn finish(self) -> SelectionEnd {
        let hidden = self.scan.finish().await;
        if hidden > 0 {
            tracing::warn!(
                letters = hidden,
                "letters could not be shown again; they stay hidden for a while"
            );
        }
        self.end.unwrap_or(SelectionEnd::Stopped)
    }
}
