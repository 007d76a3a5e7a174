//! The result of a replay for one dead letter.

use std::fmt;

use crate::reason::Reason;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ReplayResult {
    /// Sent to the source queue; a worker will provision it.
    Queued,
    /// This process did everything that the message asks for.
    Done,
    /// Nothing was missing before the replay.
    AlreadyDone,
    /// The message needs no work.
    Ignored,
    /// A new dead letter with this reason replaces it.
    FailedAgain(Reason),
    /// It stays on the dead-letter queue, for this reason.
    Unchanged(Reason),
    /// Replayed, but SQS did not delete it. A second replay provisions nothing further; it may mail an invitation again.
    NotDeleted,
}

impl ReplayResult {
    /// Whether the dead letter is deleted and its message is provisioned or queued.
    pub(crate) fn is_success(&self) -> bool {
        matches!(
            self,
            Self::Queued | Self::Done | Self::AlreadyDone | Self::Ignored
        )
    }
}

impl fmt::Display for ReplayResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Queued => f.write_str("queued"),
            Self::Done => f.write_str("done"),
            Self::AlreadyDone => f.write_str("already_done"),
            Self::Ignored => f.write_str("ignored"),
            Self::FailedAgain(reason) => write!(f, "failed again: {reason}"),
            Self::Unchanged(reason) => write!(f, "left: {reason}"),
            Self::NotDeleted => f.write_str("not deleted"),
        }
    }
}
