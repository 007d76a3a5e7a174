//! Logs, metrics, traces and health.
//!
//! They never hold an e-mail address, user name, phone number, token, code or message body.
//! Below `info`, the AWS SDK and the HTTP crates print whole requests. So only usher's own
//! lines may be below `info`, whatever `RUST_LOG` says. A panic is logged by its place and
//! never by its message, which may hold personal data.

pub mod emf;
pub(crate) mod exposition;
pub mod health;
pub mod metrics;
mod metrics_reporter;
mod otlp;
pub mod spans;

pub use health::Health;
pub use metrics_reporter::CloudWatch;
pub(crate) use metrics_reporter::MetricsReporter;

use std::io::{self, IsTerminal};

use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::{Level, Metadata};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt};

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

const DEFAULT_FILTER: &str = "warn,usher=info";

/// Exports spans until it is flushed. The default exports nothing.
#[derive(Debug, Default)]
pub(crate) struct TraceExporter {
    provider: Option<SdkTracerProvider>,
}

impl TraceExporter {
    /// Exports the remaining spans; takes a second at most.
    pub(crate) async fn flush(self) {
        if let Some(provider) = self.provider {
            otlp::flush(provider).await;
        }
    }
}

/// Sends log lines to `stderr`, which writes to standard error. Called once, by a binary.
/// Without a format, lines are text on a terminal and JSON elsewhere. Only text on a terminal
/// is coloured, and only if `colors` allows it.
pub fn init<W: io::Write + 'static>(
    format: Option<LogFormat>,
    filter: Option<String>,
    colors: bool,
    stderr: fn() -> W,
) {
    subscribe(format, filter, colors, stderr, None);
}

/// Like [`init`], and exports spans to the collector that the environment names. Needs a
/// Tokio runtime. Without a usable collector, one warning is logged.
pub(crate) fn init_with_traces<W: io::Write + 'static>(
    format: Option<LogFormat>,
    filter: Option<String>,
    colors: bool,
    stderr: fn() -> W,
) -> TraceExporter {
    let (provider, error) = match otlp::start() {
        Ok(provider) => (Some(provider), None),
        Err(error) => (None, Some(error)),
    };
    let traces = provider
        .as_ref()
        .map(|provider| otlp::layer(provider).boxed());
    subscribe(format, filter, colors, stderr, traces);
    if let Some(error) = error {
        tracing::warn!(%error, "traces cannot be exported");
    }
    TraceExporter { provider }
}

fn subscribe<W: io::Write + 'static>(
    format: Option<LogFormat>,
    filter: Option<String>,
    colors: bool,
    stderr: fn() -> W,
    traces: Option<Box<dyn Layer<Registry> + Send + Sync>>,
) {
    let terminal = io::stderr().is_terminal();
    let format = format.unwrap_or(if terminal {
        LogFormat::Text
    } else {
        LogFormat::Json
    });
    let filter = filter.unwrap_or_else(|| DEFAULT_FILTER.to_owned());
    // Audit lines are always on. Spans are on only if they are exported.
    let spans = if traces.is_some() { "info" } else { "off" };
    let target = spans::SPAN_TARGET;
    let filter = format!("{filter},usher::audit=info,{target}={spans}");
    let filter = EnvFilter::builder().parse_lossy(filter);
    // If standard error is closed, only log lines may be lost: the layer's message about a
    // failed write would panic.
    let lines = fmt::layer().with_writer(stderr).log_internal_errors(false);
    let lines = match format {
        LogFormat::Text => lines.with_ansi(terminal && colors).boxed(),
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .boxed(),
    };
    tracing_subscriber::registry()
        .with(traces)
        .with(lines.with_filter(filter_fn(is_safe)))
        .with(filter)
        .init();
    std::panic::set_hook(Box::new(|panic| {
        // The message may quote personal data.
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, "panicked");
    }));
}

fn is_safe(line: &Metadata<'_>) -> bool {
    // The Lambda runtime logs every refused admin command as an error. The audit line has
    // it already, and a panic has its line from the hook.
    let is_refusal = line.target().starts_with("lambda_runtime::layers::panic");
    if line.target() == spans::SPAN_TARGET {
        return false;
    }
    (*line.level() <= Level::INFO && !is_refusal) || line.target().starts_with("usher")
}
