//! Watches what becomes of the sign-ups: when each profile record is there, how deep
//! the queue is, and when there is nothing left to wait for.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::inject::InjectionProgress;
use super::plan::LoadPlan;
use super::profile_poller::ProfilePoller;
use super::report::Sample;
use super::scrape::MetricsScraper;
use crate::aws::{Depth, Queue};
use crate::retry::retry_inline;

/// How things stood is noted this often.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(1);
/// What the two watchers share.
#[derive(Debug, Default)]
pub(super) struct SharedProgress {
    pub(super) finished: AtomicU64,
    /// When the oldest unfinished sign-up was due, in microseconds; `u64::MAX`
    /// without one.
    pub(super) oldest_due_micros: AtomicU64,
}

/// Why the watch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RunEnd {
    /// Everything has its record, or will never have one, and the queue is empty.
    QueueEmpty,
    /// Nothing has moved for as long as the patience lasts, and about so many
    /// messages are on the queue.
    Stalled(u64),
    /// Nothing has moved for as long, and the queue does not say how much is on it.
    DepthUnknown,
    /// It was told to stop.
    Stopped,
}

/// Watches a run.
#[derive(Debug)]
pub(super) struct RunWatcher<'a> {
    pub(super) queue: &'a Queue,
    pub(super) plan: &'a LoadPlan,
    pub(super) start: Instant,
    pub(super) injection: &'a InjectionProgress,
    /// Cancelled once everything is sent.
    pub(super) all_sent: &'a CancellationToken,
    pub(super) quiet_period: Duration,
    pub(super) give_up_after: Duration,
    pub(super) stop: &'a CancellationToken,
}

/// What was seen on the way.
#[derive(Debug)]
pub(super) struct WatchResult {
    pub(super) timeline: Vec<Sample>,
    pub(super) end: RunEnd,
}

impl RunWatcher<'_> {
    /// Watches until all is settled. `looks` is absent where no records are
    /// written; the queue alone tells then what is finished.
    pub(super) async fn run(
        &self,
        looks: Option<&mut ProfilePoller<'_>>,
        workers: &mut MetricsScraper,
        notice: impl Fn(&Sample),
    ) -> WatchResult {
        let board = SharedProgress::default();
        board.oldest_due_micros.store(u64::MAX, Ordering::Relaxed);
        let through = CancellationToken::new();
        let has_records = looks.is_some();
        let looking = async {
            if let Some(looks) = looks {
                looks.run(self.start, &board, &through).await;
            }
        };
        let sampling = async {
            let watched = self
                .run_sampling(&board, has_records, workers, notice)
                .await;
            through.cancel();
            watched
        };
        let (watched, ()) = tokio::join!(sampling, looking);
        watched
    }

    async fn run_sampling(
        &self,
        board: &SharedProgress,
        has_records: bool,
        workers: &mut MetricsScraper,
        notice: impl Fn(&Sample),
    ) -> WatchResult {
        let mut timeline: Vec<Sample> = Vec::new();
        let mut progress = ActivityTracker::new();
        let mut ticks = tokio::time::interval_at(self.start, SAMPLE_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let settled = loop {
            let looked = async {
                ticks.tick().await;
                tokio::join!(retry_inline(|| self.queue.attributes()), workers.scrape())
            };
            let (facts, ()) = tokio::select! {
                looked = looked => looked,
                () = self.stop.cancelled() => break RunEnd::Stopped,
            };
            let depth = facts.ok().map(|facts| facts.depth);
            let before = timeline.last().map_or(0, |moment| moment.finished);
            let moment = self.take_sample(board, depth, has_records, before, workers);
            notice(&moment);
            timeline.push(moment);
            progress.update(&moment, depth);
            if !self.all_sent.is_cancelled() {
                continue;
            }
            // Whether or not every record was seen: nothing comes any more.
            if progress.empty_for() >= self.quiet_period {
                break RunEnd::QueueEmpty;
            }
            if progress.changed_at.elapsed() >= self.give_up_after {
                break match depth.map(Depth::total) {
                    Some(0) => RunEnd::QueueEmpty,
                    Some(messages) => RunEnd::Stalled(messages),
                    None => RunEnd::DepthUnknown,
                };
            }
        };
        WatchResult {
            timeline,
            end: settled,
        }
    }

    /// Without records, messages that are not on the queue any more count as
    /// finished sign-ups, as far as there are so many.
    fn take_sample(
        &self,
        board: &SharedProgress,
        depth: Option<Depth>,
        has_records: bool,
        before: u64,
        workers: &MetricsScraper,
    ) -> Sample {
        let now = self.start.elapsed();
        let injected = self.injection.accepted();
        let finished = match depth {
            _ if has_records => board.finished.load(Ordering::Relaxed),
            Some(depth) => {
                let gone = injected.saturating_sub(depth.total());
                gone.min(u64::from(self.plan.sign_ups))
            }
            None => before,
        };
        let oldest = Duration::from_micros(board.oldest_due_micros.load(Ordering::Relaxed));
        Sample {
            second: now.as_secs_f64(),
            planned: self.plan.messages.partition_point(|shot| shot.at <= now) as u64,
            injected,
            finished,
            visible: depth.map(|depth| depth.visible),
            hidden: depth.map(|depth| depth.hidden),
            delayed: depth.map(|depth| depth.delayed),
            oldest_seconds: now.saturating_sub(oldest).as_secs_f64(),
            throttled: workers.throttled(),
        }
    }
}

/// Whether anything still moves.
struct ActivityTracker {
    changed_at: Instant,
    counts: (u64, u64),
    /// The least that was on the queue since then: messages of others come and go.
    min_depth: u64,
    /// Since when the queue is empty.
    empty_since: Option<Instant>,
}

impl ActivityTracker {
    fn new() -> Self {
        Self {
            changed_at: Instant::now(),
            counts: (0, 0),
            min_depth: u64::MAX,
            empty_since: None,
        }
    }

    fn update(&mut self, moment: &Sample, depth: Option<Depth>) {
        let sent = (moment.injected, moment.finished);
        let waiting = depth.map_or(u64::MAX, Depth::total);
        if self.counts != sent {
            (self.counts, self.min_depth, self.changed_at) = (sent, waiting, Instant::now());
        } else if waiting < self.min_depth {
            (self.min_depth, self.changed_at) = (waiting, Instant::now());
        }
        self.empty_since = depth
            .filter(|depth| depth.is_empty())
            .map(|_| self.empty_since.unwrap_or_else(Instant::now));
    }

    fn empty_for(&self) -> Duration {
        self.empty_since
            .map_or(Duration::ZERO, |since| since.elapsed())
    }
}
