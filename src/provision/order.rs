//! What an administrator asked for, done.

use super::invite::Invited;
use super::{Already, Outcome, Provisioner, Rejection, Retry};
use crate::aws::{Class, Person};
use crate::event::{Action, Membership, Order, PoolId};
use crate::retry::quickly;

/// The end of one attempt at an order, and what is known of whom.
#[derive(Debug, Clone)]
pub struct Performed {
    /// How it ended.
    pub outcome: Outcome,
    /// The user concerned, once they were found or made.
    pub whom: Option<Person>,
    /// What became of an invitation, once the person exists.
    pub invited: Option<Invited>,
}

impl Performed {
    pub(super) fn of(outcome: impl Into<Outcome>) -> Self {
        Self {
            outcome: outcome.into(),
            whom: None,
            invited: None,
        }
    }

    /// Not come to an end in the time that somebody waits.
    pub fn waiting() -> Self {
        Self::of(Outcome::Retry(Retry::because(Rejection {
            reason: "busy".to_owned(),
            class: "throttled",
            error: "the budget of calls is used up for the moment".to_owned(),
            refused: None,
        })))
    }

    pub(super) fn refused(reason: &str, class: &'static str, error: &str) -> Self {
        Self::of(Outcome::Rejected(Rejection {
            reason: reason.to_owned(),
            class,
            error: error.to_owned(),
            refused: None,
        }))
    }

    /// Done a moment ago, to the letter.
    pub fn already() -> Self {
        Self::of(Outcome::AlreadyDone(Already::Duplicate))
    }

    /// The same with another end.
    #[must_use]
    pub fn ending(self, outcome: &Outcome) -> Self {
        Self {
            outcome: outcome.clone(),
            ..self
        }
    }

    /// The outcome for the queue. A mail that Cognito could not send is a failure that
    /// somebody has to see: there is nobody to answer.
    pub fn for_the_queue(&self) -> Outcome {
        match (&self.outcome, &self.invited) {
            (Outcome::Done | Outcome::AlreadyDone(_), Some(invited))
                if invited.mail.has_failed() =>
            {
                Outcome::Rejected(Rejection {
                    reason: "mail_not_delivered".to_owned(),
                    class: Class::Permanent.name(),
                    error: "the person exists, with groups and profile; Cognito could not send \
                            the invitation: send it again"
                        .to_owned(),
                    refused: None,
                })
            }
            (outcome, _) => outcome.clone(),
        }
    }

    pub(super) fn with(self, whom: Person) -> Self {
        Self {
            whom: Some(whom),
            ..self
        }
    }
}

impl Provisioner {
    /// One attempt at an order. Whoever let it in has checked who asked; whether the
    /// pool is ours and the groups may be given is checked here. For orders from a queue
    /// there is [`Self::perform_queued`].
    pub async fn perform(&self, order: &Order) -> Performed {
        match self.refuse(order) {
            Some(refused) => refused,
            None => self.carry_out(order).await,
        }
    }

    /// What nobody may ask for.
    pub(super) fn refuse(&self, order: &Order) -> Option<Performed> {
        if !self.config.pools.accept(&order.pool) {
            return Some(Performed::of(Outcome::Rejected(Rejection::foreign_pool())));
        }
        let grantable = &self.config.admin.grantable;
        let groups = order.action.groups();
        if !groups.iter().all(|group| grantable.allows(group)) {
            return Some(Performed::refused(
                "group_not_grantable",
                Rejection::FORBIDDEN,
                "admin.grantable_groups does not let administrators give or take the group",
            ));
        }
        None
    }

    pub(super) async fn carry_out(&self, order: &Order) -> Performed {
        match &order.action {
            Action::Add(membership) => self.change(&order.pool, membership, Change::Add).await,
            Action::Remove(membership) => {
                self.change(&order.pool, membership, Change::Remove).await
            }
            Action::Invite(invitation) => self.invite(order, invitation).await,
            Action::Resend(username) => self.resend(&order.pool, username).await,
        }
    }

    /// The user is looked up first: an unknown one costs none of the scarce calls,
    /// and the audit line names them by their `sub`.
    async fn change(&self, pool: &PoolId, membership: &Membership, change: Change) -> Performed {
        let Membership { username, group } = membership;
        let whom = match quickly(|| self.people.find(pool, username)).await {
            Ok(whom) => whom,
            Err(none) => return Performed::of(none),
        };
        let changed = match change {
            Change::Add => {
                quickly(|| self.directory.add_to_group(pool, &whom.username, group)).await
            }
            Change::Remove => {
                quickly(|| self.people.remove_from_group(pool, &whom.username, group)).await
            }
        };
        let outcome = changed.map_or_else(Outcome::from, |()| Outcome::Done);
        Performed::of(outcome).with(whom)
    }
}

#[derive(Clone, Copy)]
enum Change {
    Add,
    Remove,
}
