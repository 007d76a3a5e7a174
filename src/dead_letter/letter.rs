//! One letter: the body as it came, and why it is here.

use std::collections::BTreeMap;

use crate::aws::{Outgoing, Received};
use crate::provision::Rejection;

/// A message on its way to the dead-letter queue.
///
/// SQS allows ten attributes; the letter's own eight leave room for
/// `traceparent` and one more, so the producer's others are not carried over.
#[derive(Debug)]
pub struct Letter<'a> {
    /// What was received, for the last time.
    pub message: &'a Received,
    /// Why it is given up.
    pub rejection: &'a Rejection,
    /// When.
    pub now: jiff::Timestamp,
}

/// Attributes of a letter. Names are a contract.
pub mod attribute {
    /// Short code.
    pub const REASON: &str = "usher.reason";
    /// Kind of error.
    pub const CLASS: &str = "usher.class";
    /// Text without personal data.
    pub const ERROR: &str = "usher.error";
    /// Number of receives.
    pub const ATTEMPTS: &str = "usher.attempts";
    /// ISO 8601, UTC.
    pub const FIRST_RECEIVED_AT: &str = "usher.first_received_at";
    /// ISO 8601, UTC.
    pub const DEAD_LETTERED_AT: &str = "usher.dead_lettered_at";
    /// Message id on the source queue.
    pub const SOURCE_MESSAGE_ID: &str = "usher.source_message_id";
    /// The version of usher that wrote the letter.
    pub const VERSION: &str = "usher.version";
    /// W3C trace context, carried over from the message.
    pub const TRACEPARENT: &str = "traceparent";
}

impl Letter<'_> {
    /// The message to send.
    pub fn to_outgoing(&self) -> Outgoing {
        let Self {
            message,
            rejection,
            now,
        } = *self;
        let first = message.first_received_at.unwrap_or(now);
        let mut attributes = BTreeMap::from([
            (attribute::REASON, rejection.reason.clone()),
            (attribute::CLASS, rejection.class.to_owned()),
            (attribute::ERROR, rejection.error.clone()),
            (attribute::ATTEMPTS, message.attempts.to_string()),
            (attribute::FIRST_RECEIVED_AT, format!("{first:.3}")),
            (attribute::DEAD_LETTERED_AT, format!("{now:.3}")),
            (attribute::SOURCE_MESSAGE_ID, message.id.clone()),
            (attribute::VERSION, env!("CARGO_PKG_VERSION").to_owned()),
        ]);
        let trace = message.attributes.get(attribute::TRACEPARENT);
        if let Some(trace) = trace.filter(|trace| is_traceparent(trace)) {
            attributes.insert(attribute::TRACEPARENT, trace.clone());
        }
        Outgoing {
            body: sendable(&message.body),
            attributes,
            group: None,
        }
    }

    /// The body and nothing else, for one of exactly 1 MiB.
    pub fn to_bare_outgoing(&self) -> Outgoing {
        Outgoing {
            body: sendable(&self.message.body),
            ..Outgoing::default()
        }
    }

    /// The body with its reason and nothing else: SQS counts attributes into the
    /// message's size of at most 1 MiB.
    pub fn to_small_outgoing(&self) -> Outgoing {
        let reason = self.rejection.reason.clone();
        Outgoing {
            body: sendable(&self.message.body),
            attributes: BTreeMap::from([(attribute::REASON, reason)]),
            group: None,
        }
    }
}

/// <https://www.w3.org/TR/trace-context/#traceparent-header>: nothing else gets
/// into a letter's attributes under this name.
fn is_traceparent(text: &str) -> bool {
    text.len() == 55 && text.chars().all(|c| c.is_ascii_hexdigit() || c == '-')
}

/// SQS refuses an empty body; white space stands in for it and is read as an
/// empty body again.
fn sendable(body: &str) -> String {
    if body.is_empty() {
        " ".to_owned()
    } else {
        body.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn received(body: &str) -> Received {
        Received {
            id: "m-1".to_owned(),
            receipt: "r".to_owned(),
            body: body.to_owned(),
            attempts: 3,
            sent_at: None,
            first_received_at: jiff::Timestamp::from_millisecond(1_786_104_000_000).ok(),
            attributes: BTreeMap::from([("traceparent".to_owned(), TRACE.to_owned())]),
            received: tokio::time::Instant::now(),
        }
    }

    fn letter(body: &str) -> Outgoing {
        let rejection = Rejection {
            reason: "not_json".to_owned(),
            class: "malformed",
            error: "the body is not JSON".to_owned(),
        };
        let now = jiff::Timestamp::from_millisecond(1_786_104_001_500).expect("in range");
        Letter {
            message: &received(body),
            rejection: &rejection,
            now,
        }
        .to_outgoing()
    }

    #[test]
    fn the_body_is_unchanged_and_the_attributes_say_why() {
        let letter = letter("{ \"a\" : 1 } \u{feff}");
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
        assert_eq!(letter.attributes[attribute::TRACEPARENT], TRACE);
        assert!(letter.attributes.len() <= 10, "SQS allows ten");
    }

    #[test]
    fn an_empty_body_becomes_one_that_sqs_takes_and_that_reads_as_empty() {
        let letter = letter("");
        assert_eq!(letter.body, " ");
        let read = crate::event::parse(&letter.body).expect_err("empty");
        assert_eq!(read.code(), "empty_body");
    }
}
