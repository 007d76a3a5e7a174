//! The commands. Results go to standard output, logs to standard error.

mod attach;
mod check;
mod config;
mod dead_letters;
#[cfg(feature = "dev")]
mod dev;
mod grant;
mod health;
mod http_app;
mod invite;
mod load;
mod operator;
mod prompt;
mod reasons;
mod reconcile;
#[cfg(test)]
mod reference;
mod time;
mod worker;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;

use crate::config::{
    Config, InvalidConfig, Layers, file_from_environment, has_trace_collector, log_filter,
};
use crate::telemetry::{self, LogFormat, TraceExporter};

/// Puts every user who signs up in an Amazon Cognito user pool into the right
/// groups and gives them one profile record.
#[derive(Debug, Parser)]
#[command(name = "usher", version)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Args)]
struct Global {
    /// Configuration file [environment: `USHER_CONFIG`]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Sets one key over file and environment; may be repeated
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// How results are printed
    #[arg(long, global = true, value_enum, default_value_t = Output::Text)]
    output: Output,
    /// How log lines look; text on a terminal, JSON otherwise
    #[arg(long, global = true, value_enum)]
    log_format: Option<LogFormat>,
    /// Cancelled by the second signal.
    #[arg(skip)]
    force_exit: CancellationToken,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The whole system on this machine, without an AWS account
    #[cfg(feature = "dev")]
    Dev(dev::Options),
    /// Works on the queue until SIGTERM or SIGINT
    Worker(worker::Options),
    /// What failed, why, and again
    DeadLetters(dead_letters::Options),
    /// Creates people with groups and profile, and has an invitation sent to them
    Invite(Box<invite::Options>),
    /// Puts a user into groups, or takes them out
    Grant(grant::Options),
    /// Finds confirmed users without their groups or profile, and queues them
    Reconcile(reconcile::Options),
    /// Sends many sign-ups, and verifies what came of them
    Load(load::Options),
    /// Makes the Lambda the user pool's trigger, and leaves every other setting as it is
    Attach(attach::Options),
    /// Configuration, reachability, permissions: what is right and what is not
    Check(check::Options),
    /// Asks a running worker's /healthz, as a container's health check
    Health,
    /// The effective configuration, and where each value came from
    Config,
}

/// How a command ended that returned no error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CommandStatus {
    Success,
    /// The work failed, or a verification found a difference.
    Failure,
}

/// A usage error that clap cannot detect.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Usage(String);

impl Usage {
    fn error(message: impl Into<String>) -> anyhow::Error {
        Self(message.into()).into()
    }
}

/// The same status that clap uses.
const EXIT_USAGE: u8 = 2;
/// <https://man.freebsd.org/cgi/man.cgi?query=sysexits>: `EX_CONFIG`.
const EXIT_INVALID_CONFIGURATION: u8 = 78;

impl Cli {
    /// Builds a runtime of one thread. It waits for AWS, and moving messages between threads costs
    /// more than a second processor gains (`docs/internals/benchmarks.md`). `usher dev` uses
    /// several threads: its AWS services run in the same process.
    ///
    /// # Errors
    /// When the system has no more descriptors.
    pub fn runtime(&self) -> std::io::Result<Runtime> {
        let mut builder = Builder::new_current_thread();
        #[cfg(feature = "dev")]
        if matches!(self.command, Command::Dev(_)) {
            builder = Builder::new_multi_thread();
        }
        builder.enable_all().build()
    }

    /// Runs the command and returns its exit status: 0 done, 1 failed, 2 usage, 78 invalid
    /// configuration.
    pub async fn run(self) -> ExitCode {
        let global = self.global;
        let exporter = if self.command.has_spans() && has_trace_collector() {
            telemetry::init_with_traces(global.log_format, log_filter())
        } else {
            telemetry::init(global.log_format, log_filter());
            TraceExporter::default()
        };
        let result = tokio::select! {
            result = run(&global, self.command) => {
                exporter.flush().await;
                result
            }
            () = global.force_exit.cancelled() => {
                Err(anyhow::anyhow!("second signal received, exiting immediately"))
            }
        };
        match result {
            Ok(CommandStatus::Success) => ExitCode::SUCCESS,
            Ok(CommandStatus::Failure) => ExitCode::FAILURE,
            Err(error) => {
                eprintln!("usher: {error:#}");
                if error.is::<InvalidConfig>() {
                    ExitCode::from(EXIT_INVALID_CONFIGURATION)
                } else if error.is::<Usage>() {
                    ExitCode::from(EXIT_USAGE)
                } else {
                    ExitCode::FAILURE
                }
            }
        }
    }
}

impl Command {
    /// Whether the command processes messages: each attempt is a span.
    fn has_spans(&self) -> bool {
        match self {
            #[cfg(feature = "dev")]
            Self::Dev(_) => true,
            Self::Worker(_) => true,
            _ => false,
        }
    }
}

async fn run(global: &Global, command: Command) -> anyhow::Result<CommandStatus> {
    match command {
        #[cfg(feature = "dev")]
        Command::Dev(options) => Box::pin(dev::run(global, options)).await,
        Command::Worker(options) => Box::pin(worker::run(global, &options)).await,
        Command::DeadLetters(options) => Box::pin(dead_letters::run(global, &options)).await,
        Command::Invite(options) => Box::pin(invite::run(global, &options)).await,
        Command::Grant(options) => Box::pin(grant::run(global, &options)).await,
        Command::Reconcile(options) => reconcile::run(global, &options).await,
        Command::Load(options) => Box::pin(load::run(global, &options)).await,
        Command::Attach(options) => Box::pin(attach::run(global, &options)).await,
        Command::Check(options) => check::run(global, &options).await,
        Command::Health => health::run(global).await,
        Command::Config => config::run(global),
    }
}

impl Global {
    fn layers(&self) -> Layers {
        let mut layers = Layers::defaults();
        if let Some(file) = self.config.clone().or_else(file_from_environment) {
            layers = layers.file(&file);
        }
        layers.process_environment().flags(&self.set)
    }

    fn config(&self) -> Result<Config, InvalidConfig> {
        Config::from_layers(&self.layers())
    }
}

fn print_json<T: serde::Serialize>(value: &T) -> anyhow::Result<()> {
    print(&(serde_json::to_string_pretty(value)? + "\n"))
}

/// Writes a result. A closed pipe (`| head`) is not an error.
fn print(text: &str) -> anyhow::Result<()> {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result?),
    }
}
