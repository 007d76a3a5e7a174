//! A failed call: its service, and the class that decides what happens next.
//!
//! An error's message may quote the user name or an attribute. It is classified here and then
//! dropped: a [`Failure`] holds only codes and usher's own texts.

use std::error::Error;
use std::fmt;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_sqs::config::http::HttpResponse;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};

use super::classify::{Class, classify, classify_status};
use super::endpoint::{Endpoint, Explanation, connection_cause};
use super::operation::{Operation, Target};
use crate::reason::Reason;
use crate::retry::Transient;

/// A failed call, without personal data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The call.
    pub operation: Operation,
    /// The pool, app client, table or queue; never a user.
    pub resource: Box<str>,
    /// The service's error code, or usher's own where the service sent none.
    pub code: String,
    /// The short code for dead letters and metrics, such as `user_not_found`.
    pub reason: Reason,
    pub(crate) class: Class,
    /// Shown instead of call and code, where these do not explain the failure.
    pub(crate) explanation: Option<Box<Explanation>>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(explanation) = &self.explanation {
            return explanation.fmt(f);
        }
        let (service, name) = (self.operation.service(), self.operation.name());
        write!(f, "{service} {name} on {}: {}", self.resource, self.code)
    }
}

impl Error for Failure {}

impl Transient for Failure {
    fn is_transient(&self) -> bool {
        matches!(
            self.class,
            Class::Throttled | Class::Transient | Class::Credentials
        )
    }
}

impl Failure {
    /// `endpoint` is where the request went, if it went anywhere.
    pub(super) fn new<E>(
        target: Target<'_>,
        error: &SdkError<E, HttpResponse>,
        endpoint: Option<Endpoint>,
    ) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let SdkError::ServiceError(answer) = error else {
            let (reason, class) = classify_transport_error(error);
            let code = reason.to_string();
            return Self {
                explanation: explain_transport_error(error, endpoint).map(Box::new),
                ..Self::for_call(target, &code, reason, class)
            };
        };
        let status = answer.raw().status().as_u16();
        if let Some(code) = answer.err().code() {
            let message = answer.err().message().unwrap_or_default();
            let (reason, class) = classify(target.operation, code, status, message);
            Self::for_call(target, code, reason, class)
        } else {
            let (reason, class) = classify_status(status);
            Self::for_call(target, &format!("Http{status}"), reason, class)
        }
    }

    /// Whether each call to the same endpoint would fail alike: it cannot be reached, it is not
    /// AWS, or there are no credentials that AWS accepts.
    pub(crate) fn fails_every_call(&self) -> bool {
        match self.reason {
            Reason::Connection
            | Reason::Timeout
            | Reason::Credentials
            | Reason::GarbledResponse
            | Reason::RequestNotBuilt => true,
            // `classify` gives no reason of its own to refused signatures and clock errors.
            Reason::Other(_) => self.class == Class::Systemic,
            _ => false,
        }
    }

    /// Whether SQS refused a receipt: its message is gone, or was received again.
    pub(crate) fn is_stale_receipt(&self) -> bool {
        matches!(
            self.code.rsplit('.').next(),
            Some("ReceiptHandleIsInvalid" | "MessageNotInflight" | "InvalidParameterValue")
        )
    }

    /// An entry of a batch that the service did not carry out.
    pub(super) fn from_entry(target: Target<'_>, code: &str) -> Self {
        let (reason, class) = classify(target.operation, code, 400, "");
        Self::for_call(target, code, reason, class)
    }

    /// The answer lacks an entry of the batch, or another required part.
    pub(super) fn unanswered(target: Target<'_>) -> Self {
        Self::for_call(
            target,
            "Unanswered",
            Reason::GarbledResponse,
            Class::Transient,
        )
    }

    /// The next page of a list is the same page again.
    pub(super) fn repeated_token(target: Target<'_>) -> Self {
        Self::for_call(
            target,
            "RepeatedToken",
            Reason::RepeatedToken,
            Class::Permanent,
        )
    }

    /// A call that got no permit by its deadline; see [`super::with_deadline`].
    pub(super) fn without_permit(target: Target<'_>) -> Self {
        Self::for_call(target, "NoPermit", Reason::Busy, Class::Busy)
    }

    pub(super) fn for_call(target: Target<'_>, code: &str, reason: Reason, class: Class) -> Self {
        Self {
            operation: target.operation,
            resource: target.resource.into(),
            code: code.to_owned(),
            reason,
            class,
            explanation: None,
        }
    }
}

/// Classifies an error that is not an answer of the service.
fn classify_transport_error<E: Error + 'static>(
    error: &SdkError<E, HttpResponse>,
) -> (Reason, Class) {
    if explain_credentials_error(error).is_some() {
        return (Reason::Credentials, Class::Credentials);
    }
    match error {
        SdkError::TimeoutError(_) => (Reason::Timeout, Class::Transient),
        SdkError::DispatchFailure(failure) if failure.is_timeout() => {
            (Reason::Timeout, Class::Transient)
        }
        SdkError::DispatchFailure(_) => (Reason::Connection, Class::Transient),
        SdkError::ResponseError(answer) => classify_status(answer.raw().status().as_u16()),
        // No Region, no endpoint: the same for every call.
        _ => (Reason::RequestNotBuilt, Class::Systemic),
    }
}

/// Explains a failure that every call to the endpoint would share. `None` for a call that was
/// sent and got no answer.
fn explain_transport_error<E: Error + 'static>(
    error: &SdkError<E, HttpResponse>,
    endpoint: Option<Endpoint>,
) -> Option<Explanation> {
    if let Some(explanation) = explain_credentials_error(error) {
        return Some(explanation);
    }
    let (SdkError::DispatchFailure(failure), Some(endpoint)) = (error, endpoint) else {
        return None;
    };
    let cause = if failure.is_timeout() {
        "timed out"
    } else {
        connection_cause(failure.as_connector_error()?)
    };
    Some(Explanation::Unreachable(endpoint, cause))
}

/// Finds the provider's own error, or the SDK's error when the provider does not answer. The
/// type of the second is not public.
fn explain_credentials_error(error: &(dyn Error + 'static)) -> Option<Explanation> {
    let mut next = Some(error);
    while let Some(error) = next {
        let provider = error.downcast_ref::<CredentialsError>();
        let is_late = || error.to_string().starts_with("identity resolver timed out");
        if provider.is_some() || is_late() {
            return Some(provider.into());
        }
        next = error.source();
    }
    None
}
