//! Makes one SDK call: counts it, times it and classifies its error. A call of Cognito first
//! takes a permit of the process's budget, and reports a throttle to it.

use std::error::Error;
use std::pin::Pin;
use std::time::Instant;

use aws_sdk_sqs::config::http::HttpResponse;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use tracing::Instrument;

use super::classify::Class;
use super::endpoint::with_endpoint;
use super::error::Failure;
use super::operation::{
    CognitoOperation, DynamoDbOperation, Operation, SqsOperation, StsOperation, Target,
};
use crate::quota::Quota;
use crate::retry::Transient;
use crate::telemetry::spans;

/// The classified failure, and the SDK's own error.
#[derive(Debug)]
pub(super) struct CallError<E> {
    pub(super) failure: Failure,
    pub(super) error: SdkError<E, HttpResponse>,
}

impl<E> From<CallError<E>> for Failure {
    fn from(error: CallError<E>) -> Self {
        error.failure
    }
}

impl<E> Transient for CallError<E> {
    fn is_transient(&self) -> bool {
        self.failure.is_transient()
    }
}

/// An operation that takes no permit. Those of Cognito do: only [`call_cognito`] makes them.
pub(super) trait WithoutPermit: Into<Operation> {}

impl WithoutPermit for SqsOperation {}
impl WithoutPermit for DynamoDbOperation {}
impl WithoutPermit for StsOperation {}

/// Makes a call of SQS, `DynamoDB` or STS. The SDK's future of some 17 KiB is boxed before
/// anything takes it: every `async` function that takes a future by value holds it twice.
pub(super) fn call<'a, T, E>(
    operation: impl WithoutPermit,
    resource: &'a str,
    request: impl Future<Output = Result<T, SdkError<E, HttpResponse>>> + Send + 'a,
) -> impl Future<Output = Result<T, CallError<E>>> + Send + 'a
where
    T: Send + 'a,
    E: ProvideErrorMetadata + Error + Send + 'static,
{
    let operation = operation.into();
    let target = Target {
        operation,
        resource,
    };
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

/// Makes a call of Cognito once the budget of its category gives a permit. Nothing is sent
/// before: the request is not polled.
pub(super) fn call_cognito<'a, T, E>(
    quota: &'a Quota,
    operation: CognitoOperation,
    resource: &'a str,
    request: impl Future<Output = Result<T, SdkError<E, HttpResponse>>> + Send + 'a,
) -> impl Future<Output = Result<T, CallError<E>>> + Send + 'a
where
    T: Send + 'a,
    E: ProvideErrorMetadata + Error + Send + 'static,
{
    let budget = quota.budget(operation.category());
    let target = Target {
        operation: operation.into(),
        resource,
    };
    let call = measure_call(target, Box::pin(request));
    async move {
        let permit = match CALL_DEADLINE.try_with(|deadline| *deadline) {
            Ok(deadline) => budget
                .acquire_by(deadline)
                .await
                .map_err(|error| CallError {
                    failure: Failure::without_permit(target),
                    error: SdkError::construction_failure(error),
                })?,
            Err(_) => budget.acquire().await,
        };
        call.await.inspect_err(|error| {
            if error.failure.class == Class::Throttled {
                permit.record_throttle();
            }
        })
    }
}

async fn measure_call<T, E>(
    target: Target<'_>,
    request: Pin<Box<impl Future<Output = Result<T, SdkError<E, HttpResponse>>>>>,
) -> Result<T, CallError<E>>
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let service = target.operation.service().name();
    let operation = target.operation.name();
    let started = Instant::now();
    let span = spans::call(service, operation);
    let (result, endpoint) = with_endpoint(request.instrument(span.clone())).await;
    let result = result.map_err(|error| CallError {
        failure: Failure::new(target, &error, endpoint),
        error,
    });
    metrics::histogram!("usher_aws_call_seconds", "service" => service, "operation" => operation)
        .record(started.elapsed());
    let code = result
        .as_ref()
        .err()
        .map_or_else(String::new, |error| error.failure.code.clone());
    if !code.is_empty() {
        spans::record_error(&span, &code);
    }
    metrics::counter!(
        "usher_aws_calls_total",
        "service" => service, "operation" => operation, "error" => code,
    )
    .increment(1);
    result
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use aws_sdk_sqs::operation::delete_message_batch::DeleteMessageBatchError;

    use super::*;

    /// 64 messages are in flight at once, and each future above holds this one.
    #[test]
    fn future_of_a_call_does_not_hold_the_request_itself() {
        let request = async {
            let response = [0_u8; 8 * 1024];
            tokio::task::yield_now().await;
            Ok::<_, SdkError<DeleteMessageBatchError, HttpResponse>>(response.len())
        };
        assert!(size_of_val(&request) > 8 * 1024);
        let call = call(SqsOperation::DeleteMessageBatch, "queue", request);
        assert!(size_of_val(&call) < 1024, "{}", size_of_val(&call));
    }

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
