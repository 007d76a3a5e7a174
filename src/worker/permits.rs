//! What bounds the messages that a worker has.

use tokio::sync::OwnedSemaphorePermit;

/// What a message holds while it is in hand or in work.
pub(super) struct MessagePermits {
    /// For being in hand at all.
    pub(super) prefetch: Option<OwnedSemaphorePermit>,
    /// For a place among those in work.
    pub(super) concurrency: Option<OwnedSemaphorePermit>,
}

impl MessagePermits {
    /// For other messages to take.
    pub(super) fn give_back(&mut self) {
        drop((self.prefetch.take(), self.concurrency.take()));
    }
}
