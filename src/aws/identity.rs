//! AWS Security Token Service: the identity of this process.

use super::call::call;
use super::client::Aws;
use super::error::Failure;
use super::operation::StsOperation;
use crate::retry::retry_inline;

impl Aws {
    /// `GetCallerIdentity`: the caller's ARN. Needs no permission.
    ///
    /// <https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html>
    ///
    /// # Errors
    /// As any call; also where an emulator has no STS.
    pub(crate) async fn caller(&self) -> Result<String, Failure> {
        let client = self.sts();
        let request = client.get_caller_identity().send();
        let answer = call(StsOperation::GetCallerIdentity, "the caller", request).await?;
        Ok(answer.arn.unwrap_or_default())
    }

    /// The caller's ARN for audit lines; `unknown` when STS fails.
    pub(crate) async fn caller_name(&self) -> String {
        match retry_inline(|| self.caller()).await {
            Ok(arn) => arn,
            Err(failure) => {
                tracing::warn!(
                    error = %failure,
                    "sts:GetCallerIdentity failed; audit lines name no caller",
                );
                "unknown".to_owned()
            }
        }
    }
}
