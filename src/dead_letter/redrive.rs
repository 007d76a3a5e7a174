//! SQS's own redrive: it moves a whole queue, without a filter.
//!
//! SQS knows the origin only of messages that it moved itself, so the source queue is
//! named as the target. A moved message keeps the attributes of its dead letter. If SQS
//! moves it again before a worker reads it, it is listed with its old reason.
//!
//! <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-configure-dead-letter-queue-redrive.html>

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::aws::{Failure, MoveTask, MoveTasks};
use crate::retry::{Transient, retry_inline};

/// One move from the dead-letter queue to the source queue.
#[derive(Debug)]
pub(crate) struct NativeRedrive {
    pub moves: MoveTasks,
    /// ARN of the dead-letter queue.
    pub(crate) from_arn: String,
    /// ARN of the source queue.
    pub(crate) to_arn: String,
    /// Messages a second, 1 to 500.
    pub rate: i32,
}

/// The result of [`NativeRedrive::run`].
#[derive(Debug)]
pub(crate) enum NativeRedriveResult {
    /// Another move of this queue is running, so none was started.
    AlreadyRunning(MoveTask),
    /// The last status of the move.
    Ended(MoveTask),
}

const MOVE_POLL_INTERVAL: Duration = Duration::from_secs(1);

impl NativeRedrive {
    /// Starts a move and polls its status until it ends. `stop` cancels it; messages
    /// that were moved before stay moved.
    ///
    /// # Errors
    /// When a call fails. The move itself may continue.
    pub(crate) async fn run(
        &self,
        stop: &CancellationToken,
        mut progress: impl FnMut(&MoveTask),
    ) -> Result<NativeRedriveResult, Failure> {
        let before = retry_inline(|| self.moves.latest(&self.from_arn)).await?;
        if let Some(task) = before.clone().filter(MoveTask::is_running) {
            return Ok(NativeRedriveResult::AlreadyRunning(task));
        }
        let handle = self
            .moves
            .start(&self.from_arn, &self.to_arn, self.rate)
            .await?;
        let mut cancelled = false;
        let mut last = MoveTask::just_started();
        loop {
            match retry_inline(|| self.moves.latest(&self.from_arn)).await {
                Ok(task) => {
                    let is_ours = |task: &MoveTask| {
                        let before = before.as_ref();
                        before.is_none_or(|before| task.started_at_ms != before.started_at_ms)
                    };
                    last = task.filter(is_ours).unwrap_or(last);
                }
                // The move continues in SQS while its status cannot be read.
                Err(failure) if failure.is_transient() && !cancelled => {
                    tracing::warn!(error = %failure, "status of the redrive could not be read; retrying");
                }
                Err(failure) => return Err(failure),
            }
            progress(&last);
            if !last.is_running() {
                return Ok(NativeRedriveResult::Ended(last));
            }
            if stop.is_cancelled() && !cancelled {
                cancelled = true;
                if let Err(failure) = retry_inline(|| self.moves.cancel(&handle)).await {
                    // The move may have ended: the next poll shows it.
                    tracing::warn!(error = %failure, "redrive could not be cancelled");
                }
            }
            tokio::select! {
                () = tokio::time::sleep(MOVE_POLL_INTERVAL) => {}
                () = stop.cancelled(), if !cancelled => {}
            }
        }
    }
}
