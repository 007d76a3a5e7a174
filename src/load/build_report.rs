//! From what was observed to the report.

use std::time::Duration;

use super::difference::Difference;
use super::latency::LatencyHistogram;
use super::report::{
    Cleaned, Finished, Injected, LatencyWindow, LoadReport, Planned, Sample, WorkerTotals,
};
use super::run::{LoadRun, RunObservation};

/// The latency over time is parted into so many windows at most, of a second at
/// least.
const MAX_LATENCY_WINDOWS: u32 = 60;

impl LoadReport {
    /// Puts everything together.
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
            let count = observed.timeline.last().map_or(0, |moment| moment.finished);
            let mut moments = observed.timeline.iter();
            let first = moments.find(|moment| moment.finished == count);
            let second = first.map_or(0.0, |moment| moment.second);
            (count, Duration::from_secs_f64(second))
        };
        let sends = &observed.injection;
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
                messages: sends.accepted,
                not_sent: sends.failed.len() as u64 + sends.not_attempted,
                seconds: sends.duration.as_secs_f64(),
                per_second: rate(sends.accepted, sends.duration),
                late_ms: sends.lateness.quantiles(),
                send_ms: sends.send_latency.quantiles(),
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

/// A second; zero without time.
fn rate(count: u64, time: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let count = count as f64;
    if time.is_zero() {
        0.0
    } else {
        count / time.as_secs_f64()
    }
}

/// The timeline with what is known by now of each moment: a record was seen some time
/// after it was written.
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
    for moment in &mut timeline {
        let now = Duration::from_secs_f64(moment.second);
        moment.finished = sorted.partition_point(|end| *end <= now) as u64;
        let is_done = |n: usize| ends[n].is_some_and(|end| end <= now);
        while oldest < ends.len() && is_done(oldest) {
            oldest += 1;
        }
        let age = due.get(oldest).and_then(|due| now.checked_sub(*due));
        moment.oldest_seconds = age.unwrap_or_default().as_secs_f64();
    }
    timeline
}

/// Of each sign-up that was due: its time and how long it took. One that never
/// finished took as long as it was waited for, at least: without it, the figures
/// would be the better the more were lost.
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
    fn windows_part_the_run_and_leave_out_those_without_anybody() {
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
