//! Once a minute: bounds the memory of the metrics, whether or not they are scraped, and writes
//! them for `CloudWatch` if configured.

use std::io::Write;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::exposition::{Samples, family, increase, label, parse_samples};
use super::metrics::drain_histograms;
use super::{Health, emf};

const REPORT_INTERVAL: Duration = Duration::from_mins(1);

/// The task that drains the histograms and writes the lines for `CloudWatch`.
pub(crate) struct MetricsReporter {
    metrics: PrometheusHandle,
    health: Health,
    cloudwatch: Option<CloudWatch>,
}

/// A line a minute in `CloudWatch`'s embedded metric format.
#[derive(Debug)]
pub struct CloudWatch {
    namespace: String,
    queue_name: String,
    previous: Samples,
}

impl MetricsReporter {
    pub(crate) fn new(
        metrics: PrometheusHandle,
        health: Health,
        cloudwatch: Option<CloudWatch>,
    ) -> Self {
        Self {
            metrics,
            health,
            cloudwatch,
        }
    }

    /// Runs until `stop`, and then writes a last line, so that no count is lost. Only the
    /// lines of full minutes have the status: an alarm reads it as a sign of a running
    /// worker. A worker that ends at once must not report it.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut minutes =
            tokio::time::interval_at(Instant::now() + REPORT_INTERVAL, REPORT_INTERVAL);
        minutes.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let stopped = tokio::select! {
                biased;
                () = stop.cancelled() => true,
                _ = minutes.tick() => false,
            };
            // A worker drains them after some messages. This is for calls of no message:
            // reconcile, console, HTTP API.
            drain_histograms();
            if let Some(cloudwatch) = &mut self.cloudwatch {
                let not_ready = (!stopped).then(|| !self.health.unready_reasons().is_empty());
                let line = cloudwatch.line(parse_samples(&self.metrics.render()), not_ready);
                // If standard error is closed, only the line is lost.
                let _ = writeln!(std::io::stderr(), "{line}");
            }
            if stopped {
                return;
            }
        }
    }
}

impl CloudWatch {
    /// Metrics of `namespace`, with the name of the queue behind `queue_url` as their
    /// dimension.
    pub fn new(namespace: &str, queue_url: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            queue_name: queue_url.rsplit('/').next().unwrap_or_default().to_owned(),
            previous: Samples::new(),
        }
    }

    /// Without `not_ready`, the line has no status of the worker.
    fn line(&mut self, now: Samples, not_ready: Option<bool>) -> String {
        let sum = |of: &str, which: &dyn Fn(&str) -> bool| {
            let wanted = now
                .iter()
                .filter(|(sample, _)| family(sample) == of && which(sample));
            wanted
                .map(|(sample, count)| {
                    increase(self.previous.get(sample).copied().unwrap_or(0), *count)
                })
                .sum::<u64>()
        };
        let outcome = |name: &str| {
            sum("usher_messages_total", &|sample| {
                label(sample, "outcome") == name
            })
        };
        let gauge = |name: &str| now.get(name).copied().unwrap_or(0);
        let mut values = vec![
            ("Done", outcome("done")),
            ("AlreadyDone", outcome("already_done")),
            ("Ignored", outcome("ignored")),
            ("Retried", outcome("retry")),
            ("Blocked", outcome("blocked")),
            ("Rejected", outcome("rejected")),
            ("Throttled", sum("usher_quota_throttled_total", &|_| true)),
            ("Panics", sum("usher_panics_total", &|_| true)),
        ];
        if let Some(not_ready) = not_ready {
            values.extend([
                ("BreakerOpen", gauge("usher_breaker_open")),
                ("NotReady", u64::from(not_ready)),
                ("InFlight", gauge("usher_messages_in_flight")),
            ]);
        }
        let dimension = ("Queue", self.queue_name.as_str());
        let line = emf::line(&self.namespace, dimension, false, &values);
        self.previous = now;
        line
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn stop_before_the_first_minute_ends_the_reporter_at_once() {
        let metrics = metrics_exporter_prometheus::PrometheusBuilder::new()
            .build_recorder()
            .handle();
        let reporter = MetricsReporter::new(metrics, Health::default(), None);
        let stop = CancellationToken::new();
        let started = Instant::now();
        let running = tokio::spawn(reporter.run(stop.clone()));
        tokio::time::sleep(REPORT_INTERVAL / 2).await;
        stop.cancel();
        running.await.expect("ends");
        assert_eq!(
            started.elapsed(),
            REPORT_INTERVAL / 2,
            "nothing is waited for"
        );
    }

    #[test]
    fn counters_are_reported_as_increases_and_gauges_as_values() {
        let mut cloudwatch = CloudWatch::new("usher", "https://sqs.example/1/sign-ups");
        let mut report = |text: &str, not_ready: Option<bool>| -> Value {
            serde_json::from_str(&cloudwatch.line(parse_samples(text), not_ready)).expect("JSON")
        };
        let first = report(
            r#"usher_messages_total{outcome="done",reason=""} 5
usher_messages_total{outcome="retry",reason="throttled"} 2
usher_messages_total{outcome="retry",reason="timeout"} 1
usher_quota_throttled_total{category="user_update"} 2
usher_quota_throttled_total{category="user_read"} 1
usher_breaker_open 1
usher_messages_in_flight 7
"#,
            Some(true),
        );
        assert_eq!(first["NotReady"], 1);
        assert_eq!(first["Queue"], "sign-ups");
        assert_eq!((&first["Done"], &first["Retried"]), (&5.into(), &3.into()));
        assert_eq!(first["Throttled"], 3);
        assert_eq!(
            (&first["BreakerOpen"], &first["InFlight"]),
            (&1.into(), &7.into())
        );
        let second = report(
            r#"usher_messages_total{outcome="done",reason=""} 12
usher_quota_throttled_total{category="user_update"} 2
usher_breaker_open 0
"#,
            Some(false),
        );
        assert_eq!(
            (&second["Done"], &second["Retried"]),
            (&7.into(), &0.into())
        );
        assert_eq!(
            (&second["Throttled"], &second["NotReady"]),
            (&0.into(), &0.into())
        );
        let last = report("usher_breaker_open 1", None);
        for name in ["BreakerOpen", "NotReady", "InFlight"] {
            assert!(last.get(name).is_none(), "{name} of a worker that is gone");
        }
        assert_eq!(
            (&second["BreakerOpen"], &second["InFlight"]),
            (&0.into(), &0.into())
        );
    }
}
