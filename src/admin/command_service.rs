//! Where orders are taken: done at once when Cognito answers, queued when it is
//! throttled or down, so that nothing that was accepted is lost.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::aws::{Outgoing, Queue, with_deadline};
use crate::event::{AdminCommand, AdminOperation, Trace, escape_for_sqs};
use crate::provision::{
    CommandResult, CommandStage, InvitationResult, MailStatus, Outcome, Provisioner, Rejection,
    Retry,
};
use crate::retry::retry_inline;

/// Takes orders, inside the process's budgets.
#[derive(Debug)]
pub(crate) struct CommandService {
    provisioner: Provisioner,
    queue: Queue,
}

/// What became of an order.
#[derive(Debug)]
pub(crate) enum Submission {
    /// It came to an end: done, or rejected for good.
    Completed(Box<CommandResult>),
    /// A worker does it.
    Queued,
    /// Nobody does it.
    Unavailable(UnavailableReason, Box<CommandResult>),
}

/// Why an order is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UnavailableReason {
    /// A permission or something else that usher needs is missing: a worker could do
    /// no more, and would only be held up.
    Misconfigured,
    /// Neither Cognito nor the queue can be reached.
    Unreachable,
}

/// How long somebody waits for Cognito before the queue takes it.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(1);
/// The same where a mail may be on its way, which would go twice: longer than the
/// Lambdas beside the call take.
const COMMAND_TIMEOUT_WITH_MAIL: Duration = Duration::from_secs(6);

/// For the queue to take it. All in all an order has its end before a request may take
/// no longer.
const COMMAND_SEND_TIMEOUT: Duration = Duration::from_secs(3);

impl CommandService {
    /// Over the worker's own services.
    pub(crate) fn new(provisioner: Provisioner, queue: Queue) -> Self {
        Self { provisioner, queue }
    }

    /// Takes one order; a message that asks a worker for it belongs to `trace`.
    pub(crate) async fn submit(&self, order: &AdminCommand, trace: &Trace) -> Submission {
        let patience = match order.operation {
            AdminOperation::AddToGroup(_) | AdminOperation::RemoveFromGroup(_) => COMMAND_TIMEOUT,
            AdminOperation::Invite(_) | AdminOperation::ResendInvitation(_) => {
                COMMAND_TIMEOUT_WITH_MAIL
            }
        };
        // Where a budget cannot be had in time the queue takes it at once.
        let deadline = Instant::now() + patience;
        let attempt = with_deadline(deadline, self.provisioner.perform(order));
        let attempt = tokio::time::timeout_at(deadline, attempt);
        let performed = reject_if_missing(order, attempt.await.ok());
        match &performed.outcome {
            Outcome::Done | Outcome::AlreadyDone(_) | Outcome::Rejected(_) => {
                performed.audit(order, CommandStage::Completed);
                Submission::Completed(Box::new(performed))
            }
            Outcome::Blocked(failure) => {
                tracing::error!(
                    request.id = order.request_id,
                    error = %failure,
                    "an order cannot be done in this deployment",
                );
                performed.audit(order, CommandStage::Unavailable);
                Submission::Unavailable(UnavailableReason::Misconfigured, Box::new(performed))
            }
            Outcome::Retry(_) | Outcome::Ignored(_) => self.queue(order, &performed, trace).await,
        }
    }

    async fn queue(
        &self,
        order: &AdminCommand,
        performed: &CommandResult,
        trace: &Trace,
    ) -> Submission {
        let message = command_message(&remaining_command(order, performed)).with_trace(trace);
        let sending = retry_inline(|| self.queue.send(message.clone()));
        let sent = tokio::time::timeout(COMMAND_SEND_TIMEOUT, sending).await;
        let error = match sent {
            Ok(Ok(_)) => None,
            Ok(Err(failure)) => Some(failure.to_string()),
            Err(_) => Some("no answer in time".to_owned()),
        };
        match error {
            None => {
                performed.audit(order, CommandStage::Queued);
                Submission::Queued
            }
            Some(error) => {
                tracing::error!(
                    request.id = order.request_id,
                    error,
                    "an order could neither be done nor queued",
                );
                performed.audit(order, CommandStage::Unavailable);
                Submission::Unavailable(UnavailableReason::Unreachable, Box::new(performed.clone()))
            }
        }
    }
}

/// The message that asks a worker for it.
pub(crate) fn command_message(order: &AdminCommand) -> Outgoing {
    Outgoing {
        body: escape_for_sqs(&order.to_body()),
        attributes: BTreeMap::from([("usher.kind".to_owned(), order.operation.name().to_owned())]),
        // Another tenant of SQS fair queues than the pool's sign-ups: a burst of orders
        // does not hold them up.
        message_group: Some(format!("orders/{}", order.pool)),
        ..Outgoing::default()
    }
}

/// Somebody who waits for an answer is told at once that a user or a group is not
/// there: only a worker gives it time to appear.
fn reject_if_missing(order: &AdminCommand, attempt: Option<CommandResult>) -> CommandResult {
    let Some(performed) = attempt else {
        return CommandResult::busy();
    };
    match performed.outcome {
        Outcome::Retry(Retry { cause: because, .. })
            if !matches!(order.operation, AdminOperation::Invite(_)) && is_not_found(&because) =>
        {
            CommandResult {
                outcome: Outcome::Rejected(because),
                ..performed
            }
        }
        _ => performed,
    }
}

fn is_not_found(because: &Rejection) -> bool {
    ["user_not_found", "group_not_found"].contains(&because.reason.as_str())
}

/// What is left to do: a mail that was sent is not sent again, one that failed is.
fn remaining_command(order: &AdminCommand, performed: &CommandResult) -> AdminCommand {
    let mut order = order.clone();
    if let (Some(InvitationResult { mail, .. }), AdminOperation::Invite(invitation)) =
        (&performed.invitation, &mut order.operation)
    {
        match mail {
            MailStatus::Sent | MailStatus::Unknown | MailStatus::NoCode => {
                invitation.resend = false;
            }
            MailStatus::NotSent => {}
            MailStatus::Failed | MailStatus::OverLimit => {
                invitation.resend = true;
                // The person is there now, and not of the rest's making.
                order.requested_at = None;
            }
        }
    }
    order
}
