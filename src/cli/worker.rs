//! `usher worker`

use std::sync::Arc;

use anyhow::Context;
use tokio_util::sync::CancellationToken;

use super::http_app::HttpApp;
use super::{CommandStatus, Global};
use crate::aws::Aws;
use crate::config::Config;
use crate::http::{HealthServer, HealthServerState, HealthThread};
use crate::quota::Quota;
use crate::shutdown;
use crate::telemetry::{CloudWatch, Health, MetricsReporter, metrics};
use crate::worker::{RedriveCheck, Until, Worker};

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// Stop once the queue is empty and all is settled
    #[arg(long)]
    until_empty: bool,
    /// Start although SQS moves messages before usher has written the reason
    #[arg(long)]
    allow_unreasoned: bool,
}

const STARTING: &str = "start";

pub(super) async fn run(global: &Global, options: &Options) -> anyhow::Result<CommandStatus> {
    let config = global.config()?;
    let stop = shutdown::on_signal(&global.force_exit)?;
    let health = Health::default();
    health.set_unready(STARTING, "starting");
    // Before the first metric is touched.
    let metrics = metrics::install()?;
    let http_stop = CancellationToken::new();
    let aws = Aws::from_environment().await?;
    let quota = Arc::new(Quota::new(config.quota));
    let shown = HealthServerState {
        health: health.clone(),
        metrics: metrics.clone(),
    };
    let health_thread = serve_health(&config, shown, http_stop.clone())?;
    let public = match config.http.public_listen {
        Some(address) if config.has_public_server() => {
            let front = HttpApp::new(&config, &aws, &quota, stop.clone())?;
            let serving = front.serve(address, http_stop.clone()).await?;
            Some((front.admission, serving))
        }
        _ => None,
    };
    let cloudwatch = config.metrics.cloudwatch.as_deref();
    let cloudwatch = cloudwatch.map(|name| CloudWatch::new(name, &config.queue.url));
    let minutely = MetricsReporter::new(metrics.clone(), health.clone(), cloudwatch);
    let told = CancellationToken::new();
    let telling = tokio::spawn(minutely.run(told.clone()));
    let health_at_start = health.clone();
    let unreasoned = if options.allow_unreasoned {
        RedriveCheck::WarnOnly
    } else {
        RedriveCheck::Enforced
    };
    let worker = tokio::select! {
        worker = Worker::new(&config, &aws, quota, health, unreasoned) => Some(worker),
        () = stop.cancelled() => None,
    };
    let until = if options.until_empty {
        Until::Empty
    } else {
        Until::Stopped
    };
    let ended = match worker {
        Some(Ok(worker)) => {
            health_at_start.clear_unready(STARTING);
            worker.run(until, stop.clone()).await;
            Ok(CommandStatus::Success)
        }
        Some(Err(error)) => Err(error.into()),
        None => Ok(CommandStatus::Success),
    };
    // Orders that were taken are finished and answered, whatever ended the worker.
    stop.cancel();
    if let Some((doors, _)) = &public {
        doors.drain().await;
    }
    told.cancel();
    telling.await?;
    http_stop.cancel();
    if let Some((_, serving)) = public {
        serving.await?;
    }
    if let Some(thread) = health_thread {
        thread.join().await;
    }
    ended
}

fn serve_health(
    config: &Config,
    shown: HealthServerState,
    stop: CancellationToken,
) -> anyhow::Result<Option<HealthThread>> {
    let Some(address) = config.http.listen else {
        return Ok(None);
    };
    let server = HealthServer::bind(address, shown)
        .with_context(|| format!("cannot listen on {address} (http.listen)"))?;
    tracing::info!(http.address = %server.address()?, "serving health and metrics");
    Ok(Some(server.start(stop)?))
}
