//! Whoever has the credentials of this shell and does at once what administrators ask
//! a worker for.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Usage;
use crate::aws::{Aws, Class, Directory, PoolUser, ProfileTable};
use crate::config::Config;
use crate::event::{AdminCommand, AdminOperation, Invitation, PoolId};
use crate::provision::{
    CommandResult, CommandStage, InvitationResult, MailStatus, Outcome, Provisioner, Retry,
};
use crate::quota::Quota;
use crate::retry::{Backoff, SharedRetry, retry_inline};

/// Attempts where a user or a group is not there, perhaps not yet.
const MAX_NOT_FOUND_TRIES: u32 = 5;
const NOT_FOUND_PAUSE: Duration = Duration::from_secs(3);

/// Acts in one pool, for somebody with a name.
#[derive(Debug)]
pub(super) struct Operator {
    pool: PoolId,
    actor: String,
    provisioner: Provisioner,
    shared_retry: SharedRetry,
    stop: CancellationToken,
}

impl Operator {
    /// `patience` is how long nothing may work before it gives up.
    pub(super) async fn new(
        config: &Config,
        aws: &Aws,
        pool: &PoolId,
        patience: Duration,
        stop: &CancellationToken,
    ) -> Self {
        let quota = Arc::new(Quota::new(config.quota));
        let profiles = config.profiles.as_ref();
        let profiles =
            profiles.map(|settings| ProfileTable::new(aws, &settings.table, &settings.key));
        Self {
            pool: pool.clone(),
            actor: actor(aws).await,
            provisioner: Provisioner::new(config, Directory::new(aws, quota), profiles),
            shared_retry: SharedRetry::new(patience, stop),
            stop: stop.clone(),
        }
    }

    /// Tries until it is done or refused, or makes no sense any more: then the outcome
    /// is the last attempt's `Retry`. Writes the audit line.
    pub(super) async fn execute(&self, action: AdminOperation) -> CommandResult {
        let mut order = AdminCommand {
            request_id: AdminCommand::new_request_id(),
            requested_by: self.actor.clone(),
            requested_at: Some(jiff::Timestamp::now()),
            pool: self.pool.clone(),
            operation: action,
        };
        let mut before = EarlierAttempts::default();
        let mut pace = Backoff::default();
        let mut tries = 0;
        let performed = loop {
            let performed = before.complete(self.provisioner.perform(&order).await);
            let Outcome::Retry(retry) = &performed.outcome else {
                self.shared_retry.record_success();
                break performed;
            };
            let again = if is_temporary(retry) {
                self.shared_retry.wait_to_retry(&mut pace).await
            } else {
                self.shared_retry.record_success();
                tries += 1;
                self.wait_to_retry(&order.operation, retry, tries).await
            };
            if !again {
                break performed;
            }
            tracing::warn!(
                request.id = order.request_id,
                error = retry.cause.error,
                "tried again",
            );
            before.record(&performed, retry);
            if let AdminOperation::Invite(invitation) = &mut order.operation {
                invitation.resend &= before.mail_is_due();
            }
        };
        match final_outcome(&performed.outcome) {
            Some(outcome) => CommandResult {
                outcome,
                ..performed.clone()
            }
            .audit(&order, CommandStage::Completed),
            None => performed.audit(&order, CommandStage::Completed),
        }
        performed
    }

    /// Only somebody who was just created is given the time to appear.
    async fn wait_to_retry(&self, action: &AdminOperation, retry: &Retry, tries: u32) -> bool {
        let most = retry
            .max_attempts
            .unwrap_or(MAX_NOT_FOUND_TRIES)
            .min(MAX_NOT_FOUND_TRIES);
        if tries >= most || !matches!(action, AdminOperation::Invite(_)) {
            return false;
        }
        tokio::select! {
            biased;
            () = self.stop.cancelled() => false,
            () = tokio::time::sleep(retry.pause.after(tries, |_| NOT_FOUND_PAUSE)) => true,
        }
    }

    /// One invitation. With `owed` the last one never went: it is sent again, unless
    /// the person has accepted another.
    pub(super) async fn invite(&self, invitation: &Invitation, owed: bool) -> CommandResult {
        let resend = invitation.resend || owed;
        let with = |resend| {
            AdminOperation::Invite(Invitation {
                resend,
                ..invitation.clone()
            })
        };
        let performed = self.execute(with(resend)).await;
        let accepted = performed.outcome.reason() == "already_accepted";
        if accepted && !invitation.resend {
            return self.execute(with(false)).await;
        }
        performed
    }
}

/// Whether it is the time alone that is in the way.
pub(super) fn is_temporary(retry: &Retry) -> bool {
    let class = retry.cause.class;
    class == Class::Throttled.name() || class == Class::Transient.name()
}

/// Nobody tries it again: whatever was in the way has refused it.
fn final_outcome(outcome: &Outcome) -> Option<Outcome> {
    match outcome {
        Outcome::Retry(retry) => Some(Outcome::Rejected(retry.cause.clone())),
        Outcome::Blocked(failure) => Some(Outcome::Rejected(failure.clone().into())),
        _ => None,
    }
}

/// What earlier attempts at the same order have done: the last one finds a person
/// there whom the first has made.
#[derive(Default)]
struct EarlierAttempts {
    user: Option<PoolUser>,
    invited: Option<InvitationResult>,
    /// An answer was lost that may have been a yes.
    response_lost: bool,
}

impl EarlierAttempts {
    fn record(&mut self, performed: &CommandResult, retry: &Retry) {
        self.user.clone_from(&performed.user);
        self.invited.clone_from(&performed.invitation);
        let lost = retry.possible_outage.as_ref();
        self.response_lost |= self.invited.is_none()
            && lost.is_some_and(|failure| failure.operation == "AdminCreateUser");
    }

    fn mail_is_due(&self) -> bool {
        self.invited
            .as_ref()
            .is_none_or(|invited| !matches!(invited.mail, MailStatus::Sent | MailStatus::NoCode))
    }

    fn complete(&self, mut performed: CommandResult) -> CommandResult {
        match (&mut performed.invitation, &self.invited) {
            (Some(invited), Some(before)) => {
                invited.created |= before.created;
                if matches!(invited.mail, MailStatus::NotSent | MailStatus::Unknown) {
                    invited.mail = before.mail;
                }
            }
            (Some(invited), None) if self.response_lost && invited.mail == MailStatus::NotSent => {
                invited.created = true;
                invited.mail = MailStatus::Unknown;
            }
            (none @ None, before) => none.clone_from(before),
            _ => {}
        }
        performed.user = performed.user.or_else(|| self.user.clone());
        performed
    }
}

/// The pool that is meant: the one that is given, or the only one there is.
pub(super) fn pool(given: Option<&str>, config: &Config) -> anyhow::Result<PoolId> {
    let Some(id) = given else {
        let mut allowed = config.pools.allowed.iter();
        return match (allowed.next(), allowed.next()) {
            (Some(pool), None) => Ok(pool.clone()),
            (None, _) => Err(Usage::error(
                "pools.allowed is empty: name the user pool with --pool",
            )),
            _ => Err(Usage::error(
                "pools.allowed names several user pools: choose one with --pool",
            )),
        };
    };
    let pool = PoolId::new(id).ok_or_else(|| Usage::error("--pool: not the id of a user pool"))?;
    if !config.pools.is_allowed(&pool) {
        return Err(Usage::error(format!(
            "--pool {id} is not in pools.allowed: add it there, or name one that is"
        )));
    }
    Ok(pool)
}

/// The ARN of whoever acts, for audit lines.
pub(super) async fn actor(aws: &Aws) -> String {
    match retry_inline(|| aws.caller()).await {
        Ok(arn) => arn,
        Err(failure) => {
            tracing::warn!(error = %failure, "nobody says who the caller is");
            "unknown".to_owned()
        }
    }
}

/// A time that may be waited.
pub(super) fn parse_wait_time(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .ok()
        .filter(|time| *time >= Duration::from_secs(1))
        .ok_or_else(|| "write a time of a second or more, such as 10m".to_owned())
}
