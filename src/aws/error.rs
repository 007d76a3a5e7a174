//! A failed call: its service, and the class that decides what happens next.
//!
//! An error's message may quote the user name or an attribute. It is classified here and then
//! dropped: a [`Failure`] holds only codes and usher's own texts.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_sqs::config::http::HttpResponse;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};

use super::classify::{Class, classify, classify_status};
use super::operation::{Operation, Target};
use crate::reason::Reason;
use crate::retry::Transient;

/// A failed call, without personal data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} {} on {resource}: {code}", operation.service(), operation.name())]
pub struct Failure {
    /// The call.
    pub operation: Operation,
    /// The pool, app client, table or queue; never a user.
    pub resource: String,
    /// The service's error code, or usher's own where the service sent none.
    pub code: String,
    /// The short code for dead letters and metrics, such as `user_not_found`.
    pub reason: Reason,
    pub(crate) class: Class,
}

impl Transient for Failure {
    fn is_transient(&self) -> bool {
        matches!(
            self.class,
            Class::Throttled | Class::Transient | Class::Credentials
        )
    }
}

impl Failure {
    pub(super) fn new<E>(target: Target<'_>, error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let SdkError::ServiceError(answer) = error else {
            let (reason, class) = classify_transport_error(error);
            let code = reason.to_string();
            return Self::for_call(target, &code, reason, class);
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
            resource: target.resource.to_owned(),
            code: code.to_owned(),
            reason,
            class,
        }
    }
}

/// Classifies an error that is not an answer of the service.
fn classify_transport_error<E: Error + 'static>(
    error: &SdkError<E, HttpResponse>,
) -> (Reason, Class) {
    if is_credentials_error(error) {
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

/// Finds the provider's own error, or the SDK's error when the provider does not answer. The
/// type of the second is not public.
fn is_credentials_error(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        let is_late = || error.to_string().starts_with("identity resolver timed out");
        if error.is::<CredentialsError>() || is_late() {
            return true;
        }
        next = error.source();
    }
    false
}
