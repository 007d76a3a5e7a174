//! Executes admin commands.

use super::invite::require_open_invitation;
use super::{CommandResult, Outcome, Provisioner, Rejection, RejectionClass};
use crate::aws::PoolUser;
use crate::event::{AdminCommand, AdminOperation, Membership, PoolId, Username};
use crate::reason::Reason;
use crate::retry::retry_inline;

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
        let mut groups = command.operation.groups().iter();
        let in_token = &self.config.groups.in_token;
        if let Some(group) = groups.clone().find(|group| in_token.contains(group)) {
            let rejected = CommandResult::rejected(
                Reason::GroupInToken,
                RejectionClass::Conflict,
                "groups.in_token has the group: no user is added to it or removed from it",
            );
            return Some(rejected.with_group(group));
        }
        let grantable = &self.config.admin.grantable;
        let refused = groups.find(|group| !grantable.allows(group))?;
        let rejected = CommandResult::rejected(
            Reason::GroupNotGrantable,
            RejectionClass::Forbidden,
            "admin.grantable_groups does not let administrators give or take the group",
        );
        Some(rejected.with_group(refused))
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

    /// The checks of [`Self::execute`] before its first write.
    pub(super) async fn judge(&self, command: &AdminCommand) -> Result<Outcome, CommandResult> {
        let pool = &command.pool;
        match &command.operation {
            AdminOperation::AddToGroup(membership)
            | AdminOperation::RemoveFromGroup(membership) => {
                self.find_user(pool, &membership.username).await?;
                self.require_groups(pool, [&membership.group]).await?;
            }
            AdminOperation::Invite(invitation) => {
                self.require_groups(pool, &invitation.groups).await?;
            }
            AdminOperation::ResendInvitation(username) => {
                require_open_invitation(&self.find_user(pool, username).await?)?;
            }
        }
        Ok(Outcome::Done)
    }

    pub(super) async fn find_user(
        &self,
        pool: &PoolId,
        username: &Username,
    ) -> Result<PoolUser, CommandResult> {
        retry_inline(|| self.cognito.find_user(pool, username))
            .await
            .map_err(CommandResult::new)
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
        let user = match self.find_user(pool, username).await {
            Ok(user) => user,
            Err(result) => return result,
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
        let is_missing = outcome.reason() == Some(&Reason::GroupNotFound);
        CommandResult {
            user: Some(user),
            group: is_missing.then(|| group.clone()),
            ..CommandResult::new(outcome)
        }
    }
}

#[derive(Clone, Copy)]
enum MembershipChange {
    Add,
    Remove,
}
