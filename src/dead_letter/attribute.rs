//! Names of message attributes. They are a contract.

use crate::aws::Received;

/// Short code.
pub(crate) const REASON: &str = "usher.reason";
/// Kind of error.
pub(crate) const CLASS: &str = "usher.class";
/// Text without personal data.
pub const ERROR: &str = "usher.error";
/// Attempts that were made.
pub const ATTEMPTS: &str = "usher.attempts";
/// How often the letter was sent back to the source queue.
pub(crate) const REPLAYS: &str = "usher.replays";
/// ISO 8601, UTC.
pub(crate) const FIRST_RECEIVED_AT: &str = "usher.first_received_at";
/// ISO 8601, UTC. Every letter that usher wrote has it, and nothing else.
pub(crate) const DEAD_LETTERED_AT: &str = "usher.dead_lettered_at";
/// Message id on the source queue.
pub(crate) const SOURCE_MESSAGE_ID: &str = "usher.source_message_id";
/// The version of usher that wrote the letter.
pub(crate) const VERSION: &str = "usher.version";
/// W3C trace context, carried over from the message.
pub(crate) const TRACEPARENT: &str = Received::TRACEPARENT;

/// What a letter says of itself, and a message does not.
pub(crate) const DEAD_LETTER_ONLY: [&str; 7] = [
    REASON,
    CLASS,
    ERROR,
    ATTEMPTS,
    DEAD_LETTERED_AT,
    SOURCE_MESSAGE_ID,
    VERSION,
];

/// SQS allows no more on one message.
pub(super) const MAX_MESSAGE_ATTRIBUTES: usize = 10;
