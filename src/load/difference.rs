//! Differences between the expected and the actual results of a run.

use serde::Serialize;

/// One difference, with the user or message that it concerns.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Difference {
    pub kind: DifferenceKind,
    /// The run's name for the user or message, `run ID`, or `letter ID`.
    pub who: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sub: Option<String>,
    /// The group, attribute, reason or error.
    pub detail: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DifferenceKind {
    /// SQS did not accept the message.
    NotSent,
    /// A user is not in a group that the rules give.
    MissingGroup,
    /// A user is in a group that no rule gives.
    ExtraGroup,
    MissingProfile,
    /// An attribute of the profile does not match the event.
    WrongProfile,
    /// The profile was written again after it was first seen.
    ChangedProfile,
    /// A profile of a user or `sub` that must have none.
    UnexpectedProfile,
    /// A poison message that did not become a dead letter.
    #[serde(rename = "missing_letter")]
    MissingDeadLetter,
    /// A dead letter has another reason than the expected one.
    WrongReason,
    /// A dead letter of a user, or one that came during the run from elsewhere.
    #[serde(rename = "unexpected_letter")]
    UnexpectedDeadLetter,
    LeftOnQueue,
    /// A check could not be made.
    NotVerified,
}

impl DifferenceKind {
    /// Whether a result of a message is missing.
    pub(super) fn is_missing(self) -> bool {
        matches!(
            self,
            Self::MissingGroup | Self::MissingProfile | Self::MissingDeadLetter
        )
    }
}
