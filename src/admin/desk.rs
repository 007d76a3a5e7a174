//! Where orders are taken: done at once when Cognito answers, queued when it is
//! throttled or down, so that nothing that was accepted is lost.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::aws::{Outgoing, Queue, with_deadline};
use crate::event::{Action, Order, Trace, sendable_json};
use crate::provision::{Invited, Mail, Outcome, Performed, Provisioner, Rejection, Retry, Stage};
use crate::retry::quickly;

/// Takes orders, inside the process's budgets.
#[derive(Debug)]
pub struct Desk {
    provisioner: Provisioner,
    queue: Queue,
}

/// What became of an order.
#[derive(Debug)]
pub enum Taken {
    /// It came to an end: done, or rejected for good.
    Ended(Box<Performed>),
    /// A worker does it.
    Queued,
    /// Nobody does it.
    Not(NotTaken, Box<Performed>),
}

/// Why an order is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotTaken {
    /// A permission or something else that usher needs is missing: a worker could do
    /// no more, and would only be held up.
    Misconfigured,
    /// Neither Cognito nor the queue can be reached.
    OutOfReach,
}

/// How long somebody waits for Cognito before the queue takes it.
const PATIENCE: Duration = Duration::from_secs(1);
/// The same where a mail may be on its way, which would go twice: longer than the
/// Lambdas beside the call take.
const PATIENCE_WITH_MAIL: Duration = Duration::from_secs(6);

/// For the queue to take it. All in all an order has its end before a request may take
/// no longer.
const SENDING: Duration = Duration::from_secs(3);

impl Desk {
    /// Over the worker's own services.
    pub fn new(provisioner: Provisioner, queue: Queue) -> Self {
        Self { provisioner, queue }
    }

    /// Takes one order; a message that asks a worker for it belongs to `trace`.
    pub async fn take(&self, order: &Order, trace: &Trace) -> Taken {
        let patience = match order.action {
            Action::Add(_) | Action::Remove(_) => PATIENCE,
            Action::Invite(_) | Action::Resend(_) => PATIENCE_WITH_MAIL,
        };
        // Where a budget cannot be had in time the queue takes it at once.
        let deadline = Instant::now() + patience;
        let attempt = with_deadline(deadline, self.provisioner.perform(order));
        let attempt = tokio::time::timeout_at(deadline, attempt);
        let performed = settled(order, attempt.await.ok());
        match &performed.outcome {
            Outcome::Done | Outcome::AlreadyDone(_) | Outcome::Rejected(_) => {
                performed.audit(order, Stage::Ended);
                Taken::Ended(Box::new(performed))
            }
            Outcome::Blocked(failure) => {
                tracing::error!(
                    request.id = order.request_id,
                    error = %failure,
                    "an order cannot be done in this deployment",
                );
                performed.audit(order, Stage::NotTaken);
                Taken::Not(NotTaken::Misconfigured, Box::new(performed))
            }
            Outcome::Retry(_) | Outcome::Ignored(_) => self.queue(order, &performed, trace).await,
        }
    }

    async fn queue(&self, order: &Order, performed: &Performed, trace: &Trace) -> Taken {
        let message = queued(&rest(order, performed)).in_trace(trace);
        let sending = quickly(|| self.queue.send(message.clone()));
        let sent = tokio::time::timeout(SENDING, sending).await;
        let error = match sent {
            Ok(Ok(_)) => None,
            Ok(Err(failure)) => Some(failure.to_string()),
            Err(_) => Some("no answer in time".to_owned()),
        };
        match error {
            None => {
                performed.audit(order, Stage::Queued);
                Taken::Queued
            }
            Some(error) => {
                tracing::error!(
                    request.id = order.request_id,
                    error,
                    "an order could neither be done nor queued",
                );
                performed.audit(order, Stage::NotTaken);
                Taken::Not(NotTaken::OutOfReach, Box::new(performed.clone()))
            }
        }
    }
}

/// The message that asks a worker for it.
pub fn queued(order: &Order) -> Outgoing {
    Outgoing {
        body: sendable_json(&order.to_body()),
        attributes: BTreeMap::from([("usher.kind".to_owned(), order.action.command().to_owned())]),
        // Another tenant of SQS fair queues than the pool's sign-ups: a burst of orders
        // does not hold them up.
        group: Some(format!("orders/{}", order.pool)),
        ..Outgoing::default()
    }
}

/// Somebody who waits for an answer is told at once that a user or a group is not
/// there: only a worker gives it time to appear.
fn settled(order: &Order, attempt: Option<Performed>) -> Performed {
    let Some(performed) = attempt else {
        return Performed::waiting();
    };
    match performed.outcome {
        Outcome::Retry(Retry { because, .. })
            if !matches!(order.action, Action::Invite(_)) && is_missing(&because) =>
        {
            Performed {
                outcome: Outcome::Rejected(because),
                ..performed
            }
        }
        _ => performed,
    }
}

fn is_missing(because: &Rejection) -> bool {
    ["user_not_found", "group_not_found"].contains(&because.reason.as_str())
}

/// What is left to do: a mail that was sent is not sent again, one that failed is.
fn rest(order: &Order, performed: &Performed) -> Order {
    let mut order = order.clone();
    if let (Some(Invited { mail, .. }), Action::Invite(invitation)) =
        (&performed.invited, &mut order.action)
    {
        match mail {
            Mail::Sent | Mail::Unknown | Mail::NoCode => invitation.resend = false,
            Mail::NotSent => {}
            Mail::Failed | Mail::OverLimit => {
                invitation.resend = true;
                // The person is there now, and not of the rest's making.
                order.requested_at = None;
            }
        }
    }
    order
}
