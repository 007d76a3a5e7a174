//! Disables, enables and signs out a user, with the AWS credentials of this process.

use crate::app::Services;
use crate::aws::{Failure, PoolUser};
use crate::event::{PoolId, Sub};
use crate::retry::retry_inline;

#[derive(Debug, Clone, Copy)]
pub(crate) enum AccountChange {
    Disable,
    Enable,
    /// Ends all sign-ins.
    SignOut,
}

impl AccountChange {
    /// `action` of the audit line.
    fn name(self) -> &'static str {
        match self {
            Self::Disable => "DisableUser",
            Self::Enable => "EnableUser",
            Self::SignOut => "SignOutUser",
        }
    }

    /// Makes the change and writes the audit line, which names `actor`. It may be repeated.
    pub(crate) async fn execute(
        self,
        services: &Services,
        pool: &PoolId,
        user: &PoolUser,
        actor: String,
    ) -> Result<(), Failure> {
        let (cognito, name) = (services.cognito(), &user.username);
        let changed = match self {
            Self::Disable => retry_inline(|| cognito.disable_user(pool, name)).await,
            Self::Enable => retry_inline(|| cognito.enable_user(pool, name)).await,
            Self::SignOut => retry_inline(|| cognito.sign_out_everywhere(pool, name)).await,
        };
        let failure = changed.as_ref().err();
        tracing::info!(
            target: "usher::audit",
            {
                actor,
                action = self.name(),
                pool.id = pool.as_str(),
                user.sub = user.sub.as_ref().and_then(Sub::loggable),
                result = if failure.is_none() { "done" } else { "failed" },
                reason = failure.map(|failure| failure.reason.as_str()),
            },
            "account of one user",
        );
        changed
    }
}
