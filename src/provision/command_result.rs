//! The result of one attempt at an admin command.

use super::audit::{self, CommandStage};
use super::{AlreadyDone, Outcome, Rejection, RejectionClass, Retry};
use crate::aws::{Class, PoolUser};
use crate::config::GroupName;
use crate::event::AdminCommand;
use crate::reason::Reason;

/// The outcome of one attempt at an admin command, and the user whom it concerns.
#[derive(Debug, Clone)]
pub(crate) struct CommandResult {
    pub outcome: Outcome,
    /// Set once the user was found or created.
    pub user: Option<PoolUser>,
    /// Set once the invited user exists.
    pub invitation: Option<InvitationResult>,
    /// The group of the command that is missing or not grantable.
    pub group: Option<GroupName>,
}

impl From<Rejection> for CommandResult {
    fn from(rejection: Rejection) -> Self {
        Self::new(Outcome::Rejected(rejection))
    }
}

impl CommandResult {
    pub(crate) fn new(outcome: impl Into<Outcome>) -> Self {
        Self {
            outcome: outcome.into(),
            user: None,
            invitation: None,
            group: None,
        }
    }

    /// For an attempt that did not finish in the time that the caller waits.
    pub(crate) fn busy() -> Self {
        Self::new(Outcome::Retry(Retry::new(Rejection::new(
            Reason::Busy,
            RejectionClass::Failure(Class::Throttled),
            "no permit for a Cognito call in time",
        ))))
    }

    pub(super) fn rejected(reason: Reason, class: RejectionClass, error: &str) -> Self {
        Self::new(Outcome::Rejected(Rejection::new(reason, class, error)))
    }

    /// For a command that equals one executed a moment ago.
    pub(crate) fn duplicate() -> Self {
        Self::new(Outcome::AlreadyDone(AlreadyDone::Duplicate))
    }

    #[must_use]
    pub(crate) fn with_outcome(self, outcome: &Outcome) -> Self {
        Self {
            outcome: outcome.clone(),
            ..self
        }
    }

    /// The `sub` of the user, if logs and output may hold it.
    pub(crate) fn loggable_sub(&self) -> Option<&str> {
        self.user.as_ref()?.sub.as_ref()?.loggable()
    }

    /// The outcome for the queue. No caller waits for a response, so a mail that Cognito could
    /// not send becomes a dead letter.
    pub(crate) fn queue_outcome(&self) -> Outcome {
        match (&self.outcome, &self.invitation) {
            (Outcome::Done | Outcome::AlreadyDone(_), Some(invited))
                if invited.mail.has_failed() =>
            {
                Outcome::Rejected(Rejection::new(
                    Reason::MailNotDelivered,
                    RejectionClass::Failure(Class::Permanent),
                    "the person exists, with groups and profile; Cognito could not send the \
                     invitation: send it again",
                ))
            }
            (outcome, _) => outcome.clone(),
        }
    }

    pub(super) fn with_user(self, user: PoolUser) -> Self {
        Self {
            user: Some(user),
            ..self
        }
    }

    pub(super) fn with_group(self, group: &GroupName) -> Self {
        Self {
            group: Some(group.clone()),
            ..self
        }
    }

    /// Writes the audit line of this command. An attempt that another will follow gets none.
    pub(crate) fn audit(&self, command: &AdminCommand, stage: CommandStage) {
        let mail = self.invitation.as_ref().map(|invited| invited.mail.name());
        let reason = self.outcome.reason_code();
        let result = match (stage, &self.outcome) {
            (CommandStage::Completed, Outcome::Done | Outcome::AlreadyDone(_)) => "done",
            (CommandStage::Completed, Outcome::Rejected(_)) => "rejected",
            (CommandStage::Completed, _) => return,
            (CommandStage::Queued, _) => "queued",
            (CommandStage::Refused(_), _) => "refused",
            (CommandStage::Unavailable, _) => "not_taken",
        };
        audit::write(command, result, reason, self.loggable_sub(), mail);
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InvitationResult {
    /// False when the user existed before the command.
    pub created: bool,
    pub mail: MailStatus,
    /// The groups of the command and those of the rules.
    pub groups: Vec<GroupName>,
}

/// Whether Cognito sent the mail of the invitation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MailStatus {
    /// Cognito has reported no error.
    Sent,
    /// The user exists, and the command does not ask for another mail.
    NotSent,
    /// Cognito could not send it. Resend it.
    Failed,
    /// Not sent, since the mails of a day are used up. Resend it tomorrow.
    OverLimit,
    /// Cognito's response was lost.
    Unknown,
    /// The user pool lets the user sign in without a password, so there is no code to accept or
    /// to send again.
    NoCode,
}

impl MailStatus {
    /// The name in responses and logs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::NotSent => "not_sent",
            Self::Failed | Self::OverLimit => "failed",
            Self::Unknown => "unknown",
            Self::NoCode => "no_code",
        }
    }

    /// `NoCode` if the user, whom this command created, is confirmed already.
    pub(super) fn for_new_user(self, user: &PoolUser) -> Self {
        if user.is_confirmed() {
            Self::NoCode
        } else {
            self
        }
    }

    /// Whether the mail has to be sent again.
    pub(crate) fn has_failed(self) -> bool {
        matches!(self, Self::Failed | Self::OverLimit)
    }
}
