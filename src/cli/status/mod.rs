//! `usher status`: current problems, on one screen.

mod limit;
mod queues;
mod screen;
mod triggers;
mod workers;

use std::io::{self, IsTerminal};
use std::time::Duration;

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::check::State;
use super::{CommandStatus, Global, Output, print_unless_closed, status_line};
use crate::app::Services;
use crate::aws::PoolSettings;
use crate::config::{Config, InvalidConfig, Required, allows_colors};
use crate::http::Url;
use crate::shutdown;
use queues::Queues;
use screen::Finding;
use workers::Workers;

#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  usher status
  usher status --watch
  usher status --worker http://10.0.1.23:8080 --worker http://10.0.1.24:8080")]
pub(super) struct Options {
    /// Refresh until Ctrl-C, every 2 seconds or as often as given
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=3600))]
    watch: Option<u64>,
    /// URL of a worker's health server, such as `http://10.0.1.23:8080`; repeatable
    /// [default: `http.listen` on this machine]
    #[arg(long, value_name = "URL")]
    worker: Vec<Url>,
    /// ARN that the `PostConfirmation` trigger must have; another is a warning
    #[arg(long, value_name = "ARN")]
    function_arn: Option<String>,
}

/// Long poll of a receive from the dead-letter queue.
const RECEIVE_WAIT: Duration = Duration::from_secs(1);
/// Moves to the first column of the first row, and clears the rest of the terminal.
const CLEAR: &str = "\u{1b}[H\u{1b}[J";

pub(super) async fn run(global: &Global, options: &Options) -> anyhow::Result<CommandStatus> {
    let config = global.config(&[Required::Queue])?;
    let stop = shutdown::on_signal(&global.force_exit)?;
    let services = Services::from_environment(config).await?;
    let mut reader = StatusReader::new(services, options, stop)?;
    if let Some(seconds) = options.watch {
        return reader
            .watch(Duration::from_secs(seconds), global.output)
            .await;
    }
    let Some(status) = reader.read().await else {
        status_line("stopped");
        return Ok(CommandStatus::Failure);
    };
    global.output.print(&status, || status.text())?;
    let is_good = status.warnings + status.failures == 0;
    Ok(CommandStatus::success_if(is_good))
}

#[derive(Serialize)]
struct Status {
    time: jiff::Timestamp,
    warnings: usize,
    failures: usize,
    findings: Vec<Finding>,
}

impl Status {
    fn new(findings: Vec<Finding>) -> Self {
        let count = |state| findings.iter().filter(|it| it.state == state).count();
        Self {
            time: jiff::Timestamp::now(),
            warnings: count(State::Warn),
            failures: count(State::Fail),
            findings,
        }
    }

    fn text(&self) -> String {
        screen::text(
            &self.findings,
            io::stdout().is_terminal() && allows_colors(),
        )
    }

    fn text_with_time(&self) -> String {
        let time = self.time.strftime("%F %H:%M:%S");
        format!("{time} UTC\n{}", self.text())
    }
}

struct StatusReader<'a> {
    services: Services,
    pool_settings: PoolSettings,
    queues: Queues,
    workers: Workers,
    options: &'a Options,
    stop: CancellationToken,
}

impl<'a> StatusReader<'a> {
    fn new(
        services: Services,
        options: &'a Options,
        stop: CancellationToken,
    ) -> Result<Self, InvalidConfig> {
        let Config { queue, http, .. } = &services.config;
        let source = services.queue_with_wait(RECEIVE_WAIT)?;
        Ok(Self {
            queues: Queues::new(source, queue.dead_letter_url.clone()),
            workers: Workers::new(&options.worker, http.listen),
            pool_settings: services.pool_settings(),
            services,
            options,
            stop,
        })
    }

    /// `None` after the stop signal. All that was hidden is visible again then.
    async fn read(&mut self) -> Option<Status> {
        let Self {
            services,
            pool_settings,
            queues,
            workers,
            options,
            stop,
        } = self;
        let config = &services.config;
        let function = options.function_arn.as_deref();
        let triggers = triggers::read(pool_settings, &config.pools.allowed, function);
        let reading = async { tokio::join!(queues.count(), workers.read(), triggers) };
        let (counts, workers, triggers) = tokio::select! {
            reading = reading => reading,
            () = stop.cancelled() => return None,
        };
        queues.read_reasons(&counts, stop).await;
        if stop.is_cancelled() {
            return None;
        }
        let wait = workers.activity.mean_wait();
        let mut findings = vec![counts.source_finding(config, wait, workers.ready > 0)];
        let (state, limit) = match &workers.breaker_reason {
            Some(reason) => (State::Fail, format!("circuit breaker open: {reason}")),
            None => workers.activity.limit(counts.has_backlog()),
        };
        findings.push(queues.dead_letter_finding(counts));
        findings.extend(workers.findings);
        findings.push(Finding::new("limited by", state, limit));
        findings.extend(triggers);
        screen::skip_repeated(&mut findings);
        Some(Status::new(findings))
    }

    /// Prints the status until the stop signal, or until standard output is closed.
    async fn watch(&mut self, interval: Duration, output: Output) -> anyhow::Result<CommandStatus> {
        let mut ticks = tokio::time::interval(interval);
        let mut separator = "";
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.stop.cancelled() => return Ok(CommandStatus::Success),
            }
            let Some(status) = self.read().await else {
                return Ok(CommandStatus::Success);
            };
            let text = if output == Output::Json {
                serde_json::to_string(&status)?
            } else if io::stdout().is_terminal() {
                format!("{CLEAR}{}", status.text_with_time())
            } else {
                format!("{separator}{}", status.text_with_time())
            };
            if !print_unless_closed(&text)? {
                return Ok(CommandStatus::Success);
            }
            separator = "\n";
            ticks.reset();
        }
    }
}
