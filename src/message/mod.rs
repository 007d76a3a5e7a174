//! The envelope of an event on a queue: what a message carries besides its body, and the
//! builders of every message that usher sends.

pub mod attribute;
mod dead_letter;
mod delivery;
mod history;
pub(crate) mod outgoing;

pub(crate) use dead_letter::{DeadLetter, send_dead_letter};
pub(crate) use delivery::{Delivery, Unreadable};
pub(crate) use history::History;
pub(crate) use outgoing::sendable_body;
