//! Names of message attributes. Other programs read them, so they never change.

use crate::aws::Received;

/// The kind of event in the body.
pub(crate) const KIND: &str = "usher.kind";
/// The time of forwarding: ISO 8601, UTC.
pub(crate) const FORWARDED_AT: &str = "usher.forwarded_at";
/// What queued the sign-up, if not the trigger.
pub(crate) const ORIGIN: &str = "usher.origin";
/// Reason code, such as `user_not_found`.
pub(crate) const REASON: &str = "usher.reason";
/// Class of the failure, such as `throttled`.
pub(crate) const CLASS: &str = "usher.class";
/// Error text without personal data.
pub const ERROR: &str = "usher.error";
/// Attempts under all ids since the last replay.
pub const ATTEMPTS: &str = "usher.attempts";
/// How often the dead letter was replayed.
pub(crate) const REPLAYS: &str = "usher.replays";
/// First receive under the first id; ISO 8601, UTC.
pub(crate) const FIRST_RECEIVED_AT: &str = "usher.first_received_at";
/// ISO 8601, UTC. Only dead letters have it, so on a source queue it marks a message that
/// SQS's redrive moved.
pub(crate) const DEAD_LETTERED_AT: &str = "usher.dead_lettered_at";
/// Message id on the source queue.
pub(crate) const SOURCE_MESSAGE_ID: &str = "usher.source_message_id";
/// The version of usher that sent the dead letter.
pub(crate) const VERSION: &str = "usher.version";
/// W3C trace context, copied from the source message.
pub(crate) const TRACEPARENT: &str = Received::TRACEPARENT;

/// Attributes that are not copied when a message is sent to the source queue again.
/// `Outgoing::renewed` sets the attempts from its own count.
pub(crate) const NOT_COPIED: [&str; 7] = [
    REASON,
    CLASS,
    ERROR,
    ATTEMPTS,
    DEAD_LETTERED_AT,
    SOURCE_MESSAGE_ID,
    VERSION,
];

/// The limit of SQS for one message.
pub(crate) const MAX_MESSAGE_ATTRIBUTES: usize = 10;
