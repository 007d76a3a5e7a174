//! Actions that the console has offered. Each is done once: a second click, or a page that is sent
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
/// Those of one caller: a person with many tabs takes none of the others'.
const MAX_SLOTS_OF_CALLER: usize = 40;

#[derive(Default)]
pub(super) struct ActionSlots(Mutex<VecDeque<Slot>>);

struct Slot {
    id: String,
    /// Whom it was offered to.
    caller: String,
    /// The path of the page that offers it, or of the user whom it changes.
    path: String,
    /// Not what the page said that will happen: that may have personal data.
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
    /// This request must do it. No other one will.
    Now,
    /// Another request does it, or has done it.
    Before,
    /// Not offered, or with another effect.
    Changed,
}

impl ActionSlots {
    /// The id of a new offer. It may take the place of an older one.
    ///
    /// # Errors
    /// When the caller has too many running actions, or the system has no random numbers.
    pub(super) fn offer(
        &self,
        caller: &str,
        path: String,
        effect: &str,
    ) -> Result<String, Refusal> {
        let id = Secret::new().map_err(|error| {
            let detail = format!("The system has no random numbers: {error}.");
            Refusal::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "Nothing was done",
                detail,
            )
        })?;
        let id = id.reveal().to_owned();
        let mut slots = self.lock();
        let has_room = make_room(&mut slots, MAX_SLOTS_OF_CALLER, |it| it.caller == caller)
            && make_room(&mut slots, MAX_SLOTS, |_| true);
        if !has_room {
            return Err(Refusal::new(
                StatusCode::TOO_MANY_REQUESTS,
                "Nothing was done",
                "Too many actions are running. Wait until one ends.",
            ));
        }
        slots.push_back(Slot {
            id: id.clone(),
            caller: caller.to_owned(),
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
        self.set(id, SlotState::Ended(Arc::new(result)));
    }

    /// Offers an action again that was taken and has no result.
    pub(super) fn release(&self, id: &str) {
        self.set(id, SlotState::Offered);
    }

    fn set(&self, id: &str, state: SlotState) {
        let mut slots = self.lock();
        if let Some(slot) = slots.iter_mut().find(|slot| slot.id == id) {
            slot.state = state;
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

/// Removes a slot if there are `max` of those that count: the oldest result, or else the oldest
/// offer. A running action stays: a page that is sent again would do it twice. False if all run.
fn make_room(slots: &mut VecDeque<Slot>, max: usize, counts: impl Fn(&Slot) -> bool) -> bool {
    if slots.iter().filter(|slot| counts(slot)).count() < max {
        return true;
    }
    let oldest = |is_it: fn(&SlotState) -> bool| {
        let mut slots = slots.iter();
        slots.position(|slot| counts(slot) && is_it(&slot.state))
    };
    let at = oldest(|state| matches!(state, SlotState::Ended(_)));
    let at = at.or_else(|| oldest(|state| matches!(state, SlotState::Offered)));
    at.and_then(|at| slots.remove(at)).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Offers an action, and takes it.
    fn run(slots: &ActionSlots, caller: &str) -> String {
        let id = slots.offer(caller, "/a".to_owned(), "one").expect("room");
        assert_eq!(slots.take(&id, "/a", "one"), Taken::Now);
        id
    }

    #[test]
    fn results_go_before_offers_and_running_actions_stay() {
        let slots = ActionSlots::default();
        let offer = || slots.offer("ada", "/a".to_owned(), "one");
        let running = run(&slots, "ada");
        let first = offer().expect("room");
        let ended = run(&slots, "ada");
        slots.end(&ended, ActionResult::new("Add", true, "done"));
        for _ in 3..MAX_SLOTS_OF_CALLER {
            offer().expect("room");
        }
        assert!(slots.result(&ended, "/a").is_some());
        offer().expect("the place of the result");
        assert!(slots.result(&ended, "/a").is_none());
        offer().expect("the place of the first offer");
        assert_eq!(slots.take(&first, "/a", "one"), Taken::Changed);
        assert_eq!(slots.take(&running, "/a", "one"), Taken::Before);
    }

    #[test]
    fn a_caller_takes_no_slot_of_another() {
        let slots = ActionSlots::default();
        let of_bob = run(&slots, "bob");
        slots.end(&of_bob, ActionResult::new("Add", true, "done"));
        for _ in 0..MAX_SLOTS_OF_CALLER {
            run(&slots, "ada");
        }
        let refused = slots.offer("ada", "/a".to_owned(), "one");
        assert!(refused.is_err(), "all of them run");
        assert!(slots.result(&of_bob, "/a").is_some());
        for n in 0..MAX_SLOTS {
            let caller = n.to_string();
            slots.offer(&caller, "/a".to_owned(), "one").expect("room");
        }
        assert!(slots.result(&of_bob, "/a").is_none());
        assert_eq!(slots.lock().len(), MAX_SLOTS);
    }

    #[test]
    fn an_action_without_a_result_can_be_tried_again() {
        let slots = ActionSlots::default();
        let id = run(&slots, "ada");
        assert_eq!(slots.take(&id, "/a", "one"), Taken::Before);
        slots.release(&id);
        assert_eq!(slots.take(&id, "/a", "one"), Taken::Now);
    }

    #[test]
    fn an_offer_is_taken_once_and_only_as_it_was_shown() {
        let slots = ActionSlots::default();
        let id = slots.offer("ada", "/a".to_owned(), "one").expect("room");
        assert_eq!(slots.take(&id, "/b", "one"), Taken::Changed);
        assert_eq!(slots.take(&id, "/a", "two"), Taken::Changed);
        assert_eq!(slots.take("other", "/a", "one"), Taken::Changed);
        assert_eq!(slots.take(&id, "/a", "one"), Taken::Now);
        assert_eq!(slots.take(&id, "/a", "one"), Taken::Before);
        assert!(slots.result(&id, "/a").is_none());
    }
}
