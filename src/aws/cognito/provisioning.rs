//! The calls that provision a user, which the worker makes.

use aws_sdk_cognitoidentityprovider::error::ProvideErrorMetadata;
use jiff::Timestamp;

use super::{Cognito, PoolUser};
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

    /// `CreateGroup`: whether it is new. An existing group is not an error.
    ///
    /// # Errors
    /// `limit_exceeded` when the pool has its 10,000 groups.
    pub async fn create_group(&self, pool: &PoolId, group: &GroupName) -> Result<bool, Failure> {
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
            Err(refused) if refused.failure.code == "GroupExistsException" => Ok(false),
            result => Ok(result.map(|_| true)?),
        }
    }

    /// `AdminGetUser`, by name, alias or the `sub` of a local user. It finds a federated user
    /// only by name. For names that the pool returned, or whose user is checked otherwise; for
    /// others use `find_user`. Makes the user count as active this month.
    ///
    /// <https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_AdminGetUser.html>
    ///
    /// # Errors
    /// `user_not_found` is of class `NotYet`.
    pub async fn get_user(&self, pool: &PoolId, username: &Username) -> Result<PoolUser, Failure> {
        let request = self
            .client
            .admin_get_user()
            .user_pool_id(pool.as_str())
            .username(username.reveal())
            .send();
        let user = self
            .call(CognitoOperation::AdminGetUser, pool, request)
            .await?;
        let mut found = PoolUser::from_sdk(
            Some(user.username()),
            user.user_attributes(),
            user.user_status(),
            user.enabled(),
            username,
        );
        found.created = user
            .user_create_date()
            .and_then(|date| {
                i32::try_from(date.subsec_nanos())
                    .ok()
                    .zip(Some(date.secs()))
            })
            .and_then(|(nanos, seconds)| Timestamp::new(seconds, nanos).ok());
        Ok(found)
    }

    /// Like [`Self::get_user`], only for the `sub`; `None` when the answer has none.
    ///
    /// # Errors
    /// `user_not_found` is of class [`Class::NotYet`](crate::aws::Class::NotYet).
    pub(crate) async fn sub_of(
        &self,
        pool: &PoolId,
        username: &Username,
    ) -> Result<Option<Sub>, Failure> {
        Ok(self.get_user(pool, username).await?.sub)
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
