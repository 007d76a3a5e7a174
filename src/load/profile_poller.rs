//! Looks for the profile records, again and again, until each was seen.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::profile_matcher::ProfileMatcher;
use super::test_users::TestUser;
use super::watch::SharedProgress;
use crate::aws::{Failure, ProfileAttributes, TestProfiles};

/// From one look to the next.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// After a look that failed.
const POLL_RETRY_PAUSE: Duration = Duration::from_secs(5);
/// The oldest that are not finished are looked at each time, and so many of the
/// others in turns: a few that never finish must not hide the rest.
const OLDEST_PER_POLL: usize = 300;
const OTHERS_PER_POLL: usize = 200;
const PROFILE_READS_IN_PARALLEL: usize = 5;

/// A record that was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ObservedProfile {
    /// From the sign-up's scheduled time.
    pub latency: Duration,
    /// What the templates wrote into the record, as it was then.
    pub(crate) fingerprint: u64,
}

/// What the looks have brought so far.
#[derive(Debug)]
pub(super) struct ProfilePoller<'a> {
    profiles: &'a TestProfiles,
    users: &'a [TestUser],
    /// When each sign-up is due, in order.
    due: Vec<Duration>,
    matcher: ProfileMatcher<'a>,
    /// When the schedule began, by the clock.
    started_at: jiff::Timestamp,
    found: Vec<Option<ObservedProfile>>,
    /// When the last look began that found none.
    last_absent_at: Vec<Option<Duration>>,
    /// Due and not seen, the oldest first.
    pending: Vec<usize>,
    next_due: usize,
    next_other: usize,
}

impl<'a> ProfilePoller<'a> {
    /// Nothing is looked at yet.
    pub(super) fn new(
        profiles: &'a TestProfiles,
        users: &'a [TestUser],
        due: Vec<Duration>,
        matcher: ProfileMatcher<'a>,
        started_at: jiff::Timestamp,
    ) -> Self {
        Self {
            found: vec![None; due.len()],
            last_absent_at: vec![None; due.len()],
            pending: Vec::new(),
            next_due: 0,
            next_other: 0,
            profiles,
            users,
            due,
            matcher,
            started_at,
        }
    }

    /// By number; `None` for those that were not seen.
    pub(super) fn into_profiles(self) -> Vec<Option<ObservedProfile>> {
        self.found
    }

    /// Looks until it is told that all is through.
    pub(super) async fn run(
        &mut self,
        begun: Instant,
        board: &SharedProgress,
        through: &CancellationToken,
    ) {
        let mut next = begun + POLL_INTERVAL;
        let mut has_failed = false;
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(next) => {}
                () = through.cancelled() => return,
            }
            next = Instant::now() + POLL_INTERVAL;
            if let Err(failure) = self.poll(begun).await {
                next = Instant::now() + POLL_RETRY_PAUSE;
                if !has_failed {
                    tracing::warn!(error = %failure, "profile records could not be looked at; tried again");
                }
                has_failed = true;
            } else {
                has_failed = false;
            }
            let open = self.pending.len() as u64;
            let finished = (self.next_due as u64).saturating_sub(open);
            board.finished.store(finished, Ordering::Relaxed);
            let oldest = self.pending.first().map(|n| self.due[*n].as_micros());
            let oldest = oldest.and_then(|micros| u64::try_from(micros).ok());
            board
                .oldest_due_micros
                .store(oldest.unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }

    async fn poll(&mut self, begun: Instant) -> Result<(), Failure> {
        let now = begun.elapsed();
        let came = self.due[self.next_due..].partition_point(|due| *due <= now);
        self.pending.extend(self.next_due..self.next_due + came);
        self.next_due += came;

        let (records, people) = (self.profiles, self.users);
        let picked = self.pick();
        let looks = stream::iter(picked.chunks(TestProfiles::MAX_READ_KEYS))
            .map(|numbers| async move {
                let from = begun.elapsed();
                let subs: Vec<&str> = numbers.iter().map(|n| people[*n].sub.as_str()).collect();
                let found = records.read(&subs, false).await;
                (numbers, from, begun.elapsed(), found)
            })
            .buffer_unordered(PROFILE_READS_IN_PARALLEL)
            .collect::<Vec<_>>()
            .await;
        let mut failed = None;
        for (numbers, from, to, found) in looks {
            match found {
                Ok(found) => {
                    for n in numbers {
                        match found.get(people[*n].sub.as_str()) {
                            Some(record) => self.record_found(*n, record, to),
                            None => self.last_absent_at[*n] = Some(from),
                        }
                    }
                }
                Err(failure) => failed = Some(failure),
            }
        }
        let seen = &self.found;
        self.pending.retain(|n| seen[*n].is_none());
        failed.map_or(Ok(()), Err)
    }

    fn pick(&mut self) -> Vec<usize> {
        let (head, others) = self
            .pending
            .split_at(self.pending.len().min(OLDEST_PER_POLL));
        let mut picked = head.to_vec();
        let count = others.len().min(OTHERS_PER_POLL);
        picked.extend((0..count).map(|n| others[(self.next_other + n) % others.len()]));
        self.next_other = (self.next_other + count)
            .checked_rem(others.len())
            .unwrap_or(0);
        picked
    }

    fn record_found(&mut self, n: usize, record: &ProfileAttributes, to: Duration) {
        let due = self.due[n];
        let since = self.last_absent_at[n].map_or(due, |at| at.max(due));
        let written = self.matcher.written_at(record);
        let written =
            written.and_then(|at| Duration::try_from(at.duration_since(self.started_at)).ok());
        self.found[n] = Some(ObservedProfile {
            latency: finished_at(written, since, to).saturating_sub(due),
            fingerprint: self.matcher.fingerprint(record),
        });
    }
}

/// When a record came that was not there at `since` and is at `to`: its own word,
/// when it lies between, and the end otherwise. So a worker's clock that is behind
/// makes the system look faster by no more than the time between two looks.
fn finished_at(written: Option<Duration>, since: Duration, to: Duration) -> Duration {
    written.filter(|at| (since..=to).contains(at)).unwrap_or(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_records_word_counts_only_between_two_looks() {
        let ms = Duration::from_millis;
        assert_eq!(finished_at(Some(ms(120)), ms(100), ms(600)), ms(120));
        assert_eq!(
            finished_at(Some(ms(90)), ms(100), ms(600)),
            ms(600),
            "a clock behind"
        );
        assert_eq!(
            finished_at(Some(ms(601)), ms(100), ms(600)),
            ms(600),
            "a clock ahead"
        );
        assert_eq!(finished_at(None, ms(100), ms(600)), ms(600));
    }
}
