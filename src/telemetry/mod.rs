//! What the outside sees: logs, metrics, health.
//!
//! No e-mail address, user name, phone number, token, code or message body ever
//! goes in here. Below `info`, the AWS SDK and the HTTP crates print requests
//! with all that is in them; so only usher's own lines may go that deep, whatever
//! `RUST_LOG` says.

mod bars;
pub mod emf;
pub mod exposition;
pub mod health;
pub mod metrics;
mod minutely;
#[cfg(feature = "otlp")]
mod otlp;
pub mod spans;

pub use bars::{bar, note};
pub use health::Health;
pub use minutely::{CloudWatch, Minutely};

use std::io::IsTerminal;

use tracing::{Level, Metadata};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt};

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

const DEFAULT_FILTER: &str = "warn,usher=info";

/// Whether spans are exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Export {
    /// Nowhere.
    Nothing,
    /// To the collector that the environment names, by a build with the feature `otlp`.
    Spans,
}

/// What exports spans, until it is flushed.
#[derive(Debug)]
pub struct Exporting {
    #[cfg(feature = "otlp")]
    provider: Option<opentelemetry_sdk::trace::SdkTracerProvider>,
}

impl Exporting {
    /// Sends the spans that are left; takes a second at the most.
    #[cfg_attr(
        not(feature = "otlp"),
        expect(clippy::unused_async, reason = "no span is left")
    )]
    pub async fn flush(self) {
        #[cfg(feature = "otlp")]
        if let Some(provider) = self.provider {
            otlp::flush(provider).await;
        }
    }
}

/// Sends log lines to standard error, and spans to a collector. Called once, by a binary,
/// in its runtime.
pub fn init(format: Option<LogFormat>, filter: Option<String>, export: Export) -> Exporting {
    let terminal = std::io::stderr().is_terminal();
    let format = format.unwrap_or(if terminal {
        LogFormat::Text
    } else {
        LogFormat::Json
    });
    let filter = filter.unwrap_or_else(|| DEFAULT_FILTER.to_owned());
    // Who acted on a letter is written down whatever else is left out, and spans are
    // not for the log.
    let spans = spans::TARGET;
    let filter = format!("{filter},usher::audit=info,{spans}=info");
    let filter = EnvFilter::builder().parse_lossy(filter);
    // A closed standard error must cost log lines and nothing else: what the layer
    // says about a failed write would panic.
    let lines = fmt::layer()
        .with_writer(bars::BesideBars)
        .log_internal_errors(false);
    let lines = match format {
        LogFormat::Text => lines.with_ansi(terminal).boxed(),
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .boxed(),
    };
    let subscriber = tracing_subscriber::registry()
        .with(lines.with_filter(filter_fn(is_safe)))
        .with(filter);
    #[cfg(feature = "otlp")]
    let (subscriber, exporting) = {
        let started = (export == Export::Spans).then(otlp::start).transpose();
        let (provider, error) = started.map_or_else(|error| (None, Some(error)), |it| (it, None));
        let layer = provider.as_ref().map(otlp::layer);
        (subscriber.with(layer), (provider, error))
    };
    subscriber.init();
    std::panic::set_hook(Box::new(|panic| {
        // The message may quote the value that was in the way.
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, "panicked");
    }));
    #[cfg(feature = "otlp")]
    if let Some(error) = &exporting.1 {
        tracing::warn!(%error, "traces cannot be exported");
    }
    #[cfg(not(feature = "otlp"))]
    if export == Export::Spans {
        tracing::warn!("traces are not exported: this build is without the feature otlp");
    }
    Exporting {
        #[cfg(feature = "otlp")]
        provider: exporting.0,
    }
}

fn is_safe(line: &Metadata<'_>) -> bool {
    // The runtime calls every refused mutation an error; the audit line tells it, and a
    // panic has its line from the hook.
    let is_refusal = line.target().starts_with("lambda_runtime::layers::panic");
    if line.target() == spans::TARGET {
        return false;
    }
    (*line.level() <= Level::INFO && !is_refusal) || line.target().starts_with("usher")
}
