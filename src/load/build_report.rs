//! Builds the report from the observations.
//!
//! A user who never finished counts in the percentiles, with the time that the run
//! waited for them. Otherwise a system would seem the better the more it loses.

use std::time::Duration;

use super::difference::Difference;
use super::latency::LatencyHistogram;
use super::report::{
    Cleaned, Finished, Injected, LatencyWindow, LoadReport, Planned, RunSettings, Sample,
    WorkerTotals,
};
use super::run::{LoadRun, RunObservation};
use super::test_users::TestUsers;
use crate::config::{Config, GroupName};
use crate::provision::groups_for;

/// The report's latency over time has at most this many windows, of at least a second.
const MAX_LATENCY_WINDOWS: u32 = 60;
/// Recorded events repeat, so the first sign-ups have the groups of all.
const GROUP_SAMPLE: usize = 1_000;

impl LoadReport {
    pub(crate) fn new(
        load: &LoadRun,
        users: &TestUsers,
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
            seed: load.seed,
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
            requirements: Vec::new(),
            cleaned,
            settings: RunSettings::new(load, users, &due),
        }
    }
}

impl RunSettings {
    fn new(load: &LoadRun, users: &TestUsers, due: &[Duration]) -> Self {
        let user_update = load.config.quota.user_update;
        let groups = mean_groups(load, users);
        Self {
            command_line: load.command_line.clone(),
            user_update,
            groups,
            earliest_end: earliest_end(due, groups / user_update),
            configuration: relevant_settings(&load.config),
        }
    }
}

/// The mean number of groups that the rules give a sign-up.
fn mean_groups(load: &LoadRun, users: &TestUsers) -> f64 {
    let users = users.users.iter().take(GROUP_SAMPLE);
    let sign_ups = users.filter_map(|user| load.sign_ups.read(&load.run_id, &load.pool, user));
    let (count, groups) = sign_ups.fold((0_u32, 0_u32), |(count, groups), sign_up| {
        let of_one = groups_for(&load.config.groups, &sign_up).len();
        (count + 1, groups + u32::try_from(of_one).unwrap_or(0))
    });
    f64::from(groups) / f64::from(count.max(1))
}

/// When the last sign-up can end, in seconds, if each takes `seconds` of a quota.
fn earliest_end(due: &[Duration], seconds: f64) -> f64 {
    due.iter()
        .fold(0.0, |end, due| due.as_secs_f64().max(end) + seconds)
}

/// The settings that decide how fast a run is.
fn relevant_settings(config: &Config) -> Vec<(&'static str, String)> {
    let groups: Vec<&str> = config
        .groups
        .default
        .iter()
        .map(GroupName::as_str)
        .collect();
    let profiles = config.profiles.as_ref();
    // A load test requires the table.
    let table = profiles.map_or("off", |it| it.table.as_deref().unwrap_or_default());
    vec![
        ("quota.user_update", config.quota.user_update.to_string()),
        ("quota.processes", config.quota.processes.to_string()),
        ("worker.concurrency", config.worker.concurrency.to_string()),
        (
            "worker.max_attempts",
            config.worker.max_attempts.to_string(),
        ),
        ("groups.default", groups.join(", ")),
        ("profiles.table", table.to_owned()),
    ]
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

    #[test]
    fn the_quota_ends_a_burst_and_follows_a_slow_schedule() {
        let due = |millis: &[u64]| -> Vec<Duration> {
            millis.iter().map(|ms| Duration::from_millis(*ms)).collect()
        };
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-9, "{a} for {b}");
        close(earliest_end(&due(&[0; 300]), 0.05), 15.0);
        close(earliest_end(&due(&[0, 1_000, 2_000]), 0.05), 2.05);
        close(earliest_end(&due(&[0, 1_000, 1_000, 1_000]), 0.5), 2.5);
        close(earliest_end(&[], 0.05), 0.0);
    }
}
