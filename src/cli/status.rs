//! `usher status`: current problems, once or again and again.

use std::io::{self, IsTerminal};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{CommandStatus, Global, Output, findings, print_unless_closed, status_line};
use crate::app::Services;
use crate::config::Required;
use crate::http::Url;
use crate::shutdown;
use crate::status::StatusReader;

#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  usher status
  usher status --watch
  usher status --worker http://10.0.1.23:8080 --worker http://10.0.1.24:8080")]
pub(super) struct Options {
    /// Refresh every SECONDS (default 2) until Ctrl-C
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=3600))]
    watch: Option<u64>,
    /// URL of a worker's health server, such as http://10.0.1.23:8080; repeatable
    /// [default: http.listen on this machine]
    #[arg(long, value_name = "URL")]
    worker: Vec<Url>,
    /// Warn unless the PostConfirmation trigger is this function
    #[arg(long, value_name = "ARN")]
    function_arn: Option<String>,
    /// Exit with 1 on warnings too
    #[arg(long, conflicts_with = "watch")]
    strict: bool,
}

/// Moves to the first column of the first row, and clears the rest of the terminal.
const CLEAR: &str = "\u{1b}[H\u{1b}[J";

pub(super) async fn run(global: &Global, options: &Options) -> anyhow::Result<CommandStatus> {
    let config = global.config(&[Required::Queue])?;
    let stop = shutdown::on_signal(&global.force_exit)?;
    let services = Services::from_environment(config).await?;
    let mut reader = StatusReader::new(
        services,
        options.worker.clone(),
        options.function_arn.clone(),
    )?;
    if let Some(seconds) = options.watch {
        let interval = Duration::from_secs(seconds);
        return watch(&mut reader, interval, global, &stop).await;
    }
    let Some(report) = reader.read(&stop).await else {
        status_line("stopped");
        return Ok(CommandStatus::Failure);
    };
    findings::print(global, &report, options.strict)
}

/// Prints the status until the stop signal, or until standard output is closed.
async fn watch(
    reader: &mut StatusReader,
    interval: Duration,
    global: &Global,
    stop: &CancellationToken,
) -> anyhow::Result<CommandStatus> {
    let mut ticks = tokio::time::interval(interval);
    let mut before = if io::stdout().is_terminal() {
        CLEAR
    } else {
        ""
    };
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = stop.cancelled() => return Ok(CommandStatus::Success),
        }
        let Some(report) = reader.read(stop).await else {
            return Ok(CommandStatus::Success);
        };
        let text = if global.output == Output::Json {
            serde_json::to_string(&report)?
        } else {
            let time = report.time.strftime("%F %H:%M:%S");
            format!(
                "{before}{time} UTC\n{}",
                findings::text(global.color, &report)
            )
        };
        if !print_unless_closed(&text)? {
            return Ok(CommandStatus::Success);
        }
        if before.is_empty() {
            before = "\n";
        }
        ticks.reset();
    }
}
