//! Amazon Cognito user pools: the public keys that verify tokens.
//!
//! <https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-tokens-verifying-a-jwt.html>

use std::time::Duration;

use aws_smithy_http_client::{Connector, default_connector};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::byte_stream::ByteStream;

/// From the connection to the last byte.
const JWKS_TIMEOUT: Duration = Duration::from_secs(5);
/// A pool has two keys of some 400 bytes.
const MAX_JWKS_BYTES: usize = 64 * 1024;

/// Fetches key sets with the SDK's own HTTP client.
#[derive(Debug, Clone)]
pub struct JwksClient {
    https: SharedHttpConnector,
    /// For an emulator on this machine, without `HTTP_PROXY`.
    http: SharedHttpConnector,
}

/// Why a key set could not be fetched. Holds no personal data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum JwksError {
    /// The issuer and the path are not a valid URL.
    #[error("the issuer is not a URL")]
    InvalidUrl,
    /// No complete answer came in time.
    #[error("the issuer cannot be reached")]
    Unreachable,
    /// The HTTP status is not 200: the pool may not exist.
    #[error("the issuer answers {0}")]
    Status(u16),
    /// The answer is far larger than a key set.
    #[error("the issuer's answer is too large")]
    TooLarge,
}

impl JwksClient {
    /// `None` only in a build without the SDK's own HTTP client.
    pub fn new() -> Option<Self> {
        let settings = HttpConnectorSettings::builder().build();
        Some(Self {
            https: default_connector(&settings, None)?,
            http: SharedHttpConnector::new(Connector::builder().build_http()),
        })
    }

    /// Fetches through `connector`, for tests.
    pub fn with_connector(connector: SharedHttpConnector) -> Self {
        Self {
            https: connector.clone(),
            http: connector,
        }
    }

    /// Fetches the text of `ISSUER/.well-known/jwks.json`.
    ///
    /// # Errors
    /// [`JwksError`].
    pub(crate) async fn fetch(&self, issuer: &str) -> Result<Vec<u8>, JwksError> {
        let url = format!("{issuer}/.well-known/jwks.json");
        let request = HttpRequest::get(url).map_err(|_| JwksError::InvalidUrl)?;
        let fetched = async {
            let connector = if issuer.starts_with("http://") {
                &self.http
            } else {
                &self.https
            };
            let answer = connector.call(request).await;
            let answer = answer.map_err(|_| JwksError::Unreachable)?;
            let status = answer.status().as_u16();
            if status != 200 {
                return Err(JwksError::Status(status));
            }
            let mut body = ByteStream::new(answer.into_body());
            let mut text = Vec::new();
            while let Some(part) = body.next().await {
                text.extend_from_slice(&part.map_err(|_| JwksError::Unreachable)?);
                if text.len() > MAX_JWKS_BYTES {
                    return Err(JwksError::TooLarge);
                }
            }
            Ok(text)
        };
        tokio::time::timeout(JWKS_TIMEOUT, fetched)
            .await
            .unwrap_or(Err(JwksError::Unreachable))
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_cognitoidentityprovider::config::endpoint::{
        DefaultResolver, Params, ResolveEndpoint,
    };

    use crate::event::{IssuerType, PoolId};

    /// The original issuer has the host of the API's endpoint.
    #[tokio::test]
    async fn issuers_are_in_the_partitions_that_the_sdk_knows() {
        let resolver = DefaultResolver::new();
        for region in [
            "eu-west-1",
            "il-central-1",
            "cn-northwest-1",
            "us-gov-west-1",
            "us-gov-east-1",
            "eusc-de-east-1",
            "us-iso-east-1",
            "us-isob-east-1",
            "eu-isoe-west-1",
            "us-isof-south-1",
        ] {
            let parameters = Params::builder().region(region.to_owned()).build();
            let parameters = parameters.expect("a Region is enough");
            let endpoint = resolver.resolve_endpoint(&parameters).await;
            let endpoint = endpoint.expect("an endpoint");
            let pool = PoolId::new(&format!("{region}_x")).expect("an id");
            let issuer = IssuerType::Original.issuer_of(&pool);
            let expected = format!("{}/{pool}", endpoint.url());
            assert_eq!(issuer, Some(expected), "{region}");
        }
    }
}
