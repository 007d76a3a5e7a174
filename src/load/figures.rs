//! From what was observed to the report.

use std::time::Duration;

use super::difference::Difference;
use super::latency::Latency;
use super::looks::Seen;
use super::report::{Cleaned, Finished, Injected, LatencyWindow, Planned, Report, WorkerFigures};
use super::run::{Load, Observed};

/// The latency over time is parted into so many windows at most, of a second at
/// least.
const WINDOWS: u32 = 60;

impl Report {
    /// Puts everything together.
    pub fn new(
        load: &Load,
        seed: u64,
        observed: &Observed,
        worker: Option<WorkerFigures>,
        differences: Vec<Difference>,
        cleaned: Option<Cleaned>,
    ) -> Self {
        let plan = &load.plan;
        let due = plan.due();
        let latencies: Vec<(Duration, Duration)> = due
            .iter()
            .zip(&observed.seen)
            .filter_map(|(due, seen)| Some((*due, (*seen)?.latency)))
            .collect();
        let mut latency = Latency::default();
        for (_, value) in &latencies {
            latency.record(*value);
        }
        let last = latencies.iter().map(|(due, latency)| *due + *latency).max();
        let finished = if load.config.profiles.is_some() {
            (latencies.len() as u64, last.unwrap_or_default())
        } else {
            let last = observed.timeline.last();
            (last.map_or(0, |moment| moment.finished), observed.time)
        };
        let sends = &observed.sends;
        Self {
            run: load.run.to_string(),
            pool: load.pool.as_str().to_owned(),
            seed,
            began: observed.started_at,
            seconds: observed.time.as_secs_f64(),
            planned: Planned {
                sign_ups: u64::from(plan.sign_ups),
                duplicates: u64::from(plan.duplicates),
                poison: u64::from(plan.poison),
                bystanders: u64::from(plan.bystanders),
                seconds: plan.length.as_secs_f64(),
            },
            injected: Injected {
                messages: sends.messages,
                not_sent: sends.refused.len() as u64 + sends.untried,
                seconds: sends.time.as_secs_f64(),
                per_second: rate(sends.messages, sends.time),
                late_ms: sends.late.quantiles(),
                send_ms: sends.answered.quantiles(),
            },
            finished: Finished {
                sign_ups: finished.0,
                seconds: finished.1.as_secs_f64(),
                per_second: rate(finished.0, finished.1),
            },
            latency_ms: latency.quantiles(),
            worker,
            timeline: observed.timeline.clone(),
            latency_over_time: windows(plan.length, &due, &observed.seen),
            histogram: latency.bars(),
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

fn windows(length: Duration, due: &[Duration], seen: &[Option<Seen>]) -> Vec<LatencyWindow> {
    let width = (length / WINDOWS).max(Duration::from_secs(1));
    let mut windows = Vec::new();
    let mut rest: Vec<(Duration, Option<Seen>)> =
        due.iter().copied().zip(seen.iter().copied()).collect();
    let mut from = Duration::ZERO;
    while !rest.is_empty() {
        let to = from + width;
        let later = rest.split_off(rest.partition_point(|(due, _)| *due < to));
        let mut latency = Latency::default();
        for (_, seen) in rest {
            if let Some(seen) = seen {
                latency.record(seen.latency);
            }
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
        let seen = |ms| {
            Some(Seen {
                latency: Duration::from_millis(ms),
                fingerprint: 0,
            })
        };
        let due = [seconds(0), seconds(1), seconds(1), seconds(119)];
        let windows = windows(seconds(120), &due, &[seen(10), seen(20), None, seen(30)]);
        let counts: Vec<(f64, u64)> = windows
            .iter()
            .map(|window| (window.from_second, window.latency_ms.count))
            .collect();
        assert_eq!(counts, [(0.0, 2), (118.0, 1)]);
    }
}
