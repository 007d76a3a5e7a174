//! Spans: one for each attempt at a message, and one for each AWS call within it.
//!
//! They have the fields of log lines and the names of OpenTelemetry's conventions for messages,
//! and no personal data. While nothing is exported,
//! no span is created. Calls outside an attempt (polls, batches of deletes, extensions) have
//! no span, so a message's trace does not show its delete. No log line becomes an event of a
//! span, and no span gets into a log line.

use std::fmt;

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use tracing::Span;
use tracing::field::Empty;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// The target of spans only: they are not logged, and nothing else is exported.
pub(super) const SPAN_TARGET: &str = "usher::span";

/// The span of another process that a span continues.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RemoteParent {
    /// The trace's id; not 0.
    pub(crate) trace_id: u128,
    /// The span's id; not 0.
    pub(crate) span_id: u64,
    /// Whether the other process records the trace.
    pub(crate) sampled: bool,
}

/// The span of an attempt. It continues the trace of `remote` or begins a new one.
///
/// <https://opentelemetry.io/docs/specs/semconv/messaging/sqs/>
pub(crate) fn attempt(
    queue_name: &str,
    message_id: &str,
    attempt: u32,
    remote: Option<RemoteParent>,
) -> Span {
    let span = tracing::info_span!(
        target: SPAN_TARGET,
        parent: None,
        "message",
        otel.name = %format_args!("process {queue_name}"),
        otel.kind = "consumer",
        otel.status_code = Empty,
        messaging.system = "aws_sqs",
        messaging.operation.name = "process",
        messaging.operation.type = "process",
        messaging.destination.name = queue_name,
        messaging.message.id = message_id,
        message.attempt = attempt,
        error.type = Empty,
        pool.id = Empty,
        user.sub = Empty,
        request.id = Empty,
        outcome = Empty,
        reason = Empty,
    );
    if let Some(remote) = remote.filter(|_| !span.is_disabled()) {
        let context = SpanContext::new(
            TraceId::from(remote.trace_id),
            SpanId::from(remote.span_id),
            TraceFlags::default().with_sampled(remote.sampled),
            true,
            TraceState::default(),
        );
        // It fails if nothing is exported.
        let _ = span.set_parent(Context::new().with_remote_span_context(context));
    }
    span
}

/// The span of an AWS call within an attempt. Elsewhere it is none, since each poll of the
/// queue would be a trace of its own.
///
/// <https://opentelemetry.io/docs/specs/semconv/cloud-providers/aws-sdk/>
pub fn call(service: &str, operation: &str) -> Span {
    if Span::current().is_disabled() {
        return Span::none();
    }
    tracing::info_span!(
        target: SPAN_TARGET,
        "call",
        otel.name = %format_args!("{service}.{operation}"),
        otel.kind = "client",
        otel.status_code = Empty,
        rpc.system = "aws-api",
        rpc.service = service,
        rpc.method = operation,
        error.type = Empty,
    )
}

/// Marks the span of a call as failed, with the error code.
pub(crate) fn record_error(call: &Span, code: &str) {
    call.record("error.type", code);
    call.record("otel.status_code", "ERROR");
}

/// The outcome of an attempt, for its span.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AttemptOutcome<'a> {
    pub outcome: &'a str,
    /// The reason code; empty for a success.
    pub reason: &'a str,
    /// Set for a retry, a rejection and a blocked message.
    pub(crate) is_error: bool,
    pub pool: Option<&'a str>,
    /// The user's `sub`, if it is an opaque id.
    pub sub: Option<&'a str>,
    /// The id of an admin command.
    pub(crate) request_id: Option<&'a str>,
}

/// Records the outcome in the current span.
pub(crate) fn record_outcome(settled: AttemptOutcome<'_>) {
    let span = Span::current();
    span.record("outcome", settled.outcome);
    span.record(
        "reason",
        Some(settled.reason).filter(|reason| !reason.is_empty()),
    );
    span.record("pool.id", settled.pool);
    span.record("user.sub", settled.sub);
    span.record("request.id", settled.request_id);
    if settled.is_error {
        span.record("error.type", settled.reason);
        span.record("otel.status_code", "ERROR");
    }
}

/// The current trace's id as log lines have it: 32 hexadecimal digits. `None` while
/// nothing is exported.
pub(crate) fn trace_id() -> Option<impl fmt::Display> {
    let context = Span::current().context();
    let context = context.span().span_context().clone();
    context.is_valid().then(|| context.trace_id())
}
