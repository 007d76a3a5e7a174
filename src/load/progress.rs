//! What the profile poller tells the watcher.

use std::sync::atomic::AtomicU64;

/// Written by the profile poller, read when a sample is taken.
#[derive(Debug, Default)]
pub(super) struct SharedProgress {
    pub(super) finished: AtomicU64,
    /// When the oldest unfinished sign-up was due, in microseconds since the start;
    /// `u64::MAX` without one.
    pub(super) oldest_due_micros: AtomicU64,
}
