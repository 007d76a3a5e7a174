//! Watches a run: the profiles, the depth of the queue, and when to stop waiting.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::inject::InjectionProgress;
use super::plan::LoadPlan;
use super::profile_poller::ProfilePoller;
use super::progress::SharedProgress;
use super::report::Sample;
use super::scrape::MetricsScraper;
use crate::aws::{Depth, Queue};
use crate::retry::retry_inline;

const SAMPLE_INTERVAL: Duration = Duration::from_secs(1);

/// The reason why the watch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RunEnd {
    /// The queue is empty, so no further profile will appear.
    QueueEmpty,
    /// Nothing has changed for `give_up_after`; holds the approximate number of
    /// messages on the queue.
    Stalled(u64),
    /// Nothing has changed for `give_up_after`, and the queue's depth is unknown.
    DepthUnknown,
    Stopped,
}

#[derive(Debug)]
pub(super) struct RunWatcher<'a> {
    pub(super) queue: &'a Queue,
    pub(super) plan: &'a LoadPlan,
    pub(super) start: Instant,
    pub(super) injection: &'a InjectionProgress,
    /// Cancelled when the injection has ended.
    pub(super) all_sent: &'a CancellationToken,
    pub(super) quiet_period: Duration,
    pub(super) give_up_after: Duration,
    pub(super) stop: &'a CancellationToken,
}

#[derive(Debug)]
pub(super) struct WatchResult {
    pub(super) timeline: Vec<Sample>,
    pub(super) end: RunEnd,
}

impl RunWatcher<'_> {
    /// Watches until the run has ended. Without profiles there is no `poller`; then
    /// finished sign-ups are derived from the depth of the queue.
    pub(super) async fn run(
        &self,
        poller: Option<&mut ProfilePoller<'_>>,
        workers: &mut MetricsScraper,
        report_sample: impl Fn(&Sample),
    ) -> WatchResult {
        let progress = SharedProgress::default();
        progress
            .oldest_due_micros
            .store(u64::MAX, Ordering::Relaxed);
        let watch_ended = CancellationToken::new();
        let has_profiles = poller.is_some();
        let polling = async {
            if let Some(poller) = poller {
                poller.run(self.start, &progress, &watch_ended).await;
            }
        };
        let sampling = async {
            let watched = self
                .run_sampling(&progress, has_profiles, workers, report_sample)
                .await;
            watch_ended.cancel();
            watched
        };
        let (watched, ()) = tokio::join!(sampling, polling);
        watched
    }

    async fn run_sampling(
        &self,
        progress: &SharedProgress,
        has_profiles: bool,
        workers: &mut MetricsScraper,
        report_sample: impl Fn(&Sample),
    ) -> WatchResult {
        let mut timeline: Vec<Sample> = Vec::new();
        let mut activity = ActivityTracker::new();
        let mut ticks = tokio::time::interval_at(self.start, SAMPLE_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let end = loop {
            let observation = async {
                ticks.tick().await;
                tokio::join!(retry_inline(|| self.queue.attributes()), workers.scrape())
            };
            let (attributes, ()) = tokio::select! {
                observed = observation => observed,
                () = self.stop.cancelled() => break RunEnd::Stopped,
            };
            let depth = attributes.ok().map(|attributes| attributes.depth);
            let before = timeline.last().map_or(0, |sample| sample.finished);
            let sample = self.take_sample(progress, depth, has_profiles, before, workers);
            report_sample(&sample);
            timeline.push(sample);
            activity.update(&sample, depth);
            if !self.all_sent.is_cancelled() {
                continue;
            }
            // An empty queue ends the run, even if profiles are missing.
            if activity.empty_for() >= self.quiet_period {
                break RunEnd::QueueEmpty;
            }
            if activity.changed_at.elapsed() >= self.give_up_after {
                break match depth.map(Depth::total) {
                    Some(0) => RunEnd::QueueEmpty,
                    Some(messages) => RunEnd::Stalled(messages),
                    None => RunEnd::DepthUnknown,
                };
            }
        };
        WatchResult { timeline, end }
    }

    /// Without profiles, messages that have left the queue count as finished sign-ups,
    /// up to the number of sign-ups.
    fn take_sample(
        &self,
        progress: &SharedProgress,
        depth: Option<Depth>,
        has_profiles: bool,
        before: u64,
        workers: &MetricsScraper,
    ) -> Sample {
        let now = self.start.elapsed();
        let injected = self.injection.accepted();
        let finished = match depth {
            _ if has_profiles => progress.finished.load(Ordering::Relaxed),
            Some(depth) => {
                let settled = injected.saturating_sub(depth.total());
                settled.min(u64::from(self.plan.sign_ups))
            }
            None => before,
        };
        let oldest = Duration::from_micros(progress.oldest_due_micros.load(Ordering::Relaxed));
        Sample {
            second: now.as_secs_f64(),
            planned: self
                .plan
                .messages
                .partition_point(|scheduled| scheduled.at <= now) as u64,
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

/// Detects when the counts stop changing.
struct ActivityTracker {
    changed_at: Instant,
    counts: (u64, u64),
    /// Lowest depth since `changed_at`. Only a new minimum counts as activity, since
    /// messages of others come and go.
    min_depth: u64,
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

    fn update(&mut self, sample: &Sample, depth: Option<Depth>) {
        let counts = (sample.injected, sample.finished);
        let waiting = depth.map_or(u64::MAX, Depth::total);
        if self.counts != counts {
            (self.counts, self.min_depth, self.changed_at) = (counts, waiting, Instant::now());
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
