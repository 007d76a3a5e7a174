//! Amazon Cognito user pools: users that a load test creates, finds and deletes.

use std::sync::Arc;

use aws_sdk_cognitoidentityprovider::Client;
use aws_sdk_cognitoidentityprovider::types::{
    AttributeType, MessageActionType, UserType, UsernameAttributeType,
};

use super::call::call;
use super::client::Aws;
use super::directory::{call_with_permit, target};
use super::error::Failure;
use super::listing::{ListedUser, MAX_PAGE_ITEMS, Page};
use crate::event::{PoolId, Sub, Username};
use crate::quota::Quota;

/// Creates, finds and deletes test users, inside the budgets.
#[derive(Debug, Clone)]
pub struct Users {
    client: Client,
    quota: Arc<Quota>,
}

/// A user whom [`Users::create`] created or found.
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

impl Users {
    /// All calls of one process share one `quota`.
    pub fn new(aws: &Aws, quota: Arc<Quota>) -> Self {
        Self {
            client: aws.cognito(),
            quota,
        }
    }

    /// `AdminCreateUser` with a verified e-mail address and without a mail. Returns an existing
    /// user as if created now, since an earlier answer may have been lost.
    ///
    /// <https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_AdminCreateUser.html>
    ///
    /// # Errors
    /// As any call; transient when the answer lacks the user's `sub`.
    pub(crate) async fn create(
        &self,
        pool: &PoolId,
        name: &Username,
        email: &str,
    ) -> Result<CreatedUser, Failure> {
        let attribute = |name: &str, value: &str| {
            let built = AttributeType::builder().name(name).value(value).build();
            built.ok()
        };
        let attributes = [("email", email), ("email_verified", "true")];
        let request = self
            .client
            .admin_create_user()
            .user_pool_id(pool.as_str())
            .username(name.reveal())
            .message_action(MessageActionType::Suppress)
            .set_user_attributes(
                attributes
                    .map(|(name, value)| attribute(name, value))
                    .into_iter()
                    .collect(),
            )
            .send();
        let unanswered = || Failure::unanswered(target("AdminCreateUser", pool));
        let answer =
            call_with_permit(&self.quota.user_creation, "AdminCreateUser", pool, request).await;
        match answer {
            Ok(answer) => {
                let user = answer.user.as_ref();
                let attributes = user.map(UserType::attributes).unwrap_or_default();
                let answered = user.and_then(UserType::username);
                created_user(answered, attributes, name).ok_or_else(unanswered)
            }
            Err(failure) if failure.code == "UsernameExistsException" => self.get(pool, name).await,
            Err(failure) => Err(failure),
        }
    }

    /// `AdminGetUser`.
    async fn get(&self, pool: &PoolId, name: &Username) -> Result<CreatedUser, Failure> {
        let request = self
            .client
            .admin_get_user()
            .user_pool_id(pool.as_str())
            .username(name.reveal())
            .send();
        let user = call_with_permit(&self.quota.user_read, "AdminGetUser", pool, request).await?;
        created_user(Some(user.username()), user.user_attributes(), name)
            .ok_or_else(|| Failure::unanswered(target("AdminGetUser", pool)))
    }

    /// `AdminDeleteUser`, which also removes all memberships: whether the user existed.
    ///
    /// # Errors
    /// Any except the user's absence.
    pub async fn delete(&self, pool: &PoolId, username: &Username) -> Result<bool, Failure> {
        let request = self
            .client
            .admin_delete_user()
            .user_pool_id(pool.as_str())
            .username(username.reveal())
            .send();
        match call_with_permit(&self.quota.user_update, "AdminDeleteUser", pool, request).await {
            Err(failure) if failure.reason == "user_not_found" => Ok(false),
            result => result.map(|_| true),
        }
    }

    /// `ListUsers` of users whose e-mail address begins with `prefix`. Eventually consistent.
    /// Not every emulator filters, so the caller checks again.
    ///
    /// # Errors
    /// As any call; `repeated_token` where the next page is the same.
    pub(crate) async fn with_email_prefix(
        &self,
        pool: &PoolId,
        prefix: &str,
        token: Option<&str>,
    ) -> Result<Page<ListedUser>, Failure> {
        let request = self
            .client
            .list_users()
            .user_pool_id(pool.as_str())
            .filter(format!("email ^= \"{prefix}\""))
            .limit(MAX_PAGE_ITEMS)
            .set_pagination_token(token.map(str::to_owned))
            .send();
        let page = call_with_permit(&self.quota.user_list, "ListUsers", pool, request).await?;
        Page::from_users(pool, token, page.users, page.pagination_token)
    }

    /// `DescribeUserPool`: the form of name that new users need.
    ///
    /// <https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-settings-attributes.html>
    ///
    /// # Errors
    /// As any call.
    pub(crate) async fn sign_in_name(&self, pool: &PoolId) -> Result<SignInName, Failure> {
        let request = self
            .client
            .describe_user_pool()
            .user_pool_id(pool.as_str())
            .send();
        let answer = call(target("DescribeUserPool", pool), request)
            .await
            .map_err(|(failure, _)| failure)?;
        let names = answer
            .user_pool
            .and_then(|pool| pool.username_attributes)
            .unwrap_or_default();
        Ok(if names.contains(&UsernameAttributeType::Email) {
            SignInName::Email
        } else if names.contains(&UsernameAttributeType::PhoneNumber) {
            SignInName::Phone
        } else {
            SignInName::Any
        })
    }
}

/// `asked` is the name where the answer leaves it out.
fn created_user(
    username: Option<&str>,
    attributes: &[AttributeType],
    asked: &Username,
) -> Option<CreatedUser> {
    let sub = attributes
        .iter()
        .find(|attribute| attribute.name() == "sub");
    Some(CreatedUser {
        username: username
            .and_then(Username::new)
            .unwrap_or_else(|| asked.clone()),
        sub: sub.and_then(|sub| sub.value()).and_then(Sub::new)?,
    })
}
