//! Actions that the console has offered, each to be done once. A click twice, or a page that is sent
//! again, finds the result of the first.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::StatusCode;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::access::Secret;
use super::page::Refusal;
use super::text::Moment;

/// Offers and results that are kept.
const MAX_SLOTS: usize = 200;

#[derive(Default)]
pub(super) struct ActionSlots(Mutex<VecDeque<Slot>>);

struct Slot {
    id: String,
    /// Of the page that offers it, or of the user whom it is about.
    path: String,
    /// Of what the page said that will happen, which may have personal data.
    effect_hash: [u8; 32],
    state: SlotState,
}

enum SlotState {
    Offered,
    Running,
    Ended(Arc<ActionResult>),
}

/// The result of an action, for a page.
#[derive(Debug)]
pub(super) struct ActionResult {
    pub(super) label: &'static str,
    pub(super) is_success: bool,
    /// Without personal data.
    pub(super) text: String,
    /// Where to see more.
    pub(super) next: Option<String>,
    at: Timestamp,
}

impl ActionResult {
    pub(super) fn new(label: &'static str, is_success: bool, text: impl Into<String>) -> Self {
        Self {
            label,
            is_success,
            text: text.into(),
            next: None,
            at: Timestamp::now(),
        }
    }

    pub(super) fn with_next(self, next: Option<String>) -> Self {
        Self { next, ..self }
    }

    pub(super) fn moment(&self) -> Moment {
        Moment(self.at)
    }
}

/// What a confirmed request finds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It is to be done now, and by nobody else.
    Now,
    /// Another request does it, or has done it.
    Before,
    /// Not offered, or with another effect.
    Changed,
}

impl ActionSlots {
    /// The id of a new offer.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub(super) fn offer(&self, path: String, effect: &str) -> Result<String, Refusal> {
        let id = Secret::new().map_err(|error| {
            let detail = format!("There are no random numbers: {error}.");
            Refusal::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "Nothing was done",
                detail,
            )
        })?;
        let id = id.reveal().to_owned();
        let mut slots = self.lock();
        if slots.len() == MAX_SLOTS {
            slots.pop_front();
        }
        slots.push_back(Slot {
            id: id.clone(),
            path,
            effect_hash: Sha256::digest(effect).into(),
            state: SlotState::Offered,
        });
        Ok(id)
    }

    pub(super) fn take(&self, id: &str, path: &str, effect: &str) -> Taken {
        let mut slots = self.lock();
        let mut slots = slots.iter_mut();
        let Some(slot) = slots.find(|slot| slot.id == id && slot.path == path) else {
            return Taken::Changed;
        };
        match slot.state {
            SlotState::Offered if slot.effect_hash[..] == Sha256::digest(effect)[..] => {
                slot.state = SlotState::Running;
                Taken::Now
            }
            SlotState::Offered => Taken::Changed,
            SlotState::Running | SlotState::Ended(_) => Taken::Before,
        }
    }

    pub(super) fn end(&self, id: &str, result: ActionResult) {
        let mut slots = self.lock();
        if let Some(slot) = slots.iter_mut().find(|slot| slot.id == id) {
            slot.state = SlotState::Ended(Arc::new(result));
        }
    }

    /// The result of this action, for this page.
    pub(super) fn result(&self, id: &str, path: &str) -> Option<Arc<ActionResult>> {
        let slots = self.lock();
        let slot = slots
            .iter()
            .find(|slot| slot.id == id && slot.path == path)?;
        match &slot.state {
            SlotState::Ended(result) => Some(Arc::clone(result)),
            SlotState::Offered | SlotState::Running => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Slot>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offer_is_taken_once_and_only_as_it_was_shown() {
        let slots = ActionSlots::default();
        let id = slots.offer("/a".to_owned(), "one").expect("random");
        assert_eq!(slots.take(&id, "/b", "one"), Taken::Changed);
        assert_eq!(slots.take(&id, "/a", "two"), Taken::Changed);
        assert_eq!(slots.take("other", "/a", "one"), Taken::Changed);
        assert_eq!(slots.take(&id, "/a", "one"), Taken::Now);
        assert_eq!(slots.take(&id, "/a", "one"), Taken::Before);
        assert!(slots.result(&id, "/a").is_none());
    }
}
