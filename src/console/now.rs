//! What `usher status` finds, read again and again by this process, with an hour of figures.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::app::Services;
use crate::config::InvalidConfig;
use crate::http::Url;
use crate::status::{Figures, Report, StatusReader};
use crate::telemetry::exposition::{Samples, family, label};

/// Between two readings.
pub(super) const INTERVAL: Duration = Duration::from_secs(10);
/// An hour of them.
pub(super) const MAX_SAMPLES: usize = 360;
/// The greatest age of a reading that a page shows.
const MAX_AGE: Duration = Duration::from_secs(30);
/// After a longer pause the charts begin again.
const MAX_PAUSE: Duration = Duration::from_mins(2);
/// A message with another outcome comes again.
const SETTLED: [&str; 4] = ["done", "already_done", "ignored", "rejected"];

/// Figures of one time. Those of workers that did not answer are missing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    pub(super) at: Timestamp,
    pub(super) waiting: Option<u64>,
    ready_workers: u64,
    /// Messages that the workers have settled since they started.
    pub(super) settled: Option<f64>,
    /// Calls that Cognito throttled since then.
    pub(super) throttled: Option<f64>,
    pub(super) is_stopped: bool,
}

#[derive(Debug)]
pub(super) struct Reading {
    pub(super) report: Report,
    pub(super) figures: Figures,
}

#[derive(Debug, Default)]
pub(super) struct Readings {
    pub(super) latest: Option<Arc<Reading>>,
    /// The oldest first.
    pub(super) samples: VecDeque<Sample>,
}

#[derive(Debug)]
pub(super) struct NowReader {
    reader: tokio::sync::Mutex<StatusReader>,
    readings: Mutex<Readings>,
    /// Notified by each look; `None` to read without one.
    looked_at: Option<Notify>,
}

impl NowReader {
    /// # Errors
    /// Without `queue.url`.
    pub(super) fn new(services: &Services, workers: &[Url]) -> Result<Self, InvalidConfig> {
        let reader = StatusReader::new(services.clone(), workers.to_vec(), None)?;
        Ok(Self {
            reader: tokio::sync::Mutex::new(reader.without_reasons()),
            readings: Mutex::default(),
            looked_at: None,
        })
    }

    /// Reads only while pages look at the readings.
    pub(super) fn on_demand(self) -> Self {
        Self {
            looked_at: Some(Notify::new()),
            ..self
        }
    }

    /// The readings, for a page. An old one says nothing about now.
    pub(super) fn look(&self) -> MutexGuard<'_, Readings> {
        let mut readings = self.readings();
        if let Some(looked_at) = &self.looked_at {
            looked_at.notify_one();
            let age = |it: &Arc<Reading>| it.report.time.duration_until(Timestamp::now());
            readings
                .latest
                .take_if(|it| age(it).unsigned_abs() > MAX_AGE);
        }
        readings
    }

    fn readings(&self) -> MutexGuard<'_, Readings> {
        self.readings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads until `stop` is cancelled.
    pub(super) async fn run(&self, stop: &CancellationToken) {
        let mut reader = self.reader.lock().await;
        while self.is_wanted(stop).await {
            let Some(report) = reader.read(stop).await else {
                return;
            };
            let figures = reader.figures().clone();
            self.readings().add(Reading { report, figures });
            tokio::select! {
                () = tokio::time::sleep(INTERVAL) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Waits for a look, if it reads on demand. False when `stop` is cancelled.
    async fn is_wanted(&self, stop: &CancellationToken) -> bool {
        let Some(looked_at) = &self.looked_at else {
            return true;
        };
        tokio::select! {
            () = looked_at.notified() => true,
            () = stop.cancelled() => false,
        }
    }
}

impl Readings {
    fn add(&mut self, reading: Reading) {
        let pause = |last: &Sample| reading.report.time.duration_since(last.at).unsigned_abs();
        if self.samples.back().is_some_and(|it| pause(it) > MAX_PAUSE) {
            self.samples.clear();
        }
        if self.samples.len() == MAX_SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back(Sample::new(&reading));
        self.latest = Some(Arc::new(reading));
    }
}

impl Sample {
    fn new(reading: &Reading) -> Self {
        let metrics = &reading.figures.metrics;
        let settled = |sample: &str| SETTLED.contains(&label(sample, "outcome"));
        let is_open = metrics.get("usher_breaker_open");
        Self {
            at: reading.report.time,
            waiting: reading.figures.queue.map(|depth| depth.visible),
            ready_workers: reading.figures.ready_workers,
            settled: sum(metrics, "usher_messages_total", settled),
            throttled: sum(metrics, "usher_quota_throttled_total", |_| true),
            is_stopped: is_open.is_some_and(|open| *open > 0.0),
        }
    }
}

/// The increase of a counter between two readings. `None` if the number of workers has
/// changed, or a counter has started again from zero.
pub(super) fn increase(
    [before, now]: [&Sample; 2],
    counter: fn(&Sample) -> Option<f64>,
) -> Option<f64> {
    let difference = counter(now)? - counter(before)?;
    let is_same = before.ready_workers == now.ready_workers;
    (is_same && difference >= 0.0).then_some(difference)
}

/// `None` without any metrics.
fn sum(metrics: &Samples<f64>, name: &str, is_counted: fn(&str) -> bool) -> Option<f64> {
    let counted = metrics.iter().filter(|(sample, _)| family(sample) == name);
    let counted = counted.filter(|(sample, _)| is_counted(sample));
    (!metrics.is_empty()).then(|| counted.map(|(_, value)| value).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_of_other_workers_does_not_increase() {
        let sample = |ready_workers, settled| Sample {
            at: Timestamp::UNIX_EPOCH,
            waiting: None,
            ready_workers,
            settled,
            throttled: None,
            is_stopped: false,
        };
        for (before, now, expected) in [
            (sample(2, Some(5.0)), sample(2, Some(8.0)), Some(3.0)),
            (sample(1, Some(5.0)), sample(2, Some(8.0)), None),
            (sample(2, Some(5.0)), sample(2, Some(1.0)), None),
            (sample(2, Some(5.0)), sample(2, None), None),
        ] {
            let found = increase([&before, &now], |it| it.settled);
            assert_eq!(found, expected);
        }
    }
}
