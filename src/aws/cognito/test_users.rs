//! Amazon Cognito user pools: users that a load test creates and finds.

use std::collections::BTreeMap;

use aws_sdk_cognitoidentityprovider::types::MessageActionType;

use super::{Cognito, ListedUser, PoolUser, target};
use crate::aws::error::Failure;
use crate::aws::operation::CognitoOperation;
use crate::aws::page::Page;
use crate::event::{PoolId, Sub, Username};

/// A user whom [`Cognito::create_test_user`] created or found.
#[derive(Debug, Clone)]
pub(crate) struct CreatedUser {
    /// The pool's own name: a pool whose users sign in with their e-mail address generates
    /// user names.
    pub username: Username,
    pub sub: Sub,
}

/// The form of user name that a pool requires of new users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SignInName {
    Any,
    Email,
    /// A phone number; an e-mail address is refused.
    Phone,
}

impl Cognito {
    /// `AdminCreateUser` with a verified e-mail address and without a mail. Returns an existing
    /// user as if created now, since an earlier answer may have been lost.
    ///
    /// <https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_AdminCreateUser.html>
    ///
    /// # Errors
    /// As any call; transient when the answer lacks the user's `sub`.
    pub(crate) async fn create_test_user(
        &self,
        pool: &PoolId,
        name: &Username,
        email: &str,
    ) -> Result<CreatedUser, Failure> {
        let request = self
            .new_user(pool, name, email, &BTreeMap::new())
            .message_action(MessageActionType::Suppress)
            .send();
        let operation = CognitoOperation::AdminCreateUser;
        let user = match self.call(operation, pool, request).await {
            Ok(answer) => PoolUser::from_created(answer.user(), name),
            Err(refused) if refused.failure.code == "UsernameExistsException" => {
                self.get_user(pool, name).await?
            }
            Err(refused) => return Err(refused.failure),
        };
        Ok(CreatedUser {
            username: user.username,
            sub: user
                .sub
                .ok_or_else(|| Failure::unanswered(target(operation, pool)))?,
        })
    }

    /// `ListUsers` of users whose e-mail address begins with `prefix`. Eventually consistent.
    /// Not every emulator filters, so the caller checks again.
    ///
    /// # Errors
    /// As any call; `repeated_token` where the next page is the same.
    pub(crate) async fn list_by_email_prefix(
        &self,
        pool: &PoolId,
        prefix: &str,
        token: Option<&str>,
    ) -> Result<Page<ListedUser>, Failure> {
        // The caller deletes whom it lists, and an empty prefix would list all.
        if prefix.is_empty() {
            return Page::from_users(pool, None, None, None);
        }
        self.list_by_prefix(pool, "email", prefix, token).await
    }
}
