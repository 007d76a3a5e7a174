//! Executes admin commands at once, with the AWS credentials of this process.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::app::Services;
use crate::aws::{Class, CognitoOperation, PoolUser};
use crate::event::{AdminCommand, AdminOperation, Invitation, PoolId};
use crate::provision::{
    CommandResult, CommandStage, InvitationResult, MailStatus, Outcome, Provisioner,
    RejectionClass, Retry,
};
use crate::reason::Reason;
use crate::retry::{Backoff, SharedRetry};

/// Attempts when a user or group is not found, and may appear later.
const MAX_NOT_FOUND_TRIES: u32 = 5;
const NOT_FOUND_PAUSE: Duration = Duration::from_secs(3);

/// Executes admin commands in one pool. `actor` is the requester in audit lines.
#[derive(Debug)]
pub(crate) struct Operator {
    pool: PoolId,
    actor: String,
    provisioner: Provisioner,
    shared_retry: SharedRetry,
    stop: CancellationToken,
}

impl Operator {
    /// `give_up_after` limits the time in which no attempt succeeds.
    pub(crate) fn new(
        services: &Services,
        pool: &PoolId,
        actor: String,
        give_up_after: Duration,
        stop: &CancellationToken,
    ) -> Self {
        Self {
            pool: pool.clone(),
            actor,
            provisioner: services.provisioner(),
            shared_retry: SharedRetry::new(give_up_after, stop),
            stop: stop.clone(),
        }
    }

    /// Retries until the operation is done or rejected. If it gives up, the outcome is the
    /// last attempt's `Retry`. Writes the audit line.
    pub(crate) async fn execute(&self, operation: AdminOperation) -> CommandResult {
        let mut command = AdminCommand {
            request_id: AdminCommand::new_request_id(),
            requested_by: self.actor.clone(),
            requested_at: Some(jiff::Timestamp::now()),
            pool: self.pool.clone(),
            operation,
        };
        let mut earlier = EarlierAttempts::default();
        let mut backoff = Backoff::default();
        let mut tries = 0;
        let result = loop {
            let result = earlier.complete(self.provisioner.perform(&command).await);
            let Outcome::Retry(retry) = &result.outcome else {
                self.shared_retry.record_success();
                break result;
            };
            let may_retry = if needs_only_time(retry) {
                self.shared_retry.wait_to_retry(&mut backoff).await
            } else {
                self.shared_retry.record_success();
                tries += 1;
                self.wait_to_retry(&command.operation, retry, tries).await
            };
            if !may_retry {
                break result;
            }
            tracing::warn!(
                request.id = command.request_id,
                error = retry.cause.error,
                "admin command failed; trying again",
            );
            earlier.record(&result, retry);
            if let AdminOperation::Invite(invitation) = &mut command.operation {
                invitation.resend &= earlier.mail_is_due();
            }
        };
        let final_result = result.clone().with_outcome(&final_outcome(&result.outcome));
        final_result.audit(&command, CommandStage::Completed);
        result
    }

    /// Waits before another attempt. False where none makes sense: only an invitation has a new
    /// user, who may appear late.
    async fn wait_to_retry(&self, operation: &AdminOperation, retry: &Retry, tries: u32) -> bool {
        let max_tries = retry
            .max_attempts
            .unwrap_or(MAX_NOT_FOUND_TRIES)
            .min(MAX_NOT_FOUND_TRIES);
        if tries >= max_tries || !matches!(operation, AdminOperation::Invite(_)) {
            return false;
        }
        tokio::select! {
            biased;
            () = self.stop.cancelled() => false,
            () = tokio::time::sleep(retry.pause.after(tries, |_| NOT_FOUND_PAUSE)) => true,
        }
    }

    /// Sends one invitation. With `has_pending_mail` the last mail was never sent: it is sent
    /// again, unless the user has accepted another.
    pub(crate) async fn invite(
        &self,
        invitation: &Invitation,
        has_pending_mail: bool,
    ) -> CommandResult {
        let resend = invitation.resend || has_pending_mail;
        let with_resend = |resend| {
            AdminOperation::Invite(Invitation {
                resend,
                ..invitation.clone()
            })
        };
        let result = self.execute(with_resend(resend)).await;
        let accepted = result.outcome.reason() == Some(&Reason::AlreadyAccepted);
        if accepted && !invitation.resend {
            return self.execute(with_resend(false)).await;
        }
        result
    }
}

/// Whether the error is transient or a throttle, so that only time is needed.
pub(crate) fn needs_only_time(retry: &Retry) -> bool {
    matches!(
        retry.cause.class,
        RejectionClass::Failure(Class::Throttled | Class::Transient)
    )
}

/// The outcome for the audit line of a command that is not tried again.
fn final_outcome(outcome: &Outcome) -> Outcome {
    match outcome {
        Outcome::Retry(retry) => Outcome::Rejected(retry.cause.clone()),
        Outcome::Blocked(failure) => Outcome::Rejected(failure.clone().into()),
        other => other.clone(),
    }
}

/// The results of earlier attempts at the same command. The last attempt finds a user whom the
/// first one created.
#[derive(Default)]
struct EarlierAttempts {
    user: Option<PoolUser>,
    invited: Option<InvitationResult>,
    /// The response to an `AdminCreateUser` that may have succeeded was lost.
    response_lost: bool,
}

impl EarlierAttempts {
    fn record(&mut self, result: &CommandResult, retry: &Retry) {
        self.user.clone_from(&result.user);
        self.invited.clone_from(&result.invitation);
        let lost = retry.possible_outage.as_ref();
        self.response_lost |= self.invited.is_none()
            && lost.is_some_and(|failure| {
                failure.operation == CognitoOperation::AdminCreateUser.into()
            });
    }

    fn mail_is_due(&self) -> bool {
        self.invited
            .as_ref()
            .is_none_or(|invited| !matches!(invited.mail, MailStatus::Sent | MailStatus::NoCode))
    }

    fn complete(&self, mut result: CommandResult) -> CommandResult {
        match (&mut result.invitation, &self.invited) {
            (Some(invited), Some(earlier)) => {
                invited.created |= earlier.created;
                if matches!(invited.mail, MailStatus::NotSent | MailStatus::Unknown) {
                    invited.mail = earlier.mail;
                }
            }
            (Some(invited), None) if self.response_lost && invited.mail == MailStatus::NotSent => {
                invited.created = true;
                invited.mail = MailStatus::Unknown;
            }
            (none @ None, earlier) => none.clone_from(earlier),
            _ => {}
        }
        result.user = result.user.or_else(|| self.user.clone());
        result
    }
}
