//! What limits the workers, from their metrics.

use super::findings::Findings;
use crate::telemetry::exposition::{Samples, family, label};

pub(super) const LIMIT: &str = "limited by";
/// The messages of one receive wait that long, or less, also for a budget that suffices.
const LONG_WAIT_SECONDS: f64 = 0.5;
/// A worker prefetches at most so many messages, and at most as many as it has in progress.
const MAX_PREFETCHED: f64 = 20.0;
/// The categories whose rate is a setting.
const CONFIGURED: [&str; 4] = [
    "user_update",
    "user_list",
    "user_resource_read",
    "user_creation",
];

/// `metrics` are the sums over all workers that answered; empty if none did. `has_backlog`:
/// messages wait to be received; `None` if the queue cannot be read.
pub(super) fn check_limit(
    findings: &mut Findings,
    metrics: &Samples<f64>,
    has_backlog: Option<bool>,
) {
    let of = |sample: &str| metrics.get(sample).copied().unwrap_or_default();
    if metrics.is_empty() {
        return findings.skip(LIMIT, "no metrics from the workers");
    }
    if of("usher_breaker_open") > 0.0 {
        findings.fail(LIMIT, "circuit breaker open");
        return findings.next("usher check");
    }
    let Some(has_backlog) = has_backlog else {
        return findings.skip(LIMIT, "the queue cannot be read");
    };
    let in_flight = of("usher_messages_in_flight");
    let waiting = waiting_calls(metrics);
    if let Some(budget) = full_budget(&waiting, has_backlog, in_flight) {
        findings.ok(LIMIT, budget.describe(metrics));
    } else if !has_backlog {
        findings.ok(LIMIT, "nothing");
    } else if in_flight > 0.0 {
        let calls: f64 = waiting.iter().map(|it| it.calls).sum();
        let wait = if calls > 0.0 {
            format!("{calls} waiting")
        } else {
            "none waits".to_owned()
        };
        let detail = format!("call latency: {in_flight} in flight, {wait} for a rate");
        findings.ok(LIMIT, detail);
    } else {
        findings.skip(LIMIT, "messages wait, and the workers have none in flight");
    }
}

/// The calls that wait for the rate of one category.
struct Waiting<'a> {
    category: &'a str,
    calls: f64,
    rate: f64,
}

fn waiting_calls(metrics: &Samples<f64>) -> Vec<Waiting<'_>> {
    let waiting = metrics.iter();
    let waiting = waiting.filter(|(sample, _)| family(sample) == "usher_quota_waiting");
    let waiting = waiting.filter_map(|(sample, calls)| {
        let category = label(sample, "category");
        Some(Waiting {
            category,
            calls: *calls,
            rate: gauge(metrics, "usher_quota_rate", category)?,
        })
    });
    waiting.collect()
}

fn gauge(metrics: &Samples<f64>, name: &str, category: &str) -> Option<f64> {
    let sample = format!("{name}{{category=\"{category}\"}}");
    metrics.get(&sample).copied()
}

/// The category for which a call waits long, or, with a backlog, most messages in progress:
/// no more calls can wait than messages are in progress, so their wait may be short.
fn full_budget<'a>(
    waiting: &'a [Waiting<'a>],
    has_backlog: bool,
    in_flight: f64,
) -> Option<&'a Waiting<'a>> {
    let in_progress = in_flight - (in_flight / 2.0).min(MAX_PREFETCHED);
    let longest = waiting
        .iter()
        .max_by(|one, other| one.seconds().total_cmp(&other.seconds()))
        .filter(|it| it.seconds() > LONG_WAIT_SECONDS);
    let most = waiting
        .iter()
        .max_by(|one, other| one.calls.total_cmp(&other.calls))
        .filter(|it| has_backlog && it.calls > 0.0 && it.calls * 2.0 >= in_progress);
    longest.or(most)
}

impl Waiting<'_> {
    /// How long a new call waits.
    fn seconds(&self) -> f64 {
        self.calls / self.rate
    }

    fn describe(&self, metrics: &Samples<f64>) -> String {
        let category = self.category;
        let name = if CONFIGURED.contains(&category) {
            format!("quota.{category}")
        } else {
            format!("the fixed rate of {category}")
        };
        let round = |rate: f64| (rate * 10.0).round() / 10.0;
        let rate = round(self.rate);
        let limit = gauge(metrics, "usher_quota_limit", category).map(round);
        match limit.filter(|limit| *limit > rate) {
            Some(limit) => {
                format!("{name} {rate}/s: Cognito throttles, so it fell from {limit}/s")
            }
            None => format!("{name} {rate}/s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::State;
    use crate::telemetry::exposition::parse_samples;

    fn metrics(category: &str, rate: f64, waiting: u32, rest: &str) -> String {
        format!(
            r#"
usher_quota_limit{{category="{category}"}} 20
usher_quota_rate{{category="{category}"}} {rate}
usher_quota_waiting{{category="{category}"}} {waiting}
usher_quota_waiting{{category="user_list"}} 0
usher_quota_rate{{category="user_list"}} 15
{rest}"#
        )
    }

    fn limit(metrics: &str, has_backlog: impl Into<Option<bool>>) -> (State, String) {
        let mut findings = Findings::default();
        check_limit(&mut findings, &parse_samples(metrics), has_backlog.into());
        let finding = findings.into_report().findings.remove(0);
        (finding.state, finding.detail)
    }

    #[test]
    fn a_rate_limits_if_calls_wait_long_for_it() {
        let of = |category, rate, waiting| limit(&metrics(category, rate, waiting, ""), true);
        let full = of("user_update", 20.0, 30);
        assert_eq!(full, (State::Ok, "quota.user_update 20/s".to_owned()));
        let (_, text) = of("user_update", 9.96, 30);
        let throttled = "quota.user_update 10/s: Cognito throttles, so it fell from 20/s";
        assert_eq!(text, throttled);
        let (_, text) = of("group_create", 20.0, 30);
        assert_eq!(text, "the fixed rate of group_create 20/s");
        let few = limit(&metrics("user_update", 20.0, 9, ""), false);
        assert_eq!(few, (State::Ok, "nothing".to_owned()));
    }

    #[test]
    fn a_rate_limits_if_most_messages_of_a_backlog_wait_for_it() {
        let of = |rate, waiting, in_flight, has_backlog| {
            let rest = format!("usher_messages_in_flight {in_flight}\n");
            limit(&metrics("user_update", rate, waiting, &rest), has_backlog).1
        };
        // worker.concurrency 8 and 64, with the messages that are prefetched.
        assert_eq!(of(20.0, 8, 8, true), "quota.user_update 20/s");
        assert_eq!(of(20.0, 8, 16, true), "quota.user_update 20/s");
        assert_eq!(of(200.0, 64, 84, true), "quota.user_update 200/s");
        let few = "call latency: 84 in flight, 9 waiting for a rate";
        assert_eq!(of(200.0, 9, 84, true), few);
        assert_eq!(of(20.0, 8, 16, false), "nothing");
    }

    #[test]
    fn nothing_is_said_about_a_queue_that_cannot_be_read() {
        let unknown = limit(&metrics("user_update", 20.0, 0, ""), None::<bool>);
        let expected = "the queue cannot be read".to_owned();
        assert_eq!(unknown, (State::Skipped, expected));
    }

    #[test]
    fn a_backlog_without_waiting_calls_has_another_cause() {
        let of = |rest| limit(&metrics("user_update", 20.0, 0, rest), true);
        let (state, text) = of("usher_messages_in_flight 75\n");
        assert_eq!(state, State::Ok);
        assert_eq!(text, "call latency: 75 in flight, none waits for a rate");
        assert_eq!(of("usher_messages_in_flight 0\n").0, State::Skipped);
        let open = "usher_messages_in_flight 3\nusher_breaker_open 1\n";
        assert_eq!(of(open), (State::Fail, "circuit breaker open".to_owned()));
    }

    #[test]
    fn without_metrics_the_limit_is_not_known() {
        let unknown = "no metrics from the workers".to_owned();
        assert_eq!(limit("", true), (State::Skipped, unknown));
    }
}
