//! What a user pool says about itself: `DescribeUserPool`.

use aws_sdk_cognitoidentityprovider::types::UserPoolType;

use super::schema::{InvitationSettings, has_default_email, sign_in_name};
use super::{Cognito, SignInName};
use crate::aws::error::Failure;
use crate::aws::operation::CognitoOperation;
use crate::event::PoolId;

/// The rules of a user pool for new passwords.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PasswordRules {
    /// In characters.
    pub min_length: i32,
    /// The kinds of characters that a password must have, named as in
    /// [`AcceptError::InvalidPassword`](super::AcceptError::InvalidPassword).
    pub required: Vec<&'static str>,
}

impl Cognito {
    /// Cognito's estimate of the number of users.
    ///
    /// # Errors
    /// As any call.
    pub(crate) async fn estimate_user_count(&self, pool: &PoolId) -> Result<u64, Failure> {
        let pool = self.describe_pool(pool).await?;
        Ok(u64::try_from(pool.estimated_number_of_users).unwrap_or(0))
    }

    /// The form of name that new users need.
    ///
    /// <https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-settings-attributes.html>
    ///
    /// # Errors
    /// As any call.
    pub(crate) async fn sign_in_name(&self, pool: &PoolId) -> Result<SignInName, Failure> {
        let pool = self.describe_pool(pool).await?;
        Ok(sign_in_name(&pool))
    }

    /// What an invitation depends on.
    ///
    /// # Errors
    /// As any call.
    pub(crate) async fn invitation_settings(
        &self,
        pool: &PoolId,
    ) -> Result<InvitationSettings, Failure> {
        let pool = self.describe_pool(pool).await?;
        Ok(InvitationSettings::from_sdk(&pool))
    }

    /// Whether the pool sends its mails from Cognito's own address, at most 50 a day, and
    /// neither through SES nor through a Lambda.
    ///
    /// <https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-email.html>
    ///
    /// # Errors
    /// As any call.
    pub(crate) async fn has_default_email(&self, pool: &PoolId) -> Result<bool, Failure> {
        let pool = self.describe_pool(pool).await?;
        Ok(has_default_email(&pool))
    }

    /// The rules for passwords; `None` if Cognito does not return them.
    ///
    /// # Errors
    /// As any call.
    pub(crate) async fn password_rules(
        &self,
        pool: &PoolId,
    ) -> Result<Option<PasswordRules>, Failure> {
        let pool = self.describe_pool(pool).await?;
        let policy = pool.policies.and_then(|it| it.password_policy);
        Ok(policy.and_then(|policy| {
            let kinds = [
                (policy.require_uppercase, "uppercase"),
                (policy.require_lowercase, "lowercase"),
                (policy.require_numbers, "number"),
                (policy.require_symbols, "symbol"),
            ];
            let required = kinds.into_iter().filter(|(is_required, _)| *is_required);
            Some(PasswordRules {
                min_length: policy.minimum_length?,
                required: required.map(|(_, kind)| kind).collect(),
            })
        }))
    }

    /// Without any setting if Cognito returns none.
    async fn describe_pool(&self, pool: &PoolId) -> Result<UserPoolType, Failure> {
        let request = self
            .client
            .describe_user_pool()
            .user_pool_id(pool.as_str())
            .send();
        let operation = CognitoOperation::DescribeUserPool;
        let pool = self.call(operation, pool, request).await?.user_pool;
        Ok(pool.unwrap_or_else(|| UserPoolType::builder().build()))
    }
}
