//! Where orders are taken: done at once when Cognito answers, queued when it is
//! throttled or down, so that nothing that was accepted is lost.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::aws::{Failure, Outgoing, Queue};
use crate::event::{Action, Invitation, Order, sendable_json};
use crate::provision::{Outcome, Performed, Provisioner, Rejection, Retry, Stage};
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
    /// Neither Cognito nor the queue takes it now. Nobody will do it.
    Lost(Failure),
}

/// How long somebody waits for Cognito before the queue takes it.
const PATIENCE: Duration = Duration::from_secs(2);

impl Desk {
    /// Over the worker's own services.
    pub fn new(provisioner: Provisioner, queue: Queue) -> Self {
        Self { provisioner, queue }
    }

    /// Takes one order.
    pub async fn take(&self, order: &Order) -> Taken {
        let attempt = tokio::time::timeout(PATIENCE, self.provisioner.perform(order));
        let performed = settled(order, attempt.await.ok());
        if matches!(
            performed.outcome,
            Outcome::Done | Outcome::AlreadyDone(_) | Outcome::Rejected(_)
        ) {
            performed.audit(order, Stage::Ended);
            return Taken::Ended(Box::new(performed));
        }
        let message = queued(&rest(order, &performed));
        match quickly(|| self.queue.send(message.clone())).await {
            Ok(_) => {
                performed.audit(order, Stage::Queued);
                Taken::Queued
            }
            Err(failure) => {
                tracing::error!(
                    request.id = order.request_id,
                    error = %failure,
                    "an order could neither be done nor queued",
                );
                Taken::Lost(failure)
            }
        }
    }
}

/// The message that asks a worker for it.
pub fn queued(order: &Order) -> Outgoing {
    Outgoing {
        body: sendable_json(&order.to_body()),
        attributes: BTreeMap::from([("usher.kind".to_owned(), order.action.command().to_owned())]),
        group: Some(order.pool.as_str().to_owned()),
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

/// What is left to do: a mail that was sent is not sent again.
fn rest(order: &Order, performed: &Performed) -> Order {
    let mut order = order.clone();
    if performed.invited.is_some()
        && let Action::Invite(Invitation { resend, .. }) = &mut order.action
    {
        *resend = false;
    }
    order
}
