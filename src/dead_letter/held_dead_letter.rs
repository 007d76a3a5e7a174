//! A letter as it lies in the dead-letter queue.

use serde::Serialize;

use super::attribute;
use crate::aws::Received;
use crate::event::{Event, PoolId, Sub, is_loggable_sub, parse};

/// A letter, hidden by this process since it was received.
#[derive(Debug)]
pub struct HeldDeadLetter {
    /// The message itself.
    pub message: Received,
    /// What may be shown of it.
    pub(crate) summary: DeadLetterSummary,
}

/// What is known of a letter, without personal data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct DeadLetterSummary {
    /// Message id on the dead-letter queue.
    pub id: String,
    /// Why it is here; `unknown` for what SQS itself moved.
    pub reason: String,
    /// The kind of error.
    pub class: Option<String>,
    /// usher's words on it.
    pub error: Option<String>,
    /// Attempts that were made.
    pub attempts: Option<u32>,
    /// How often it was sent back to the source queue.
    pub replays: u32,
    /// When the source queue handed it out for the first time.
    pub first_received_at: Option<jiff::Timestamp>,
    /// When it became a letter; without usher's word, when it was sent.
    pub dead_lettered_at: Option<jiff::Timestamp>,
    /// Message id on the source queue.
    pub source_message_id: Option<String>,
    /// The version of usher that wrote it.
    pub version: Option<String>,
    /// The user pool that its event names.
    pub pool: Option<String>,
    /// The user's `sub`, where the event has one that says nothing of the person.
    pub sub: Option<String>,
    /// Receives from the dead-letter queue, as SQS counts them.
    pub receives: u32,
    /// Size of the body.
    pub bytes: usize,
}

/// For a letter without a reason: SQS moved it, or somebody else sent it.
pub(crate) const UNKNOWN_REASON: &str = "unknown";

impl HeldDeadLetter {
    /// Reads the attributes, and the body for pool and `sub` alone.
    pub(crate) fn new(message: Received) -> Self {
        let text = |name| {
            message
                .attributes
                .get(name)
                .map(|text| printable_prefix(text))
        };
        let time = |name| message.attributes.get(name)?.parse().ok();
        let number = |name| message.attributes.get(name)?.parse().ok();
        let (pool, sub) = pool_and_sub(&message.body);
        let summary = DeadLetterSummary {
            id: message.id.clone(),
            reason: text(attribute::REASON).unwrap_or_else(|| UNKNOWN_REASON.to_owned()),
            class: text(attribute::CLASS),
            error: text(attribute::ERROR),
            attempts: number(attribute::ATTEMPTS),
            replays: number(attribute::REPLAYS).unwrap_or(0),
            first_received_at: time(attribute::FIRST_RECEIVED_AT).or(message.first_received_at),
            dead_lettered_at: time(attribute::DEAD_LETTERED_AT).or(message.sent_at),
            source_message_id: text(attribute::SOURCE_MESSAGE_ID),
            version: text(attribute::VERSION),
            pool,
            sub,
            receives: message.receive_count,
            bytes: message.body.len(),
        };
        Self { message, summary }
    }
}

fn pool_and_sub(body: &str) -> (Option<String>, Option<String>) {
    match parse(body) {
        Ok(Event::SignUp(sign_up)) => {
            let sub = sign_up.sub.as_ref().map(Sub::as_str);
            let sub = sub.filter(|sub| is_loggable_sub(sub)).map(str::to_owned);
            (Some(printable(sign_up.pool.as_str())), sub)
        }
        Ok(Event::Reconcile(task)) => {
            let pool = task.pool.as_ref().map(PoolId::as_str);
            (pool.map(printable), None)
        }
        Ok(Event::AdminCommand(order)) => (Some(printable(order.pool.as_str())), None),
        Err(_) => (None, None),
    }
}

/// Characters of an attribute that are shown.
const MAX_PRINTED_CHARS: usize = 256;

/// Anyone who may send to the queue writes its attributes: no control character, none that
/// turns the direction of text, and no endless line gets to a terminal.
fn printable_prefix(text: &str) -> String {
    printable(text).chars().take(MAX_PRINTED_CHARS).collect()
}

/// Without control characters and those that turn the direction of text.
pub(crate) fn printable(text: &str) -> String {
    let odd = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
    };
    text.chars()
        .map(|c| if odd(c) { '\u{fffd}' } else { c })
        .collect()
}
