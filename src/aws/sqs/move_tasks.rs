//! SQS's message move tasks.

use aws_sdk_sqs::Client;

use crate::aws::call::call;
use crate::aws::client::Aws;
use crate::aws::error::Failure;
use crate::aws::operation::SqsOperation;

/// Starts, watches and cancels move tasks. Queues are named by their ARN.
#[derive(Debug, Clone)]
pub struct MoveTasks {
    client: Client,
}

/// A task as `ListMessageMoveTasks` reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MoveTask {
    /// Start time in milliseconds; distinguishes tasks.
    pub(crate) started_at_ms: i64,
    /// `RUNNING`, `COMPLETED`, `CANCELLING`, `CANCELLED` or `FAILED`.
    pub status: String,
    /// Approximate number of messages that were moved.
    pub moved: i64,
    /// Approximate number of messages at the start.
    pub total: Option<i64>,
    pub(crate) failure_reason: Option<String>,
}

impl MoveTask {
    /// A started task that SQS does not report yet.
    pub(crate) fn just_started() -> Self {
        Self {
            started_at_ms: 0,
            status: "RUNNING".to_owned(),
            moved: 0,
            total: None,
            failure_reason: None,
        }
    }

    /// Also while SQS cancels the task.
    pub(crate) fn is_running(&self) -> bool {
        matches!(self.status.as_str(), "RUNNING" | "CANCELLING")
    }
}

impl MoveTasks {
    /// Calls the endpoint of the queue with this URL.
    pub fn new(aws: &Aws, queue: &str) -> Self {
        Self {
            client: aws.sqs(queue),
        }
    }

    /// `StartMessageMoveTask`, at most `rate` messages a second (1 to 500).
    /// Returns the task's handle.
    ///
    /// # Errors
    /// As any call. SQS allows one active task for a queue.
    pub(crate) async fn start(&self, from: &str, to: &str, rate: i32) -> Result<String, Failure> {
        let request = self
            .client
            .start_message_move_task()
            .source_arn(from)
            .destination_arn(to)
            .max_number_of_messages_per_second(rate)
            .send();
        let answer = call(
            SqsOperation::StartMessageMoveTask,
            queue_name(from),
            request,
        )
        .await?;
        Ok(answer.task_handle.unwrap_or_default())
    }

    /// `ListMessageMoveTasks`: the latest task of a queue.
    ///
    /// # Errors
    /// As any call.
    pub(crate) async fn latest(&self, from: &str) -> Result<Option<MoveTask>, Failure> {
        let request = self
            .client
            .list_message_move_tasks()
            .source_arn(from)
            .max_results(1)
            .send();
        let answer = call(
            SqsOperation::ListMessageMoveTasks,
            queue_name(from),
            request,
        )
        .await?;
        let task = answer.results.unwrap_or_default().into_iter().next();
        Ok(task.map(|task| MoveTask {
            started_at_ms: task.started_timestamp,
            status: task.status.unwrap_or_default(),
            moved: task.approximate_number_of_messages_moved,
            total: task.approximate_number_of_messages_to_move,
            failure_reason: task.failure_reason,
        }))
    }

    /// `CancelMessageMoveTask`. Messages that were moved stay moved.
    ///
    /// # Errors
    /// As any call.
    pub(crate) async fn cancel(&self, handle: &str) -> Result<(), Failure> {
        let request = self
            .client
            .cancel_message_move_task()
            .task_handle(handle)
            .send();
        call(SqsOperation::CancelMessageMoveTask, "", request).await?;
        Ok(())
    }
}

fn queue_name(arn: &str) -> &str {
    arn.rsplit(':').next().unwrap_or(arn)
}
