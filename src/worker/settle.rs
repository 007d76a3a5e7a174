//! Turns an outcome into SQS calls: delete, change visibility, or dead-letter and delete.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;

use super::batch::Batcher;
use super::breaker::Breaker;
use crate::aws::{BatchEntry, BatchOperation, Class, Failure, Queue, Received, VisibilityGuard};
use crate::cache::Cache;
use crate::message::{DeadLetter, Delivery, History, outgoing, send_dead_letter};
use crate::provision::{Outcome, Rejection, Retry};
use crate::reason::Reason;
use crate::retry::redelivery_delay;

/// Release delay if the pool was not found, and `pools.allowed` is empty.
const UNKNOWN_POOL_DELAY: Duration = Duration::from_mins(10);
/// Release delay of a refused message while the breaker holds enough of them.
const REFUSED_DELAY: Duration = Duration::from_secs(3);
/// The same while such refusals stop intake: other messages are tried first.
const REFUSED_DELAY_IN_OUTAGE: Duration = Duration::from_mins(1);
/// Messages whose dead letter is remembered as sent.
const MAX_REMEMBERED_DEAD_LETTERS: usize = 4096;

#[derive(Debug)]
pub(super) struct Settler {
    /// Set once the warning that releases use up attempts is logged.
    renewal_failure_logged: AtomicBool,
    queue: Queue,
    breaker: Arc<Breaker>,
    deletes: Batcher,
    visibility_changes: Batcher,
    dead_letter_queue: Queue,
    max_attempts: u32,
    /// Whether `pools.allowed` lists the pools. A listed pool that is not found is a fault
    /// of the deployment.
    has_allowed_pools: bool,
    /// Ids of messages whose dead letter is sent. If the delete fails and the message
    /// returns, no second one is sent.
    dead_lettered: Cache<String, ()>,
}

/// The tasks of the two batchers; they end once every entry is sent or abandoned.
pub(super) struct SettlerTasks {
    settler: Arc<Settler>,
    tasks: [JoinHandle<()>; 2],
}

impl Settler {
    pub(super) fn start(
        queue: &Queue,
        dead_letter_queue: Queue,
        max_attempts: u32,
        has_allowed_pools: bool,
        breaker: &Arc<Breaker>,
    ) -> (Arc<Self>, SettlerTasks) {
        let (deletes, delete_task) =
            Batcher::start(queue.clone(), BatchOperation::Delete, Arc::clone(breaker));
        let (visibility_changes, visibility_task) = Batcher::start(
            queue.clone(),
            BatchOperation::ChangeVisibility,
            Arc::clone(breaker),
        );
        let settler = Arc::new(Self {
            renewal_failure_logged: AtomicBool::new(false),
            queue: queue.clone(),
            breaker: Arc::clone(breaker),
            deletes,
            visibility_changes,
            dead_letter_queue,
            max_attempts,
            has_allowed_pools,
            dead_lettered: Cache::new(MAX_REMEMBERED_DEAD_LETTERS),
        });
        let settler_tasks = SettlerTasks {
            settler: Arc::clone(&settler),
            tasks: [delete_task, visibility_task],
        };
        (settler, settler_tasks)
    }

    /// The queue that messages are settled on.
    pub(super) fn queue_name(&self) -> &str {
        self.queue.name()
    }

    /// The outcome that [`Self::settle`] carries out. At the last attempt a retry becomes a
    /// rejection. Then sends the dead letter of a rejected message. If that fails, the outcome
    /// is a retry or blocked: the message is deleted only after its dead letter is sent.
    pub(super) async fn finalize_outcome(&self, delivery: &Delivery, outcome: Outcome) -> Outcome {
        match apply_max_attempts(outcome, delivery.attempts(), self.max_attempts) {
            Outcome::Rejected(rejection) => {
                match self.send_dead_letter(delivery, &rejection).await {
                    Ok(()) => Outcome::Rejected(rejection),
                    Err(failure)
                        if matches!(failure.class, Class::Systemic | Class::Credentials) =>
                    {
                        Outcome::Blocked(failure)
                    }
                    Err(failure) => Outcome::Retry(Retry::new(failure.into())),
                }
            }
            outcome => outcome,
        }
    }

    /// Ends the extension of the message and sends its outcome to SQS.
    pub(super) async fn settle(
        &self,
        delivery: Delivery,
        guard: VisibilityGuard,
        outcome: &Outcome,
    ) {
        guard.stop_extending().await;
        let Delivery {
            message, history, ..
        } = delivery;
        match outcome {
            Outcome::Done
            | Outcome::AlreadyDone(_)
            | Outcome::Ignored(_)
            // `finalize_outcome` has sent its dead letter.
            | Outcome::Rejected(_) => {
                self.delete(message.receipt_handle).await;
            }
            Outcome::Retry(retry) => {
                let time = retry.pause.after(history.attempts, redelivery_delay);
                self.change_visibility(message.receipt_handle, time).await;
            }
            // Hidden for long, so that the next receives return other messages.
            Outcome::Blocked(failure)
                if failure.reason == Reason::PoolNotFound && !self.has_allowed_pools =>
            {
                self.release(message, UNKNOWN_POOL_DELAY).await;
            }
            // While intake goes on, other messages soon show whose fault it is.
            Outcome::Blocked(failure) if failure.class == Class::Permanent => {
                let stopped = self.breaker.is_intake_stopped_by(failure);
                let delay = if stopped {
                    REFUSED_DELAY_IN_OUTAGE
                } else {
                    REFUSED_DELAY
                };
                self.release(message, delay).await;
            }
            // Without delay: another worker may not have the failure.
            Outcome::Blocked(_) => self.release(message, Duration::ZERO).await,
        }
    }

    /// Returns a message without counting an attempt. SQS has counted the receive, and
    /// would move the message in the end. So the message is renewed: sent again with its
    /// attempts so far as an attribute, and then the old one is deleted.
    ///
    /// If that is not possible, the message is made visible again, and the receive counts
    /// as an attempt.
    pub(super) async fn release(&self, message: Received, delay: Duration) {
        let history = History::from_message(&message);
        let untried = History {
            attempts: history.attempts.saturating_sub(1),
            ..history
        };
        // If deletes fail, a renewed message would be a duplicate.
        if self.breaker.is_settling_broken() {
            return self.change_visibility(message.receipt_handle, delay).await;
        }
        match self
            .queue
            .send(outgoing::renewed(&message, untried, delay))
            .await
        {
            Ok(_) => self.delete(message.receipt_handle).await,
            Err(failure) => {
                if !self.renewal_failure_logged.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        error = %failure,
                        "untried message could not be sent again: its receive counts as an attempt (logged once)",
                    );
                }
                self.change_visibility(message.receipt_handle, delay).await;
            }
        }
    }

    async fn delete(&self, receipt: String) {
        let time = Duration::ZERO;
        self.deletes
            .push(BatchEntry {
                receipt,
                visibility_timeout: time,
            })
            .await;
    }

    async fn change_visibility(&self, receipt: String, time: Duration) {
        self.visibility_changes
            .push(BatchEntry {
                receipt,
                visibility_timeout: time,
            })
            .await;
    }

    async fn send_dead_letter(
        &self,
        delivery: &Delivery,
        rejection: &Rejection,
    ) -> Result<(), Failure> {
        let message = &delivery.message;
        if self.dead_lettered.contains(&message.id) {
            return Ok(());
        }
        let dead_letter = DeadLetter {
            message,
            history: delivery.history,
            reason: &rejection.reason,
            class: rejection.class.name(),
            error: &rejection.error,
            now: jiff::Timestamp::now(),
        };
        send_dead_letter(&self.dead_letter_queue, &dead_letter)
            .await
            .map(|_| {
                self.dead_lettered.insert(message.id.clone(), ());
            })
    }
}

impl SettlerTasks {
    pub(super) async fn finish(self) {
        self.settler.deletes.close();
        self.settler.visibility_changes.close();
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::error!(error = %error, "task that sends deletes and visibility changes failed");
            }
        }
    }
}

/// Rejects a message at its last attempt. A cause that seldom changes (a missing user or
/// group) has fewer attempts.
fn apply_max_attempts(outcome: Outcome, attempts: u32, max_attempts: u32) -> Outcome {
    match outcome {
        Outcome::Retry(retry)
            if attempts
                >= retry
                    .max_attempts
                    .map_or(max_attempts, |limit| limit.min(max_attempts)) =>
        {
            Outcome::Rejected(retry.cause)
        }
        outcome => outcome,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provision::RejectionClass;

    fn retry(max_attempts: Option<u32>) -> Outcome {
        let class = RejectionClass::Failure(Class::Throttled);
        let cause = Rejection::new(Reason::Throttled, class, "");
        Outcome::Retry(Retry {
            max_attempts,
            ..Retry::new(cause)
        })
    }

    #[test]
    fn message_is_rejected_at_its_last_attempt_with_its_reason() {
        for (max_attempts, attempts, name) in [
            (None, 7, "retry"),
            (None, 8, "rejected"),
            (None, 9, "rejected"),
            (Some(5), 4, "retry"),
            (Some(5), 5, "rejected"),
            (Some(20), 8, "rejected"),
        ] {
            let outcome = apply_max_attempts(retry(max_attempts), attempts, 8);
            assert_eq!(outcome.name(), name, "{max_attempts:?} {attempts}");
            assert_eq!(outcome.reason(), Some(&Reason::Throttled));
        }
    }

    #[test]
    fn other_outcomes_do_not_depend_on_the_number_of_attempts() {
        assert_eq!(apply_max_attempts(Outcome::Done, 900, 1), Outcome::Done);
    }
}
