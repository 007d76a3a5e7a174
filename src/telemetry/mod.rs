//! What the outside sees: logs, metrics, health.
//!
//! No e-mail address, user name, phone number, token, code or message body ever
//! goes in here. The AWS SDK and HTTP crates stay at `warn` unless `RUST_LOG`
//! says otherwise, and below `debug` level they could print request bodies.

pub mod health;
pub mod metrics;

pub use health::Health;

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

const DEFAULT_FILTER: &str = "warn,usher=info";

/// Sends log lines to standard error. Called once, by a binary.
pub fn init(format: Option<LogFormat>, filter: Option<String>) {
    let terminal = std::io::stderr().is_terminal();
    let format = format.unwrap_or(if terminal {
        LogFormat::Text
    } else {
        LogFormat::Json
    });
    let filter =
        EnvFilter::builder().parse_lossy(filter.unwrap_or_else(|| DEFAULT_FILTER.to_owned()));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Text => lines.with_ansi(terminal).init(),
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .init(),
    }
}
