//! What bounds the messages that a worker has.

use tokio::sync::OwnedSemaphorePermit;

/// What a message holds while it is in hand or in work.
pub(super) struct Permits {
    /// For being in hand at all.
    pub(super) hand: Option<OwnedSemaphorePermit>,
    /// For a place among those in work.
    pub(super) work: Option<OwnedSemaphorePermit>,
}

impl Permits {
    /// For other messages to take.
    pub(super) fn give_back(&mut self) {
        drop((self.hand.take(), self.work.take()));
    }
}
