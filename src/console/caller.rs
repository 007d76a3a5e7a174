//! The caller of a request.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Extension;

use super::access::Secret;
use crate::app::Services;
use crate::event::{self, PoolId, Sub, is_loggable_id};
use crate::reason::GRANT_LATER;

/// What a caller may see follows from it: [`super::page::View::may`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Role {
    /// Known by the AWS credentials of their own machine.
    Operator,
    /// A member of `admin.groups`, known by the user pool.
    #[default]
    Administrator,
}

impl Role {
    /// Whether the caller can use the commands. Administrators have no terminal with AWS credentials.
    pub(super) fn has_shell(self) -> bool {
        self == Self::Operator
    }

    /// What to do about a group that an invitation names and `admin.grantable_groups` leaves out.
    pub(super) fn grant_remedy(self) -> &'static str {
        match self {
            Self::Operator => GRANT_LATER,
            Self::Administrator => "leave it out here, and ask an operator of usher to give it",
        }
    }
}

/// The sender of a request, an extension of it.
pub(super) struct Caller {
    identity: Identity,
    /// In each form.
    pub(super) token: Secret,
}

enum Identity {
    /// With the ARN of the credentials at the start.
    Operator(String),
    Administrator(event::Caller),
}

/// Who asks, as a handler takes it.
pub(super) type Asking = Extension<Arc<Caller>>;

impl Caller {
    /// # Errors
    /// When the system has no random numbers.
    pub(super) fn operator(arn: String) -> Result<Self, getrandom::Error> {
        Ok(Self {
            identity: Identity::Operator(arn),
            token: Secret::new()?,
        })
    }

    pub(super) fn administrator(user: event::Caller, token: Secret) -> Self {
        Self {
            identity: Identity::Administrator(user),
            token,
        }
    }

    /// For the pages: an ARN, or a user name, which is personal data.
    pub(super) fn name(&self) -> &str {
        match &self.identity {
            Identity::Operator(arn) => arn,
            Identity::Administrator(user) => &user.username,
        }
    }

    /// The same for each request of one person; not for logs.
    pub(super) fn id(&self) -> &str {
        match &self.identity {
            // There is only one.
            Identity::Operator(_) => "",
            Identity::Administrator(user) => &user.sub,
        }
    }

    pub(super) fn role(&self) -> Role {
        match self.identity {
            Identity::Operator(_) => Role::Operator,
            Identity::Administrator(_) => Role::Administrator,
        }
    }

    /// The pool of an administrator, who sees no other.
    pub(super) fn only_pool(&self) -> Option<&PoolId> {
        match &self.identity {
            Identity::Operator(_) => None,
            Identity::Administrator(user) => Some(&user.pool),
        }
    }

    /// Those of these pools that the caller sees.
    pub(super) fn pools<'a>(&'a self, allowed: &'a BTreeSet<PoolId>) -> Vec<&'a PoolId> {
        match self.only_pool() {
            Some(pool) => vec![pool],
            None => allowed.iter().collect(),
        }
    }

    pub(super) fn is(&self, sub: &Sub) -> bool {
        matches!(&self.identity, Identity::Administrator(user) if user.sub == sub.as_str())
    }

    /// The `sub` of an administrator, if logs may hold it.
    pub(super) fn sub(&self) -> Option<&str> {
        match &self.identity {
            Identity::Operator(_) => None,
            Identity::Administrator(user) => Some(&*user.sub).filter(|sub| is_loggable_id(sub)),
        }
    }

    /// The name in audit lines. That of an operator follows from the current credentials: they change
    /// while a console runs.
    pub(super) async fn actor(&self, services: &Services) -> String {
        match self.role() {
            Role::Operator => services.aws().caller_name().await,
            Role::Administrator => self.sub().unwrap_or_default().to_owned(),
        }
    }
}
