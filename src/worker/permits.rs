//! The permits that bound the messages in a worker.

use tokio::sync::OwnedSemaphorePermit;

/// The permits of a message that is prefetched or in progress.
pub(super) struct MessagePermits {
    /// Bounds received messages to `worker.concurrency` plus the prefetch.
    pub(super) intake: Option<OwnedSemaphorePermit>,
    /// Bounds messages in progress to `worker.concurrency`; `None` while prefetched.
    pub(super) concurrency: Option<OwnedSemaphorePermit>,
}

impl MessagePermits {
    /// Frees both permits for other messages.
    pub(super) fn give_back(&mut self) {
        drop((self.intake.take(), self.concurrency.take()));
    }
}
