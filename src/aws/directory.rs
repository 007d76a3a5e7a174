//! Amazon Cognito user pools: the calls that provision. Each call first acquires a permit of
//! the process's budget, and reports a throttle to it.

use std::sync::Arc;

use aws_sdk_cognitoidentityprovider::Client;
use aws_sdk_cognitoidentityprovider::config::http::HttpResponse;
use aws_sdk_cognitoidentityprovider::error::{ProvideErrorMetadata, SdkError};

use super::call::{Target, call, with_permit};
use super::client::Aws;
use super::error::{Failure, Service};
use super::listing::Listing;
use super::user_manager::UserManager;
use crate::config::GroupName;
use crate::event::{PoolId, Sub, Username};
use crate::quota::{Quota, RateBudget};

/// Reads and changes users and groups, inside the rate budgets.
#[derive(Debug, Clone)]
pub struct Directory {
    client: Client,
    quota: Arc<Quota>,
}

impl Directory {
    /// All calls of one process share one `quota`.
    pub fn new(aws: &Aws, quota: Arc<Quota>) -> Self {
        Self {
            client: aws.cognito(),
            quota,
        }
    }

    /// The calls for admin commands, inside the same budgets.
    pub fn user_manager(&self) -> UserManager {
        UserManager::new(self.client.clone(), Arc::clone(&self.quota))
    }

    /// Lists of users and groups, inside the same budgets.
    pub(crate) fn listing(&self) -> Listing {
        Listing::from_client(self.client.clone(), Arc::clone(&self.quota))
    }

    /// `AdminAddUserToGroup`. A user who is a member already is not an error.
    ///
    /// # Errors
    /// `group_not_found` and `user_not_found` are of class [`Class::NotYet`](super::Class::NotYet).
    pub(crate) async fn add_to_group(
        &self,
        pool: &PoolId,
        username: &Username,
        group: &GroupName,
    ) -> Result<(), Failure> {
        let request = self
            .client
            .admin_add_user_to_group()
            .user_pool_id(pool.as_str())
            .username(username.reveal())
            .group_name(group.as_str())
            .send();
        call_with_permit(
            &self.quota.user_update,
            "AdminAddUserToGroup",
            pool,
            request,
        )
        .await?;
        Ok(())
    }

    /// `CreateGroup`. An existing group is not an error.
    ///
    /// # Errors
    /// `limit_exceeded` when the pool has its 10,000 groups.
    pub async fn create_group(&self, pool: &PoolId, group: &GroupName) -> Result<(), Failure> {
        let request = self
            .client
            .create_group()
            .user_pool_id(pool.as_str())
            .group_name(group.as_str())
            .send();
        match call_with_permit(&self.quota.group_create, "CreateGroup", pool, request).await {
            Err(failure) if failure.code == "GroupExistsException" => Ok(()),
            Err(failure) => Err(failure),
            Ok(_) => Ok(()),
        }
    }

    /// `AdminGetUser`, only for the `sub`; `None` when the answer has none. Makes the user
    /// count as active this month.
    ///
    /// # Errors
    /// `user_not_found` is of class [`Class::NotYet`](super::Class::NotYet).
    pub(crate) async fn sub_of(
        &self,
        pool: &PoolId,
        username: &Username,
    ) -> Result<Option<Sub>, Failure> {
        let request = self
            .client
            .admin_get_user()
            .user_pool_id(pool.as_str())
            .username(username.reveal())
            .send();
        let user = call_with_permit(&self.quota.user_read, "AdminGetUser", pool, request).await?;
        Ok(user
            .user_attributes()
            .iter()
            .find(|attribute| attribute.name() == "sub")
            .and_then(|attribute| attribute.value())
            .and_then(Sub::new))
    }

    /// `GetGroup`: whether the group exists.
    ///
    /// # Errors
    /// Any except the group's absence.
    pub(crate) async fn has_group(
        &self,
        pool: &PoolId,
        group: &GroupName,
    ) -> Result<bool, Failure> {
        let request = self
            .client
            .get_group()
            .user_pool_id(pool.as_str())
            .group_name(group.as_str())
            .send();
        let target = target("GetGroup", pool);
        match with_permit(&self.quota.group_read, target, call(target, request)).await {
            Ok(_) => Ok(true),
            Err((failure, error)) if failure.code == "ResourceNotFoundException" => {
                if error
                    .message()
                    .is_some_and(|text| text.to_lowercase().contains("pool"))
                {
                    Err(failure)
                } else {
                    Ok(false)
                }
            }
            Err((failure, _)) => Err(failure),
        }
    }
}

/// Makes one call once the budget gives a permit.
pub(super) fn call_with_permit<'a, T, E>(
    budget: &'a RateBudget,
    operation: &'static str,
    pool: &'a PoolId,
    request: impl Future<Output = Result<T, SdkError<E, HttpResponse>>> + Send + 'a,
) -> impl Future<Output = Result<T, Failure>> + Send + 'a
where
    T: Send + 'a,
    E: ProvideErrorMetadata + std::error::Error + Send + 'static,
{
    let target = target(operation, pool);
    let call = with_permit(budget, target, call(target, request));
    async move { call.await.map_err(|(failure, _)| failure) }
}

pub(super) fn target<'a>(operation: &'static str, pool: &'a PoolId) -> Target<'a> {
    Target {
        service: Service::Cognito,
        operation,
        resource: pool.as_str(),
    }
}
