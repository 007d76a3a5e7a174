//! The messages for a source queue.

use std::collections::BTreeMap;
use std::time::Duration;

use super::attribute;
use super::history::History;
use crate::aws::{Outgoing, Received};
use crate::event::{AdminCommand, PoolId, ReconcileCommand, escape_for_sqs};

/// The kind of a sign-up's message, whatever trigger source is in it.
const SIGN_UP_KIND: &str = "PostConfirmation";

/// A sign-up, as the trigger forwards it. `pool` is the tenant for fair queues: one busy
/// pool does not hold up others.
pub(crate) fn sign_up(body: String, pool: Option<String>) -> Outgoing {
    let now = format!("{:.3}", jiff::Timestamp::now());
    Outgoing {
        body,
        message_group: pool,
        ..Outgoing::default()
    }
    .with_attribute(attribute::KIND, SIGN_UP_KIND)
    .with_attribute(attribute::FORWARDED_AT, now)
}

/// The sign-in of a user who may have no sign-up. Its message group is another than that of the
/// pool's sign-ups: fair queues deliver those first.
pub(crate) fn sign_in(body: String, pool: Option<&str>) -> Outgoing {
    let group = pool.map(|pool| format!("{pool}.sign_in"));
    sign_up(body, group).with_attribute(attribute::ORIGIN, "sign_in")
}

/// A sign-up that a reconcile queues. Its message group is another than that of the pool's
/// live sign-ups: fair queues deliver those first.
pub(crate) fn missed_sign_up(body: String, pool: &PoolId) -> Outgoing {
    sign_up(body, Some(format!("{pool}.reconcile"))).with_attribute(attribute::ORIGIN, "reconcile")
}

/// An admin command for a worker. Its message group is another than that of the pool's
/// sign-ups: a burst of commands does not delay them.
pub(crate) fn command(command: &AdminCommand) -> Outgoing {
    Outgoing {
        body: escape_for_sqs(&command.to_body()),
        message_group: Some(format!("orders/{}", command.pool)),
        ..Outgoing::default()
    }
    .with_attribute(attribute::KIND, command.operation.name())
}

/// A reconcile command, or its continuation.
pub(crate) fn reconcile(command: &ReconcileCommand, delay: Duration) -> Outgoing {
    Outgoing {
        body: command.to_body(),
        delay,
        ..Outgoing::default()
    }
}

/// A received message for another send to the source queue. SQS counts its receives from
/// zero; the attributes carry the counts of `history`. Attributes of a dead letter are
/// removed.
pub(crate) fn renewed(message: &Received, history: History, delay: Duration) -> Outgoing {
    let mut attributes = BTreeMap::new();
    for (name, count) in [
        (attribute::ATTEMPTS, history.attempts),
        (attribute::REPLAYS, history.replays),
    ] {
        if count > 0 {
            attributes.insert(name.to_owned(), count.to_string());
        }
    }
    if let Some(first) = history.first_received_at {
        let first = format!("{first:.3}");
        attributes.insert(attribute::FIRST_RECEIVED_AT.to_owned(), first);
    }
    // Added first, since the producer's other attributes may not all fit.
    if let Some(trace) = message.attributes.get(attribute::TRACEPARENT) {
        attributes.insert(attribute::TRACEPARENT.to_owned(), trace.clone());
    }
    for (name, value) in &message.attributes {
        let is_dead_letter_only = attribute::NOT_COPIED.contains(&name.as_str());
        if attributes.len() < attribute::MAX_MESSAGE_ATTRIBUTES
            && !is_dead_letter_only
            && !attributes.contains_key(name)
        {
            attributes.insert(name.clone(), value.clone());
        }
    }
    Outgoing {
        body: sendable_body(&message.body),
        attributes,
        message_group: message.message_group.clone(),
        trace_header: message.trace_header.clone(),
        delay,
    }
}

/// SQS refuses an empty body, so a space replaces it. The parser reads both as empty.
pub(crate) fn sendable_body(body: &str) -> String {
    if body.is_empty() {
        " ".to_owned()
    } else {
        body.to_owned()
    }
}
