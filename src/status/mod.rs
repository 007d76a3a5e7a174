//! What is wrong in a deployment now. `StatusReader` reads queue, dead letters, workers and
//! triggers; `usher status` draws the report.
//!
//! `findings` holds what is found. `usher check` uses it as well, and the rules for the backlog
//! and the trigger.

mod findings;
mod limit;
mod queues;
mod trigger;
mod workers;

use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use crate::app::Services;
use crate::aws::{Depth, Failure, JsonObject, Queue, SettingsError};
use crate::config::InvalidConfig;
use crate::dead_letter::RECEIVE_WAIT;
use crate::http::{Url, own_server};
use crate::telemetry::exposition::Samples;
pub(crate) use findings::{Finding, Findings, Report, State};
use limit::{LIMIT, check_limit};
pub(crate) use queues::{DEAD_LETTERS, check_backlog, read_source, work_left};
use queues::{QUEUE, Reasons, check_dead_letters, find_dead_letters};
use trigger::TRIGGER;
pub(crate) use trigger::check_trigger;
use workers::{WORKERS, Workers};

/// Reads the status, again and again. It reads the reasons of dead letters once.
#[derive(Debug)]
pub(crate) struct StatusReader {
    services: Services,
    source: Queue,
    /// The workers that an operator named.
    named_workers: Vec<Url>,
    /// The function that each trigger must call.
    function_arn: Option<String>,
    reasons: Option<Reasons>,
    reads_reasons: bool,
    figures: Figures,
}

/// The numbers behind a report.
#[derive(Debug, Clone, Default)]
pub(crate) struct Figures {
    /// What SQS counts; `None` if it cannot be read.
    pub(crate) queue: Option<Depth>,
    pub(crate) dead_letters: Option<Depth>,
    pub(crate) ready_workers: u64,
    /// The sums over all workers that answered.
    pub(crate) metrics: Samples<f64>,
}

impl StatusReader {
    /// Without `named_workers`, the worker of `http.listen` on this machine is asked.
    ///
    /// # Errors
    /// Without `queue.url`, if the command does not require it.
    pub(crate) fn new(
        services: Services,
        named_workers: Vec<Url>,
        function_arn: Option<String>,
    ) -> Result<Self, InvalidConfig> {
        Ok(Self {
            source: services.queue_with_wait(RECEIVE_WAIT)?,
            services,
            named_workers,
            function_arn,
            reasons: None,
            reads_reasons: true,
            figures: Figures::default(),
        })
    }

    /// Only counts dead letters: it receives none of them.
    pub(crate) fn without_reasons(self) -> Self {
        Self {
            reads_reasons: false,
            ..self
        }
    }

    /// The numbers of the last reading.
    pub(crate) fn figures(&self) -> &Figures {
        &self.figures
    }

    /// `None` after the stop signal. All that was hidden is visible again then.
    pub(crate) async fn read(&mut self, stop: &CancellationToken) -> Option<Report> {
        let config = &self.services.config;
        let own_worker = own_server(config.http.listen);
        let are_named = !self.named_workers.is_empty();
        let urls = match &own_worker {
            _ if are_named => self.named_workers.as_slice(),
            Ok(url) => std::slice::from_ref(url),
            Err(_) => &[],
        };
        let queues = async {
            let source = read_source(&self.source).await?;
            let configured = config.queue.dead_letter_url.as_deref();
            let dead_letters = find_dead_letters(&self.source, configured).await;
            Ok::<_, Failure>((source.depth, dead_letters))
        };
        let reading = async { tokio::join!(queues, Workers::ask(urls), self.read_pools()) };
        let (queues, workers, pools) = tokio::select! {
            reading = reading => reading,
            () = stop.cancelled() => return None,
        };
        self.figures = Figures {
            queue: queues.as_ref().ok().map(|(depth, _)| *depth),
            dead_letters: queues
                .as_ref()
                .ok()
                .and_then(|(_, it)| Some(it.as_ref().ok()?.1)),
            ready_workers: workers.ready(),
            metrics: workers.metrics.clone(),
        };
        let mut findings = Findings::default();
        let mut has_backlog = None;
        match queues {
            Ok((depth, dead_letters)) => {
                has_backlog = Some(depth.visible > 0);
                check_backlog(
                    &mut findings,
                    config,
                    depth,
                    workers.ready() > 0,
                    "usher check",
                );
                let reasons = self.reads_reasons.then_some(&mut self.reasons);
                check_dead_letters(&mut findings, dead_letters, reasons, stop).await;
            }
            Err(failure) => {
                findings.fail(QUEUE, failure.to_string());
                findings.next("usher check");
                findings.skip(DEAD_LETTERS, "the queue cannot be read");
            }
        }
        match own_worker {
            Err(why) if !are_named => {
                findings.skip(WORKERS, format!("{why}; name a worker with --worker URL"));
                findings.skip(LIMIT, "no worker to ask; name one with --worker URL");
            }
            _ => {
                workers.check(&mut findings, are_named);
                check_limit(&mut findings, &workers.metrics, has_backlog);
            }
        }
        self.check_triggers(&mut findings, &pools);
        (!stop.is_cancelled()).then(|| findings.into_report())
    }

    /// The settings of each pool.
    async fn read_pools(&self) -> Vec<Result<JsonObject, SettingsError>> {
        let pool_settings = self.services.pool_settings();
        let pools = &self.services.config.pools.allowed;
        join_all(pools.iter().map(|pool| pool_settings.read(pool))).await
    }

    fn check_triggers(
        &self,
        findings: &mut Findings,
        settings: &[Result<JsonObject, SettingsError>],
    ) {
        let pools = &self.services.config.pools.allowed;
        if pools.is_empty() {
            findings.skip(TRIGGER, "pools.allowed names no user pool");
        }
        for (pool, settings) in pools.iter().zip(settings) {
            check_trigger(findings, pool, settings, self.function_arn.as_deref());
        }
    }
}
