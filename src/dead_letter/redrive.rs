//! SQS's own redrive: everything or nothing, without a filter, without an edit.
//!
//! <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-configure-dead-letter-queue-redrive.html>

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::aws::{Failure, MoveTask, MoveTasks};
use crate::retry::{Transient, retry_inline};

/// From one queue to another.
#[derive(Debug)]
pub(crate) struct NativeRedrive {
    /// The calls.
    pub moves: MoveTasks,
    /// ARN of the dead-letter queue.
    pub(crate) from_arn: String,
    /// ARN of the source queue. Without it SQS would not know where to put the
    /// letters that usher sent: it remembers the origin of those alone that it
    /// moved itself.
    pub(crate) to_arn: String,
    /// Messages a second, 1 to 500.
    pub rate: i32,
}

/// How a move ended.
#[derive(Debug)]
pub(crate) enum NativeRedriveResult {
    /// This one ran already, and nothing was started.
    AlreadyRunning(MoveTask),
    /// The last that was seen of it.
    Ended(MoveTask),
}

const MOVE_POLL_INTERVAL: Duration = Duration::from_secs(1);

impl NativeRedrive {
    /// Starts a move and watches it until it ends; a stop cancels it. What was
    /// moved by then stays moved.
    ///
    /// # Errors
    /// When a call fails. The move itself may go on.
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
                // Trouble ends the move as little as it ends the watching.
                Err(failure) if failure.is_transient() && !cancelled => {
                    tracing::warn!(error = %failure, "the move cannot be watched; tried again");
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
                    // It may have ended meanwhile: the next look tells.
                    tracing::warn!(error = %failure, "the move could not be cancelled");
                }
            }
            tokio::select! {
                () = tokio::time::sleep(MOVE_POLL_INTERVAL) => {}
                () = stop.cancelled(), if !cancelled => {}
            }
        }
    }
}
