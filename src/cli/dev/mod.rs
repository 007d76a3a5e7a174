//! `usher dev`

mod client;
mod greeting;
mod report;
mod servers;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::builder::PossibleValue;
use clap::{Subcommand, ValueEnum};
use tokio_util::sync::CancellationToken;

use super::console::{self, RunningConsole};
use super::http_app::HttpApp;
use super::{CommandStatus, Global, status_line};
use crate::config::Layers;
use crate::dead_letter::printable;
use crate::dev::{self, DevSummary, EventFiles, RunningDev, SentMail, Stack, StartError};
use crate::event::IssuerType;
use crate::http::Url;
use crate::shutdown;
use crate::telemetry::Health;
use crate::worker::{MaxReceiveCountCheck, Until, Worker};
use report::DevReport;
use servers::Servers;

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_long_help = "Examples:
  usher dev
  usher dev --signups 200 --demo-failures
  usher dev --events events --exit-when-done")]
pub(super) struct Options {
    #[command(subcommand)]
    command: Option<DevCommand>,
    #[command(flatten)]
    start: StartOptions,
}

#[derive(Debug, Subcommand)]
enum DevCommand {
    /// Print variables for another terminal: eval "$(usher dev env)"
    Env(client::EnvOptions),
    /// Print an access token of an account, valid for one hour
    Token(client::TokenOptions),
}

#[derive(Debug, clap::Args)]
struct StartOptions {
    /// Number of users who sign up at the start
    #[arg(long, value_name = "N", default_value_t = 5, conflicts_with = "events")]
    signups: usize,
    /// Files of events, or folders with *.json files, to send instead of sign-ups
    #[arg(long, value_name = "PATH", num_args = 1..)]
    events: Vec<PathBuf>,
    /// Send messages that become dead letters, to rehearse the runbook
    #[arg(long)]
    demo_failures: bool,
    /// Report and exit instead of staying up
    #[arg(long)]
    exit_when_done: bool,
    /// Port of the AWS endpoint on 127.0.0.1; 4566 unless it is taken, 0 for any
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// Issuer type of new tokens
    #[arg(long, value_enum, value_name = "TYPE", default_value_t = IssuerType::Original)]
    issuer: IssuerType,
}

impl ValueEnum for IssuerType {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(match self {
            Self::Original => "original",
            Self::Updated => "updated",
        }))
    }
}

/// Longer than all attempts at one message take.
const QUIET_TIMEOUT: Duration = Duration::from_mins(15);

pub(super) async fn run(global: &Global, options: Options) -> anyhow::Result<CommandStatus> {
    match options.command {
        None => Box::pin(start(global, options.start)).await,
        Some(DevCommand::Env(options)) => client::print_env(global, &options).await,
        Some(DevCommand::Token(options)) => client::print_token(global, &options).await,
    }
}

async fn start(global: &Global, options: StartOptions) -> anyhow::Result<CommandStatus> {
    let files = read_events(&options.events)?;
    let stop = shutdown::on_signal(&global.force_exit)?;
    let health = Health::default();
    let layers = global.layers();
    let servers = Servers::bind(&layers, health.clone()).await?;
    // The link of an invitation holds this port.
    let layers = with_accept_url(layers, &format!("http://{}/accept", servers.api));
    let stack = Box::pin(Stack::start(options.port, layers))
        .await
        .map_err(unwrap_config_error)?;
    stack.set_issuer(options.issuer).await?;
    stack.endpoint.on_mail(Box::new(|mail| print_mail(&mail)));
    let running = RunningDev::new(&stack, servers.api, servers.health);
    let health_url = Url::new(servers.health, "/");
    let http_app = HttpApp::new(&stack.services, &stop)?;
    let servers = servers.start(http_app.routes.clone())?;

    let worker = Worker::new(&stack.services, health, MaxReceiveCountCheck::Enforced).await?;
    let worker_stop = CancellationToken::new();
    let worker_task = tokio::spawn(worker.run(Until::Stopped, worker_stop.clone()));

    let prepared = Box::pin(async {
        let summary = provision(&stack, &options, &files).await?;
        if !options.exit_when_done {
            stack.create_accounts().await?;
            stack.wait_until_empty(QUIET_TIMEOUT).await?;
        }
        anyhow::Ok(summary)
    });
    let summary = tokio::select! {
        summary = prepared => Some(summary?),
        () = stop.cancelled() => None,
    };
    let mut console = None;
    if let Some(summary) = &summary {
        if !options.exit_when_done {
            stack.endpoint.describe(serde_json::to_string(&running)?);
            let started = start_console(&stack, health_url, &stop).await?;
            status_line(&greeting::text(&running, summary, &started.link()));
            console = Some(started);
        }
        let report = DevReport {
            summary,
            running: &running,
        };
        global.output.print(&report, || report.text())?;
    }
    if let Some(console) = console {
        let (ended, ()) = tokio::join!(console.run(&stop), http_app.run_console(&stop));
        ended?;
    }
    worker_stop.cancel();
    worker_task.await?;
    http_app.admission.drain().await;
    servers.stop().await?;
    stack.stop().await;
    let is_complete = summary.is_some_and(|summary| summary.complete);
    Ok(CommandStatus::success_if(is_complete))
}

/// If the default port is taken, the system chooses another one.
async fn start_console(
    stack: &Stack,
    worker: Url,
    stop: &CancellationToken,
) -> anyhow::Result<RunningConsole> {
    let server = match console::bind(console::DEFAULT_PORT).await {
        Err(_) => console::bind(0).await?,
        Ok(server) => server,
    };
    let settings = stack.settings.clone();
    RunningConsole::start(server, stack.services.clone(), settings, &[worker], stop).await
}

/// Reads the files of `--events`, and says which it skipped.
fn read_events(paths: &[PathBuf]) -> anyhow::Result<EventFiles> {
    let files = dev::read_event_files(paths).context("--events")?;
    if let [first, others @ ..] = &*files.skipped {
        let others = match others.len() {
            0 => String::new(),
            count => format!(" and {count} more"),
        };
        let first = printable(&first.display().to_string());
        status_line(&format!("--events: skipped {first}{others}: not *.json"));
    }
    if !paths.is_empty() && files.read.is_empty() {
        anyhow::bail!("--events: no *.json file there");
    }
    Ok(files)
}

/// Signs users up or sends the events, and reports when the queue is empty.
async fn provision(
    stack: &Stack,
    options: &StartOptions,
    files: &EventFiles,
) -> anyhow::Result<DevSummary> {
    let failures = if options.demo_failures {
        stack.send_failures().await?
    } else {
        0
    };
    let (is_empty, mut summary);
    if files.read.is_empty() {
        stack.sign_up(options.signups).await?;
        is_empty = stack.wait_until_empty(QUIET_TIMEOUT).await?;
        summary = stack.summary_of_sign_ups(options.signups, failures).await?;
    } else {
        let delivered = stack.deliver_all(&files.read).await;
        is_empty = stack.wait_until_empty(QUIET_TIMEOUT).await?;
        summary = stack.summary_of_events(&files.read, &delivered).await?;
    }
    summary.complete &= is_empty;
    Ok(summary)
}

/// Sets `invitations.accept_url` to the page of this process, unless it is configured.
fn with_accept_url(layers: Layers, page: &str) -> Layers {
    const ACCEPT_URL_KEY: &str = "invitations.accept_url";
    let is_set = layers
        .settings()
        .any(|(key, setting)| key == ACCEPT_URL_KEY && setting.value.as_str() != Some(""));
    if is_set {
        layers
    } else {
        layers.flags(&[format!("{ACCEPT_URL_KEY}={page}")])
    }
}

/// Prints the link of a mail that Cognito would have sent, or the body without one.
fn print_mail(mail: &SentMail) {
    let link = mail.encoded_link();
    let text = link.as_deref().unwrap_or(&mail.body);
    status_line(&format!(
        "\nmail to {}: {}\n  {text}",
        mail.to, mail.subject
    ));
}

/// Exposes `InvalidConfig`, which has its own exit status.
fn unwrap_config_error(error: StartError) -> anyhow::Error {
    match error {
        StartError::Invalid(invalid) => invalid.into(),
        other => other.into(),
    }
}
