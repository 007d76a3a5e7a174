//! Amazon Cognito user pools: whether a user may sign in, and the end of their sign-ins.

use super::Cognito;
use crate::aws::error::Failure;
use crate::aws::operation::CognitoOperation;
use crate::event::{PoolId, Username};

impl Cognito {
    /// `AdminDisableUser`: revokes the access tokens too. A disabled user is not an error.
    ///
    /// <https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_AdminDisableUser.html>
    ///
    /// # Errors
    /// `user_not_found` is of class [`NotYet`](crate::aws::Class::NotYet).
    pub(crate) async fn disable_user(
        &self,
        pool: &PoolId,
        username: &Username,
    ) -> Result<(), Failure> {
        let request = self
            .client
            .admin_disable_user()
            .user_pool_id(pool.as_str())
            .username(username.reveal())
            .send();
        self.call(CognitoOperation::AdminDisableUser, pool, request)
            .await?;
        Ok(())
    }

    /// `AdminEnableUser`. An enabled user is not an error.
    ///
    /// # Errors
    /// As [`Self::disable_user`].
    pub(crate) async fn enable_user(
        &self,
        pool: &PoolId,
        username: &Username,
    ) -> Result<(), Failure> {
        let request = self
            .client
            .admin_enable_user()
            .user_pool_id(pool.as_str())
            .username(username.reveal())
            .send();
        self.call(CognitoOperation::AdminEnableUser, pool, request)
            .await?;
        Ok(())
    }

    /// `AdminUserGlobalSignOut`: Cognito no longer accepts the user's tokens. Applications
    /// that verify tokens themselves take them until they expire.
    ///
    /// <https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_AdminUserGlobalSignOut.html>
    ///
    /// # Errors
    /// As [`Self::disable_user`].
    pub(crate) async fn sign_out_everywhere(
        &self,
        pool: &PoolId,
        username: &Username,
    ) -> Result<(), Failure> {
        let request = self
            .client
            .admin_user_global_sign_out()
            .user_pool_id(pool.as_str())
            .username(username.reveal())
            .send();
        self.call(CognitoOperation::AdminUserGlobalSignOut, pool, request)
            .await?;
        Ok(())
    }
}
