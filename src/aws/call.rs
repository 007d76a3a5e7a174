//! One call: counted, timed, its error classified.

use std::error::Error;
use std::time::Instant;

use aws_sdk_sqs::config::http::HttpResponse;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};

use super::error::{Failure, Service};

/// Where a call goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) service: Service,
    pub(super) operation: &'static str,
    pub(super) resource: &'a str,
}

/// Awaits one SDK call and notes how it went.
pub(super) async fn call<T, E>(
    target: Target<'_>,
    request: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
) -> Result<T, (Failure, SdkError<E, HttpResponse>)>
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let Target {
        service,
        operation,
        resource,
    } = target;
    let begun = Instant::now();
    let result = request
        .await
        .map_err(|error| (Failure::new(service, operation, resource, &error), error));
    metrics::histogram!(
        "usher_aws_call_seconds", "service" => service.name(), "operation" => operation,
    )
    .record(begun.elapsed());
    let error = result
        .as_ref()
        .err()
        .map_or_else(String::new, |(failure, _)| failure.code.clone());
    metrics::counter!(
        "usher_aws_calls_total",
        "service" => service.name(), "operation" => operation, "error" => error,
    )
    .increment(1);
    result
}
