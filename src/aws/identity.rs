//! AWS Security Token Service: the identity of this process.

use super::call::{Target, call};
use super::client::Aws;
use super::error::{Failure, Service};

impl Aws {
    /// `GetCallerIdentity`: the caller's ARN. Needs no permission.
    ///
    /// <https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html>
    ///
    /// # Errors
    /// As any call; also where an emulator has no STS.
    pub(crate) async fn caller(&self) -> Result<String, Failure> {
        let client = self.sts();
        let target = Target {
            service: Service::Sts,
            operation: "GetCallerIdentity",
            resource: "the caller",
        };
        let answer = call(target, client.get_caller_identity().send())
            .await
            .map_err(|(failure, _)| failure)?;
        Ok(answer.arn.unwrap_or_default())
    }
}
