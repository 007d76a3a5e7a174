//! The readiness and the metrics of the workers, over HTTP.

use std::time::Duration;

use futures_util::future::join_all;

use super::findings::Findings;
use crate::dead_letter::printable;
use crate::http::{GetError, GetResponse, Url, get, scrape};
use crate::telemetry::exposition::Samples;

pub(super) const WORKERS: &str = "workers";
const READY_TIMEOUT: Duration = Duration::from_secs(2);
const MAX_READY_BYTES: u64 = 64 * 1024;

/// What the workers answered.
#[derive(Debug, Default)]
pub(super) struct Workers {
    /// To `/readyz`.
    answers: Vec<(Url, Result<GetResponse, GetError>)>,
    /// The sums of their metrics; empty if none answered.
    pub(super) metrics: Samples<f64>,
}

impl Workers {
    pub(super) async fn ask(urls: &[Url]) -> Self {
        let answers = urls.iter().map(|url| async move {
            let (ready, metrics) = (url.with_path("/readyz"), url.with_path("/metrics"));
            let ready = get(&ready, READY_TIMEOUT, MAX_READY_BYTES);
            let (ready, metrics) = tokio::join!(ready, scrape(&metrics));
            ((url.clone(), ready), metrics.unwrap_or_default())
        });
        let (answers, metrics): (_, Vec<Samples<f64>>) =
            join_all(answers).await.into_iter().unzip();
        let mut sums = Samples::default();
        for (sample, value) in metrics.into_iter().flatten() {
            *sums.entry(sample).or_default() += value;
        }
        Self {
            answers,
            metrics: sums,
        }
    }

    pub(super) fn ready(&self) -> u64 {
        let ready = self.answers.iter();
        let ready = ready.filter(|(_, it)| it.as_ref().is_ok_and(|it| it.status == 200));
        ready.map(|_| 1).sum()
    }

    /// `are_named`: an operator named them, so they should answer. The configuration only says
    /// where one may be.
    pub(super) fn check(&self, findings: &mut Findings, are_named: bool) {
        let ready = self.ready();
        if ready > 0 {
            findings.ok(WORKERS, format!("{ready} ready"));
        }
        for (url, answer) in &self.answers {
            let problem = match answer {
                Ok(answer) if answer.status == 200 => continue,
                Ok(answer) if answer.status == 503 => {
                    let reasons: Vec<String> = answer.body.lines().map(printable).collect();
                    let (host, reasons) = (url.host(), reasons.join("; "));
                    findings.fail(WORKERS, format!("{host} is not ready: {reasons}"));
                    findings.next("usher check");
                    continue;
                }
                Ok(answer) => format!("{url} answered with status {}", answer.status),
                Err(error) => error.to_string(),
            };
            if are_named {
                findings.fail(WORKERS, problem);
            } else {
                findings.skip(WORKERS, problem);
            }
        }
    }
}
