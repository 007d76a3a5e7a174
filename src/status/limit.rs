//! What limits the workers, from their metrics.

use super::findings::Findings;
use crate::telemetry::exposition::{Samples, family, label};

pub(super) const LIMIT: &str = "limited by";
/// The messages of one receive wait that long, or less, also for a budget that suffices.
const LONG_WAIT_SECONDS: f64 = 0.5;
/// The categories whose rate is a setting.
const CONFIGURED: [&str; 4] = [
    "user_update",
    "user_list",
    "user_resource_read",
    "user_creation",
];

/// `metrics` are the sums over all workers that answered; empty if none did. `has_backlog`:
/// messages wait to be received.
pub(super) fn check_limit(findings: &mut Findings, metrics: &Samples<f64>, has_backlog: bool) {
    let of = |sample: &str| metrics.get(sample).copied().unwrap_or_default();
    let in_flight = of("usher_messages_in_flight");
    if metrics.is_empty() {
        findings.skip(LIMIT, "no metrics from the workers");
    } else if of("usher_breaker_open") > 0.0 {
        findings.fail(LIMIT, "circuit breaker open");
    } else if let Some(budget) = full_budget(metrics) {
        findings.ok(LIMIT, budget);
    } else if !has_backlog {
        findings.ok(LIMIT, "nothing");
    } else if in_flight > 0.0 {
        let detail = format!("the time of calls: {in_flight} in flight, none waits for a rate");
        findings.ok(LIMIT, detail);
    } else {
        findings.skip(LIMIT, "messages wait, and the workers have none in flight");
    }
}

/// The rate for which a call waits longest.
fn full_budget(metrics: &Samples<f64>) -> Option<String> {
    let gauge = |name: &str, category: &str| {
        let sample = format!("{name}{{category=\"{category}\"}}");
        metrics.get(&sample).copied()
    };
    let waiting = metrics.iter();
    let waiting = waiting.filter(|(sample, _)| family(sample) == "usher_quota_waiting");
    let waits = waiting.filter_map(|(sample, calls)| {
        let category = label(sample, "category");
        let rate = gauge("usher_quota_rate", category)?;
        Some((category, rate, calls / rate))
    });
    let longest = waits.max_by(|one, other| one.2.total_cmp(&other.2));
    let (category, rate, _) = longest.filter(|(.., wait)| *wait > LONG_WAIT_SECONDS)?;
    let name = if CONFIGURED.contains(&category) {
        format!("quota.{category}")
    } else {
        format!("the fixed rate of {category}")
    };
    let [rate, limit] = [Some(rate), gauge("usher_quota_limit", category)]
        .map(|rate| rate.map(|rate| (rate * 10.0).round() / 10.0));
    let rate = rate?;
    Some(match limit.filter(|limit| *limit > rate) {
        Some(limit) => format!("{name} {rate}/s: Cognito throttles, so it fell from {limit}/s"),
        None => format!("{name} {rate}/s"),
    })
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

    fn limit(metrics: &str, has_backlog: bool) -> (State, String) {
        let mut findings = Findings::default();
        check_limit(&mut findings, &parse_samples(metrics), has_backlog);
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
    fn a_backlog_without_waiting_calls_has_another_cause() {
        let of = |rest| limit(&metrics("user_update", 20.0, 0, rest), true);
        let (state, text) = of("usher_messages_in_flight 75\n");
        assert_eq!(state, State::Ok);
        assert_eq!(
            text,
            "the time of calls: 75 in flight, none waits for a rate"
        );
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
