//! `usher worker`

use std::io::IsTerminal;
use std::time::Duration;

use anyhow::Context;
use tokio_util::sync::CancellationToken;

use super::http_app::HttpApp;
use super::{CommandStatus, Global, plural};
use crate::app::Services;
use crate::config::{Config, Required};
use crate::http::{HealthServer, HealthServerState, HealthThread};
use crate::shutdown;
use crate::telemetry::{CloudWatch, Health, MetricsReporter, metrics};
use crate::worker::{MaxReceiveCountCheck, Until, Worker, WorkerReport};

#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  usher worker
  usher worker --until-empty
  usher worker -c usher.toml --set worker.concurrency=100")]
pub(super) struct Options {
    /// Stop once the queue is empty and every message is settled
    #[arg(long)]
    until_empty: bool,
    /// Start even if SQS would move messages before usher records the reason (maxReceiveCount not
    /// above worker.max_attempts)
    #[arg(long)]
    allow_unreasoned: bool,
}

const STARTING: &str = "start";
/// Longest poll where a person may press Ctrl-C: an open receive is awaited.
const TERMINAL_POLL_WAIT: Duration = Duration::from_secs(2);

pub(super) async fn run(global: &Global, options: &Options) -> anyhow::Result<CommandStatus> {
    let mut config = global.config(&[Required::Queue, Required::Profiles])?;
    if std::io::stderr().is_terminal() {
        config.queue.wait = config.queue.wait.min(TERMINAL_POLL_WAIT);
    }
    let stop = shutdown::on_signal(&global.force_exit)?;
    let health = Health::default();
    health.set_unready(STARTING, "starting");
    // The recorder must be there before the first metric.
    let metrics = metrics::install()?;
    let http_stop = CancellationToken::new();
    let services = Services::from_environment(config).await?;
    let config = &services.config;
    let health_state = HealthServerState {
        health: health.clone(),
        metrics: metrics.clone(),
    };
    let health_thread = serve_health(config, health_state, http_stop.clone())?;
    let public = match config.http.public_listen {
        Some(address) if config.has_public_server() => {
            let http_app = HttpApp::new(&services, &stop)?;
            let server_task = http_app.serve(address, http_stop.clone()).await?;
            Some((http_app, server_task))
        }
        _ => None,
    };
    let queue_url = config.queue.url.clone()?;
    let cloudwatch = config.metrics.cloudwatch.as_deref();
    let cloudwatch = cloudwatch.map(|name| CloudWatch::new(name, &queue_url));
    let reporter = MetricsReporter::new(metrics.clone(), health.clone(), cloudwatch);
    let reporter_stop = CancellationToken::new();
    let reporter_task = tokio::spawn(reporter.run(reporter_stop.clone()));
    let working = async {
        let result = work(global, options, &services, health, &stop).await;
        // Accepted admin commands are finished and answered, however the worker ended.
        stop.cancel();
        result
    };
    let result = match &public {
        Some((http_app, _)) => tokio::join!(working, http_app.run_console(&stop)).0,
        None => working.await,
    };
    if let Some((http_app, _)) = &public {
        http_app.admission.drain().await;
    }
    reporter_stop.cancel();
    reporter_task.await?;
    http_stop.cancel();
    if let Some((_, server_task)) = public {
        server_task.await?;
    }
    if let Some(thread) = health_thread {
        thread.join().await;
    }
    result
}

/// Receives messages until `stop` is cancelled, or until the queue is empty.
async fn work(
    global: &Global,
    options: &Options,
    services: &Services,
    health: Health,
    stop: &CancellationToken,
) -> anyhow::Result<CommandStatus> {
    let health_at_start = health.clone();
    let redrive_check = if options.allow_unreasoned {
        MaxReceiveCountCheck::WarnOnly
    } else {
        MaxReceiveCountCheck::Enforced
    };
    let worker = tokio::select! {
        worker = Worker::new(services, health, redrive_check) => worker?,
        () = stop.cancelled() => return Ok(CommandStatus::Success),
    };
    let until = if options.until_empty {
        Until::Empty
    } else {
        Until::Stopped
    };
    health_at_start.clear_unready(STARTING);
    let report = worker.run(until, stop.clone()).await;
    // A closed or full standard output is reported after the shutdown.
    if options.until_empty {
        print_report(global, &report, stop.is_cancelled())?;
    }
    Ok(CommandStatus::Success)
}

/// What a worker of `--until-empty` did.
fn print_report(global: &Global, report: &WorkerReport, is_stopped: bool) -> anyhow::Result<()> {
    let WorkerReport {
        settled,
        retried,
        rejected,
        released,
        ..
    } = *report;
    let done = settled.saturating_sub(retried + rejected);
    let result = serde_json::json!({
        "done": done, "retried": retried, "dead_letters": rejected, "released": released,
    });
    global.output.print(&result, || {
        let end = if is_stopped { "stopped" } else { "queue empty" };
        let done = format!("{} done", plural(done, "message"));
        let letters = plural(rejected, "dead letter");
        format!("{end}: {done}, {retried} tried again, {letters}")
    })
}

fn serve_health(
    config: &Config,
    health_state: HealthServerState,
    stop: CancellationToken,
) -> anyhow::Result<Option<HealthThread>> {
    let Some(address) = config.http.listen else {
        return Ok(None);
    };
    let server = HealthServer::bind(address, health_state)
        .with_context(|| format!("cannot listen on {address} (http.listen)"))?;
    tracing::info!(http.address = %server.address()?, "serving health and metrics");
    Ok(Some(server.start(stop)?))
}
