//! Spans: one for each attempt at a message, and one for each AWS call within it.
//!
//! They hold what log lines hold, and like those no personal data. While nothing is
//! exported, no span is made.

use std::fmt;

use tracing::Span;
use tracing::field::Empty;

/// Of spans alone: no log line shows them, and nothing else is exported.
pub(super) const SPAN_TARGET: &str = "usher::span";

/// Where, in another process, that began which a span goes on with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RemoteParent {
    /// The trace's id; not 0.
    pub(crate) trace_id: u128,
    /// The span's id; not 0.
    pub(crate) span_id: u64,
    /// Whether it is recorded there.
    pub(crate) sampled: bool,
}

/// An attempt at a message. Its trace goes on with `remote` or begins here.
///
/// <https://opentelemetry.io/docs/specs/semconv/messaging/sqs/>
pub(crate) fn attempt(message_id: &str, attempt: u32, remote: Option<RemoteParent>) -> Span {
    let span = tracing::info_span!(
        target: SPAN_TARGET,
        parent: None,
        "message",
        otel.kind = "consumer",
        otel.status_code = Empty,
        messaging.system = "aws_sqs",
        messaging.operation.type = "process",
        message.id = message_id,
        message.attempt = attempt,
        pool.id = Empty,
        user.sub = Empty,
        request.id = Empty,
        outcome = Empty,
        reason = Empty,
    );
    if let Some(remote) = remote.filter(|_| !span.is_disabled()) {
        super::otlp::set_remote_parent(&span, remote);
    }
    span
}

/// A call within an attempt; none elsewhere, since each poll of the queue would be a
/// trace of its own.
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

/// How a call failed.
pub(crate) fn record_error(call: &Span, code: &str) {
    call.record("error.type", code);
    call.record("otel.status_code", "ERROR");
}

/// What became of the attempt that is under way here.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AttemptOutcome<'a> {
    /// The outcome's name.
    pub outcome: &'a str,
    /// Its short code, or nothing.
    pub reason: &'a str,
    /// Whether it did not work.
    pub(crate) is_error: bool,
    /// The user pool.
    pub pool: Option<&'a str>,
    /// The user, where the `sub` says nothing of the person.
    pub sub: Option<&'a str>,
    /// An order's id.
    pub(crate) request_id: Option<&'a str>,
}

/// Written into the current attempt's span.
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
        span.record("otel.status_code", "ERROR");
    }
}

/// The current trace's id as log lines have it: 32 hexadecimal digits. `None` while
/// nothing is exported.
pub(crate) fn trace_id() -> Option<impl fmt::Display> {
    super::otlp::trace_id(&Span::current())
}
