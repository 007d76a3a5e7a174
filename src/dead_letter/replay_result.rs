//! What became of a letter that was replayed.

use std::fmt;

/// What became of a letter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ReplayResult {
    /// It is on the source queue.
    Queued,
    /// Groups and profile are there now.
    Done,
    /// They were there.
    AlreadyDone,
    /// Nothing was to be done.
    Ignored,
    /// It is a new letter, with this reason.
    FailedAgain(String),
    /// It is as it was, for this reason.
    Unchanged(String),
    /// Done with, but it could not be deleted: it will be replayed again, without
    /// effect.
    NotDeleted,
}

impl ReplayResult {
    /// Whether the letter is gone and its work done or under way.
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
