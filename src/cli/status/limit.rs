//! What limits the workers, from two readings of their metrics.

use std::time::Duration;

use crate::cli::check::State;
use crate::telemetry::exposition::{Samples, add_increases, family, label};

/// A call that waited longer waited for the budget. A bound of the histograms.
const LONG_WAIT: &str = "0.1";
/// Calls are slow if most take longer. A bound of the histograms.
const SLOW_CALL: &str = "0.5";
/// The categories whose rate is a setting.
const CONFIGURED: [&str; 4] = [
    "user_update",
    "user_list",
    "user_resource_read",
    "user_creation",
];

/// The metrics of all workers that answered twice, added.
#[derive(Debug, Default)]
pub(super) struct Activity {
    workers: u32,
    increases: Samples<f64>,
    /// The latest values, for gauges.
    latest: Samples<f64>,
}

impl Activity {
    pub(super) fn add(&mut self, before: &Samples<f64>, now: &Samples<f64>) {
        self.workers += 1;
        add_increases(&mut self.increases, before, now);
        for (name, value) in now {
            *self.latest.entry(name.clone()).or_default() += value;
        }
    }

    /// How long the messages that were settled between the readings waited in the queue.
    pub(super) fn mean_wait(&self) -> Option<Duration> {
        let of = |sample: &str| self.increases.get(sample).copied().unwrap_or_default();
        let settled = of("usher_message_queue_seconds_count");
        let mean = of("usher_message_queue_seconds_sum") / settled;
        Duration::try_from_secs_f64(mean).ok()
    }

    /// `has_backlog`: messages wait to be received.
    pub(super) fn limit(&self, has_backlog: bool) -> (State, String) {
        if self.workers == 0 {
            let why = "no worker answered (--worker URL)".to_owned();
            return (State::Skipped, why);
        }
        let found = self.full_budget().or_else(|| self.throttled_category());
        let found = found.or_else(|| self.slow_cognito().filter(|_| has_backlog));
        if let Some(found) = found {
            return (State::Ok, found);
        }
        let is_still = self.sum("usher_quota_wait_seconds_count", |_| true) <= 0.0;
        let in_flight = self.latest.get("usher_messages_in_flight");
        let unknown = if is_still && in_flight.is_some_and(|count| *count > 0.0) {
            "messages are in flight, but no call got a permit meanwhile"
        } else if has_backlog {
            "messages wait, but calls neither wait nor are throttled or slow"
        } else {
            return (State::Ok, "nothing".to_owned());
        };
        (State::Skipped, unknown.to_owned())
    }

    /// The budget for which most of its calls waited.
    fn full_budget(&self) -> Option<String> {
        let waits = self.categories("usher_quota_wait_seconds_count");
        let waits = waits.filter_map(|(category, calls)| {
            let short = self.sum("usher_quota_wait_seconds_bucket", |sample| {
                label(sample, "category") == category && label(sample, "le") == LONG_WAIT
            });
            let long = calls - short;
            (long * 2.0 > calls).then_some((category, long))
        });
        let (category, _) = waits.max_by(|one, other| one.1.total_cmp(&other.1))?;
        let name = if CONFIGURED.contains(&category) {
            format!("quota.{category}")
        } else {
            format!("the fixed rate of {category}")
        };
        let throttled = self.sum("usher_quota_throttled_total", |sample| {
            label(sample, "category") == category
        });
        let throttled = if throttled > 0.0 {
            format!("; Cognito throttled {throttled} calls")
        } else {
            String::new()
        };
        Some(format!("{name} {}{throttled}", self.rate(category)))
    }

    fn throttled_category(&self) -> Option<String> {
        let throttled = self.categories("usher_quota_throttled_total");
        let throttled = throttled.filter(|(_, count)| *count > 0.0);
        let (category, count) = throttled.max_by(|one, other| one.1.total_cmp(&other.1))?;
        let rate = self.rate(category);
        Some(format!(
            "Cognito throttled {count} calls of {category}; the rate is now {rate}"
        ))
    }

    fn slow_cognito(&self) -> Option<String> {
        let is_cognito = |sample: &str| label(sample, "service") == "cognito";
        let calls = self.sum("usher_aws_call_seconds_count", is_cognito);
        let quick = self.sum("usher_aws_call_seconds_bucket", |sample| {
            is_cognito(sample) && label(sample, "le") == SLOW_CALL
        });
        let is_slow = (calls - quick) * 2.0 > calls;
        is_slow.then(|| format!("slow Cognito calls (p50 over {SLOW_CALL} s)"))
    }

    /// The increase of a metric, by category.
    fn categories<'a>(&'a self, metric: &'a str) -> impl Iterator<Item = (&'a str, f64)> {
        let samples = self.increases.iter();
        let samples = samples.filter(move |(sample, _)| family(sample) == metric);
        samples.map(|(sample, count)| (label(sample, "category"), *count))
    }

    fn sum(&self, metric: &str, matches: impl Fn(&str) -> bool) -> f64 {
        let samples = self.increases.iter();
        let included = samples.filter(|(sample, _)| family(sample) == metric && matches(sample));
        included.map(|(_, count)| count).sum()
    }

    /// The calls a second that the budgets of all workers allow now.
    fn rate(&self, category: &str) -> String {
        let mut gauges = self.latest.iter();
        let gauge = gauges.find(|(sample, _)| {
            family(sample) == "usher_quota_rate" && label(sample, "category") == category
        });
        gauge.map_or_else(
            || "at an unknown rate".to_owned(),
            |(_, rate)| format!("{}/s", (rate * 10.0).round() / 10.0),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::exposition::parse_samples;

    const BEFORE: &str = r#"
usher_quota_rate{category="user_update"} 10
usher_quota_wait_seconds_bucket{category="user_update",le="0.1"} 100
usher_quota_wait_seconds_bucket{category="user_update",le="+Inf"} 100
usher_quota_wait_seconds_count{category="user_update"} 100
usher_quota_throttled_total{category="user_update"} 3
usher_message_queue_seconds_sum 5.5
usher_message_queue_seconds_count 10
"#;

    fn activity(now: &str) -> Activity {
        let mut activity = Activity::default();
        activity.add(&parse_samples(BEFORE), &parse_samples(now));
        activity
    }

    /// The values after a second reading in which `quick` and `slow` calls more got a permit.
    fn permits(quick: u32, slow: u32, throttled: u32) -> String {
        format!(
            r#"
usher_quota_rate{{category="user_update"}} 9.96
usher_quota_wait_seconds_bucket{{category="user_update",le="0.1"}} {}
usher_quota_wait_seconds_count{{category="user_update"}} {}
usher_quota_throttled_total{{category="user_update"}} {}
usher_aws_call_seconds_bucket{{service="cognito",operation="AdminAddUserToGroup",le="0.5"}} {quick}
usher_aws_call_seconds_count{{service="cognito",operation="AdminAddUserToGroup"}} 5
"#,
            100 + quick,
            100 + quick + slow,
            3 + throttled
        )
    }

    #[test]
    fn a_budget_limits_if_most_calls_wait_for_it() {
        let limit = |quick, slow, throttled| activity(&permits(quick, slow, throttled)).limit(true);
        let limited = "quota.user_update 10/s".to_owned();
        assert_eq!(limit(4, 6, 0), (State::Ok, limited.clone()));
        let throttled = format!("{limited}; Cognito throttled 2 calls");
        assert_eq!(limit(4, 6, 2), (State::Ok, throttled));
        let throttled = "Cognito throttled 2 calls of user_update; the rate is now 10/s";
        assert_eq!(limit(6, 4, 2), (State::Ok, throttled.to_owned()));
        let other = |text: &str| parse_samples(&text.replace("user_update", "group_create"));
        let mut fixed = Activity::default();
        fixed.add(&other(BEFORE), &other(&permits(0, 6, 0)));
        assert_eq!(fixed.limit(true).1, "the fixed rate of group_create 10/s");
    }

    #[test]
    fn calls_that_neither_wait_nor_are_slow_limit_nothing() {
        let quick = activity(&permits(5, 0, 0));
        assert_eq!(quick.limit(false), (State::Ok, "nothing".to_owned()));
        // What limits the workers cannot be seen.
        assert_eq!(quick.limit(true).0, State::Skipped);
        let slow = activity(&permits(2, 0, 0));
        let expected = "slow Cognito calls (p50 over 0.5 s)";
        assert_eq!(slow.limit(true), (State::Ok, expected.to_owned()));
        assert_eq!(slow.limit(false).1, "nothing");
    }

    #[test]
    fn what_was_not_read_is_not_known() {
        let (state, text) = Activity::default().limit(false);
        assert_eq!(state, State::Skipped);
        assert_eq!(text, "no worker answered (--worker URL)");
        let held = format!("{BEFORE}usher_messages_in_flight 4\n");
        let (state, text) = activity(&held).limit(false);
        assert_eq!(state, State::Skipped);
        assert!(text.contains("no call got a permit"), "{text}");
    }

    #[test]
    fn rates_and_calls_of_all_workers_are_added() {
        let mut both = activity(&permits(0, 6, 0));
        both.add(&parse_samples(BEFORE), &parse_samples(&permits(0, 6, 0)));
        assert_eq!(both.limit(true).1, "quota.user_update 19.9/s");
        let waited = activity(
            "usher_message_queue_seconds_sum 87.5\nusher_message_queue_seconds_count 12\n",
        );
        assert_eq!(waited.mean_wait(), Some(Duration::from_secs(41)));
        assert_eq!(activity(BEFORE).mean_wait(), None);
    }
}
