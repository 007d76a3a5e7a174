//! The one place where an outcome becomes a word to the queue.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lru::LruCache;
use tokio::task::JoinHandle;

use super::batch::{Batcher, Entry, Verb};
use super::breaker::Breaker;
use super::visibility::Kept;
use crate::aws::{Class, Failure, Queue, Received};
use crate::dead_letter::{History, Letter, send};
use crate::provision::{Outcome, Rejection, Retry};
use crate::retry::redelivery_delay;

/// For a message of an unknown pool while nothing else is known to work.
const ASIDE: Duration = Duration::from_mins(10);
/// For a message that is refused while enough others are held for that.
const REFUSED_DELAY: Duration = Duration::from_secs(3);
/// The same while such refusals stop intake: other messages are sampled first.
const REFUSED_DELAY_IN_OUTAGE: Duration = Duration::from_mins(1);
/// Letters of which it is remembered that they were sent.
const LETTERS: NonZeroUsize = NonZeroUsize::new(4096).expect("not zero");

#[derive(Debug)]
pub(super) struct Settler {
    /// Whether it was said that releases use up attempts.
    told: AtomicBool,
    queue: Queue,
    breaker: Arc<Breaker>,
    deletes: Batcher,
    hides: Batcher,
    dead_letters: Queue,
    max_attempts: u32,
    /// Whether `pools.allowed` says which pools are ours: then one that cannot be
    /// found is the deployment's trouble like any other.
    pools_named: bool,
    /// Messages whose letter is sent: when the delete fails and they come again,
    /// they get no second one.
    lettered: Mutex<LruCache<String, ()>>,
}

/// Ends when everything that was handed in has been carried out.
pub(super) struct Flushing {
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
    ) -> (Arc<Self>, Flushing) {
        let (deletes, deleting) = Batcher::start(queue.clone(), Verb::Delete, Arc::clone(breaker));
        let (hides, hiding) = Batcher::start(queue.clone(), Verb::Hide, Arc::clone(breaker));
        let settler = Arc::new(Self {
            told: AtomicBool::new(false),
            queue: queue.clone(),
            breaker: Arc::clone(breaker),
            deletes,
            hides,
            dead_letters,
            max_attempts,
            pools_named,
            lettered: Mutex::new(LruCache::new(LETTERS)),
        });
        let flushing = Flushing {
            settler: Arc::clone(&settler),
            tasks: [deleting, hiding],
        };
        (settler, flushing)
    }

    /// The outcome of an attempt once the number of attempts is considered, and
    /// once the dead letter of a rejected message is safely sent. Until then
    /// the message is not settled: it is sent first and deleted after.
    pub(super) async fn conclude(&self, message: &Received, outcome: Outcome) -> Outcome {
        match give_up(outcome, History::of(message).attempts, self.max_attempts) {
            Outcome::Rejected(rejection) => match self.send_letter(message, &rejection).await {
                Ok(()) => Outcome::Rejected(rejection),
                Err(failure) if matches!(failure.class, Class::Systemic | Class::Credentials) => {
                    Outcome::Blocked(failure)
                }
                Err(failure) => Outcome::Retry(Retry::because(failure.into())),
            },
            outcome => outcome,
        }
    }

    /// Tells the queue.
    pub(super) async fn settle(&self, message: Received, kept: Kept, outcome: &Outcome) {
        kept.let_go().await;
        match outcome {
            Outcome::Done
            | Outcome::AlreadyDone(_)
            | Outcome::Ignored(_)
            | Outcome::Rejected(_) => {
                self.delete(message.receipt).await;
            }
            Outcome::Retry(retry) => {
                let attempts = History::of(&message).attempts;
                let time = retry.pause.after(attempts, redelivery_delay);
                self.hide(message.receipt, time).await;
            }
            // Seen and put aside, so that the next look shows another message.
            Outcome::Blocked(failure)
                if failure.reason == "pool_not_found" && !self.pools_named =>
            {
                self.release(message, ASIDE).await;
            }
            // As long as nothing is stopped, others will soon have shown whose fault it is.
            Outcome::Blocked(failure) if failure.class == Class::Permanent => {
                let stopped = self.breaker.is_stopped_by(failure);
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
        let history = History::of(&message);
        let untried = History {
            attempts: history.attempts.saturating_sub(1),
            ..history
        };
        // A copy of what cannot be deleted would be one message more.
        if self.breaker.has_standing() {
            return self.hide(message.receipt, delay).await;
        }
        match self.queue.send(untried.renew(&message, delay)).await {
            Ok(_) => self.delete(message.receipt).await,
            Err(failure) => {
                if !self.told.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        error = %failure,
                        "a message that was not tried cannot be sent anew; such receives count as attempts",
                    );
                }
                self.hide(message.receipt, delay).await;
            }
        }
    }

    async fn delete(&self, receipt: String) {
        let time = Duration::ZERO;
        self.deletes.push(Entry { receipt, time }).await;
    }

    async fn hide(&self, receipt: String, time: Duration) {
        self.hides.push(Entry { receipt, time }).await;
    }

    async fn send_letter(&self, message: &Received, rejection: &Rejection) -> Result<(), Failure> {
        let now = jiff::Timestamp::now();
        if self.lettered().contains(&message.id) {
            return Ok(());
        }
        let letter = Letter {
            message,
            history: History::of(message),
            rejection,
            now,
        };
        send(&self.dead_letters, &letter).await.map(|_| {
            self.lettered().put(message.id.clone(), ());
        })
    }

    fn lettered(&self) -> MutexGuard<'_, LruCache<String, ()>> {
        self.lettered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Flushing {
    pub(super) async fn finish(self) {
        self.settler.deletes.flush();
        self.settler.hides.flush();
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::error!(error = %error, "a batch task failed");
            }
        }
    }
}

/// A message is given up at its last attempt. What seldom changes (a user or a
/// group that is not there) has fewer.
fn give_up(outcome: Outcome, attempts: u32, max_attempts: u32) -> Outcome {
    match outcome {
        Outcome::Retry(retry)
            if attempts
                >= retry
                    .at_most
                    .map_or(max_attempts, |most| most.min(max_attempts)) =>
        {
            Outcome::Rejected(retry.because)
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
            refused: None,
        };
        Outcome::Retry(Retry {
            at_most,
            ..Retry::because(because)
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
            let outcome = give_up(retry(at_most), attempts, 8);
            assert_eq!(outcome.name(), name, "{at_most:?} {attempts}");
            assert_eq!(outcome.reason(), "throttled");
        }
    }

    #[test]
    fn other_outcomes_do_not_depend_on_the_number_of_attempts() {
        assert_eq!(give_up(Outcome::Done, 900, 1), Outcome::Done);
    }
}
