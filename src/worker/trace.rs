//! The trace of a message: its span, and its id on log lines.

use tracing::Span;

use crate::message::Delivery;
use crate::telemetry::spans::{self, RemoteParent};

/// The attempt's span. It continues the trace in the message, if there is one.
pub(super) fn span(queue_name: &str, delivery: &Delivery) -> Span {
    let remote = delivery.trace.as_ref().map(|parent| RemoteParent {
        trace_id: parent.trace_id(),
        span_id: parent.parent_id(),
        sampled: parent.is_sampled(),
    });
    let id = &delivery.message.id;
    spans::attempt(queue_name, id, delivery.attempts(), remote)
}

/// The trace id for the attempt's log lines. Without a trace in the message it is the id
/// of the span's new trace, if traces are exported.
pub(super) fn id(delivery: &Delivery) -> Option<String> {
    let from_message = || Some(format!("{:032x}", delivery.trace.as_ref()?.trace_id()));
    spans::trace_id()
        .map(|id| id.to_string())
        .or_else(from_message)
}
