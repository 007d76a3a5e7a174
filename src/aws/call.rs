//! Makes one SDK call: counts it, times it and classifies its error.

use std::error::Error;
use std::time::Instant;

use aws_sdk_sqs::config::http::HttpResponse;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};

use tracing::Instrument;

use super::error::{Class, Failure, Service};
use crate::quota::RateBudget;
use crate::telemetry::spans;

/// Names a call in its metrics and errors.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) service: Service,
    pub(super) operation: &'static str,
    pub(super) resource: &'a str,
}

/// The classified failure, and the SDK's own error.
pub(super) type CallError<E> = (Failure, SdkError<E, HttpResponse>);

/// Makes one SDK call and records its duration and error. The SDK's future of some
/// 17 KiB is boxed: otherwise every future above it would be as large.
pub(super) fn call<'a, T, E>(
    target: Target<'a>,
    request: impl Future<Output = Result<T, SdkError<E, HttpResponse>>> + Send + 'a,
) -> impl Future<Output = Result<T, CallError<E>>> + Send + 'a
where
    T: Send + 'a,
    E: ProvideErrorMetadata + Error + Send + 'static,
{
    measure_call(target, Box::pin(request))
}

tokio::task_local! {
    static CALL_DEADLINE: tokio::time::Instant;
}

/// Gives the Cognito calls of `work` a deadline. A call that gets no permit of its budget by
/// then is not made and fails with [`Class::Busy`]. Of nested deadlines, the earlier one
/// counts. Tasks that `work` spawns have no deadline.
pub(crate) async fn with_deadline<T>(
    deadline: tokio::time::Instant,
    work: impl Future<Output = T>,
) -> T {
    let outer = CALL_DEADLINE.try_with(|outer| *outer).unwrap_or(deadline);
    CALL_DEADLINE.scope(outer.min(deadline), work).await
}

/// Makes a call once the budget gives a permit, and reports a throttle to the budget. The
/// caller builds `call` before: nothing is sent until it is polled.
pub(super) async fn with_permit<T, E>(
    budget: &RateBudget,
    target: Target<'_>,
    call: impl Future<Output = Result<T, CallError<E>>>,
) -> Result<T, CallError<E>> {
    let permit = match CALL_DEADLINE.try_with(|deadline| *deadline) {
        Ok(deadline) => budget.acquire_by(deadline).await.map_err(|error| {
            let failure = Failure::without_permit(target);
            (failure, SdkError::construction_failure(error))
        })?,
        Err(_) => budget.acquire().await,
    };
    call.await.inspect_err(|(failure, _)| {
        if failure.class == Class::Throttled {
            permit.record_throttle();
        }
    })
}

async fn measure_call<T, E>(
    target: Target<'_>,
    request: impl Future<Output = Result<T, SdkError<E, HttpResponse>>> + Unpin,
) -> Result<T, CallError<E>>
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let Target {
        service,
        operation,
        resource,
    } = target;
    let started = Instant::now();
    let span = spans::call(service.name(), operation);
    let result = request
        .instrument(span.clone())
        .await
        .map_err(|error| (Failure::new(service, operation, resource, &error), error));
    metrics::histogram!(
        "usher_aws_call_seconds", "service" => service.name(), "operation" => operation,
    )
    .record(started.elapsed());
    let error = result
        .as_ref()
        .err()
        .map_or_else(String::new, |(failure, _)| failure.code.clone());
    if !error.is_empty() {
        spans::record_error(&span, &error);
    }
    metrics::counter!(
        "usher_aws_calls_total",
        "service" => service.name(), "operation" => operation, "error" => error,
    )
    .increment(1);
    result
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_earlier_of_two_deadlines_counts() {
        let now = Instant::now();
        let (soon, late) = (now + Duration::from_secs(1), now + Duration::from_secs(9));
        for (outer, inner) in [(soon, late), (late, soon)] {
            let seen = with_deadline(
                outer,
                with_deadline(inner, async { CALL_DEADLINE.with(|deadline| *deadline) }),
            );
            assert_eq!(seen.await, soon);
        }
    }
}
