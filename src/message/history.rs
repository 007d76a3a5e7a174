//! Attempts and replays of a message under all its ids.
//!
//! SQS counts the receives of each message id separately. A message that usher sends
//! again has a new id, so it carries the earlier counts as message attributes.

use super::attribute;
use crate::aws::Received;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct History {
    /// Attempts under all ids since the last replay. When parsed, it includes the
    /// present receive.
    pub attempts: u32,
    /// How often it returned from the dead-letter queue.
    pub replays: u32,
    /// The first receive under its first id.
    pub first_received_at: Option<jiff::Timestamp>,
}

impl History {
    /// Reads the attributes. A dead letter that SQS's own redrive moved back counts as
    /// replayed, and its attempts start at zero.
    pub(crate) fn from_message(message: &Received) -> Self {
        let number = |name| {
            let text = message.attributes.get(name)?;
            text.parse::<u32>().ok()
        };
        let replays = number(attribute::REPLAYS).unwrap_or(0);
        let moved_back = message.attributes.contains_key(attribute::DEAD_LETTERED_AT);
        let before = if moved_back {
            0
        } else {
            number(attribute::ATTEMPTS).unwrap_or(0)
        };
        Self {
            attempts: before.saturating_add(message.receive_count),
            replays: replays.saturating_add(u32::from(moved_back)),
            first_received_at: message
                .attributes
                .get(attribute::FIRST_RECEIVED_AT)
                .and_then(|time| time.parse().ok())
                .or(message.first_received_at),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::aws::Outgoing;
    use crate::message::outgoing;

    fn received(receives: u32, attributes: &[(&str, &str)]) -> Received {
        Received {
            id: "m-1".to_owned(),
            receipt_handle: "r".to_owned(),
            body: "{}".to_owned(),
            receive_count: receives,
            sent_at: None,
            first_received_at: jiff::Timestamp::from_millisecond(1_786_104_000_000).ok(),
            attributes: attributes
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            message_group: Some("pool".to_owned()),
            trace_header: Some("Root=…".to_owned()),
            receive_time: tokio::time::Instant::now(),
        }
    }

    /// The sent message as SQS would deliver it.
    fn redelivered(sent: Outgoing, receives: u32) -> Received {
        let mut message = received(receives, &[]);
        message.attributes = sent.attributes;
        message
    }

    #[test]
    fn attempts_are_receives_plus_those_in_the_attribute() {
        assert_eq!(History::from_message(&received(3, &[])).attempts, 3);
        let renewed = received(2, &[("usher.attempts", "5")]);
        assert_eq!(History::from_message(&renewed).attempts, 7);
        let invalid = received(2, &[("usher.attempts", "many"), ("usher.replays", "-1")]);
        assert_eq!(
            (
                History::from_message(&invalid).attempts,
                History::from_message(&invalid).replays
            ),
            (2, 0)
        );
    }

    #[test]
    fn a_renewed_message_keeps_its_counts_and_first_date() {
        let message = received(4, &[("traceparent", "00-…"), ("usher.replays", "1")]);
        let before = History::from_message(&message);
        let released = History {
            attempts: before.attempts - 1,
            ..before
        };
        let sent = outgoing::renewed(&message, released, Duration::ZERO);
        assert_eq!(sent.message_group.as_deref(), Some("pool"));
        assert_eq!(sent.attributes["traceparent"], "00-…");
        assert_eq!(sent.trace_header.as_deref(), Some("Root=…"));
        let after = History::from_message(&redelivered(sent, 1));
        assert_eq!(
            after, before,
            "the receive that was no attempt does not count"
        );
    }

    #[test]
    fn a_dead_letter_that_sqs_moved_back_counts_as_replayed() {
        let dead_letter = received(
            1,
            &[
                ("usher.reason", "throttled"),
                ("usher.attempts", "8"),
                ("usher.dead_lettered_at", "2026-08-07T12:00:00.000Z"),
                ("usher.first_received_at", "2026-08-01T00:00:00.000Z"),
            ],
        );
        let history = History::from_message(&dead_letter);
        assert_eq!((history.attempts, history.replays), (1, 1));
        let first = history.first_received_at.expect("a date").to_string();
        assert_eq!(first, "2026-08-01T00:00:00Z");
        let renewed = outgoing::renewed(&dead_letter, history, Duration::ZERO).attributes;
        assert!(!renewed.contains_key("usher.reason"));
    }

    #[test]
    fn a_renewed_message_has_at_most_ten_attributes() {
        let many: Vec<String> = (0..10).map(|n| format!("a{n}")).collect();
        let mut many: Vec<(&str, &str)> = many.iter().map(|name| (name.as_str(), "v")).collect();
        many[9].0 = "traceparent";
        let message = received(2, &many);
        let history = History::from_message(&message);
        let renewed = outgoing::renewed(&message, history, Duration::ZERO);
        assert_eq!(renewed.attributes.len(), 10);
        assert!(renewed.attributes.contains_key("usher.attempts"));
        assert!(renewed.attributes.contains_key("traceparent"));
    }
}
