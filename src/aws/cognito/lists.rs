//! Amazon Cognito user pools, page by page. Listing does not make a user count as active
//! this month.
//!
//! <https://docs.aws.amazon.com/cognito/latest/developerguide/quotas.html>

use std::collections::BTreeSet;

use aws_sdk_cognitoidentityprovider::primitives::DateTime;
use aws_sdk_cognitoidentityprovider::types::{GroupType, UserStatusType, UserType};

use super::{Cognito, next_token};
use crate::aws::error::Failure;
use crate::aws::operation::CognitoOperation;
use crate::aws::page::Page;
use crate::config::GroupName;
use crate::event::{PoolId, Sub, UserAttributes, Username, is_loggable_id};
use crate::reason::Reason;

/// A user as `ListUsers` returns them.
#[derive(Debug)]
pub(crate) struct ListedUser {
    /// The name that the Admin calls accept.
    pub username: Username,
    pub sub: Option<Sub>,
    pub attributes: UserAttributes,
    pub status: UserStatus,
    /// Cognito's `UserStatus`, such as `CONFIRMED`.
    pub cognito_status: String,
    pub enabled: bool,
    /// When the user signed up or was created.
    pub created: Option<jiff::Timestamp>,
    /// When the pool last changed the user, if it says so. A new code is a change.
    pub modified: Option<jiff::Timestamp>,
}

/// A group as `ListGroups` returns it.
#[derive(Debug)]
pub(crate) struct PoolGroup {
    pub name: GroupName,
    pub description: Option<String>,
}

impl PoolGroup {
    fn new(group: GroupType) -> Option<Self> {
        Some(Self {
            name: GroupName::new(group.group_name()?)?,
            description: group.description.filter(|it| !it.is_empty()),
        })
    }
}

/// A user's status, reduced to the differences that matter to usher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserStatus {
    /// `CONFIRMED`, or `RESET_REQUIRED`: confirmed, but must choose a new password before the
    /// next sign-in, as after a CSV import.
    ///
    /// <https://docs.aws.amazon.com/cognito/latest/developerguide/signing-up-users-in-your-app.html>
    Confirmed,
    /// `EXTERNAL_PROVIDER`: signs in with a federated identity.
    Federated,
    /// `FORCE_CHANGE_PASSWORD`: has a code, and no password of their own yet.
    Invited,
    /// An administrator has disabled the user, whatever the status is.
    Disabled,
    /// Any other status, such as `UNCONFIRMED`.
    Other,
}

impl UserStatus {
    pub(super) fn from_sdk(status: Option<&UserStatusType>, enabled: bool) -> Self {
        match status {
            _ if !enabled => Self::Disabled,
            Some(UserStatusType::Confirmed | UserStatusType::ResetRequired) => Self::Confirmed,
            Some(UserStatusType::ExternalProvider) => Self::Federated,
            Some(UserStatusType::ForceChangePassword) => Self::Invited,
            _ => Self::Other,
        }
    }
}

pub(super) fn status_text(status: Option<&UserStatusType>) -> String {
    status.map_or("UNKNOWN", UserStatusType::as_str).to_owned()
}

/// Cognito's limit for one page.
pub(super) const MAX_PAGE_ITEMS: i32 = 60;

impl Cognito {
    /// `ListUsers` of this `sub`: the user's name. Also finds federated users, whom the Admin
    /// calls know only by name. Eventually consistent. Not every emulator filters, so each
    /// user is compared.
    ///
    /// <https://docs.aws.amazon.com/cognito/latest/developerguide/how-to-manage-user-accounts.html>
    ///
    /// # Errors
    /// As any call.
    pub(crate) async fn username_of(
        &self,
        pool: &PoolId,
        sub: &Sub,
    ) -> Result<Option<Username>, Failure> {
        // The filter contains it unescaped.
        if !is_loggable_id(sub.as_str()) {
            return Ok(None);
        }
        let mut token = None;
        loop {
            let request = self
                .client
                .list_users()
                .user_pool_id(pool.as_str())
                .filter(format!("sub = \"{}\"", sub.as_str()))
                .limit(MAX_PAGE_ITEMS)
                .set_pagination_token(token.clone())
                .send();
            let page = self
                .call(CognitoOperation::ListUsers, pool, request)
                .await?;
            let found = ListedUser::from_page(page.users).find(|it| it.sub.as_ref() == Some(sub));
            if let Some(user) = found {
                return Ok(Some(user.username));
            }
            token = next_token(
                CognitoOperation::ListUsers,
                pool,
                token.as_deref(),
                page.pagination_token,
            )?;
            if token.is_none() {
                return Ok(None);
            }
        }
    }

    /// `ListUsers`, one page. Eventually consistent.
    ///
    /// # Errors
    /// `invalid_parameter` for a token that has expired; `repeated_token` where the next page
    /// is the same.
    pub(crate) async fn list_users(
        &self,
        pool: &PoolId,
        token: Option<&str>,
    ) -> Result<Page<ListedUser>, Failure> {
        let request = self
            .client
            .list_users()
            .user_pool_id(pool.as_str())
            .limit(MAX_PAGE_ITEMS)
            .set_pagination_token(token.map(str::to_owned))
            .send();
        let page = self
            .call(CognitoOperation::ListUsers, pool, request)
            .await?;
        Page::from_users(pool, token, page.users, page.pagination_token)
    }

    /// `ListGroups`, one page.
    ///
    /// # Errors
    /// As any call; `repeated_token` where the next page is the same.
    pub(crate) async fn list_groups(
        &self,
        pool: &PoolId,
        token: Option<&str>,
    ) -> Result<Page<PoolGroup>, Failure> {
        let operation = CognitoOperation::ListGroups;
        let request = self
            .client
            .list_groups()
            .user_pool_id(pool.as_str())
            .limit(MAX_PAGE_ITEMS)
            .set_next_token(token.map(str::to_owned))
            .send();
        let page = self.call(operation, pool, request).await?;
        let groups = page.groups.unwrap_or_default().into_iter();
        Ok(Page {
            items: groups.filter_map(PoolGroup::new).collect(),
            next: next_token(operation, pool, token, page.next_token)?,
        })
    }

    /// `ListUsersInGroup`: the members' names. A group that does not exist has none.
    ///
    /// # Errors
    /// As any call; `repeated_token` where the next page is the same.
    pub(crate) async fn list_members(
        &self,
        pool: &PoolId,
        group: &GroupName,
        token: Option<&str>,
    ) -> Result<Page<Username>, Failure> {
        let request = self
            .client
            .list_users_in_group()
            .user_pool_id(pool.as_str())
            .group_name(group.as_str())
            .limit(MAX_PAGE_ITEMS)
            .set_next_token(token.map(str::to_owned))
            .send();
        let page = self
            .call(CognitoOperation::ListUsersInGroup, pool, request)
            .await;
        match page {
            Err(refused) if refused.failure.reason == Reason::GroupNotFound => Ok(Page {
                items: Vec::new(),
                next: None,
            }),
            Err(refused) => Err(refused.failure),
            Ok(page) => Ok(Page {
                items: page
                    .users
                    .unwrap_or_default()
                    .into_iter()
                    .filter_map(|user| Username::new(&user.username?))
                    .collect(),
                next: next_token(
                    CognitoOperation::ListUsersInGroup,
                    pool,
                    token,
                    page.next_token,
                )?,
            }),
        }
    }

    /// `AdminListGroupsForUser`: the groups that one user is in.
    ///
    /// # Errors
    /// `user_not_found` is of class [`NotYet`](crate::aws::Class::NotYet).
    pub(crate) async fn groups_of(
        &self,
        pool: &PoolId,
        username: &Username,
    ) -> Result<BTreeSet<GroupName>, Failure> {
        let mut groups = BTreeSet::new();
        let mut token = None;
        loop {
            let request = self
                .client
                .admin_list_groups_for_user()
                .user_pool_id(pool.as_str())
                .username(username.reveal())
                .limit(MAX_PAGE_ITEMS)
                .set_next_token(token.clone())
                .send();
            let page = self
                .call(CognitoOperation::AdminListGroupsForUser, pool, request)
                .await?;
            let names = page.groups.unwrap_or_default();
            groups.extend(
                names
                    .iter()
                    .filter_map(|group| GroupName::new(group.group_name()?)),
            );
            token = next_token(
                CognitoOperation::AdminListGroupsForUser,
                pool,
                token.as_deref(),
                page.next_token,
            )?;
            if token.is_none() {
                return Ok(groups);
            }
        }
    }
}

impl Page<ListedUser> {
    /// A page of `ListUsers` that was requested with the token `asked`.
    ///
    /// # Errors
    /// `repeated_token`.
    pub(super) fn from_users(
        pool: &PoolId,
        asked: Option<&str>,
        users: Option<Vec<UserType>>,
        next: Option<String>,
    ) -> Result<Self, Failure> {
        Ok(Self {
            items: ListedUser::from_page(users).collect(),
            next: next_token(CognitoOperation::ListUsers, pool, asked, next)?,
        })
    }
}

impl ListedUser {
    pub(super) fn from_page(users: Option<Vec<UserType>>) -> impl Iterator<Item = Self> {
        users
            .unwrap_or_default()
            .into_iter()
            .filter_map(Self::from_sdk)
    }

    /// `None` for a user without a name: no call can address them.
    fn from_sdk(user: UserType) -> Option<Self> {
        let attributes: UserAttributes = user
            .attributes
            .unwrap_or_default()
            .into_iter()
            .map(|attribute| (attribute.name, attribute.value.unwrap_or_default()))
            .collect();
        Some(Self {
            username: Username::new(&user.username?)?,
            sub: attributes.get("sub").and_then(Sub::new),
            attributes,
            status: UserStatus::from_sdk(user.user_status.as_ref(), user.enabled),
            cognito_status: status_text(user.user_status.as_ref()),
            enabled: user.enabled,
            created: user.user_create_date.and_then(timestamp),
            modified: user.user_last_modified_date.and_then(timestamp),
        })
    }
}

fn timestamp(date: DateTime) -> Option<jiff::Timestamp> {
    jiff::Timestamp::new(date.secs(), 0).ok()
}
