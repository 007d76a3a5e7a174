//! The figures of a run in words: the same for the text and the page.

use std::collections::BTreeMap;

use super::format::{count, decimal_plural, duration, durations, plural, rate};
use super::model::{Cleaned, LoadReport, Planned, Quantiles, Sample, WorkerTotals};
use crate::dead_letter::printable;

/// A name and its text, which may have several lines.
pub(super) type Fact = (&'static str, String);

pub(super) const LATENCY_COLUMNS: [&str; 4] = ["p50", "p90", "p99", "max"];

/// How long a step took.
pub(super) struct LatencyRow {
    pub(super) step: &'static str,
    /// As in [`LATENCY_COLUMNS`].
    pub(super) cells: Option<[String; 4]>,
    /// Why there are no cells.
    pub(super) absent: &'static str,
}

impl LoadReport {
    pub(super) fn identity(&self) -> [Fact; 4] {
        let began = self.began.strftime("%Y-%m-%d %H:%M:%S UTC");
        let took = duration(self.seconds);
        [
            ("run", self.run.clone()),
            ("pool", self.pool.clone()),
            ("seed", self.seed.to_string()),
            ("began", format!("{began}, took {took}")),
        ]
    }

    pub(super) fn facts(&self) -> Vec<Fact> {
        let injected = &self.injected;
        let not_sent = match injected.not_sent {
            0 => String::new(),
            not_sent => format!("; {} not sent", count(not_sent)),
        };
        let injected = format!(
            "{} in {}: {}{not_sent}",
            plural(injected.messages, "message"),
            duration(injected.seconds),
            rate(injected.per_second),
        );
        let cleaned = self.cleaned.as_ref().map(Cleaned::describe);
        let mut facts = vec![
            ("planned", self.planned.describe()),
            ("injected", injected),
            ("finished", self.outcome()),
            ("queue", self.deepest_queue()),
            ("oldest", self.oldest_sign_up()),
        ];
        match &self.worker {
            Some(worker) => facts.extend(worker.facts()),
            None => facts.push(("workers", "not asked".to_owned())),
        }
        let nothing = || "nothing was removed".to_owned();
        facts.push(("cleaned", cleaned.unwrap_or_else(nothing)));
        facts
    }

    pub(super) fn latency_rows(&self) -> [LatencyRow; 3] {
        let row = |step, quantiles: Option<Quantiles>, absent| LatencyRow {
            step,
            cells: quantiles
                .map(|q| durations([q.p50, q.p90, q.p99, q.max].map(|ms| ms / 1_000.0))),
            absent,
        };
        [
            row("sent late", self.injected.late_ms, "nothing was sent"),
            row("SQS answer", self.injected.send_ms, "no answer came"),
            row("latency", self.latency_ms, "no profile was seen"),
        ]
    }

    fn deepest_queue(&self) -> String {
        match peak(&self.timeline, |sample| sample.visible) {
            Some((second, depth)) => {
                format!(
                    "at most {} waiting, after {}",
                    count(depth),
                    duration(second)
                )
            }
            None => "depth not known".to_owned(),
        }
    }

    fn oldest_sign_up(&self) -> String {
        match peak(&self.timeline, |sample| Some(sample.oldest_seconds)) {
            Some((second, age)) => {
                format!(
                    "sign-up waited {}, after {}",
                    duration(age),
                    duration(second)
                )
            }
            None => "age not known".to_owned(),
        }
    }
}

/// The greatest value, and the second when it was first reached.
pub(super) fn peak<T: PartialOrd>(
    timeline: &[Sample],
    value: impl Fn(&Sample) -> Option<T>,
) -> Option<(f64, T)> {
    let values = timeline
        .iter()
        .filter_map(|sample| Some((sample.second, value(sample)?)));
    values.reduce(|best, next| if next.1 > best.1 { next } else { best })
}

impl Planned {
    /// The planned counts, without those that are zero.
    fn describe(&self) -> String {
        let mut text = plural(self.sign_ups, "sign-up");
        for (n, noun) in [
            (self.duplicates, "duplicate"),
            (self.poison, "poison message"),
            (self.bystanders, "bystander"),
        ] {
            if n > 0 {
                text = format!("{text}, {}", plural(n, noun));
            }
        }
        format!("{text}; {}", duration(self.seconds))
    }
}

impl WorkerTotals {
    fn facts(&self) -> [Fact; 3] {
        let mut text = format!("{} asked", count(self.workers as u64));
        if let Some(messages) = self.messages {
            text = format!("{text}, {} settled", plural(messages, "message"));
        }
        if let Some(calls) = self.calls_per_message {
            text = format!("{text}, {} each", decimal_plural(calls, 2, "call"));
        }
        if self.unanswered > 0 {
            let times = plural(self.unanswered, "time");
            text = format!("{text}; {times} without an answer");
            if self.messages.is_some() {
                text.push_str(", so these figures may be too low");
            }
        }
        [
            ("workers", text),
            ("calls", self.list(self.calls.as_ref())),
            ("throttled", self.list(self.throttled.as_ref())),
        ]
    }

    /// One line for each count.
    fn list(&self, counts: Option<&BTreeMap<String, u64>>) -> String {
        match (counts, self.workers) {
            (Some(counts), _) => list(counts),
            (None, 1) => "not known: the worker did not answer".to_owned(),
            (None, _) => "not known: no worker answered".to_owned(),
        }
    }
}

fn list(counts: &BTreeMap<String, u64>) -> String {
    if counts.is_empty() {
        return "none".to_owned();
    }
    let lines = counts
        .iter()
        .map(|(of, n)| format!("{} {}", printable(of), count(*n)));
    lines.collect::<Vec<_>>().join("\n")
}

impl Cleaned {
    fn describe(&self) -> String {
        format!(
            "{}, {}, {}, {}; {}",
            plural(self.users, "user"),
            plural(self.profiles, "profile"),
            plural(self.dead_letters, "dead letter"),
            plural(self.messages, "message"),
            if self.complete {
                "nothing is left"
            } else {
                "something may be left"
            },
        )
    }
}
