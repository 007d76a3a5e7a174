//! What is not as it must be.

use serde::Serialize;

/// One thing that differs, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Difference {
    /// What differs.
    pub kind: DifferenceKind,
    /// The user's made-up name, or the message's tag; both carry the run's id.
    pub who: String,
    /// The user's `sub`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sub: Option<String>,
    /// What exactly: a group, an attribute, a reason.
    pub detail: String,
}

/// The ways in which something can differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DifferenceKind {
    /// A message that the queue did not take.
    NotSent,
    /// A user is not in a group that the rules give.
    MissingGroup,
    /// A user is in a group that nothing gave.
    ExtraGroup,
    /// A user without a profile record.
    MissingProfile,
    /// A record that does not say what the event says.
    WrongProfile,
    /// A record that was changed after it was first seen.
    ChangedProfile,
    /// A record of somebody for whom there must be none.
    UnexpectedProfile,
    /// A message that had to become a letter and is none.
    #[serde(rename = "missing_letter")]
    MissingDeadLetter,
    /// A letter with another reason than the right one.
    WrongReason,
    /// A letter that must not be.
    #[serde(rename = "unexpected_letter")]
    UnexpectedDeadLetter,
    /// Messages that were left on the queue.
    LeftOnQueue,
    /// Something that could not be looked at.
    NotVerified,
}

impl DifferenceKind {
    /// Something that a message should have brought, and is not there.
    pub(super) fn is_missing(self) -> bool {
        matches!(
            self,
            Self::MissingGroup | Self::MissingProfile | Self::MissingDeadLetter
        )
    }

    /// As in the JSON form, with blanks.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::NotSent => "not sent",
            Self::MissingGroup => "missing group",
            Self::ExtraGroup => "extra group",
            Self::MissingProfile => "missing profile",
            Self::WrongProfile => "wrong profile",
            Self::ChangedProfile => "changed profile",
            Self::UnexpectedProfile => "unexpected profile",
            Self::MissingDeadLetter => "missing letter",
            Self::WrongReason => "wrong reason",
            Self::UnexpectedDeadLetter => "unexpected letter",
            Self::LeftOnQueue => "left on queue",
            Self::NotVerified => "not verified",
        }
    }
}
