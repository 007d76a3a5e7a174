//! The calls that provision a user, which the worker makes.

use aws_sdk_cognitoidentityprovider::error::ProvideErrorMetadata;

use super::Cognito;
use crate::aws::error::Failure;
use crate::aws::operation::CognitoOperation;
use crate::config::GroupName;
use crate::event::{PoolId, Sub, Username};

impl Cognito {
    /// `AdminAddUserToGroup`. A user who is a member already is not an error.
    ///
    /// # Errors
    /// `group_not_found` and `user_not_found` are of class [`Class::NotYet`](crate::aws::Class::NotYet).
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
        self.call(CognitoOperation::AdminAddUserToGroup, pool, request)
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
        match self
            .call(CognitoOperation::CreateGroup, pool, request)
            .await
        {
            Err(refused) if refused.failure.code != "GroupExistsException" => Err(refused.failure),
            _ => Ok(()),
        }
    }

    /// `AdminGetUser`, only for the `sub`; `None` when the answer has none. Makes the user
    /// count as active this month.
    ///
    /// # Errors
    /// `user_not_found` is of class [`Class::NotYet`](crate::aws::Class::NotYet).
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
        let user = self
            .call(CognitoOperation::AdminGetUser, pool, request)
            .await?;
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
        match self.call(CognitoOperation::GetGroup, pool, request).await {
            Ok(_) => Ok(true),
            // One code for the pool and for the group: only the text differs.
            Err(refused)
                if refused.failure.code == "ResourceNotFoundException"
                    && !refused
                        .error
                        .message()
                        .is_some_and(|text| text.to_lowercase().contains("pool")) =>
            {
                Ok(false)
            }
            Err(refused) => Err(refused.failure),
        }
    }
}
