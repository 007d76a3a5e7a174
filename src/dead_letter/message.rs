//! One letter: the body as it came, and why it is here.

use std::collections::BTreeMap;
use std::time::Duration;

use super::attribute;
use super::history::{History, sendable_body};
use crate::aws::{Class, Failure, Outgoing, Queue, Received};
use crate::event::TraceParent;
use crate::provision::Rejection;
use crate::retry::retry_inline;

/// A message on its way to the dead-letter queue.
///
/// SQS allows ten attributes; the letter's own nine leave room for
/// `traceparent`, so the producer's others are not carried over.
#[derive(Debug)]
pub(crate) struct DeadLetter<'a> {
    /// What was received, for the last time.
    pub message: &'a Received,
    /// What is behind it.
    pub(crate) history: History,
    /// Why it is given up.
    pub(crate) rejection: &'a Rejection,
    /// When.
    pub now: jiff::Timestamp,
}

impl DeadLetter<'_> {
    /// The message to send.
    fn to_outgoing(&self) -> Outgoing {
        let Self {
            message,
            history,
            rejection,
            now,
        } = *self;
        let first = history.first_received_at.unwrap_or(now);
        let mut attributes = BTreeMap::from([
            (attribute::REASON, rejection.reason.clone()),
            (attribute::CLASS, rejection.class.to_owned()),
            (attribute::ERROR, rejection.error.clone()),
            (attribute::ATTEMPTS, history.attempts.to_string()),
            (attribute::FIRST_RECEIVED_AT, format!("{first:.3}")),
            (attribute::DEAD_LETTERED_AT, format!("{now:.3}")),
            (attribute::SOURCE_MESSAGE_ID, message.id.clone()),
            (attribute::VERSION, env!("CARGO_PKG_VERSION").to_owned()),
        ]);
        if history.replays > 0 {
            attributes.insert(attribute::REPLAYS, history.replays.to_string());
        }
        // Written anew: a later version may have any text behind what is read of it.
        let trace = message.attributes.get(attribute::TRACEPARENT);
        if let Some(trace) = trace.and_then(|trace| TraceParent::parse(trace)) {
            attributes.insert(attribute::TRACEPARENT, trace.to_string());
        }
        self.with_attributes(attributes)
    }

    /// The body with its reason and nothing else: SQS counts attributes into the
    /// message's size of at most 1 MiB.
    fn to_reason_only(&self) -> Outgoing {
        let reason = self.rejection.reason.clone();
        self.with_attributes(BTreeMap::from([(attribute::REASON, reason)]))
    }

    /// The body and nothing else, for one of exactly 1 MiB.
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
            // The same: a header may have members of anybody's.
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

/// Sends a letter; answers with its message id. SQS counts attributes into the
/// size: a body that is too large with them goes with its reason alone, or in the
/// end without.
///
/// # Errors
/// The last failure.
pub(crate) async fn send_dead_letter(
    queue: &Queue,
    letter: &DeadLetter<'_>,
) -> Result<String, Failure> {
    let mut sent = retry_inline(|| queue.send(letter.to_outgoing())).await;
    for smaller in [DeadLetter::to_reason_only, DeadLetter::to_body_only] {
        if !matches!(&sent, Err(failure) if failure.class == Class::Permanent) {
            break;
        }
        sent = retry_inline(|| queue.send(smaller(letter))).await;
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
        let rejection = Rejection {
            reason: "not_json".to_owned(),
            class: "malformed",
            error: "the body is not JSON".to_owned(),
            refused_call: None,
        };
        let now = jiff::Timestamp::from_millisecond(1_786_104_001_500).expect("in range");
        let message = received(body);
        DeadLetter {
            history: History::from_message(&message),
            message: &message,
            rejection: &rejection,
            now,
        }
        .to_outgoing()
    }

    #[test]
    fn the_body_is_unchanged_and_the_attributes_say_why() {
        let letter = dead_letter("{ \"a\" : 1 } \u{feff}");
        assert_eq!(letter.body, "{ \"a\" : 1 } \u{feff}");
        assert_eq!(letter.attributes[attribute::REASON], "not_json");
        assert_eq!(letter.attributes[attribute::ATTEMPTS], "3");
        assert_eq!(
            letter.attributes[attribute::FIRST_RECEIVED_AT],
            "2026-08-07T12:00:00.000Z"
        );
        assert_eq!(
            letter.attributes[attribute::DEAD_LETTERED_AT],
            "2026-08-07T12:00:01.500Z"
        );
        assert_eq!(letter.attributes[attribute::TRACEPARENT], W3C_TRACE);
        assert_eq!(letter.attributes[attribute::REPLAYS], "2");
        assert_eq!(letter.attributes.len(), 10, "SQS allows ten");
        assert_eq!(letter.trace_header.as_deref(), Some(XRAY_TRACE));
    }

    #[test]
    fn an_empty_body_becomes_one_that_sqs_takes_and_that_reads_as_empty() {
        let letter = dead_letter("");
        assert_eq!(letter.body, " ");
        let read = crate::event::parse(&letter.body).expect_err("empty");
        assert_eq!(read.code(), "empty_body");
    }
}
