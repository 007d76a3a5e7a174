//! Spans to an OpenTelemetry collector: OTLP over HTTP, as protobuf.
//!
//! Plain HTTP only: the collector is a side-car or an agent on the same machine, and
//! forwards with TLS and credentials. Nothing is exported unless an endpoint is named,
//! although the standard has a default: a worker without a collector must not warn about it.
//! Every build can export, since a feature would double the builds of the AWS SDK in CI; the
//! Lambda does not link the exporter. The crates read the standard variables themselves
//! (`OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`,
//! `OTEL_TRACES_SAMPLER`, `OTEL_BSP_*`).
//!
//! <https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>

use std::error::Error;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry::trace::TracerProvider;
use opentelemetry::{Key, KeyValue};
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::runtime::Handle;
use tokio::task::JoinError;
use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

use super::spans::SPAN_TARGET;

/// For one request: a collector that hangs must not delay the next batch for long.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);
/// For the last export: the process must end within three seconds after `worker.drain`.
const EXPORT_FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Starts the exporter on a thread of its own.
pub(super) fn start() -> Result<SdkTracerProvider, impl Error> {
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(CollectorClient::new(Handle::current()))
        .build()?;
    let provider = SdkTracerProvider::builder()
        .with_resource(resource())
        .with_batch_exporter(exporter)
        .build();
    Ok::<_, opentelemetry_otlp::ExporterBuildError>(provider)
}

fn resource() -> Resource {
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let resource = || Resource::builder().with_attribute(version.clone());
    let is_unnamed = |name: opentelemetry::Value| name.as_str().starts_with("unknown_service");
    let found = resource().build();
    if found.get(&Key::new("service.name")).is_none_or(is_unnamed) {
        return resource().with_service_name("usher").build();
    }
    found
}

/// A layer that exports usher's spans, and no log line.
pub(super) fn layer<S>(provider: &SdkTracerProvider) -> impl Layer<S> + use<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    tracing_opentelemetry::layer()
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        .with_context_activation(false)
        .with_tracer(provider.tracer("usher"))
        .with_filter(filter_fn(|it| it.is_span() && it.target() == SPAN_TARGET))
}

/// Exports the remaining spans within [`EXPORT_FLUSH_TIMEOUT`].
pub(super) async fn flush(provider: SdkTracerProvider) {
    let (done, ended) = tokio::sync::oneshot::channel();
    // It blocks, and the runtime would wait for a blocking task of its own.
    std::thread::spawn(move || done.send(provider.shutdown_with_timeout(EXPORT_FLUSH_TIMEOUT)));
    let ended = tokio::time::timeout(EXPORT_FLUSH_TIMEOUT, ended).await;
    if !matches!(ended, Ok(Ok(Ok(())))) {
        tracing::warn!("the last traces were not exported in time");
    }
}

/// The HTTP client for the collector. The thread of the exporter has no Tokio runtime, so
/// the requests run on the worker's.
#[derive(Debug)]
struct CollectorClient {
    client: HyperClient,
    runtime: Handle,
    /// Whether the present failure is logged.
    failure_logged: AtomicBool,
}

impl CollectorClient {
    fn new(runtime: Handle) -> Self {
        Self {
            client: HyperClient::with_default_connector(EXPORT_TIMEOUT, None),
            runtime,
            failure_logged: AtomicBool::new(false),
        }
    }

    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        if request.uri().scheme_str() != Some("http") {
            return Err("only http:// endpoints are supported".into());
        }
        let client = self.client.clone();
        let sending = self
            .runtime
            .spawn(async move { client.send_bytes(request).await });
        sending.await?
    }

    /// Logs the first failure after a success, and the recovery: failing traces must not
    /// raise an alarm.
    fn log_state_change(&self, error: Option<&str>) {
        let was_logged = self.failure_logged.swap(error.is_some(), Ordering::Relaxed);
        match error {
            Some(error) if !was_logged => tracing::warn!(error, "traces cannot be exported"),
            None if was_logged => tracing::info!("traces are exported again"),
            _ => {}
        }
    }
}

type ResponseFuture<'a> =
    Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'a>>;

impl HttpClient for CollectorClient {
    // As `async_trait` expands it.
    fn send_bytes<'a, 'b>(&'a self, request: Request<Bytes>) -> ResponseFuture<'b>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async move {
            let result = self.send(request).await;
            match &result {
                Ok(response) if response.status().is_success() => self.log_state_change(None),
                Ok(response) => self.log_state_change(Some(response.status().as_str())),
                // The process is ending, and `flush` has logged the time-out.
                Err(error) if error.is::<JoinError>() => {}
                Err(error) => self.log_state_change(Some(&with_causes(error.as_ref()))),
            }
            result
        })
    }
}

/// An error with its causes, as `client error (Connect): tcp connect error: …`.
fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
