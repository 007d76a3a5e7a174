//! The message that becomes a dead letter: its body and the reason. A space replaces an empty body.

use std::collections::BTreeMap;
use std::time::Duration;

use super::attribute;
use super::history::History;
use super::outgoing::sendable_body;
use crate::aws::{Class, Failure, Outgoing, Queue, Received};
use crate::event::TraceParent;
use crate::reason::Reason;
use crate::retry::retry_inline;

/// A message to be sent to the dead-letter queue.
///
/// SQS allows ten attributes. The dead letter's own nine leave room for
/// `traceparent`, so the producer's other attributes are dropped.
#[derive(Debug)]
pub(crate) struct DeadLetter<'a> {
    /// The message as it was last received.
    pub message: &'a Received,
    /// Attempts and replays before this dead letter was sent.
    pub(crate) history: History,
    /// Why it is given up: `usher.reason`.
    pub(crate) reason: &'a Reason,
    /// The kind of error: `usher.class`.
    pub(crate) class: &'a str,
    /// A text without personal data: `usher.error`.
    pub(crate) error: &'a str,
    /// The time of dead-lettering.
    pub now: jiff::Timestamp,
}

impl DeadLetter<'_> {
    fn to_outgoing(&self) -> Outgoing {
        let Self {
            message,
            history,
            reason,
            class,
            error,
            now,
        } = *self;
        let first_received_at = history.first_received_at.unwrap_or(now);
        let mut attributes = BTreeMap::from([
            (attribute::REASON, reason.to_string()),
            (attribute::CLASS, class.to_owned()),
            (attribute::ERROR, error.to_owned()),
            (attribute::ATTEMPTS, history.attempts.to_string()),
            (
                attribute::FIRST_RECEIVED_AT,
                format!("{first_received_at:.3}"),
            ),
            (attribute::DEAD_LETTERED_AT, format!("{now:.3}")),
            (attribute::SOURCE_MESSAGE_ID, message.id.clone()),
            (attribute::VERSION, env!("CARGO_PKG_VERSION").to_owned()),
        ]);
        if history.replays > 0 {
            attributes.insert(attribute::REPLAYS, history.replays.to_string());
        }
        // Formatted again: a later version of the standard may append any text.
        let trace = message.attributes.get(attribute::TRACEPARENT);
        if let Some(trace) = trace.and_then(|trace| TraceParent::parse(trace)) {
            attributes.insert(attribute::TRACEPARENT, trace.to_string());
        }
        self.with_attributes(attributes)
    }

    /// The body with its reason only: SQS counts attributes into the message's size
    /// of at most 1 MiB.
    fn to_reason_only(&self) -> Outgoing {
        let reason = self.reason.to_string();
        self.with_attributes(BTreeMap::from([(attribute::REASON, reason)]))
    }

    /// The body only, for one of exactly 1 MiB.
    fn to_body_only(&self) -> Outgoing {
        self.with_attributes(BTreeMap::new())
    }

    fn with_attributes(&self, attributes: BTreeMap<&str, String>) -> Outgoing {
        Outgoing {
            body: sendable_body(&self.message.body),
            attributes: attributes
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
            message_group: None,
            // Formatted again, too: a producer may add fields to the header.
            trace_header: self
                .message
                .trace_header
                .as_deref()
                .and_then(TraceParent::parse_xray)
                .map(crate::event::TraceParent::to_xray),
            delay: Duration::ZERO,
        }
    }
}

/// Sends a dead letter and returns its message id. If SQS refuses it for good, it is
/// sent with its reason only, and then without attributes: they count into the size.
///
/// # Errors
/// Returns the failure of the last send.
pub(crate) async fn send_dead_letter(
    queue: &Queue,
    dead_letter: &DeadLetter<'_>,
) -> Result<String, Failure> {
    let mut sent = retry_inline(|| queue.send(dead_letter.to_outgoing())).await;
    for smaller in [DeadLetter::to_reason_only, DeadLetter::to_body_only] {
        if !matches!(&sent, Err(failure) if failure.class == Class::Permanent) {
            break;
        }
        sent = retry_inline(|| queue.send(smaller(dead_letter))).await;
    }
    sent
}

#[cfg(test)]
mod tests {
    use super::*;

    const XRAY_TRACE: &str =
        "Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Parent=00f067aa0ba902b7;Sampled=1";
    const W3C_TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn received(body: &str) -> Received {
        Received {
            id: "m-1".to_owned(),
            receipt_handle: "r".to_owned(),
            body: body.to_owned(),
            receive_count: 3,
            sent_at: None,
            first_received_at: jiff::Timestamp::from_millisecond(1_786_104_000_000).ok(),
            attributes: BTreeMap::from([
                ("traceparent".to_owned(), W3C_TRACE.to_owned()),
                ("usher.replays".to_owned(), "2".to_owned()),
            ]),
            message_group: None,
            trace_header: Some(XRAY_TRACE.to_owned()),
            receive_time: tokio::time::Instant::now(),
        }
    }

    fn dead_letter(body: &str) -> Outgoing {
        let now = jiff::Timestamp::from_millisecond(1_786_104_001_500).expect("in range");
        let message = received(body);
        DeadLetter {
            history: History::from_message(&message),
            message: &message,
            reason: &Reason::NotJson,
            class: "malformed",
            error: "the body is not JSON",
            now,
        }
        .to_outgoing()
    }

    #[test]
    fn the_body_is_unchanged_and_attributes_give_the_reason() {
        let sent = dead_letter("{ \"a\" : 1 } \u{feff}");
        assert_eq!(sent.body, "{ \"a\" : 1 } \u{feff}");
        assert_eq!(sent.attributes[attribute::REASON], "not_json");
        assert_eq!(sent.attributes[attribute::ATTEMPTS], "3");
        assert_eq!(
            sent.attributes[attribute::FIRST_RECEIVED_AT],
            "2026-08-07T12:00:00.000Z"
        );
        assert_eq!(
            sent.attributes[attribute::DEAD_LETTERED_AT],
            "2026-08-07T12:00:01.500Z"
        );
        assert_eq!(sent.attributes[attribute::TRACEPARENT], W3C_TRACE);
        assert_eq!(sent.attributes[attribute::REPLAYS], "2");
        assert_eq!(sent.attributes.len(), 10, "SQS allows ten");
        assert_eq!(sent.trace_header.as_deref(), Some(XRAY_TRACE));
    }

    #[test]
    fn an_empty_body_is_sent_as_a_space_and_parsed_as_empty() {
        let sent = dead_letter("");
        assert_eq!(sent.body, " ");
        let error = crate::event::parse(&sent.body).expect_err("empty");
        assert_eq!(error.code(), "empty_body");
    }
}
