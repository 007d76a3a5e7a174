//! What a load test found: the figures, and the differences.

mod axis;
mod charts;
#[cfg(test)]
mod fixtures;
mod histogram;
mod html;
mod latency_charts;
mod legend;
mod lines;
mod markup;
mod number;
mod plot;
mod series;
mod tables;
mod text;
mod verdict;

use std::collections::BTreeMap;

use serde::Serialize;

use super::Difference;

/// The report. Its JSON form is a contract.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct LoadReport {
    /// The run's id, part of every name that it made.
    pub run: String,
    /// The user pool.
    pub pool: String,
    /// With it and the same options the same messages go at the same times.
    pub seed: u64,
    /// When the schedule began.
    pub began: jiff::Timestamp,
    /// From there until nothing was left to wait for.
    pub seconds: f64,
    /// What was to be sent.
    pub planned: Planned,
    /// What was sent, and how well the injector kept its schedule.
    pub injected: Injected,
    /// What became of the sign-ups.
    pub finished: Finished,
    /// From a sign-up's scheduled time to its profile record, in milliseconds.
    /// A sign-up that never finished counts with the time it was waited for. Absent
    /// where no records are looked at.
    pub latency_ms: Option<Quantiles>,
    /// What the workers say of themselves; absent when they were not asked.
    pub worker: Option<WorkerTotals>,
    /// One for each second, in order.
    pub timeline: Vec<Sample>,
    /// Latency by the time at which the sign-ups were scheduled.
    pub(crate) latency_over_time: Vec<LatencyWindow>,
    /// How many sign-ups took how long.
    pub histogram: Vec<LatencyBin>,
    /// Whether all was looked at and nothing differs.
    pub verified: bool,
    /// What is not as it must be.
    pub differences: Vec<Difference>,
    /// What was removed in the end; absent when it was kept.
    pub cleaned: Option<Cleaned>,
}

/// Messages by kind, and how long sending them should take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(crate) struct Planned {
    /// Sign-ups, each of a user of its own.
    pub sign_ups: u64,
    /// Sign-ups that are sent once more.
    pub duplicates: u64,
    /// Messages that must end as letters.
    pub poison: u64,
    /// Users for whom nothing is sent and nothing must happen.
    pub(crate) bystanders: u64,
    /// Length of the schedule.
    pub seconds: f64,
}

/// The injector's own figures: its limit is not the system's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Injected {
    /// Messages that SQS took.
    pub messages: u64,
    /// Messages that it did not take.
    pub not_sent: u64,
    /// From the first send to the last answer.
    pub seconds: f64,
    /// Messages a second in that time.
    pub(crate) per_second: f64,
    /// How long after its scheduled time a message's send began.
    pub late_ms: Option<Quantiles>,
    /// How long SQS took to answer.
    pub(crate) send_ms: Option<Quantiles>,
}

/// Sign-ups whose profile record was seen.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Finished {
    /// How many.
    pub sign_ups: u64,
    /// From the begin of the schedule to the last of them.
    pub seconds: f64,
    /// Sign-ups a second in that time.
    pub(crate) per_second: f64,
}

/// A distribution, in the unit that the field's name ends with.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Quantiles {
    /// Values.
    pub count: u64,
    /// The median.
    pub p50: f64,
    /// Nine of ten are not above it.
    pub p90: f64,
    /// 99 of 100.
    pub p99: f64,
    /// 999 of 1,000.
    #[serde(rename = "p99.9")]
    pub(crate) p99_9: f64,
    /// The greatest.
    pub max: f64,
}

/// From the workers' `/metrics`, from the begin to the end of the run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct WorkerTotals {
    /// Workers that were asked.
    pub workers: usize,
    /// Times that one of them did not answer.
    pub(crate) unanswered: u64,
    /// Messages settled.
    pub messages: u64,
    /// Calls by service and operation, such as `cognito AdminAddUserToGroup`.
    pub calls: BTreeMap<String, u64>,
    /// All of them, for each message.
    pub(crate) calls_per_message: Option<f64>,
    /// Calls that Cognito throttled, by category; categories without any left out.
    pub throttled: BTreeMap<String, u64>,
}

/// How things stood.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(crate) struct Sample {
    /// Seconds since the schedule began.
    pub second: f64,
    /// Messages that were due by then.
    pub planned: u64,
    /// Messages that SQS had taken.
    pub injected: u64,
    /// Sign-ups whose profile was there.
    pub finished: u64,
    /// Waiting on the queue, as SQS counts; these three are absent when it did not say.
    pub visible: Option<u64>,
    /// In work, or backing off.
    pub hidden: Option<u64>,
    /// Not yet due.
    pub delayed: Option<u64>,
    /// Age of the oldest sign-up that was due and not finished; 0 without one.
    pub(crate) oldest_seconds: f64,
    /// Calls that Cognito had throttled, as the workers say.
    pub throttled: Option<u64>,
}

/// Latency of the sign-ups that were scheduled within a part of the run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct LatencyWindow {
    /// Begin, in seconds since the schedule began.
    pub(crate) from_second: f64,
    /// End.
    pub(crate) to_second: f64,
    /// The distribution in milliseconds.
    #[serde(flatten)]
    pub latency_ms: Quantiles,
}

/// Sign-ups whose latency lies between two values.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct LatencyBin {
    /// Above this many milliseconds.
    pub(crate) from_ms: f64,
    /// Up to this many.
    pub(crate) to_ms: f64,
    /// How many.
    pub count: u64,
}

/// What a run left, and is gone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Cleaned {
    /// Messages on the queue.
    pub messages: u64,
    /// Letters in the dead-letter queue.
    #[serde(rename = "letters")]
    pub dead_letters: u64,
    /// Profile records.
    pub profiles: u64,
    /// Users.
    pub users: u64,
    /// Whether everything is gone, as far as could be seen.
    pub complete: bool,
}
