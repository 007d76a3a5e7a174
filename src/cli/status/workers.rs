//! The readiness and the metrics of the workers, over HTTP.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;

use super::limit::Activity;
use super::screen::Finding;
use crate::cli::check::State;
use crate::dead_letter::printable;
use crate::http::{Url, get, loopback_if_unspecified, scrape};
use crate::telemetry::exposition::Samples;

const LABEL: &str = "workers";
/// Time between the first two readings.
const READING_GAP: Duration = Duration::from_secs(1);
const READY_TIMEOUT: Duration = Duration::from_secs(2);
const MAX_READY_BYTES: u64 = 64 * 1024;

/// Each worker, and the latest answer of its `/metrics`.
#[derive(Debug)]
pub(super) struct Workers {
    all: Vec<(Url, Option<Samples<f64>>)>,
    /// Whether an operator named them. The configuration only says where one may be.
    are_named: bool,
    has_readings: bool,
}

#[derive(Debug, Default)]
pub(super) struct WorkersReading {
    pub(super) findings: Vec<Finding>,
    pub(super) activity: Activity,
    pub(super) ready: u32,
    /// Why a worker's circuit breaker is open.
    pub(super) breaker_reason: Option<String>,
}

impl Workers {
    pub(super) fn new(named: &[Url], listen: Option<SocketAddr>) -> Self {
        // The system chooses the port for 0.
        let listen = listen.filter(|address| address.port() != 0);
        let own = listen.map(|address| Url::new(loopback_if_unspecified(address), "/"));
        let are_named = !named.is_empty();
        let urls = if are_named { named } else { own.as_slice() };
        Self {
            all: urls.iter().map(|url| (url.clone(), None)).collect(),
            are_named,
            has_readings: false,
        }
    }

    /// Reads all workers. The first time it takes a second: counters need two readings.
    pub(super) async fn read(&mut self) -> WorkersReading {
        if !self.has_readings {
            self.has_readings = true;
            let first = join_all(self.all.iter().map(|(url, _)| metrics_of(url))).await;
            let has_answer = first.iter().any(Option::is_some);
            for ((_, latest), metrics) in self.all.iter_mut().zip(first) {
                *latest = metrics;
            }
            if has_answer {
                tokio::time::sleep(READING_GAP).await;
            }
        }
        let answers = self.all.iter().map(|(url, _)| async move {
            let ready = url.with_path("/readyz");
            let ready = get(&ready, READY_TIMEOUT, MAX_READY_BYTES);
            tokio::join!(ready, metrics_of(url))
        });
        let answers = join_all(answers).await;
        let mut reading = WorkersReading::default();
        for ((url, latest), (ready, metrics)) in self.all.iter_mut().zip(answers) {
            match ready {
                Ok(response) if response.status == 200 => reading.ready += 1,
                Ok(response) if response.status == 503 => {
                    reading.add_unready(url.host(), &response.body, metrics.as_ref());
                }
                Ok(response) => {
                    let why = format!("{url} answered with status {}", response.status);
                    reading.add_unknown(why, self.are_named);
                }
                Err(error) => reading.add_unknown(error.to_string(), self.are_named),
            }
            if let (Some(before), Some(now)) = (&*latest, &metrics) {
                reading.activity.add(before, now);
            }
            *latest = metrics;
        }
        if self.all.is_empty() {
            let why = "http.listen names none (--worker URL)".to_owned();
            reading.add_unknown(why, false);
        }
        if reading.ready > 0 {
            let ready = format!("{} ready", reading.ready);
            let finding = Finding::new(LABEL, State::Ok, ready);
            reading.findings.insert(0, finding);
        }
        reading
    }
}

async fn metrics_of(url: &Url) -> Option<Samples<f64>> {
    scrape(&url.with_path("/metrics")).await.ok()
}

impl WorkersReading {
    /// The reason of an open breaker stands under another label.
    fn add_unready(&mut self, host: &str, reasons: &str, metrics: Option<&Samples<f64>>) {
        let reasons: Vec<String> = reasons.lines().map(printable).collect();
        let open = metrics.and_then(|metrics| metrics.get("usher_breaker_open"));
        let blocked = reasons.iter().find_map(|it| it.strip_prefix("blocked: "));
        let detail = match blocked.filter(|_| open.is_some_and(|open| *open > 0.0)) {
            Some(reason) => {
                self.breaker_reason = Some(reason.to_owned());
                format!("{host} is not ready: circuit breaker open")
            }
            None => format!("{host} is not ready: {}", reasons.join("; ")),
        };
        let next = self.findings.is_empty().then_some("usher check");
        let finding = Finding::new(LABEL, State::Fail, detail);
        self.findings.push(finding.with_next(next));
    }

    /// A worker that was named should answer.
    fn add_unknown(&mut self, why: String, is_named: bool) {
        self.findings.push(if is_named {
            Finding::new(LABEL, State::Warn, format!("not known: {why}"))
        } else {
            Finding::new(LABEL, State::Skipped, why)
        });
    }
}
