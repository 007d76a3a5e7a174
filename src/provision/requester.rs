//! Whether whoever asks for something is an administrator at this moment.

use super::command::CommandResult;
use super::outcome::Rejection;
use super::{Outcome, Provisioner};
use crate::aws::{Failure, Listing};
use crate::config::AdminConfig;
use crate::event::{AdminCommand, PoolId, Sub, Username};
use crate::retry::retry_inline;

/// Whether the pool has this user in one of the administrators' groups; `None` when it has
/// no such user.
///
/// # Errors
/// As any call.
pub(crate) async fn is_administrator(
    listing: &Listing,
    admin: &AdminConfig,
    pool: &PoolId,
    username: &Username,
) -> Result<Option<bool>, Failure> {
    match retry_inline(|| listing.groups_of(pool, username)).await {
        Ok(groups) => {
            let names = groups.iter().map(|group| group.as_str().to_owned());
            Ok(Some(admin.is_admin(&names.collect())))
        }
        Err(failure) if failure.reason == "user_not_found" => Ok(None),
        Err(failure) => Err(failure),
    }
}

impl Provisioner {
    /// One attempt at an order from a queue. Where `admin.verify_membership` is on, its
    /// requester has to be an administrator of the pool now: they may have been taken out of
    /// the group while it waited. It does not prove who sent it: whoever may send to the
    /// queue may name any administrator.
    pub(crate) async fn perform_queued(&self, order: &AdminCommand) -> CommandResult {
        if let Some(refused) = self.reject_if_forbidden(order) {
            return refused;
        }
        if self.config.admin.verify_membership {
            match self.is_from_administrator(order).await {
                Ok(true) => {}
                Ok(false) => {
                    return CommandResult::rejected(
                        "not_administrator",
                        Rejection::FORBIDDEN,
                        "whoever asked for it is not, or no longer, in one of admin.groups",
                    );
                }
                Err(failure) => return CommandResult::new(Outcome::from(failure)),
            }
        }
        self.execute(order).await
    }

    /// By the user name that belongs to the `sub`. Cognito takes a `sub` for a user name
    /// first, which another user may have chosen, and does not find users of an external
    /// provider by it.
    async fn is_from_administrator(&self, order: &AdminCommand) -> Result<bool, Failure> {
        let Some(sub) = Sub::new(&order.requested_by) else {
            return Ok(false);
        };
        let (pool, admin) = (&order.pool, &self.config.admin);
        let Some(name) = retry_inline(|| self.listing.username_of(pool, &sub)).await? else {
            return Ok(false);
        };
        let is_one = is_administrator(&self.listing, admin, pool, &name).await?;
        Ok(is_one.unwrap_or(false))
    }
}
