//! Intake: asks the queue for no more than there are free permits.
//!
//! There are a few more of them than messages that may be in work at once, so that the
//! next ones are in hand when a place is free: a receive takes as long as the work on a
//! message does, and the place would be empty for it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::breaker::{Breaker, PROBES};
use super::inflight::Flight;
use crate::aws::{BATCH, Class, Failure, Queue, Received};
use crate::retry::Patience;
use crate::telemetry::Health;

const NAME: &str = "intake";
/// Messages that may wait in hand for a free place.
const AHEAD: usize = 2 * BATCH;
const OBSTACLE: &str = "queue";
/// Failed receives in a row, of whatever kind, before readiness drops.
const OUT_OF_REACH: u32 = 3;
/// Beyond the long poll and the SDK's own time-out a receive counts as hung and
/// another takes its place.
const HUNG: Duration = Duration::from_secs(15);
/// The loop looks around at least this often.
const GLANCE: Duration = Duration::from_secs(5);
/// Pause after a long poll that did not wait.
const HASTE: Duration = Duration::from_secs(1);
/// One message at a time, and not often, while the breaker is open.
const SAMPLING: Duration = Duration::from_secs(5);

pub(super) struct Intake {
    queue: Queue,
    concurrency: usize,
    /// For messages in hand, at work or next.
    permits: Arc<Semaphore>,
    flight: Arc<Flight>,
    breaker: Arc<Breaker>,
    tracker: TaskTracker,
    health: Health,
    stop: CancellationToken,
    polls: JoinSet<Poll>,
    /// Receives that may be under way at once: one when idle, more under load.
    wanted: usize,
    pace: Patience,
    /// Receives that failed in a row.
    failures: u32,
}

struct Poll {
    answer: Result<Vec<Received>, Failure>,
    permits: OwnedSemaphorePermit,
    asked: usize,
    took: Duration,
}

/// What an answered poll says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Came {
    Nothing,
    Some,
    Failure,
}

/// Messages that may be in hand beyond those in work. None where the breaker's probes may
/// take every place: no place would come free, at which one in hand sees that it has to go
/// back.
fn ahead(concurrency: usize) -> usize {
    if concurrency > PROBES {
        AHEAD.min(concurrency)
    } else {
        0
    }
}

impl Intake {
    pub(super) fn new(
        queue: Queue,
        concurrency: usize,
        flight: Arc<Flight>,
        tracker: TaskTracker,
        health: Health,
    ) -> Self {
        health.obstacle(OBSTACLE, "the queue has not answered yet");
        Self {
            queue,
            concurrency,
            permits: Arc::new(Semaphore::new(concurrency + ahead(concurrency))),
            breaker: Arc::clone(&flight.breaker),
            stop: flight.stop.clone(),
            flight,
            tracker,
            health,
            polls: JoinSet::new(),
            wanted: 1,
            pace: Patience::default(),
            failures: 0,
        }
    }

    /// Receives until told to stop.
    pub(super) async fn until_stopped(&mut self) {
        while !self.stop.is_cancelled() {
            self.step().await;
        }
    }

    /// Receives until the queue is empty and everything is settled, or until
    /// told to stop. What backs off or is held elsewhere is waited for.
    pub(super) async fn until_empty(&mut self) {
        // SQS counts approximately: empty is what is empty twice.
        let mut empty = 0;
        while !self.stop.is_cancelled() && empty < 2 {
            let came = self.step().await;
            let idle = self.polls.is_empty() && self.tracker.is_empty();
            empty = match came {
                Some(Came::Nothing) if idle => match self.queue.facts().await {
                    Ok(facts) if facts.depth.is_empty() => empty + 1,
                    Ok(_) => 0,
                    Err(failure) => {
                        tracing::warn!(error = %failure, "cannot tell whether the queue is empty");
                        0
                    }
                },
                _ => 0,
            };
        }
    }

    /// Waits for the polls that are still out and releases what they bring: a
    /// cancelled long poll would leave its messages hidden until their
    /// visibility timeout ends.
    pub(super) async fn come_home(&mut self) {
        while let Some(poll) = self.polls.join_next().await {
            let Ok(Poll {
                answer: Ok(messages),
                ..
            }) = poll
            else {
                continue;
            };
            let settler = &self.flight.settler;
            let releases = messages
                .into_iter()
                .map(|message| settler.release(message, Duration::ZERO));
            let given_back = join_all(releases).await.len() as u64;
            self.flight
                .tally
                .released
                .fetch_add(given_back, Ordering::Relaxed);
        }
        self.health.ended(NAME);
    }

    /// Starts polls as far as permits allow and handles one that comes home.
    async fn step(&mut self) -> Option<Came> {
        self.beat();
        let room = self.breaker.room();
        let wanted = if room == usize::MAX { self.wanted } else { 1 };
        while self.polls.len() < wanted {
            match self.permits_for(room).await {
                Some(permits) => self.poll(permits),
                None => break,
            }
        }
        if self.polls.is_empty() {
            if room == 0 {
                // The breaker is open and enough messages are held.
                self.pause(SAMPLING).await;
            }
            return None;
        }
        let poll = tokio::select! {
            poll = self.polls.join_next() => poll,
            () = self.stop.cancelled() => None,
        };
        let poll = poll?.ok()?;
        let hasty = poll.took < self.queue.wait() / 2;
        let came = self.take(poll);
        if came == Came::Failure {
            let pause = self.pace.next_pause();
            self.pause(pause).await;
        } else if self.breaker.room() != usize::MAX {
            // One that works is followed by the next at once.
            tokio::select! {
                () = self.pause(SAMPLING) => {}
                () = self.breaker.any_worked() => {}
            }
        } else if came == Came::Nothing && hasty {
            // Over its in-flight limit SQS may answer a long poll empty at once.
            self.pause(HASTE).await;
        }
        Some(came)
    }

    /// Permits for one receive. Under load it waits for enough of them to be
    /// worth a call, so that receives come back full.
    async fn permits_for(&self, room: usize) -> Option<OwnedSemaphorePermit> {
        let worth = BATCH.min(self.concurrency.div_ceil(2)).min(room);
        let count = u32::try_from(worth).ok().filter(|count| *count > 0)?;
        let permits = Arc::clone(&self.permits);
        if !self.polls.is_empty() {
            return permits.try_acquire_many_owned(count).ok();
        }
        tokio::select! {
            permits = permits.acquire_many_owned(count) => permits.ok(),
            () = self.stop.cancelled() => None,
            () = tokio::time::sleep(GLANCE) => None,
        }
    }

    fn poll(&mut self, permits: OwnedSemaphorePermit) {
        let queue = self.queue.clone();
        let asked = permits.num_permits();
        self.polls.spawn(async move {
            let limit = queue.wait() + HUNG;
            let begun = Instant::now();
            let answer = tokio::time::timeout(limit, queue.receive(asked)).await;
            let answer = answer.unwrap_or_else(|_| Err(queue.hung("ReceiveMessage")));
            Poll {
                answer,
                permits,
                asked,
                took: begun.elapsed(),
            }
        });
    }

    fn take(&mut self, poll: Poll) -> Came {
        let Poll {
            answer,
            mut permits,
            asked,
            ..
        } = poll;
        let messages = match answer {
            Ok(messages) => messages,
            Err(failure) => {
                self.failed(&failure);
                return Came::Failure;
            }
        };
        self.pace.reset();
        self.failures = 0;
        self.health.clear(OBSTACLE);
        #[expect(clippy::cast_precision_loss, reason = "ten at most")]
        metrics::histogram!("usher_receive_messages").record(messages.len() as f64);
        let came = messages.len();
        for message in messages {
            // No more come than were asked for; if they did, they would wait
            // for their visibility timeout rather than exceed the limit.
            let Some(permit) = permits.split(1) else {
                break;
            };
            self.tracker
                .spawn(Arc::clone(&self.flight).run(message, permit));
        }
        self.wanted = match came {
            0 => 1,
            came if came >= asked => (self.wanted + 1).min((self.concurrency / BATCH).clamp(1, 8)),
            _ => self.wanted,
        };
        if came == 0 { Came::Nothing } else { Came::Some }
    }

    fn failed(&mut self, failure: &Failure) {
        self.wanted = 1;
        self.failures += 1;
        let broken = matches!(failure.class, Class::Systemic | Class::Credentials);
        if broken || self.failures >= OUT_OF_REACH {
            self.health
                .obstacle(OBSTACLE, format!("blocked: {failure}"));
        }
        tracing::warn!(reason = failure.reason, error = %failure, "receive failed");
    }

    /// A receive, or a pause after one, is the longest that a step takes.
    fn beat(&self) {
        self.health
            .beat(NAME, self.queue.wait() + HUNG + Duration::from_mins(1));
    }

    async fn pause(&self, time: Duration) {
        self.beat();
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            () = self.breaker.changed() => {}
            () = self.stop.cancelled() => {}
        }
    }
}
