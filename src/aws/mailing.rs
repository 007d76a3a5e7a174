//! Amazon Cognito user pools: how they send mails.

use aws_sdk_cognitoidentityprovider::types::EmailSendingAccountType;

use super::call::call;
use super::client::Aws;
use super::directory::target;
use super::error::Failure;
use crate::event::PoolId;

impl Aws {
    /// `DescribeUserPool`: whether the pool sends its mails from Cognito's own address, at most
    /// 50 a day, and neither through SES nor through a Lambda.
    ///
    /// <https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-email.html>
    ///
    /// # Errors
    /// As any call.
    pub(crate) async fn has_default_email(&self, pool: &PoolId) -> Result<bool, Failure> {
        let client = self.cognito();
        let request = client.describe_user_pool().user_pool_id(pool.as_str());
        let answer = call(target("DescribeUserPool", pool), request.send())
            .await
            .map_err(|(failure, _)| failure)?;
        let pool = answer.user_pool();
        let account = pool
            .and_then(|pool| pool.email_configuration())
            .and_then(|mails| mails.email_sending_account());
        let by_lambda = pool
            .and_then(|pool| pool.lambda_config())
            .is_some_and(|lambdas| lambdas.custom_email_sender().is_some());
        Ok(account != Some(&EmailSendingAccountType::Developer) && !by_lambda)
    }
}
