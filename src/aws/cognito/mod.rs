//! Amazon Cognito user pools. Each call first takes a permit of the process's budget.
//!
//! The file of a call decides which policy in `deploy/` must allow it (`tests/it/policies.rs`):
//!
//! - `provisioning`: the worker
//! - `users`, `invitations`: admin commands
//! - `lists`, `searches`, `pools` with `schema`: commands that read
//! - `accounts`: actions of the console on users
//! - `sign_in`, `console_sign_in`: `/accept` and `/console`
//! - `test_users`: the load test
//! - `deletion`: the load test and `usher users forget`
//! - `pool_settings`: `usher trigger`
//! - `jwks`: the keys that sign tokens; not an AWS call

mod accept_error;
mod accounts;
mod console_sign_in;
mod deletion;
#[cfg(test)]
pub(crate) mod fake;
mod invitations;
mod jwks;
mod lists;
mod pool_settings;
mod pools;
mod provisioning;
mod schema;
mod searches;
mod sign_in;
mod test_users;
mod users;

use std::sync::Arc;

use aws_sdk_cognitoidentityprovider::Client;
use aws_sdk_cognitoidentityprovider::config::http::HttpResponse;
use aws_sdk_cognitoidentityprovider::error::{ProvideErrorMetadata, SdkError};

use super::call::{CallError, call_cognito};
use super::client::Aws;
use super::error::Failure;
use super::operation::CognitoOperation;
use super::operation::Target;
use super::page::next_page;
use crate::event::PoolId;
use crate::quota::{Category, Quota};

pub(crate) use accept_error::AcceptError;
pub(crate) use console_sign_in::{
    Challenge, ChallengeKind, SessionTokens, SignInError, SignInProgress,
};
pub(crate) use invitations::UsernameCandidates;
pub use jwks::JwksClient;
pub use lists::UserStatus;
pub(crate) use lists::{ListedUser, PoolGroup};
pub(crate) use pool_settings::SettingsError;
pub use pool_settings::{JsonObject, PoolSettings};
pub(crate) use pools::PasswordRules;
pub(crate) use schema::InvitationSettings;
pub use schema::{AttributeKind, SchemaAttribute};
pub(crate) use sign_in::{Acceptance, SignIn};
pub(crate) use test_users::{CreatedUser, SignInName};
pub(crate) use users::FindUserError;
pub use users::PoolUser;

/// A client for all user pools of the account, inside the budgets of the process.
#[derive(Debug, Clone)]
pub struct Cognito {
    client: Client,
    quota: Arc<Quota>,
}

impl Cognito {
    /// All calls of one process share one `quota`.
    pub fn new(aws: &Aws, quota: Arc<Quota>) -> Self {
        Self {
            client: aws.cognito(),
            quota,
        }
    }

    /// The highest rate in calls a second: this process's part of it.
    pub(crate) fn limit(&self, category: Category) -> f64 {
        self.quota.budget(category).limit()
    }

    fn call<'a, T, E>(
        &'a self,
        operation: CognitoOperation,
        pool: &'a PoolId,
        request: impl Future<Output = Result<T, SdkError<E, HttpResponse>>> + Send + 'a,
    ) -> impl Future<Output = Result<T, CallError<E>>> + Send + 'a
    where
        T: Send + 'a,
        E: ProvideErrorMetadata + std::error::Error + Send + 'static,
    {
        call_cognito(&self.quota, operation, pool.as_str(), request)
    }
}

fn target(operation: CognitoOperation, pool: &PoolId) -> Target<'_> {
    Target {
        operation: operation.into(),
        resource: pool.as_str(),
    }
}

/// See [`next_page`].
fn next_token(
    operation: CognitoOperation,
    pool: &PoolId,
    asked: Option<&str>,
    answered: Option<String>,
) -> Result<Option<String>, Failure> {
    next_page(target(operation, pool), asked, answered)
}
