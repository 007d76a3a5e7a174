//! Amazon Cognito user pools: deletes users, for the load test and `usher users forget`.

use super::Cognito;
use crate::aws::error::Failure;
use crate::aws::operation::CognitoOperation;
use crate::event::{PoolId, Username};
use crate::reason::Reason;

impl Cognito {
    /// `AdminDeleteUser`, which also removes all memberships: whether the user existed.
    ///
    /// # Errors
    /// Any except the user's absence.
    pub async fn delete_user(&self, pool: &PoolId, username: &Username) -> Result<bool, Failure> {
        let request = self
            .client
            .admin_delete_user()
            .user_pool_id(pool.as_str())
            .username(username.reveal())
            .send();
        match self
            .call(CognitoOperation::AdminDeleteUser, pool, request)
            .await
        {
            Err(refused) if refused.failure.reason == Reason::UserNotFound => Ok(false),
            result => Ok(result.map(|_| true)?),
        }
    }
}
