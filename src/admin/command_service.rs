//! Performs admin commands at once if Cognito answers. If it throttles or is down, they are
//! queued, so that no accepted command is lost.

use std::time::Duration;

use tokio::time::Instant;

use crate::aws::{Queue, with_deadline};
use crate::event::{AdminCommand, AdminOperation, Trace};
use crate::message::outgoing;
use crate::provision::{
    CommandResult, CommandStage, InvitationResult, MailStatus, Outcome, Provisioner, Rejection,
    RequestLog, Retry,
};
use crate::reason::Reason;
use crate::retry::retry_inline;

/// Performs or queues admin commands, within the process's budgets.
#[derive(Debug)]
pub(crate) struct CommandService {
    provisioner: Provisioner,
    queue: Queue,
}

/// The result of submitting a command.
#[derive(Debug)]
pub(crate) enum Submission {
    /// Done, or rejected for good.
    Completed(Box<CommandResult>),
    /// A worker will perform the command.
    Queued,
    /// Neither performed nor queued.
    Unavailable(UnavailableReason, Box<CommandResult>),
}

/// Why a command was neither performed nor queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UnavailableReason {
    /// A permission or a resource that usher needs is missing. A worker would fail as well,
    /// so the command is not queued.
    Misconfigured,
    /// Neither Cognito nor the queue can be reached.
    Unreachable,
}

/// How long a caller waits for Cognito before the command is queued.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(1);
/// The same for a command that may send a mail, which a worker could send again. Longer than
/// the Lambda triggers of the call take.
const COMMAND_TIMEOUT_WITH_MAIL: Duration = Duration::from_secs(6);

/// For the send to the queue. Together with the longer timeout above and the record of the request
/// it ends before the ten seconds of an HTTP request.
const COMMAND_SEND_TIMEOUT: Duration = Duration::from_secs(3);

impl CommandService {
    pub(crate) fn new(provisioner: Provisioner, queue: Queue) -> Self {
        Self { provisioner, queue }
    }

    /// What became of the commands that were queued.
    pub(crate) fn requests(&self) -> &RequestLog {
        self.provisioner.requests()
    }

    /// Performs or queues one command. A message that is sent for it carries `trace`.
    pub(crate) async fn submit(&self, command: &AdminCommand, trace: &Trace) -> Submission {
        let timeout = match command.operation {
            AdminOperation::AddToGroup(_) | AdminOperation::RemoveFromGroup(_) => COMMAND_TIMEOUT,
            AdminOperation::Invite(_) | AdminOperation::ResendInvitation(_) => {
                COMMAND_TIMEOUT_WITH_MAIL
            }
        };
        // A call that gets no permit before the deadline fails at once, and is queued.
        let deadline = Instant::now() + timeout;
        let attempt = with_deadline(deadline, self.provisioner.perform(command));
        let attempt = tokio::time::timeout_at(deadline, attempt);
        let result = reject_if_missing(command, attempt.await.ok());
        match &result.outcome {
            Outcome::Done | Outcome::AlreadyDone(_) | Outcome::Rejected(_) => {
                result.audit(command, CommandStage::Completed);
                Submission::Completed(Box::new(result))
            }
            Outcome::Blocked(failure) => {
                tracing::error!(
                    request.id = command.request_id,
                    error = %failure,
                    "admin command cannot be performed in this deployment",
                );
                result.audit(command, CommandStage::Unavailable);
                Submission::Unavailable(UnavailableReason::Misconfigured, Box::new(result))
            }
            Outcome::Retry(_) | Outcome::Ignored(_) => self.queue(command, &result, trace).await,
        }
    }

    async fn queue(
        &self,
        command: &AdminCommand,
        result: &CommandResult,
        trace: &Trace,
    ) -> Submission {
        let message = outgoing::command(&remaining_command(command, result)).with_trace(trace);
        let sending = retry_inline(|| self.queue.send(message.clone()));
        let sent = tokio::time::timeout(COMMAND_SEND_TIMEOUT, sending).await;
        let error = match sent {
            Ok(Ok(_)) => None,
            Ok(Err(failure)) => Some(failure.to_string()),
            Err(_) => Some("no answer in time".to_owned()),
        };
        match error {
            None => {
                result.audit(command, CommandStage::Queued);
                self.requests().record_queued(command).await;
                Submission::Queued
            }
            Some(error) => {
                tracing::error!(
                    request.id = command.request_id,
                    error,
                    "admin command could neither be performed nor queued",
                );
                result.audit(command, CommandStage::Unavailable);
                Submission::Unavailable(UnavailableReason::Unreachable, Box::new(result.clone()))
            }
        }
    }
}

/// Rejects a missing user or group at once, since a caller waits for the response. Only a
/// worker retries until it appears.
fn reject_if_missing(command: &AdminCommand, attempt: Option<CommandResult>) -> CommandResult {
    let Some(result) = attempt else {
        return CommandResult::busy();
    };
    match result.outcome {
        Outcome::Retry(Retry { cause, .. })
            if !matches!(command.operation, AdminOperation::Invite(_)) && is_not_found(&cause) =>
        {
            CommandResult {
                outcome: Outcome::Rejected(cause),
                ..result
            }
        }
        _ => result,
    }
}

fn is_not_found(rejection: &Rejection) -> bool {
    matches!(
        rejection.reason,
        Reason::UserNotFound | Reason::GroupNotFound
    )
}

/// The command for the worker: a mail that was sent is not sent again, a failed one is.
fn remaining_command(command: &AdminCommand, result: &CommandResult) -> AdminCommand {
    let mut command = command.clone();
    if let (Some(InvitationResult { mail, .. }), AdminOperation::Invite(invitation)) =
        (&result.invitation, &mut command.operation)
    {
        match mail {
            MailStatus::Sent | MailStatus::Unknown | MailStatus::NoCode => {
                invitation.resend = false;
            }
            MailStatus::NotSent => {}
            MailStatus::Failed | MailStatus::OverLimit => {
                invitation.resend = true;
                // The user exists now, so the worker must not count them as created by the command.
                command.requested_at = None;
            }
        }
    }
    command
}
