//! Builds all SDK clients, with their time-outs and retries.

use std::time::Duration;

use aws_config::identity::{IdentityCache, LazyCacheBuilder};
use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};

/// Time-out of one attempt of a call. Cognito's 99.9th percentile is far below. A hung
/// connection must not use up the message's visibility timeout.
pub(crate) const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Time-out for credentials, which are fetched within an attempt. It must end before the
/// attempt's time-out, whose error would not mention credentials.
const CREDENTIALS_TIMEOUT: Duration = Duration::from_millis(4500);
/// A receive may take this much longer than its long poll.
const LONG_POLL_MARGIN: Duration = Duration::from_secs(10);

/// AWS settings from the SDK's own sources: `AWS_REGION`, `AWS_PROFILE`,
/// `AWS_ENDPOINT_URL`, the ECS task role, and so on.
#[derive(Debug, Clone)]
pub struct Aws(SdkConfig);

/// No Region is set, and every call needs one.
#[derive(Debug, thiserror::Error)]
pub enum NoRegion {
    /// Neither the environment nor a profile has one.
    #[error("no AWS Region: set AWS_REGION, or AWS_PROFILE to a profile that has one")]
    Anywhere,
    /// The environment of a Lambda has none; a Lambda has no profiles.
    #[error("no AWS Region: set AWS_REGION")]
    InLambda,
}

impl Aws {
    /// Loads the SDK's settings from the environment and its files.
    ///
    /// # Errors
    /// [`NoRegion::Anywhere`]
    pub(crate) async fn from_environment() -> Result<Self, NoRegion> {
        let sdk = Self::configure(aws_config::defaults(BehaviorVersion::latest()))
            .load()
            .await;
        if sdk.region().is_none() {
            return Err(NoRegion::Anywhere);
        }
        Ok(Self(sdk))
    }

    /// All services at one emulator on this machine, with made-up credentials.
    #[cfg(feature = "dev")]
    pub async fn at_endpoint(url: &str) -> Self {
        let credentials =
            aws_credential_types::Credentials::new("local", "local", None, None, "usher dev");
        let sdk = Self::configure(aws_config::defaults(BehaviorVersion::latest()))
            .region(aws_config::Region::from_static("us-east-1"))
            .credentials_provider(credentials)
            .endpoint_url(url)
            // The default client would send these calls through HTTP_PROXY.
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .load()
            .await;
        Self(sdk)
    }

    /// AWS faked by `client` in this process: without sockets, a test can pause its clock.
    #[cfg(test)]
    pub(crate) async fn with_http_client(
        client: impl aws_smithy_runtime_api::client::http::HttpClient + 'static,
    ) -> Self {
        let credentials =
            aws_credential_types::Credentials::new("local", "local", None, None, "test");
        let sdk = Self::configure(aws_config::defaults(BehaviorVersion::latest()))
            .region(aws_config::Region::from_static("us-east-1"))
            .credentials_provider(credentials)
            .http_client(client)
            .load()
            .await;
        Self(sdk)
    }

    /// The configured Region, such as `eu-west-1`.
    pub fn region(&self) -> &str {
        self.0.region().map_or("", AsRef::as_ref)
    }

    pub(super) fn sdk(&self) -> &SdkConfig {
        &self.0
    }

    /// Whether one endpoint is configured for all services.
    pub(super) fn has_endpoint(&self) -> bool {
        self.0.endpoint_url().is_some()
    }

    /// For the Lambda: two attempts of at most 1.5 s each, together at most 3.5 s.
    #[must_use]
    pub(crate) fn for_trigger(self) -> Self {
        let sdk = self
            .0
            .into_builder()
            .retry_config(
                RetryConfig::standard()
                    .with_max_attempts(2)
                    .with_initial_backoff(Duration::from_millis(100))
                    .with_max_backoff(Duration::from_millis(200)),
            )
            .timeout_config(
                TimeoutConfig::builder()
                    .connect_timeout(Duration::from_secs(1))
                    .operation_attempt_timeout(Duration::from_millis(1500))
                    .operation_timeout(Duration::from_millis(3500))
                    .build(),
            )
            .identity_cache(Self::credentials_cache(Duration::from_millis(1300)).build())
            .build();
        Self(sdk)
    }

    /// As [`Self::configure`], for SQS settings that the SDK did not load.
    pub(super) fn without_retries(sdk: SdkConfig) -> Self {
        let sdk = sdk
            .into_builder()
            .retry_config(RetryConfig::disabled())
            .timeout_config(Self::timeouts(ATTEMPT_TIMEOUT))
            .identity_cache(Self::credentials_cache(CREDENTIALS_TIMEOUT).build())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        Self(sdk.build())
    }

    /// Configures the loader and not the loaded settings: `DynamoDB`'s client replaces retries
    /// that do not come from the loader with its own.
    fn configure(loader: aws_config::ConfigLoader) -> aws_config::ConfigLoader {
        loader
            .retry_config(RetryConfig::disabled())
            .timeout_config(Self::timeouts(ATTEMPT_TIMEOUT))
            .identity_cache(Self::credentials_cache(CREDENTIALS_TIMEOUT).build())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
    }

    fn credentials_cache(limit: Duration) -> LazyCacheBuilder {
        IdentityCache::lazy().load_timeout(limit)
    }

    fn timeouts(attempt: Duration) -> TimeoutConfig {
        TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .operation_attempt_timeout(attempt)
            .build()
    }

    /// A client for the queue of this URL, and for others at its endpoint.
    pub(super) fn sqs(&self, queue: &str) -> aws_sdk_sqs::Client {
        aws_sdk_sqs::Client::from_conf(self.sqs_settings(queue).build())
    }

    /// A client whose attempts outlast a long poll of `wait`.
    pub(super) fn sqs_poll(&self, queue: &str, wait: Duration) -> aws_sdk_sqs::Client {
        let config = self
            .sqs_settings(queue)
            .timeout_config(Self::timeouts(wait + LONG_POLL_MARGIN))
            .build();
        aws_sdk_sqs::Client::from_conf(config)
    }

    /// A client at the SDK's endpoint, for any queue.
    #[cfg(feature = "dev")]
    pub(super) fn any_sqs(&self) -> aws_sdk_sqs::Client {
        aws_sdk_sqs::Client::new(&self.0)
    }

    fn sqs_settings(&self, queue: &str) -> aws_sdk_sqs::config::Builder {
        let recorder = self.endpoint_recorder("SQS", "AWS_ENDPOINT_URL_SQS");
        let settings = aws_sdk_sqs::config::Builder::from(&self.0).interceptor(recorder);
        match self.queue_endpoint(queue) {
            // Both switches select among AWS's own hosts. The SDK refuses them together with an
            // endpoint.
            Some(endpoint) => settings
                .endpoint_url(endpoint.url())
                .use_fips(false)
                .use_dual_stack(false),
            None => settings,
        }
    }

    pub(super) fn cognito(&self) -> aws_sdk_cognitoidentityprovider::Client {
        let recorder = self.endpoint_recorder(
            "Cognito Identity Provider",
            "AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER",
        );
        let settings = aws_sdk_cognitoidentityprovider::config::Builder::from(&self.0);
        aws_sdk_cognitoidentityprovider::Client::from_conf(settings.interceptor(recorder).build())
    }

    pub(super) fn sts(&self) -> aws_sdk_sts::Client {
        let recorder = self.endpoint_recorder("STS", "AWS_ENDPOINT_URL_STS");
        let settings = aws_sdk_sts::config::Builder::from(&self.0);
        aws_sdk_sts::Client::from_conf(settings.interceptor(recorder).build())
    }

    pub(super) fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        let recorder = self.endpoint_recorder("DynamoDB", "AWS_ENDPOINT_URL_DYNAMODB");
        let settings = aws_sdk_dynamodb::config::Builder::from(&self.0);
        aws_sdk_dynamodb::Client::from_conf(settings.interceptor(recorder).build())
    }
}
