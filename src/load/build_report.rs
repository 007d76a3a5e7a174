//! Builds the report from the observations.
//!
//! A user who never finished counts in the percentiles, with the time that the run
//! waited for them. Otherwise a system would seem the better the more it loses.

use std::time::Duration;

use super::difference::Difference;
use super::latency::LatencyHistogram;
use super::report::{
    Cleaned, Finished, Injected, LatencyWindow, LoadReport, Planned, Sample, WorkerTotals,
};
use super::run::{LoadRun, RunObservation};

/// The report's latency over time has at most this many windows, of at least a second.
const MAX_LATENCY_WINDOWS: u32 = 60;

impl LoadReport {
    pub(crate) fn new(
        load: &LoadRun,
        seed: u64,
        observed: &RunObservation,
        worker: Option<WorkerTotals>,
        differences: Vec<Difference>,
        cleaned: Option<Cleaned>,
    ) -> Self {
        let plan = &load.plan;
        let due = plan.due_times();
        let latencies = latencies(&due, observed);
        let mut latency = LatencyHistogram::default();
        for (_, value) in &latencies {
            latency.record(*value);
        }
        let done = || {
            due.iter()
                .zip(&observed.profiles)
                .filter_map(|(due, seen)| Some((due, (*seen)?)))
        };
        let finished = if load.config.profiles.is_some() {
            let last = done().map(|(due, seen)| *due + seen.latency).max();
            (done().count() as u64, last.unwrap_or_default())
        } else {
            let count = observed.timeline.last().map_or(0, |sample| sample.finished);
            let mut samples = observed.timeline.iter();
            let first = samples.find(|sample| sample.finished == count);
            let second = first.map_or(0.0, |sample| sample.second);
            (count, Duration::from_secs_f64(second))
        };
        let injection = &observed.injection;
        Self {
            run: load.run_id.to_string(),
            pool: load.pool.as_str().to_owned(),
            seed,
            began: observed.started_at,
            seconds: observed.duration.as_secs_f64(),
            planned: Planned {
                sign_ups: u64::from(plan.sign_ups),
                duplicates: u64::from(plan.duplicates),
                poison: u64::from(plan.poison),
                bystanders: u64::from(plan.bystanders),
                seconds: plan.duration.as_secs_f64(),
            },
            injected: Injected {
                messages: injection.accepted,
                not_sent: injection.failed.len() as u64 + injection.not_attempted,
                seconds: injection.duration.as_secs_f64(),
                per_second: rate(injection.accepted, injection.duration),
                late_ms: injection.lateness.quantiles(),
                send_ms: injection.send_latency.quantiles(),
            },
            finished: Finished {
                sign_ups: finished.0,
                seconds: finished.1.as_secs_f64(),
                per_second: rate(finished.0, finished.1),
            },
            latency_ms: latency.quantiles(),
            worker,
            timeline: corrected_timeline(observed, &due),
            latency_over_time: latency_windows(plan.duration, latencies),
            histogram: latency.bins(),
            verified: differences.is_empty(),
            differences,
            cleaned,
        }
    }
}

/// Events a second; zero when no time has passed.
fn rate(count: u64, time: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let count = count as f64;
    if time.is_zero() {
        0.0
    } else {
        count / time.as_secs_f64()
    }
}

/// The timeline with finish times instead of poll times: a poll sees a profile some
/// time after it was written.
fn corrected_timeline(observed: &RunObservation, due: &[Duration]) -> Vec<Sample> {
    let mut timeline = observed.timeline.clone();
    if observed.profiles.is_empty() {
        return timeline;
    }
    let ends = due.iter().zip(&observed.profiles);
    let ends: Vec<Option<Duration>> = ends
        .map(|(due, seen)| seen.map(|seen| *due + seen.latency))
        .collect();
    let mut sorted: Vec<Duration> = ends.iter().copied().flatten().collect();
    sorted.sort_unstable();
    let mut oldest = 0;
    for sample in &mut timeline {
        let now = Duration::from_secs_f64(sample.second);
        sample.finished = sorted.partition_point(|end| *end <= now) as u64;
        let is_done = |n: usize| ends[n].is_some_and(|end| end <= now);
        while oldest < ends.len() && is_done(oldest) {
            oldest += 1;
        }
        let age = due.get(oldest).and_then(|due| now.checked_sub(*due));
        sample.oldest_seconds = age.unwrap_or_default().as_secs_f64();
    }
    timeline
}

/// The due time and the latency of each sign-up that was due. One that never
/// finished counts with the time that the run waited for it.
fn latencies(due: &[Duration], observed: &RunObservation) -> Vec<(Duration, Duration)> {
    let waited = |due: &Duration| observed.duration.checked_sub(*due);
    due.iter()
        .zip(&observed.profiles)
        .filter_map(|(due, seen)| {
            let latency = seen.map(|seen| seen.latency).or_else(|| waited(due))?;
            Some((*due, latency))
        })
        .collect()
}

fn latency_windows(length: Duration, mut rest: Vec<(Duration, Duration)>) -> Vec<LatencyWindow> {
    let width = (length / MAX_LATENCY_WINDOWS).max(Duration::from_secs(1));
    let mut windows = Vec::new();
    let mut from = Duration::ZERO;
    while !rest.is_empty() {
        let to = from + width;
        let later = rest.split_off(rest.partition_point(|(due, _)| *due < to));
        let mut latency = LatencyHistogram::default();
        for (_, value) in rest {
            latency.record(value);
        }
        if let Some(latency_ms) = latency.quantiles() {
            windows.push(LatencyWindow {
                from_second: from.as_secs_f64(),
                to_second: to.as_secs_f64(),
                latency_ms,
            });
        }
        (rest, from) = (later, to);
    }
    windows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_split_the_run_and_skip_those_without_sign_ups() {
        let seconds = |n: u64| Duration::from_secs(n);
        let ms = Duration::from_millis;
        let latencies = [(0, 10), (1, 20), (119, 30)];
        let latencies = latencies.map(|(due, took)| (seconds(due), ms(took)));
        let windows = latency_windows(seconds(120), latencies.to_vec());
        let counts: Vec<(f64, u64)> = windows
            .iter()
            .map(|window| (window.from_second, window.latency_ms.count))
            .collect();
        assert_eq!(counts, [(0.0, 2), (118.0, 1)]);
    }
}
