//! The commands. Results go to standard output, logs to standard error.
#![expect(
    clippy::doc_markdown,
    reason = "a help text is printed as it is, and a terminal shows backticks"
)]

mod arguments;
mod audit_file;
mod check;
mod config;
mod console;
mod dead_letters;
#[cfg(feature = "dev")]
mod dev;
mod findings;
mod global;
mod groups;
mod health;
mod http_app;
mod load;
mod output;
mod reconcile;
mod requests;
#[cfg(feature = "shell")]
mod shell;
mod status;
mod target;
#[cfg(test)]
mod tests;
mod trigger;
mod users;
mod worker;

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::{ColorChoice, Parser, Subcommand};
use tokio::runtime::{Builder, Runtime};

use crate::config::{InvalidConfig, has_trace_collector, log_filter};
use crate::telemetry::{self, LogOptions, TraceExporter};
use crate::text::plural;
use audit_file::AuditFile;
use global::{Global, MissingSetting, Usage, color_among, has_colors};
use output::{
    CommandStatus, Output, Progress, StderrWriter, confirm, print, print_json, print_unless_closed,
    progress_bar, row, status_line, table, time, width_of,
};

/// Puts every user who signs up in an Amazon Cognito user pool into the right groups, and writes
/// one profile for each.
#[derive(Debug, Parser)]
#[command(name = "usher", version, max_term_width = 100, after_help = EXIT_STATUS)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run everything locally with an embedded AWS endpoint
    #[cfg(feature = "dev")]
    Dev(dev::Options),
    /// Process the queue until stopped
    Worker(worker::Options),
    /// Check configuration, connectivity and permissions
    ///
    /// Exit status 1 after a FAIL: something cannot work. Dead letters are a WARN: they say nothing
    /// about the settings.
    Check(check::Options),
    /// Show current problems: queue, dead letters, workers, triggers
    ///
    /// Exit status 1 after a FAIL: there are dead letters, their queue or the source queue is missing
    /// or cannot be read, a worker is not ready, one that --worker names does not answer, a circuit
    /// breaker is open, or the settings of a pool cannot be read.
    Status(status::Options),
    /// Serve pages for operators on this machine
    Console(console::Options),
    /// Invite users, show the groups and the profile of one, or delete one
    Users(users::Options),
    /// List and create groups; add and remove members
    Groups(groups::Options),
    /// Show what became of an administrator's request
    Requests(requests::Options),
    /// List, inspect, replay and delete dead letters
    DeadLetters(dead_letters::Options),
    /// Find confirmed users who have no profile (--groups: or lack a default group), and queue a
    /// sign-up for each
    Reconcile(reconcile::Options),
    /// Load test: create test users, sign them up, verify, and delete them
    Load(load::Options),
    /// Attach usher's Lambda function to a user pool, or detach it
    Trigger(trigger::Options),
    /// Show the effective configuration and the source of each value
    Config(config::Options),
    /// Print the completions of commands and options for a shell
    #[cfg(feature = "shell")]
    Completions(shell::CompletionsOptions),
    /// Write the manual page of each command
    #[cfg(feature = "shell")]
    Man(shell::ManOptions),
    /// Ask a running worker's /healthz (for a container's health check)
    #[command(after_long_help = "Examples:
  usher health
  usher health --set http.listen=127.0.0.1:8080")]
    Health,
}

const EXIT_STATUS: &str = "Exit status: 0 done, 1 failed or found something wrong, 2 wrong usage, \
                           78 invalid configuration";
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

    /// Prints the answer to arguments that are not a command: help and version on standard output,
    /// an error as every other one.
    pub fn print_without_command(
        answer: &clap::Error,
        arguments: impl IntoIterator<Item = OsString>,
    ) -> ExitCode {
        if !answer.use_stderr() {
            let text = answer.render();
            // A closed pipe is not an error.
            let _ = match color_among(arguments) {
                ColorChoice::Auto => answer.print(),
                ColorChoice::Always => write!(io::stdout(), "{}", text.ansi()),
                ColorChoice::Never => write!(io::stdout(), "{text}"),
            };
            return ExitCode::SUCCESS;
        }
        let text = answer.to_string();
        let text = text
            .trim_end()
            .trim_end_matches("For more information, try '--help'.");
        match text.strip_prefix("error: ") {
            Some(error) => status_line(&format!("usher: {}", error.trim_end())),
            None => status_line(text.trim_end()),
        }
        ExitCode::from(EXIT_USAGE)
    }

    /// Runs the command and returns its exit status, as `usher --help` lists them.
    pub async fn run(self) -> ExitCode {
        let global = self.global;
        output::set_quiet(global.quiet);
        let audit_file = match AuditFile::open(&global, self.command.is_operator_command()) {
            Ok(file) => file,
            Err(error) => {
                status_line(&format!("usher: {error:#}"));
                return ExitCode::FAILURE;
            }
        };
        let log = LogOptions {
            format: global.log_format,
            filter: log_filter().or_else(|| global.log_filter()),
            colors: has_colors(global.color, io::stderr().is_terminal()),
            audit_file: audit_file.as_ref().map(AuditFile::writer),
        };
        let exporter = if self.command.has_spans() && has_trace_collector() {
            telemetry::init_with_traces(log, || StderrWriter)
        } else {
            telemetry::init(log, || StderrWriter);
            TraceExporter::default()
        };
        let result = tokio::select! {
            result = run(&global, self.command) => {
                exporter.flush().await;
                result
            }
            status = global.force_exit.requested() => {
                status_line("usher: stopped immediately (second signal)");
                return ExitCode::from(status);
            }
        };
        if let Some(audit_file) = audit_file {
            audit_file.report();
        }
        match result {
            Ok(CommandStatus::Success) => ExitCode::SUCCESS,
            Ok(CommandStatus::Failure) => ExitCode::FAILURE,
            Err(error) => {
                status_line(&format!("usher: {error:#}"));
                if error.is::<InvalidConfig>() || error.is::<MissingSetting>() {
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
    /// Whether a person runs it, so that its audit lines are not a service's log.
    fn is_operator_command(&self) -> bool {
        matches!(
            self,
            Self::Users(_)
                | Self::Groups(_)
                | Self::DeadLetters(_)
                | Self::Console(_)
                | Self::Trigger(_)
        )
    }

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
        Command::Users(options) => Box::pin(users::run(global, &options)).await,
        Command::Groups(options) => Box::pin(groups::run(global, &options)).await,
        Command::Requests(options) => Box::pin(requests::run(global, &options)).await,
        Command::Reconcile(options) => Box::pin(reconcile::run(global, &options)).await,
        Command::Load(options) => Box::pin(load::run(global, &options)).await,
        Command::Trigger(options) => Box::pin(trigger::run(global, &options)).await,
        Command::Check(options) => check::run(global, &options).await,
        Command::Status(options) => Box::pin(status::run(global, &options)).await,
        Command::Console(options) => Box::pin(console::run(global, &options)).await,
        Command::Health => health::run(global).await,
        Command::Config(options) => config::run(global, &options),
        #[cfg(feature = "shell")]
        Command::Completions(options) => {
            shell::complete(<Cli as clap::CommandFactory>::command(), &options)
        }
        #[cfg(feature = "shell")]
        Command::Man(options) => {
            shell::write_manual(<Cli as clap::CommandFactory>::command(), &options)
        }
    }
}
