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
use tracing_subscriber::filter::{Targets, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt};

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The SDK reports missing credentials with its internal values, and usher reports them itself.
const DEFAULT_FILTER: &str = "warn,aws_config=error,usher=info";
/// No filter removes lines of this target.
const AUDIT_TARGET: &str = "usher::audit";
/// Nor the line about a filter that is not understood.
const FILTER_TARGET: &str = "usher::log_filter";

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

/// How and where log lines are written.
#[derive(Debug)]
pub struct LogOptions<A> {
    /// Without one, lines are text on a terminal and JSON elsewhere.
    pub format: Option<LogFormat>,
    /// Levels and `TARGET=LEVEL`, separated by commas.
    pub filter: Option<String>,
    /// Whether text is coloured.
    pub colors: bool,
    /// Gets the audit lines, as JSON; without one they are log lines.
    pub audit_file: Option<A>,
}

/// Sends log lines to `stderr`, which writes to standard error. Called once, by a binary.
pub fn init<W, A>(options: LogOptions<A>, stderr: fn() -> W)
where
    W: io::Write + 'static,
    A: io::Write + Clone + Send + Sync + 'static,
{
    subscribe(options, stderr, None);
}

/// Like [`init`], and exports spans to the collector that the environment names. Needs a
/// Tokio runtime. Without a usable collector, one warning is logged.
pub(crate) fn init_with_traces<W, A>(options: LogOptions<A>, stderr: fn() -> W) -> TraceExporter
where
    W: io::Write + 'static,
    A: io::Write + Clone + Send + Sync + 'static,
{
    let (provider, error) = match otlp::start() {
        Ok(provider) => (Some(provider), None),
        Err(error) => (None, Some(error)),
    };
    let traces = provider
        .as_ref()
        .map(|provider| otlp::layer(provider).boxed());
    subscribe(options, stderr, traces);
    if let Some(error) = error {
        tracing::warn!(%error, "traces cannot be exported");
    }
    TraceExporter { provider }
}

fn subscribe<W, A>(
    options: LogOptions<A>,
    stderr: fn() -> W,
    traces: Option<Box<dyn Layer<Registry> + Send + Sync>>,
) where
    W: io::Write + 'static,
    A: io::Write + Clone + Send + Sync + 'static,
{
    let LogOptions {
        format,
        filter,
        colors,
        audit_file,
    } = options;
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
    let filter = format!("{filter},{AUDIT_TARGET}=info,{FILTER_TARGET}=warn,{target}={spans}");
    let (filter, ignored) = parse_filter(&filter);
    // If standard error is closed, only log lines may be lost: the layer's message about a
    // failed write would panic.
    let lines = fmt::layer().with_writer(stderr).log_internal_errors(false);
    let lines = match format {
        LogFormat::Text => lines.with_ansi(colors).boxed(),
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .boxed(),
    };
    let has_audit_file = audit_file.is_some();
    let is_line =
        move |line: &Metadata<'_>| is_safe(line) && !(has_audit_file && is_audit_line(line));
    let audit = audit_file.map(|file| {
        fmt::layer()
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_writer(move || file.clone())
            .log_internal_errors(false)
            .with_filter(filter_fn(is_audit_line))
    });
    tracing_subscriber::registry()
        .with(traces)
        .with(lines.with_filter(filter_fn(is_line)))
        .with(audit)
        .with(filter)
        .init();
    std::panic::set_hook(Box::new(|panic| {
        // The message may quote personal data.
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, "panicked");
    }));
    if !ignored.is_empty() {
        // A value in brackets may be personal.
        let ignored = ignored
            .iter()
            .map(|it| it.split('[').next().unwrap_or_default());
        tracing::warn!(
            target: FILTER_TARGET,
            ignored = ignored.collect::<Vec<_>>().join(","),
            "parts of RUST_LOG are ignored: write LEVEL or TARGET=LEVEL, separated by commas"
        );
    }
}

/// The filter, and the parts that are ignored: those that are not understood, and those with
/// fields or spans in brackets, which could switch audit lines off. Of two parts for the same
/// target the last one counts.
fn parse_filter(text: &str) -> (Targets, Vec<&str>) {
    let parts = text.split(',').map(str::trim).filter(|it| !it.is_empty());
    let is_valid = |it: &&str| !it.contains('[') && it.parse::<Targets>().is_ok();
    let (valid, ignored): (Vec<_>, Vec<_>) = parts.partition(is_valid);
    (valid.join(",").parse().unwrap_or_default(), ignored)
}

fn is_audit_line(line: &Metadata<'_>) -> bool {
    line.target() == AUDIT_TARGET
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_two_levels_for_a_target_counts() {
        let (filter, ignored) =
            parse_filter("warn, usher=info,,usher::audit=off,usher::audit=info");
        assert!(ignored.is_empty(), "{ignored:?}");
        for (target, level, is_enabled) in [
            ("usher::worker", Level::INFO, true),
            ("usher::worker", Level::DEBUG, false),
            ("usher::audit", Level::INFO, true),
            ("hyper", Level::WARN, true),
            ("hyper", Level::INFO, false),
        ] {
            let enabled = filter.would_enable(target, &level);
            assert_eq!(enabled, is_enabled, "{target} {level}");
        }
    }

    #[test]
    fn parts_of_a_filter_with_fields_or_other_words_are_ignored() {
        let (filter, ignored) = parse_filter("usher=debug,usher::audit[{action}]=off,usher=loud");
        assert_eq!(ignored, ["usher::audit[{action}]=off", "usher=loud"]);
        assert!(filter.would_enable("usher", &Level::DEBUG));
        assert!(!filter.would_enable("hyper", &Level::ERROR));
    }
}
