//! A received message with everything that is read from it, once.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::history::History;
use crate::aws::Received;
use crate::event::{Event, Malformed, TraceParent, parse};

/// A message as the worker processes it.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub message: Received,
    pub history: History,
    pub event: Result<Event, Unreadable>,
    /// The trace that the sender passed on.
    pub trace: Option<TraceParent>,
}

/// Why a body gives no event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unreadable {
    Malformed(Malformed),
    /// A fault of the parser. Another release may read the body.
    Panic,
}

impl Delivery {
    pub(crate) fn new(message: Received) -> Self {
        let event = catch_unwind(AssertUnwindSafe(|| parse(&message.body)));
        Self {
            history: History::from_message(&message),
            trace: message.trace_parent(),
            event: match event {
                Ok(event) => event.map_err(Unreadable::Malformed),
                Err(_) => Err(Unreadable::Panic),
            },
            message,
        }
    }

    /// Attempts under all ids, including this one.
    pub(crate) fn attempts(&self) -> u32 {
        self.history.attempts
    }
}
