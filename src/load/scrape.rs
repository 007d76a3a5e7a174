//! Reads the workers' counters from their `/metrics` endpoints.

use std::collections::BTreeMap;

use futures_util::future::join_all;

use super::report::WorkerTotals;
use crate::http::{Url, scrape};
use crate::telemetry::exposition::{Samples, add_increases, family, label};

/// Sums the counters of several workers since the first scrape.
#[derive(Debug)]
pub(crate) struct MetricsScraper(Vec<ScrapedWorker>);

#[derive(Debug)]
struct ScrapedWorker {
    url: Url,
    last: Option<Samples>,
    /// Increase of each counter since the first answer; `None` before the second one.
    increases: Option<Samples>,
    unanswered: u64,
}

impl MetricsScraper {
    pub(crate) fn new(urls: Vec<Url>) -> Self {
        Self(
            urls.into_iter()
                .map(|url| ScrapedWorker {
                    url,
                    last: None,
                    increases: None,
                    unanswered: 0,
                })
                .collect(),
        )
    }

    /// Reads the counters of all workers in parallel.
    pub(crate) async fn scrape(&mut self) {
        let answers = join_all(self.0.iter().map(|worker| scrape(&worker.url))).await;
        for (worker, answer) in self.0.iter_mut().zip(answers) {
            match answer {
                Ok(samples) => worker.record(counters(samples)),
                Err(error) => worker.record_failure(&error.to_string()),
            }
        }
    }

    /// Calls that Cognito throttled since the first answer; `None` before any worker answers.
    pub(crate) fn throttled(&self) -> Option<u64> {
        let has_answer = self.0.iter().any(|worker| worker.last.is_some());
        has_answer.then(|| self.sum("usher_quota_throttled_total", |_| true))
    }

    /// Increases from the first answers to the last; `None` without workers.
    pub(crate) fn totals(&self) -> Option<WorkerTotals> {
        if self.0.is_empty() {
            return None;
        }
        let unknown = WorkerTotals {
            workers: self.0.len(),
            unanswered: self.0.iter().map(|worker| worker.unanswered).sum(),
            messages: None,
            calls_per_message: None,
            calls: None,
            throttled: None,
        };
        // The sum of some workers is not that of all.
        if self.0.iter().any(|worker| worker.increases.is_none()) {
            return Some(unknown);
        }
        let messages = self.settled();
        let mut calls = BTreeMap::new();
        let mut throttled = BTreeMap::new();
        for (name, count) in self.increases() {
            if *count == 0 {
                continue;
            }
            if name.starts_with("usher_aws_calls_total{") {
                let call = [label(name, "service"), label(name, "operation")];
                *calls.entry(call.join(" ")).or_default() += count;
            } else if name.starts_with("usher_quota_throttled_total{") {
                *throttled
                    .entry(label(name, "category").to_owned())
                    .or_default() += count;
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let per = |calls: u64, messages: u64| calls as f64 / messages as f64;
        Some(WorkerTotals {
            messages: Some(messages),
            calls_per_message: (messages > 0).then(|| per(calls.values().sum(), messages)),
            calls: Some(calls),
            throttled: Some(throttled),
            ..unknown
        })
    }

    /// The increases of each worker's counters.
    fn increases(&self) -> impl Iterator<Item = (&String, &u64)> {
        let answered = self.0.iter().filter_map(|worker| worker.increases.as_ref());
        answered.flatten()
    }

    fn sum(&self, metric: &str, includes: impl Fn(&str) -> bool) -> u64 {
        self.increases()
            .filter(|(name, _)| family(name) == metric && includes(name))
            .map(|(_, count)| count)
            .sum()
    }

    /// Settled messages, without those that go back to the queue.
    fn settled(&self) -> u64 {
        self.sum("usher_messages_total", |name| {
            !["retry", "blocked"].contains(&label(name, "outcome"))
        })
    }
}

impl ScrapedWorker {
    /// Adds the increases. A counter that fell belongs to a restarted process.
    fn record(&mut self, now: Samples) {
        if let Some(last) = &self.last {
            let increases = self.increases.get_or_insert_default();
            add_increases(increases, last, &now);
        }
        self.last = Some(now);
    }

    fn record_failure(&mut self, why: &str) {
        self.unanswered += 1;
        if self.unanswered == 1 {
            tracing::warn!(worker = %self.url, error = why, "a worker's metrics could not be read");
        }
    }
}

/// Only the counters: a gauge may fall.
fn counters(mut samples: Samples) -> Samples {
    samples.retain(|sample, _| family(sample).ends_with("_total"));
    samples
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::exposition::parse_samples;

    const FIRST: &str = r#"# TYPE usher_aws_calls_total counter
usher_aws_calls_total{service="cognito",operation="AdminAddUserToGroup",error=""} 10
usher_aws_calls_total{service="sqs",operation="ReceiveMessage",error=""} 100
usher_messages_total{outcome="done",reason=""} 5
usher_messages_in_flight 3
other_total 9
"#;
    const SECOND: &str = r#"
usher_aws_calls_total{service="cognito",operation="AdminAddUserToGroup",error=""} 30
usher_aws_calls_total{service="cognito",operation="AdminAddUserToGroup",error="TooManyRequestsException"} 1
usher_aws_calls_total{service="sqs",operation="ReceiveMessage",error=""} 4
usher_messages_total{outcome="done",reason=""} 25
usher_messages_total{outcome="retry",reason="user_not_found"} 7
usher_quota_throttled_total{category="user_update"} 1
"#;

    #[test]
    fn totals_are_the_increases_between_the_answers() {
        let url: Url = "http://127.0.0.1:1/metrics".parse().expect("a URL");
        let mut workers = MetricsScraper::new(vec![url]);
        let worker = &mut workers.0[0];
        worker.record(counters(parse_samples(FIRST)));
        worker.record(counters(parse_samples(SECOND)));
        let totals = workers.totals().expect("asked");
        assert_eq!(totals.messages, Some(20));
        let calls = totals.calls.expect("known");
        assert_eq!(calls["cognito AdminAddUserToGroup"], 21);
        assert_eq!(calls["sqs ReceiveMessage"], 4, "the counter restarted");
        assert_eq!(totals.calls_per_message, Some(1.25));
        assert_eq!(totals.throttled.expect("known")["user_update"], 1);
        assert_eq!(workers.throttled(), Some(1));
        assert_eq!(MetricsScraper::new(Vec::new()).totals(), None);
    }

    #[test]
    fn figures_are_unknown_until_each_worker_has_answered_twice() {
        let url: Url = "http://127.0.0.1:1/metrics".parse().expect("a URL");
        let mut workers = MetricsScraper::new(vec![url.clone(), url]);
        workers.0[0].record_failure("refused");
        let totals = workers.totals().expect("asked");
        assert_eq!((totals.messages, totals.unanswered), (None, 1));
        assert_eq!((totals.calls, totals.throttled), (None, None));
        assert_eq!(workers.throttled(), None);
        workers.0[1].record(counters(parse_samples(FIRST)));
        assert_eq!(workers.throttled(), Some(0));
        assert_eq!(workers.totals().expect("asked").throttled, None);
        workers.0[1].record(counters(parse_samples(FIRST)));
        assert_eq!(workers.totals().expect("asked").throttled, None);
        for _ in 0..2 {
            workers.0[0].record(counters(parse_samples(FIRST)));
        }
        let totals = workers.totals().expect("asked");
        assert_eq!(totals.messages, Some(0));
        assert_eq!(totals.throttled, Some(BTreeMap::new()));
    }
}
