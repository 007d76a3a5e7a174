//! Polls the profiles of the due sign-ups, twice a second.
//!
//! Where a template is only `{now}`, the profile says when it was written. That time
//! counts if it lies between the last poll without the profile and the first with it.
//! So a worker's clock that is behind makes the latency too small by at most one poll.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::profile_matcher::ProfileMatcher;
use super::progress::SharedProgress;
use super::test_users::TestUser;
use crate::aws::{Failure, ProfileAttributes, TestProfiles};

const POLL_INTERVAL: Duration = Duration::from_millis(500);
const POLL_RETRY_PAUSE: Duration = Duration::from_secs(5);
/// Each poll reads the oldest pending users, and some of the others in rotation. So a few
/// users who never finish do not hide the rest.
const OLDEST_PER_POLL: usize = 300;
const OTHERS_PER_POLL: usize = 200;
const PROFILE_READS_IN_PARALLEL: usize = 5;

/// A profile that a poll has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ObservedProfile {
    /// Counts from the sign-up's scheduled time.
    pub latency: Duration,
    /// Hash of the templated attributes at that poll.
    pub(crate) fingerprint: u64,
}

/// The results of the polls so far.
#[derive(Debug)]
pub(super) struct ProfilePoller<'a> {
    profiles: &'a TestProfiles,
    users: &'a [TestUser],
    /// When each sign-up is due, since the start of the schedule; ascending.
    due: Vec<Duration>,
    matcher: ProfileMatcher<'a>,
    /// When the schedule began, by this machine's clock.
    started_at: jiff::Timestamp,
    found: Vec<Option<ObservedProfile>>,
    /// Start of the last poll that did not find the profile.
    last_absent_at: Vec<Option<Duration>>,
    /// Sign-ups that are due and not seen, the oldest first.
    pending: Vec<usize>,
    next_due: usize,
    next_other: usize,
}

impl<'a> ProfilePoller<'a> {
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

    /// The profiles by user number; `None` where none was seen.
    pub(super) fn into_profiles(self) -> Vec<Option<ObservedProfile>> {
        self.found
    }

    /// Polls until `watch_ended` is cancelled.
    pub(super) async fn run(
        &mut self,
        start: Instant,
        progress: &SharedProgress,
        watch_ended: &CancellationToken,
    ) {
        let mut next = start + POLL_INTERVAL;
        let mut has_failed = false;
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(next) => {}
                () = watch_ended.cancelled() => return,
            }
            next = Instant::now() + POLL_INTERVAL;
            if let Err(failure) = self.poll(start).await {
                next = Instant::now() + POLL_RETRY_PAUSE;
                if !has_failed {
                    tracing::warn!(error = %failure, "profiles could not be read, trying again");
                }
                has_failed = true;
            } else {
                has_failed = false;
            }
            let pending = self.pending.len() as u64;
            let finished = (self.next_due as u64).saturating_sub(pending);
            progress.finished.store(finished, Ordering::Relaxed);
            let oldest = self.pending.first().map(|n| self.due[*n].as_micros());
            let oldest = oldest.and_then(|micros| u64::try_from(micros).ok());
            progress
                .oldest_due_micros
                .store(oldest.unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }

    async fn poll(&mut self, start: Instant) -> Result<(), Failure> {
        let now = start.elapsed();
        let newly_due = self.due[self.next_due..].partition_point(|due| *due <= now);
        self.pending
            .extend(self.next_due..self.next_due + newly_due);
        self.next_due += newly_due;

        let (profiles, users) = (self.profiles, self.users);
        let picked = self.pick();
        let reads = stream::iter(picked.chunks(TestProfiles::MAX_READ_KEYS))
            .map(|numbers| async move {
                let from = start.elapsed();
                let subs: Vec<&str> = numbers.iter().map(|n| users[*n].sub.as_str()).collect();
                let found = profiles.read(&subs, false).await;
                (numbers, from, start.elapsed(), found)
            })
            .buffer_unordered(PROFILE_READS_IN_PARALLEL)
            .collect::<Vec<_>>()
            .await;
        let mut failed = None;
        for (numbers, from, to, found) in reads {
            match found {
                Ok(found) => {
                    for n in numbers {
                        match found.get(users[*n].sub.as_str()) {
                            Some(profile) => self.record_found(*n, profile, to),
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

    fn record_found(&mut self, n: usize, profile: &ProfileAttributes, to: Duration) {
        let due = self.due[n];
        let since = self.last_absent_at[n].map_or(due, |at| at.max(due));
        let written = self.matcher.written_at(profile);
        let written =
            written.and_then(|at| Duration::try_from(at.duration_since(self.started_at)).ok());
        self.found[n] = Some(ObservedProfile {
            latency: finished_at(written, since, to).saturating_sub(due),
            fingerprint: self.matcher.fingerprint(profile),
        });
    }
}

/// When a profile was written that was absent at `since` and present at `to`: its own
/// time when that lies between, otherwise `to`.
fn finished_at(written: Option<Duration>, since: Duration, to: Duration) -> Duration {
    written.filter(|at| (since..=to).contains(at)).unwrap_or(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn write_time_counts_only_between_two_polls() {
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
