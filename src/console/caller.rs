//! Who asks.

use std::sync::Arc;

use axum::Extension;

use super::access::Secret;
use crate::event::{self, PoolId, Sub};

/// What a caller may see follows from it: [`super::page::View::may`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Role {
    /// Known by the AWS credentials of their own machine.
    Operator,
    /// A member of `admin.groups`, known by the user pool.
    #[default]
    Administrator,
}

/// The sender of a request, an extension of it.
pub(super) struct Caller {
    /// An ARN, or a user name, which is personal data.
    pub(super) name: String,
    pub(super) role: Role,
    /// In each form.
    pub(super) token: Secret,
    /// Of an administrator.
    pub(super) sub: Option<Sub>,
    pub(super) pool: Option<PoolId>,
}

/// Who asks, as a handler takes it.
pub(super) type Asking = Extension<Arc<Caller>>;

impl Caller {
    /// # Errors
    /// When the system has no random numbers.
    pub(super) fn operator(arn: String) -> Result<Self, getrandom::Error> {
        Ok(Self {
            name: arn,
            role: Role::Operator,
            token: Secret::new()?,
            sub: None,
            pool: None,
        })
    }

    pub(super) fn administrator(user: &event::Caller, token: Secret) -> Self {
        Self {
            name: user.username.clone(),
            role: Role::Administrator,
            token,
            sub: Sub::new(&user.sub),
            pool: Some(user.pool.clone()),
        }
    }
}
