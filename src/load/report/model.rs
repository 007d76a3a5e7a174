//! What a run found out. The JSON form of the report is this model; the text and the
//! page are made from it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::load::Difference;

/// The report of a run. Its JSON form is a stable interface.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub(crate) struct LoadReport {
    /// The run's id, part of every name that it created.
    pub run: String,
    pub pool: String,
    /// The same seed and options give the same messages at the same times.
    pub seed: u64,
    /// When the schedule began.
    pub began: jiff::Timestamp,
    /// From `began` to the end of the watch.
    pub seconds: f64,
    pub planned: Planned,
    /// The messages that were sent, and how far the injector was behind its schedule.
    pub injected: Injected,
    pub finished: Finished,
    /// From a sign-up's scheduled time to its profile, in milliseconds. A sign-up that
    /// never finished counts with the time that the run waited for it. Absent without
    /// profiles.
    pub latency_ms: Option<Quantiles>,
    /// Counters of the workers; absent if their metrics were not read.
    pub worker: Option<WorkerTotals>,
    /// One sample a second, ascending.
    pub timeline: Vec<Sample>,
    /// Latency by the time at which the sign-ups were scheduled.
    pub(crate) latency_over_time: Vec<LatencyWindow>,
    /// Distribution of the latencies; empty without profiles.
    pub histogram: Vec<LatencyBin>,
    /// Whether there are no differences.
    pub verified: bool,
    pub differences: Vec<Difference>,
    /// What `--require` asked for.
    #[serde(default)]
    pub requirements: Vec<RequirementResult>,
    /// Counts of the clean-up; absent if there was none.
    pub cleaned: Option<Cleaned>,
    /// Not in the JSON form.
    #[serde(skip)]
    pub settings: RunSettings,
}

/// What the text and the page say about the command and its configuration.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct RunSettings {
    /// Without personal data and secrets.
    pub command_line: String,
    /// `quota.user_update`: calls a second of all workers together.
    pub user_update: f64,
    /// Mean number of groups of a sign-up; each costs one such call.
    pub groups: f64,
    /// Seconds from the schedule's start to the earliest end that `user_update` allows.
    pub earliest_end: f64,
    /// Keys of the configuration with their values.
    pub configuration: Vec<(&'static str, String)>,
}

/// Messages by kind, and how long sending them should take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize, Serialize)]
pub(crate) struct Planned {
    /// Sign-ups, one for each user.
    pub sign_ups: u64,
    /// Sign-ups that are sent a second time.
    pub duplicates: u64,
    /// Messages that must become dead letters.
    pub poison: u64,
    /// Users for whom no message is sent; they must not change.
    pub(crate) bystanders: u64,
    /// Length of the schedule, without duplicates after its end.
    pub seconds: f64,
}

/// The injector's own figures: they show when it was the bottleneck.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, Serialize)]
pub(crate) struct Injected {
    /// Messages that SQS accepted.
    pub messages: u64,
    /// Messages that SQS did not accept, or that were never tried.
    pub not_sent: u64,
    /// From the start of the schedule to the last answer.
    pub seconds: f64,
    /// Accepted messages a second in that time.
    pub(crate) per_second: f64,
    /// How long after its scheduled time the send of a message began.
    pub late_ms: Option<Quantiles>,
    /// How long SQS took to accept a message, with retries.
    pub(crate) send_ms: Option<Quantiles>,
}

/// Sign-ups whose profile was seen; without profiles, those that left the queue.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, Serialize)]
pub(crate) struct Finished {
    pub sign_ups: u64,
    /// From the start of the schedule to the last of them.
    pub seconds: f64,
    /// Sign-ups a second in that time.
    pub(crate) per_second: f64,
}

/// A distribution, in the unit that the field's name ends with.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, Serialize)]
pub struct Quantiles {
    /// Number of values in the distribution.
    pub count: u64,
    /// Median: half of the values are not above it.
    pub p50: f64,
    /// 90 of 100 values are not above it.
    pub p90: f64,
    /// 99 of 100 values are not above it.
    pub p99: f64,
    /// 999 of 1,000 values are not above it.
    #[serde(rename = "p99.9")]
    pub(crate) p99_9: f64,
    /// The greatest value of all.
    pub max: f64,
}

/// Increases of the workers' `/metrics` counters during the run; absent if no worker answered.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
pub(crate) struct WorkerTotals {
    /// Number of workers that were asked.
    pub workers: usize,
    /// Number of failed reads of a worker's metrics.
    pub(crate) unanswered: u64,
    /// Settled messages, without those that went back to the queue.
    pub messages: Option<u64>,
    /// Calls by service and operation, such as `cognito AdminAddUserToGroup`.
    pub calls: Option<BTreeMap<String, u64>>,
    /// Mean number of calls for each settled message.
    pub(crate) calls_per_message: Option<f64>,
    /// Calls that Cognito throttled, by category; categories without any are left out.
    pub throttled: Option<BTreeMap<String, u64>>,
}

/// The state of the run at one time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize, Serialize)]
pub(crate) struct Sample {
    /// Seconds since the schedule began.
    pub second: f64,
    /// Messages that were due by then.
    pub planned: u64,
    /// Messages that SQS had accepted.
    pub injected: u64,
    /// Sign-ups that had finished, corrected afterwards where profiles say when.
    pub finished: u64,
    /// Messages that can be received. SQS counts these three; they are absent if the call
    /// failed.
    pub visible: Option<u64>,
    /// Messages in progress, or hidden for a retry.
    pub hidden: Option<u64>,
    /// Messages whose delay has not passed.
    pub delayed: Option<u64>,
    /// Age of the oldest sign-up that was due and not finished; 0 without one.
    pub(crate) oldest_seconds: f64,
    /// Calls that Cognito had throttled, from the workers' metrics; absent before a first answer.
    pub throttled: Option<u64>,
}

/// Latency of the sign-ups that were scheduled within a part of the run.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, Serialize)]
pub(crate) struct LatencyWindow {
    /// Start, in seconds since the schedule began.
    pub(crate) from_second: f64,
    pub(crate) to_second: f64,
    #[serde(flatten)]
    pub latency_ms: Quantiles,
}

/// Sign-ups whose latency lies between two values.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, Serialize)]
pub(crate) struct LatencyBin {
    pub(crate) from_ms: f64,
    pub(crate) to_ms: f64,
    pub count: u64,
}

/// A requirement, and whether the run met it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct RequirementResult {
    /// As given, such as `p99<2s`.
    pub requirement: String,
    /// The measured value with its unit; absent if it is not known.
    pub measured: Option<String>,
    pub met: bool,
}

/// Numbers of items that a clean-up removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Cleaned {
    /// Messages on the source queue.
    pub messages: u64,
    pub dead_letters: u64,
    pub profiles: u64,
    pub users: u64,
    /// Whether the last listings and scans found nothing of the run.
    pub complete: bool,
}
