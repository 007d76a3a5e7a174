//! Checks whether the requester of a command is an administrator now.
//!
//! A queued command names its requester only by `sub`. The check costs three calls for each
//! command, so `admin.verify_membership` is off by default. It does not concern operators: their
//! commands run in their own process, and an ARN on the queue is a `bad_command`.

use super::{CommandResult, Outcome, Provisioner, RejectionClass};
use crate::aws::{Cognito, Failure};
use crate::config::AdminConfig;
use crate::event::{AdminCommand, PoolId, Sub, Username};
use crate::reason::Reason;
use crate::retry::retry_inline;

/// Whether the user is enabled and in one of the groups of `admin.groups`; `None` when the pool
/// has no such user. A disabled user stays in their groups.
///
/// # Errors
/// When a call fails.
pub(crate) async fn is_administrator(
    cognito: &Cognito,
    admin: &AdminConfig,
    pool: &PoolId,
    username: &Username,
) -> Result<Option<bool>, Failure> {
    let read: Result<bool, Failure> = async {
        let groups = retry_inline(|| cognito.groups_of(pool, username)).await?;
        let names = groups.iter().map(|group| group.as_str().to_owned());
        if !admin.is_admin(&names.collect()) {
            return Ok(false);
        }
        let user = retry_inline(|| cognito.get_user(pool, username)).await?;
        Ok(user.enabled)
    }
    .await;
    match read {
        Ok(is_admin) => Ok(Some(is_admin)),
        Err(failure) if failure.reason == Reason::UserNotFound => Ok(None),
        Err(failure) => Err(failure),
    }
}

impl Provisioner {
    /// Makes one attempt at a command from a queue. With `admin.verify_membership`, its
    /// requester must still be an administrator of the pool: they may have been removed from
    /// the group while it waited. This does not authenticate the sender: every sender to the
    /// queue can name any administrator.
    pub(crate) async fn perform_queued(&self, command: &AdminCommand) -> CommandResult {
        match self.reject_queued(command).await {
            Some(refused) => refused,
            None => self.execute(command).await,
        }
    }

    /// Predicts the outcome of [`Self::perform_queued`] with read calls only. It makes the
    /// worker's own checks. Only the attempt shows whether an address or a name is taken, and
    /// whether Cognito sends a mail.
    pub(crate) async fn judge_queued(&self, command: &AdminCommand) -> Outcome {
        match self.reject_queued(command).await {
            Some(refused) => refused.outcome,
            None => self
                .judge(command)
                .await
                .unwrap_or_else(|result| result.outcome),
        }
    }

    /// Rejects a command that is not allowed, or whose requester is not an administrator.
    async fn reject_queued(&self, command: &AdminCommand) -> Option<CommandResult> {
        let refused = self.reject_if_forbidden(command);
        if refused.is_some() || !self.config.admin.verify_membership {
            return refused;
        }
        match self.is_from_administrator(command).await {
            Ok(true) => None,
            Ok(false) => Some(CommandResult::rejected(
                Reason::NotAdministrator,
                RejectionClass::Forbidden,
                "the requester is disabled, or in no group of admin.groups",
            )),
            Err(failure) => Some(CommandResult::new(failure)),
        }
    }

    /// Looks up the user name of the `sub` first. Cognito takes a `sub` for a user name, which
    /// another user may have chosen. It also finds no users of an external provider by it.
    async fn is_from_administrator(&self, command: &AdminCommand) -> Result<bool, Failure> {
        let Some(sub) = Sub::new(&command.requested_by) else {
            return Ok(false);
        };
        let (pool, admin) = (&command.pool, &self.config.admin);
        let Some(name) = retry_inline(|| self.cognito.username_of(pool, &sub)).await? else {
            return Ok(false);
        };
        let is_admin = is_administrator(&self.cognito, admin, pool, &name).await?;
        Ok(is_admin.unwrap_or(false))
    }
}
