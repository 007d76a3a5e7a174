//! Executes admin commands.

use super::invite::InvitationResult;
use super::{AlreadyDone, Outcome, Provisioner, Rejection, RejectionClass, Retry};
use crate::aws::{Class, PoolUser};
use crate::event::{AdminCommand, AdminOperation, Membership, PoolId};
use crate::reason::Reason;
use crate::retry::retry_inline;

/// The outcome of one attempt at an admin command, and the user whom it concerns.
#[derive(Debug, Clone)]
pub(crate) struct CommandResult {
    pub outcome: Outcome,
    /// Set once the user was found or created.
    pub user: Option<PoolUser>,
    /// Set once the invited user exists.
    pub invitation: Option<InvitationResult>,
}

impl CommandResult {
    pub(crate) fn new(outcome: impl Into<Outcome>) -> Self {
        Self {
            outcome: outcome.into(),
            user: None,
            invitation: None,
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
}

impl Provisioner {
    /// Makes one attempt at a command. The caller has authorized the requester; this checks
    /// that the pool is allowed and the groups are grantable. For commands from a queue there
    /// is [`Self::perform_queued`].
    pub(crate) async fn perform(&self, command: &AdminCommand) -> CommandResult {
        match self.reject_if_forbidden(command) {
            Some(refused) => refused,
            None => self.execute(command).await,
        }
    }

    /// Rejects a command for a pool that is not allowed, or a group that is not grantable.
    pub(super) fn reject_if_forbidden(&self, command: &AdminCommand) -> Option<CommandResult> {
        if !self.config.pools.is_allowed(&command.pool) {
            return Some(CommandResult::new(Outcome::Rejected(
                Rejection::foreign_pool(),
            )));
        }
        let grantable = &self.config.admin.grantable;
        let groups = command.operation.groups();
        if !groups.iter().all(|group| grantable.allows(group)) {
            return Some(CommandResult::rejected(
                Reason::GroupNotGrantable,
                RejectionClass::Forbidden,
                "admin.grantable_groups does not let administrators give or take the group",
            ));
        }
        None
    }

    pub(super) async fn execute(&self, command: &AdminCommand) -> CommandResult {
        match &command.operation {
            AdminOperation::AddToGroup(membership) => {
                self.change_membership(&command.pool, membership, MembershipChange::Add)
                    .await
            }
            AdminOperation::RemoveFromGroup(membership) => {
                self.change_membership(&command.pool, membership, MembershipChange::Remove)
                    .await
            }
            AdminOperation::Invite(invitation) => self.invite(command, invitation).await,
            AdminOperation::ResendInvitation(username) => {
                self.resend_invitation(&command.pool, username).await
            }
        }
    }

    /// Looks the user up first: an unknown one costs none of the scarce calls, and the audit
    /// line names the user by `sub`.
    async fn change_membership(
        &self,
        pool: &PoolId,
        membership: &Membership,
        change: MembershipChange,
    ) -> CommandResult {
        let Membership { username, group } = membership;
        let user = match retry_inline(|| self.cognito.find_user(pool, username)).await {
            Ok(user) => user,
            Err(error) => return CommandResult::new(error),
        };
        let changed = match change {
            MembershipChange::Add => {
                retry_inline(|| self.cognito.add_to_group(pool, &user.username, group)).await
            }
            MembershipChange::Remove => {
                retry_inline(|| self.cognito.remove_from_group(pool, &user.username, group)).await
            }
        };
        let outcome = changed.map_or_else(Outcome::from, |()| Outcome::Done);
        CommandResult::new(outcome).with_user(user)
    }
}

#[derive(Clone, Copy)]
enum MembershipChange {
    Add,
    Remove,
}
