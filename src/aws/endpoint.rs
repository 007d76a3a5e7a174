//! Which endpoint a call went to, and why no call can reach it, in usher's own words.

use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::io;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_sqs::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_sqs::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_sqs::error::BoxError;
use aws_types::origin::Origin;
use aws_types::service_config::ServiceConfigKey;

use super::client::Aws;

tokio::task_local! {
    static LAST_ENDPOINT: Cell<Option<Endpoint>>;
}

/// Where a request went: scheme, host and port, and the setting that named them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    url: String,
    setting: Option<&'static str>,
}

/// What is the same for every call to an endpoint, or for every call at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Explanation {
    Unreachable(Endpoint, &'static str),
    NoCredentials(&'static str),
}

/// Runs a request of the SDK, and returns the endpoint that it was sent to, if it was.
pub(super) async fn with_endpoint<T>(request: impl Future<Output = T>) -> (T, Option<Endpoint>) {
    LAST_ENDPOINT
        .scope(Cell::new(None), async {
            let result = request.await;
            (result, LAST_ENDPOINT.with(Cell::take))
        })
        .await
}

/// Notes the endpoint of each attempt. The SDK resolves it late, from settings and rules.
#[derive(Debug)]
pub(super) struct EndpointRecorder {
    setting: Option<&'static str>,
}

impl Intercept for EndpointRecorder {
    fn name(&self) -> &'static str {
        "EndpointRecorder"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let endpoint = Endpoint {
            url: server_of(context.request().uri()),
            setting: self.setting,
        };
        // Other requests of the SDK belong to no call.
        let _ = LAST_ENDPOINT.try_with(|last| last.set(Some(endpoint)));
        Ok(())
    }
}

impl Aws {
    /// For the clients of a service, by its id in the SDK and the variable of its endpoint.
    pub(super) fn endpoint_recorder(
        &self,
        service_id: &str,
        variable: &'static str,
    ) -> EndpointRecorder {
        let (general, own) = (self.sdk().endpoint_url(), self.loaded_endpoint(service_id));
        let origin = self.sdk().get_origin("endpoint_url");
        let setting = match (general, own.as_deref()) {
            (None, None) => None,
            (general, Some(own)) if general != Some(own) => Some(variable),
            _ if origin == Origin::shared_profile_file() => Some("endpoint_url of the AWS profile"),
            _ => Some("AWS_ENDPOINT_URL"),
        };
        EndpointRecorder { setting }
    }

    /// The endpoint for a service that `AWS_ENDPOINT_URL`, a variable of the service or a profile
    /// sets.
    ///
    /// <https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html>
    pub(super) fn loaded_endpoint(&self, service_id: &str) -> Option<String> {
        let key = ServiceConfigKey::builder()
            .service_id(service_id)
            .env("AWS_ENDPOINT_URL")
            .profile("endpoint_url")
            .build();
        let loaded = self.sdk().service_config().zip(key.ok());
        loaded.and_then(|(all, key)| all.load_config(key))
    }
}

/// Scheme, host and port of a URL, without its credentials.
fn server_of(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}")
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)?;
        match self.setting {
            Some(setting) => write!(f, " ({setting})"),
            None => Ok(()),
        }
    }
}

/// Why a connection failed. Only kinds are read, and one fixed text of the HTTP library: names
/// that are not resolved have no kind.
pub(super) fn connection_cause(error: &(dyn Error + 'static)) -> &'static str {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.to_string() == "dns error" {
            return "the host name cannot be resolved";
        }
        let io_error = error.downcast_ref::<io::Error>();
        let cause = io_error.and_then(|error| match error.kind() {
            io::ErrorKind::ConnectionRefused => Some("connection refused"),
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof => Some("connection closed"),
            io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
                Some("no route to the host")
            }
            io::ErrorKind::TimedOut => Some("timed out"),
            // Of a handshake; see `tokio_rustls`.
            io::ErrorKind::InvalidData => Some("TLS failed (certificate or protocol)"),
            _ => None,
        });
        if let Some(cause) = cause {
            return cause;
        }
        // The source of an error in an `io::Error` is that error's source, not the error itself.
        let inner = io_error.and_then(io::Error::get_ref);
        next = match inner {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    "the connection failed"
}

impl From<Option<&CredentialsError>> for Explanation {
    /// `None` where no source of credentials answered.
    fn from(error: Option<&CredentialsError>) -> Self {
        Self::NoCredentials(match error {
            Some(CredentialsError::CredentialsNotLoaded(_)) => "none found",
            Some(CredentialsError::InvalidConfiguration(_)) => "the settings of a source are wrong",
            Some(CredentialsError::ProviderTimedOut(_)) | None => "a source did not answer in time",
            Some(_) => "a source failed",
        })
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(endpoint, cause) => write!(f, "cannot reach {endpoint}: {cause}"),
            Self::NoCredentials(cause) => write!(
                f,
                "no AWS credentials: {cause} (sources: environment, profile, web identity, ECS, \
                 EC2); set AWS_PROFILE, run \"aws sso login\", or give the task or instance a role"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_shown_without_path_and_secrets() {
        for (url, setting, shown) in [
            (
                "http://127.0.0.1:1/",
                Some("AWS_ENDPOINT_URL"),
                "http://127.0.0.1:1 (AWS_ENDPOINT_URL)",
            ),
            (
                "https://sqs.eu-west-1.amazonaws.com/1/q?x=y",
                None,
                "https://sqs.eu-west-1.amazonaws.com",
            ),
            (
                "https://u:se@cret@sqs.example?x",
                None,
                "https://sqs.example",
            ),
        ] {
            let url = server_of(url);
            assert_eq!(Endpoint { url, setting }.to_string(), shown);
        }
    }

    #[test]
    fn the_cause_of_a_connection_error_is_its_innermost_known_kind() {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        let tls = io::Error::new(io::ErrorKind::InvalidData, "ada@example.com");
        for (error, cause) in [
            (io::Error::other(refused), "connection refused"),
            (
                io::Error::other(io::Error::other(tls)),
                "TLS failed (certificate or protocol)",
            ),
            (
                io::Error::other("dns error"),
                "the host name cannot be resolved",
            ),
            (io::Error::other("ada@example.com"), "the connection failed"),
        ] {
            assert_eq!(connection_cause(&error), cause);
        }
    }

    #[test]
    fn the_cause_of_missing_credentials_names_sources_and_remedy() {
        let missing = CredentialsError::not_loaded("ada@example.com");
        let text = Explanation::from(Some(&missing)).to_string();
        for part in [
            "none found",
            "profile",
            "EC2",
            "AWS_PROFILE",
            "aws sso login",
        ] {
            assert!(text.contains(part), "{text}");
        }
        assert!(!text.contains("ada"), "{text}");
    }
}
