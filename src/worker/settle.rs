//! The one place where an outcome becomes a word to the queue.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lru::LruCache;
use tokio::task::JoinHandle;

use super::batch::{BatchEntry, BatchOperation, Batcher};
use super::breaker::Breaker;
use super::visibility::VisibilityGuard;
use crate::aws::{Class, Failure, Queue, Received};
use crate::dead_letter::{DeadLetter, History, send_dead_letter};
use crate::provision::{Outcome, Rejection, Retry};
use crate::retry::redelivery_delay;

/// For a message of an unknown pool while nothing else is known to work.
const QUARANTINE_DELAY: Duration = Duration::from_mins(10);
/// For a message that is refused while enough others are held for that.
const REFUSED_DELAY: Duration = Duration::from_secs(3);
/// The same while such refusals stop intake: other messages are sampled first.
const REFUSED_DELAY_IN_OUTAGE: Duration = Duration::from_mins(1);
/// Letters of which it is remembered that they were sent.
const MAX_REMEMBERED_DEAD_LETTERS: NonZeroUsize = NonZeroUsize::new(4096).expect("not zero");

#[derive(Debug)]
pub(super) struct Settler {
    /// Whether it was said that releases use up attempts.
    renewal_failure_logged: AtomicBool,
    queue: Queue,
    breaker: Arc<Breaker>,
    deletes: Batcher,
    visibility_changes: Batcher,
    dead_letter_queue: Queue,
    max_attempts: u32,
    /// Whether `pools.allowed` says which pools are ours: then one that cannot be
    /// found is the deployment's trouble like any other.
    has_allowed_pools: bool,
    /// Messages whose letter is sent: when the delete fails and they come again,
    /// they get no second one.
    dead_lettered: Mutex<LruCache<String, ()>>,
}

/// Ends when everything that was handed in has been carried out.
pub(super) struct SettlerTasks {
    settler: Arc<Settler>,
    tasks: [JoinHandle<()>; 2],
}

impl Settler {
    pub(super) fn start(
        queue: &Queue,
        dead_letters: Queue,
        max_attempts: u32,
        pools_named: bool,
        breaker: &Arc<Breaker>,
    ) -> (Arc<Self>, SettlerTasks) {
        let (deletes, deleting) =
            Batcher::start(queue.clone(), BatchOperation::Delete, Arc::clone(breaker));
        let (hides, hiding) =
            Batcher::start(queue.clone(), BatchOperation::Hide, Arc::clone(breaker));
        let settler = Arc::new(Self {
            renewal_failure_logged: AtomicBool::new(false),
            queue: queue.clone(),
            breaker: Arc::clone(breaker),
            deletes,
            visibility_changes: hides,
            dead_letter_queue: dead_letters,
            max_attempts,
            has_allowed_pools: pools_named,
            dead_lettered: Mutex::new(LruCache::new(MAX_REMEMBERED_DEAD_LETTERS)),
        });
        let flushing = SettlerTasks {
            settler: Arc::clone(&settler),
            tasks: [deleting, hiding],
        };
        (settler, flushing)
    }

    /// The outcome of an attempt once the number of attempts is considered, and
    /// once the dead letter of a rejected message is safely sent. Until then
    /// the message is not settled: it is sent first and deleted after.
    pub(super) async fn finalize(&self, message: &Received, outcome: Outcome) -> Outcome {
        match apply_max_attempts(
            outcome,
            History::from_message(message).attempts,
            self.max_attempts,
        ) {
            Outcome::Rejected(rejection) => {
                match self.send_dead_letter(message, &rejection).await {
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

    /// Tells the queue.
    pub(super) async fn settle(&self, message: Received, kept: VisibilityGuard, outcome: &Outcome) {
        kept.stop_extending().await;
        match outcome {
            Outcome::Done
            | Outcome::AlreadyDone(_)
            | Outcome::Ignored(_)
            | Outcome::Rejected(_) => {
                self.delete(message.receipt_handle).await;
            }
            Outcome::Retry(retry) => {
                let attempts = History::from_message(&message).attempts;
                let time = retry.pause.after(attempts, redelivery_delay);
                self.change_visibility(message.receipt_handle, time).await;
            }
            // Seen and put aside, so that the next look shows another message.
            Outcome::Blocked(failure)
                if failure.reason == "pool_not_found" && !self.has_allowed_pools =>
            {
                self.release(message, QUARANTINE_DELAY).await;
            }
            // As long as nothing is stopped, others will soon have shown whose fault it is.
            Outcome::Blocked(failure) if failure.class == Class::Permanent => {
                let stopped = self.breaker.is_intake_stopped_by(failure);
                let delay = if stopped {
                    REFUSED_DELAY_IN_OUTAGE
                } else {
                    REFUSED_DELAY
                };
                self.release(message, delay).await;
            }
            // At once: another worker may be in order.
            Outcome::Blocked(_) => self.release(message, Duration::ZERO).await,
        }
    }

    /// Gives a message back that was not tried. SQS has counted the receive all
    /// the same and would move the message in the end, so the queue gets it anew,
    /// with what was tried as an attribute, and then the old one is deleted.
    ///
    /// Where that cannot be done the message is made visible again: the receive
    /// then counts as an attempt.
    pub(super) async fn release(&self, message: Received, delay: Duration) {
        let history = History::from_message(&message);
        let untried = History {
            attempts: history.attempts.saturating_sub(1),
            ..history
        };
        // A copy of what cannot be deleted would be one message more.
        if self.breaker.is_settling_broken() {
            return self.change_visibility(message.receipt_handle, delay).await;
        }
        match self.queue.send(untried.renew(&message, delay)).await {
            Ok(_) => self.delete(message.receipt_handle).await,
            Err(failure) => {
                if !self.renewal_failure_logged.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        error = %failure,
                        "a message that was not tried cannot be sent anew; such receives count as attempts",
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
        message: &Received,
        rejection: &Rejection,
    ) -> Result<(), Failure> {
        let now = jiff::Timestamp::now();
        if self.dead_lettered().contains(&message.id) {
            return Ok(());
        }
        let letter = DeadLetter {
            message,
            history: History::from_message(message),
            rejection,
            now,
        };
        send_dead_letter(&self.dead_letter_queue, &letter)
            .await
            .map(|_| {
                self.dead_lettered().put(message.id.clone(), ());
            })
    }

    fn dead_lettered(&self) -> MutexGuard<'_, LruCache<String, ()>> {
        self.dead_lettered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl SettlerTasks {
    pub(super) async fn finish(self) {
        self.settler.deletes.flush();
        self.settler.visibility_changes.flush();
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::error!(error = %error, "a batch task failed");
            }
        }
    }
}

/// A message is given up at its last attempt. What seldom changes (a user or a
/// group that is not there) has fewer.
fn apply_max_attempts(outcome: Outcome, attempts: u32, max_attempts: u32) -> Outcome {
    match outcome {
        Outcome::Retry(retry)
            if attempts
                >= retry
                    .max_attempts
                    .map_or(max_attempts, |most| most.min(max_attempts)) =>
        {
            Outcome::Rejected(retry.cause)
        }
        outcome => outcome,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retry(at_most: Option<u32>) -> Outcome {
        let because = Rejection {
            reason: "throttled".to_owned(),
            class: "throttled",
            error: String::new(),
            refused_call: None,
        };
        Outcome::Retry(Retry {
            max_attempts: at_most,
            ..Retry::new(because)
        })
    }

    #[test]
    fn a_message_is_given_up_at_its_last_attempt_with_the_reason_that_stayed() {
        for (at_most, attempts, name) in [
            (None, 7, "retry"),
            (None, 8, "rejected"),
            (None, 9, "rejected"),
            (Some(5), 4, "retry"),
            (Some(5), 5, "rejected"),
            (Some(20), 8, "rejected"),
        ] {
            let outcome = apply_max_attempts(retry(at_most), attempts, 8);
            assert_eq!(outcome.name(), name, "{at_most:?} {attempts}");
            assert_eq!(outcome.reason(), "throttled");
        }
    }

    #[test]
    fn other_outcomes_do_not_depend_on_the_number_of_attempts() {
        assert_eq!(apply_max_attempts(Outcome::Done, 900, 1), Outcome::Done);
    }
}
