//! Differences between the expected and the actual results of a run.

use serde::{Deserialize, Serialize};

/// One difference, with the user or message that it concerns.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Difference {
    pub kind: DifferenceKind,
    /// The run's name for the user or message, `run ID`, or `letter ID`.
    pub who: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sub: Option<String>,
    /// The group, attribute, reason or error.
    pub detail: String,
}

impl Difference {
    /// By kind, and by name with 2 before 10.
    pub(super) fn sort(differences: &mut [Self]) {
        differences.sort_by(|a, b| a.key().cmp(&b.key()));
    }

    fn key(&self) -> (DifferenceKind, &str, usize, &str, Option<&str>, &str) {
        let stem = self.who.trim_end_matches(|c: char| c.is_ascii_digit());
        let number = &self.who[stem.len()..];
        let sub = self.sub.as_deref();
        (
            self.kind,
            stem,
            number.len(),
            number,
            sub,
            self.detail.as_str(),
        )
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_in_the_order_of_their_numbers() {
        let difference = |kind, who: &str| Difference {
            kind,
            who: who.to_owned(),
            sub: None,
            detail: "BETA".to_owned(),
        };
        let missing = |who: &str| difference(DifferenceKind::MissingGroup, who);
        let not_sent = difference(DifferenceKind::NotSent, "lt-7f3a-11");
        let mut found = ["10", "b1", "2", "0"]
            .map(|n| missing(&format!("lt-7f3a-{n}")))
            .to_vec();
        found.push(not_sent);
        Difference::sort(&mut found);
        let names: Vec<&str> = found.iter().map(|it| it.who.as_str()).collect();
        let expected = [
            "lt-7f3a-11",
            "lt-7f3a-0",
            "lt-7f3a-2",
            "lt-7f3a-10",
            "lt-7f3a-b1",
        ];
        assert_eq!(names, expected);
    }
}
