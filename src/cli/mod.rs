//! The commands. Results go to standard output, logs to standard error.

mod attach;
mod check;
mod config;
mod dead_letters;
#[cfg(feature = "dev")]
mod dev;
mod global;
mod grant;
mod health;
mod http_app;
mod invite;
mod load;
mod operator;
mod output;
mod reasons;
mod reconcile;
#[cfg(test)]
mod tests;
mod time;
mod worker;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio::runtime::{Builder, Runtime};

use crate::config::{InvalidConfig, allows_colors, has_trace_collector, log_filter};
use crate::telemetry::{self, TraceExporter};
use global::{Global, Usage};
use output::{
    CommandStatus, Output, StderrWriter, confirm, plural, print, print_json, progress_bar,
    status_line, table,
};

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
            telemetry::init_with_traces(global.log_format, log_filter(), allows_colors(), || {
                StderrWriter
            })
        } else {
            telemetry::init(global.log_format, log_filter(), allows_colors(), || {
                StderrWriter
            });
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
