//! One call: counted, timed, its error classified.

use std::error::Error;
use std::time::Instant;

use aws_sdk_sqs::config::http::HttpResponse;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};

use tracing::Instrument;

use super::error::{Class, Failure, Service};
use crate::quota::RateBudget;
use crate::telemetry::spans;

/// Where a call goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) service: Service,
    pub(super) operation: &'static str,
    pub(super) resource: &'a str,
}

/// A call that failed: what follows from it, and the SDK's error.
pub(super) type CallError<E> = (Failure, SdkError<E, HttpResponse>);

/// Makes one SDK call and notes how it went. The SDK's future is some 17 KiB
/// and lives on the heap, or every future above it would be as large.
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

/// Gives the Cognito calls of `work` a deadline: one that gets no permit of its budget by
/// then is not made and fails with [`Class::Busy`]. The earlier one counts when it is
/// nested. What `work` spawns has none.
pub(crate) async fn with_deadline<T>(
    deadline: tokio::time::Instant,
    work: impl Future<Output = T>,
) -> T {
    let outer = CALL_DEADLINE.try_with(|outer| *outer).unwrap_or(deadline);
    CALL_DEADLINE.scope(outer.min(deadline), work).await
}

/// Makes a call when its turn comes, and tells the budget when it was throttled. The call
/// was built before: nothing is sent until it is polled.
pub(super) async fn with_permit<T, E>(
    budget: &RateBudget,
    target: Target<'_>,
    call: impl Future<Output = Result<T, CallError<E>>>,
) -> Result<T, CallError<E>> {
    let turn = match CALL_DEADLINE.try_with(|deadline| *deadline) {
        Ok(deadline) => budget.acquire_by(deadline).await.map_err(|none| {
            let failure = Failure::without_permit(target);
            (failure, SdkError::construction_failure(none))
        })?,
        Err(_) => budget.acquire().await,
    };
    call.await.inspect_err(|(failure, _)| {
        if failure.class == Class::Throttled {
            turn.record_throttle();
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
    let begun = Instant::now();
    let span = spans::call(service.name(), operation);
    let result = request
        .instrument(span.clone())
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
