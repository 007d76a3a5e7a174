//! A dead letter that was received from the dead-letter queue.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::aws::Received;
use crate::event::{Event, PoolId, parse};
use crate::message::attribute;
use crate::provision::RejectionClass;

/// A received dead letter, hidden from other processes until the scan ends.
#[derive(Debug)]
pub struct ReceivedDeadLetter {
    /// The message as received; body and attributes may hold personal data.
    pub message: Received,
    /// Its fields that may be shown.
    pub(crate) summary: DeadLetterSummary,
}

/// A dead letter without personal data, for lists and log lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct DeadLetterSummary {
    /// Message id on the dead-letter queue.
    pub id: String,
    /// Reason code; [`UNKNOWN_REASON`] if usher did not write it.
    pub reason: String,
    /// The class of the failure.
    pub class: Option<String>,
    /// Error text, cut to 256 characters.
    pub error: Option<String>,
    /// Attempts before it was dead-lettered, since its last replay.
    pub attempts: Option<u32>,
    /// Number of replays.
    pub replays: u32,
    /// When the source queue delivered it for the first time.
    pub first_received_at: Option<jiff::Timestamp>,
    /// From its attribute; without one, the message's `SentTimestamp`.
    pub dead_lettered_at: Option<jiff::Timestamp>,
    /// Message id on the source queue.
    pub source_message_id: Option<String>,
    /// The version of usher that wrote it.
    pub version: Option<String>,
    /// The user pool that its event names.
    pub pool: Option<String>,
    /// The user's `sub`, where the event has one that holds no personal data.
    pub sub: Option<String>,
    /// Receives from the dead-letter queue, as SQS counts them.
    pub receives: u32,
    /// Size of the body.
    pub bytes: usize,
}

/// Fewer characters of an id may name several dead letters.
pub(crate) const MIN_ID_CHARS: usize = 8;

/// The beginning of an id, as `show`, `replay` and `drop` take it.
pub(crate) fn short_id(id: &str) -> &str {
    id.get(..MIN_ID_CHARS).unwrap_or(id)
}

/// The reason of a dead letter without the attribute: SQS moved it, or another
/// program sent it.
pub(crate) const UNKNOWN_REASON: &str = "unknown";

impl ReceivedDeadLetter {
    pub(crate) fn new(message: Received) -> Self {
        let summary = DeadLetterSummary::new(&message.id, &message.body, &message.attributes);
        let summary = DeadLetterSummary {
            first_received_at: summary.first_received_at.or(message.first_received_at),
            dead_lettered_at: summary.dead_lettered_at.or(message.sent_at),
            receives: message.receive_count,
            ..summary
        };
        Self { message, summary }
    }

    /// The bytes of its body and its attributes.
    pub(crate) fn size(&self) -> usize {
        let attributes = self.message.attributes.iter();
        let attributes = attributes.map(|(name, value)| name.len() + value.len());
        self.message.body.len() + attributes.sum::<usize>()
    }

    /// Says that a dead-lettered sign-up is not finished; `None` for any other message.
    pub(crate) fn unfinished(&self, has_profiles: bool) -> Option<&'static str> {
        let Ok(Event::SignUp(sign_up)) = parse(&self.message.body) else {
            return None;
        };
        Some(if has_profiles && sign_up.scope.includes_profile() {
            "not finished: the profile is written after the groups; a replay writes it"
        } else {
            "not finished: a replay gives the groups that are missing"
        })
    }

    /// Attributes that the summary does not have, safe for a terminal.
    pub(crate) fn other_attributes(&self) -> impl Iterator<Item = (String, String)> {
        let attributes = self.message.attributes.iter();
        attributes
            .filter(|(name, _)| !is_in_summary(name))
            .map(|(name, value)| (printable(name), printable(value)))
    }
}

fn is_in_summary(name: &str) -> bool {
    attribute::NOT_COPIED.contains(&name)
        || [attribute::REPLAYS, attribute::FIRST_RECEIVED_AT].contains(&name)
}

impl DeadLetterSummary {
    /// Reads the attributes, and from the body only the pool and the `sub`.
    pub(crate) fn new(id: &str, body: &str, attributes: &BTreeMap<String, String>) -> Self {
        let text = |name| attributes.get(name).map(|text| printable_prefix(text));
        let time = |name| attributes.get(name)?.parse().ok();
        let number = |name| attributes.get(name)?.parse().ok();
        let (pool, sub) = pool_and_sub(body);
        Self {
            id: id.to_owned(),
            reason: text(attribute::REASON)
                .filter(|reason| reason.trim() == reason && !reason.is_empty())
                .unwrap_or_else(|| UNKNOWN_REASON.to_owned()),
            class: text(attribute::CLASS),
            error: text(attribute::ERROR),
            attempts: number(attribute::ATTEMPTS),
            replays: number(attribute::REPLAYS).unwrap_or(0),
            first_received_at: time(attribute::FIRST_RECEIVED_AT),
            dead_lettered_at: time(attribute::DEAD_LETTERED_AT),
            source_message_id: text(attribute::SOURCE_MESSAGE_ID),
            version: text(attribute::VERSION),
            pool,
            sub,
            receives: 0,
            bytes: body.len(),
        }
    }

    /// Whether `asked` is an id of the dead letter, on either queue, or the beginning of one.
    pub(crate) fn has_id(&self, asked: &str) -> bool {
        let is_asked =
            |id: &str| id == asked || (asked.len() >= MIN_ID_CHARS && id.starts_with(asked));
        is_asked(&self.id) || self.source_message_id.as_deref().is_some_and(is_asked)
    }

    /// Whether another attempt fails again while usher and its configuration stay the same.
    pub(crate) fn is_hopeless(&self) -> bool {
        let hopeless = [RejectionClass::Malformed, RejectionClass::Forbidden];
        let class = self.class.as_deref();
        hopeless.iter().any(|it| class == Some(it.name()))
    }
}

fn pool_and_sub(body: &str) -> (Option<String>, Option<String>) {
    match parse(body) {
        Ok(Event::SignUp(sign_up)) => {
            let sub = sign_up.sub.as_ref().map(|sub| sub.as_str().to_owned());
            (Some(printable(sign_up.pool.as_str())), sub)
        }
        Ok(Event::Reconcile(reconcile)) => {
            let pool = reconcile.pool.as_ref().map(PoolId::as_str);
            (pool.map(printable), None)
        }
        Ok(Event::AdminCommand(command)) => (Some(printable(command.pool.as_str())), None),
        Err(_) => (None, None),
    }
}

/// Longer attributes are cut for lists and log lines.
const MAX_PRINTED_CHARS: usize = 256;

/// Makes an attribute safe for a terminal: anyone who may send to the queue can write
/// control characters or a very long line into it.
fn printable_prefix(text: &str) -> String {
    printable(text).chars().take(MAX_PRINTED_CHARS).collect()
}

/// Replaces control characters, invisible ones and those that change the direction of
/// text.
pub(crate) fn printable(text: &str) -> String {
    let is_unprintable = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
    };
    text.chars()
        .map(|c| if is_unprintable(c) { '\u{fffd}' } else { c })
        .collect()
}
