//! What was deleted and what is left of a person, and what someone has to do or to decide.

use serde::Serialize;

use super::profiles::FoundProfile;
use crate::event::{PoolId, Sub};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ForgetStatus {
    DryRun,
    Forgotten,
    /// Something is left, or may be.
    Left,
}

/// What usher deletes of a person.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Parts {
    /// The user in the pool; false if they are kept.
    pub(crate) user: bool,
    pub(crate) profiles: u64,
    pub(crate) dead_letters: u64,
}

/// What there is of a person.
#[derive(Serialize)]
pub(crate) struct Remains {
    #[serde(flatten)]
    pub(crate) parts: Parts,
    /// Ids of dead letters that name the person, and may be about another.
    pub(crate) doubtful: Vec<String>,
    /// Profiles whose owner is only the user name, which a user of another pool may have.
    pub(crate) doubtful_profiles: u64,
    /// Messages on the source queue: each may be about the person.
    pub(crate) messages: u64,
    #[serde(skip)]
    pub(super) profiles: Vec<FoundProfile>,
}

#[derive(Serialize)]
pub(crate) struct ForgetReport {
    pub(crate) status: ForgetStatus,
    pub(crate) pool: PoolId,
    pub(crate) sub: Sub,
    pub(crate) deleted: Parts,
    pub(crate) left: Remains,
    /// What was not searched, and what someone has to decide.
    pub(crate) notes: Vec<&'static str>,
}

impl Parts {
    pub(crate) fn is_empty(self) -> bool {
        self == Self::default()
    }
}

impl Remains {
    pub(super) fn status(&self) -> ForgetStatus {
        if self.parts.is_empty() && !self.has_doubtful() && self.messages == 0 {
            ForgetStatus::Forgotten
        } else {
            ForgetStatus::Left
        }
    }

    /// Whether someone has to decide before anything is deleted: without the user it would not be
    /// found again.
    pub(crate) fn has_doubtful(&self) -> bool {
        !self.doubtful.is_empty() || self.doubtful_profiles > 0
    }

    /// What someone has to do, or to decide.
    pub(super) fn advice(&self, status: ForgetStatus, deleted: Parts) -> Vec<&'static str> {
        let is_gone = status == ForgetStatus::Forgotten;
        let advice = [
            (
                !self.doubtful.is_empty(),
                "a dead letter in doubt names the user and may be about another user: read it (usher \
                 dead-letters show ID --body), and drop or replay it first",
            ),
            (
                self.doubtful_profiles > 0,
                "a profile in doubt has only the user name as its owner, and may belong to a user of \
                 another pool: delete it yourself, or run this with --set pools.allowed=POOL if the \
                 table is only for this pool",
            ),
            (
                status == ForgetStatus::Left && self.messages > 0,
                "a message on the queue may be about the user: run it again when the queue is empty",
            ),
            (
                is_gone && !deleted.is_empty(),
                "run it again in five minutes: SQS may not have counted a message of the last \
                 minute",
            ),
            (
                is_gone,
                "not searched: logs, backups of the table, your own files and copies \
                 (docs/OPERATIONS.md, Deleting a user)",
            ),
        ];
        let advice = advice.into_iter().filter(|(is_true, _)| *is_true);
        advice.map(|(_, text)| text).collect()
    }
}
