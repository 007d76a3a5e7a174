//! Looks for the profile records, again and again, until each was seen.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::crew::Person;
use super::likeness::Likeness;
use super::watch::Board;
use crate::aws::{Failure, Record, Records};

/// From one look to the next.
const LOOK: Duration = Duration::from_millis(500);
/// After a look that failed.
const REST: Duration = Duration::from_secs(5);
/// The oldest that are not finished are looked at each time, and so many of the
/// others in turns: a few that never finish must not hide the rest.
const HEAD: usize = 300;
const OTHERS: usize = 200;
const PARALLEL: usize = 5;

/// A record that was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// From the sign-up's scheduled time.
    pub latency: Duration,
    /// What the templates wrote into the record, as it was then.
    pub fingerprint: u64,
}

/// What the looks have brought so far.
#[derive(Debug)]
pub(super) struct Looks<'a> {
    records: &'a Records,
    people: &'a [Person],
    /// When each sign-up is due, in order.
    due: Vec<Duration>,
    likeness: Likeness<'a>,
    /// When the schedule began, by the clock.
    started_at: jiff::Timestamp,
    seen: Vec<Option<Seen>>,
    /// When the last look began that found none.
    absent: Vec<Option<Duration>>,
    /// Due and not seen, the oldest first.
    open: Vec<usize>,
    next_due: usize,
    turn: usize,
}

impl<'a> Looks<'a> {
    /// Nothing is looked at yet.
    pub(super) fn new(
        records: &'a Records,
        people: &'a [Person],
        due: Vec<Duration>,
        likeness: Likeness<'a>,
        started_at: jiff::Timestamp,
    ) -> Self {
        Self {
            seen: vec![None; due.len()],
            absent: vec![None; due.len()],
            open: Vec::new(),
            next_due: 0,
            turn: 0,
            records,
            people,
            due,
            likeness,
            started_at,
        }
    }

    /// By number; `None` for those that were not seen.
    pub(super) fn into_seen(self) -> Vec<Option<Seen>> {
        self.seen
    }

    /// Looks until it is told that all is through.
    pub(super) async fn run(&mut self, begun: Instant, board: &Board, through: &CancellationToken) {
        let mut next = begun + LOOK;
        let mut has_failed = false;
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(next) => {}
                () = through.cancelled() => return,
            }
            next = Instant::now() + LOOK;
            if let Err(failure) = self.look(begun).await {
                next = Instant::now() + REST;
                if !has_failed {
                    tracing::warn!(error = %failure, "profile records could not be looked at; tried again");
                }
                has_failed = true;
            } else {
                has_failed = false;
            }
            let open = self.open.len() as u64;
            let finished = (self.next_due as u64).saturating_sub(open);
            board.finished.store(finished, Ordering::Relaxed);
            let oldest = self.open.first().map(|n| self.due[*n].as_micros());
            let oldest = oldest.and_then(|micros| u64::try_from(micros).ok());
            board
                .oldest
                .store(oldest.unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }

    async fn look(&mut self, begun: Instant) -> Result<(), Failure> {
        let now = begun.elapsed();
        let came = self.due[self.next_due..].partition_point(|due| *due <= now);
        self.open.extend(self.next_due..self.next_due + came);
        self.next_due += came;

        let (records, people) = (self.records, self.people);
        let picked = self.pick();
        let looks = stream::iter(picked.chunks(Records::MOST))
            .map(|numbers| async move {
                let from = begun.elapsed();
                let subs: Vec<&str> = numbers.iter().map(|n| people[*n].sub.as_str()).collect();
                let found = records.read(&subs, false).await;
                (numbers, from, begun.elapsed(), found)
            })
            .buffer_unordered(PARALLEL)
            .collect::<Vec<_>>()
            .await;
        let mut failed = None;
        for (numbers, from, to, found) in looks {
            match found {
                Ok(found) => {
                    for n in numbers {
                        match found.get(people[*n].sub.as_str()) {
                            Some(record) => self.note(*n, record, to),
                            None => self.absent[*n] = Some(from),
                        }
                    }
                }
                Err(failure) => failed = Some(failure),
            }
        }
        let seen = &self.seen;
        self.open.retain(|n| seen[*n].is_none());
        failed.map_or(Ok(()), Err)
    }

    fn pick(&mut self) -> Vec<usize> {
        let (head, others) = self.open.split_at(self.open.len().min(HEAD));
        let mut picked = head.to_vec();
        let count = others.len().min(OTHERS);
        picked.extend((0..count).map(|n| others[(self.turn + n) % others.len()]));
        self.turn = (self.turn + count).checked_rem(others.len()).unwrap_or(0);
        picked
    }

    fn note(&mut self, n: usize, record: &Record, to: Duration) {
        let due = self.due[n];
        let since = self.absent[n].map_or(due, |at| at.max(due));
        let written = self.likeness.written(record);
        let written =
            written.and_then(|at| Duration::try_from(at.duration_since(self.started_at)).ok());
        self.seen[n] = Some(Seen {
            latency: finished(written, since, to).saturating_sub(due),
            fingerprint: self.likeness.fingerprint(record),
        });
    }
}

/// When a record came that was not there at `since` and is at `to`: its own word,
/// when it lies between, and the end otherwise. So a worker's clock that is behind
/// makes the system look faster by no more than the time between two looks.
fn finished(written: Option<Duration>, since: Duration, to: Duration) -> Duration {
    written.filter(|at| (since..=to).contains(at)).unwrap_or(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_records_word_counts_only_between_two_looks() {
        let ms = Duration::from_millis;
        assert_eq!(finished(Some(ms(120)), ms(100), ms(600)), ms(120));
        assert_eq!(
            finished(Some(ms(90)), ms(100), ms(600)),
            ms(600),
            "a clock behind"
        );
        assert_eq!(
            finished(Some(ms(601)), ms(100), ms(600)),
            ms(600),
            "a clock ahead"
        );
        assert_eq!(finished(None, ms(100), ms(600)), ms(600));
    }
}
