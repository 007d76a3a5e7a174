//! What an administrator asked for, done.

use super::invite::InvitationResult;
use super::{AlreadyDone, Outcome, Provisioner, Rejection, Retry};
use crate::aws::{Class, PoolUser};
use crate::event::{AdminCommand, AdminOperation, Membership, PoolId};
use crate::retry::retry_inline;

/// The end of one attempt at an order, and what is known of whom.
#[derive(Debug, Clone)]
pub(crate) struct CommandResult {
    /// How it ended.
    pub outcome: Outcome,
    /// The user concerned, once they were found or made.
    pub user: Option<PoolUser>,
    /// What became of an invitation, once the person exists.
    pub invitation: Option<InvitationResult>,
}

impl CommandResult {
    pub(super) fn new(outcome: impl Into<Outcome>) -> Self {
        Self {
            outcome: outcome.into(),
            user: None,
            invitation: None,
        }
    }

    /// Not come to an end in the time that somebody waits.
    pub(crate) fn busy() -> Self {
        Self::new(Outcome::Retry(Retry::new(Rejection {
            reason: "busy".to_owned(),
            class: "throttled",
            error: "the budget of calls is used up for the moment".to_owned(),
            refused_call: None,
        })))
    }

    pub(super) fn rejected(reason: &str, class: &'static str, error: &str) -> Self {
        Self::new(Outcome::Rejected(Rejection {
            reason: reason.to_owned(),
            class,
            error: error.to_owned(),
            refused_call: None,
        }))
    }

    /// Done a moment ago, to the letter.
    pub(crate) fn duplicate() -> Self {
        Self::new(Outcome::AlreadyDone(AlreadyDone::Duplicate))
    }

    /// The same with another end.
    #[must_use]
    pub(crate) fn with_outcome(self, outcome: &Outcome) -> Self {
        Self {
            outcome: outcome.clone(),
            ..self
        }
    }

    /// The outcome for the queue. A mail that Cognito could not send is a failure that
    /// somebody has to see: there is nobody to answer.
    pub(crate) fn queue_outcome(&self) -> Outcome {
        match (&self.outcome, &self.invitation) {
            (Outcome::Done | Outcome::AlreadyDone(_), Some(invited))
                if invited.mail.has_failed() =>
            {
                Outcome::Rejected(Rejection {
                    reason: "mail_not_delivered".to_owned(),
                    class: Class::Permanent.name(),
                    error: "the person exists, with groups and profile; Cognito could not send \
                            the invitation: send it again"
                        .to_owned(),
                    refused_call: None,
                })
            }
            (outcome, _) => outcome.clone(),
        }
    }

    pub(super) fn with_user(self, whom: PoolUser) -> Self {
        Self {
            user: Some(whom),
            ..self
        }
    }
}

impl Provisioner {
    /// One attempt at an order. Whoever let it in has checked who asked; whether the
    /// pool is ours and the groups may be given is checked here. For orders from a queue
    /// there is [`Self::perform_queued`].
    pub(crate) async fn perform(&self, order: &AdminCommand) -> CommandResult {
        match self.reject_if_forbidden(order) {
            Some(refused) => refused,
            None => self.execute(order).await,
        }
    }

    /// What nobody may ask for.
    pub(super) fn reject_if_forbidden(&self, order: &AdminCommand) -> Option<CommandResult> {
        if !self.config.pools.is_allowed(&order.pool) {
            return Some(CommandResult::new(Outcome::Rejected(
                Rejection::foreign_pool(),
            )));
        }
        let grantable = &self.config.admin.grantable;
        let groups = order.operation.groups();
        if !groups.iter().all(|group| grantable.allows(group)) {
            return Some(CommandResult::rejected(
                "group_not_grantable",
                Rejection::FORBIDDEN,
                "admin.grantable_groups does not let administrators give or take the group",
            ));
        }
        None
    }

    pub(super) async fn execute(&self, order: &AdminCommand) -> CommandResult {
        match &order.operation {
            AdminOperation::AddToGroup(membership) => {
                self.change_membership(&order.pool, membership, MembershipChange::Add)
                    .await
            }
            AdminOperation::RemoveFromGroup(membership) => {
                self.change_membership(&order.pool, membership, MembershipChange::Remove)
                    .await
            }
            AdminOperation::Invite(invitation) => self.invite(order, invitation).await,
            AdminOperation::ResendInvitation(username) => {
                self.resend_invitation(&order.pool, username).await
            }
        }
    }

    /// The user is looked up first: an unknown one costs none of the scarce calls,
    /// and the audit line names them by their `sub`.
    async fn change_membership(
        &self,
        pool: &PoolId,
        membership: &Membership,
        change: MembershipChange,
    ) -> CommandResult {
        let Membership { username, group } = membership;
        let whom = match retry_inline(|| self.users.find(pool, username)).await {
            Ok(whom) => whom,
            Err(none) => return CommandResult::new(none),
        };
        let changed = match change {
            MembershipChange::Add => {
                retry_inline(|| self.directory.add_to_group(pool, &whom.username, group)).await
            }
            MembershipChange::Remove => {
                retry_inline(|| self.users.remove_from_group(pool, &whom.username, group)).await
            }
        };
        let outcome = changed.map_or_else(Outcome::from, |()| Outcome::Done);
        CommandResult::new(outcome).with_user(whom)
    }
}

#[derive(Clone, Copy)]
enum MembershipChange {
    Add,
    Remove,
}
