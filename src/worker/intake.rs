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

use super::breaker::{Breaker, MAX_PROBES};
use super::processor::Processor;
use crate::aws::{Class, Failure, MAX_BATCH_ENTRIES, Queue, Received};
use crate::retry::Backoff;
use crate::telemetry::Health;

const INTAKE_LOOP: &str = "intake";
/// Messages that may wait in hand for a free place.
const PREFETCH: usize = 2 * MAX_BATCH_ENTRIES;
const QUEUE_UNREADY_NAME: &str = "queue";
/// Failed receives in a row, of whatever kind, before readiness drops.
const UNREADY_AFTER_FAILURES: u32 = 3;
/// Beyond the long poll and the SDK's own time-out a receive counts as hung and
/// another takes its place.
const RECEIVE_GRACE: Duration = Duration::from_secs(15);
/// The loop looks around at least this often.
const LOOP_TICK: Duration = Duration::from_secs(5);
/// Pause after a long poll that did not wait.
const EMPTY_POLL_PAUSE: Duration = Duration::from_secs(1);
/// One message at a time, and not often, while the breaker is open.
const PROBE_INTERVAL: Duration = Duration::from_secs(5);

pub(super) struct Intake {
    queue: Queue,
    concurrency: usize,
    /// For messages in hand, at work or next.
    permits: Arc<Semaphore>,
    processor: Arc<Processor>,
    breaker: Arc<Breaker>,
    tracker: TaskTracker,
    health: Health,
    stop: CancellationToken,
    polls: JoinSet<CompletedPoll>,
    /// Receives that may be under way at once: one when idle, more under load.
    max_polls: usize,
    backoff: Backoff,
    /// Receives that failed in a row.
    failures_in_a_row: u32,
}

struct CompletedPoll {
    result: Result<Vec<Received>, Failure>,
    permits: OwnedSemaphorePermit,
    requested: usize,
    elapsed: Duration,
}

/// What an answered poll says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PollOutcome {
    Empty,
    Messages,
    Failed,
}

/// Messages that may be in hand beyond those in work. None where the breaker's probes may
/// take every place: no place would come free, at which one in hand sees that it has to go
/// back.
fn prefetch(concurrency: usize) -> usize {
    if concurrency > MAX_PROBES {
        PREFETCH.min(concurrency)
    } else {
        0
    }
}

impl Intake {
    pub(super) fn new(
        queue: Queue,
        concurrency: usize,
        processor: Arc<Processor>,
        tracker: TaskTracker,
        health: Health,
    ) -> Self {
        health.set_unready(QUEUE_UNREADY_NAME, "the queue has not answered yet");
        Self {
            queue,
            concurrency,
            permits: Arc::new(Semaphore::new(concurrency + prefetch(concurrency))),
            breaker: Arc::clone(&processor.breaker),
            stop: processor.stop.clone(),
            processor,
            tracker,
            health,
            polls: JoinSet::new(),
            max_polls: 1,
            backoff: Backoff::default(),
            failures_in_a_row: 0,
        }
    }

    /// Receives until told to stop.
    pub(super) async fn run_until_stopped(&mut self) {
        while !self.stop.is_cancelled() {
            self.step().await;
        }
    }

    /// Receives until the queue is empty and everything is settled, or until
    /// told to stop. What backs off or is held elsewhere is waited for.
    pub(super) async fn run_until_empty(&mut self) {
        // SQS counts approximately: empty is what is empty twice.
        let mut empty = 0;
        while !self.stop.is_cancelled() && empty < 2 {
            let came = self.step().await;
            let idle = self.polls.is_empty() && self.tracker.is_empty();
            empty = match came {
                Some(PollOutcome::Empty) if idle => match self.queue.attributes().await {
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
    pub(super) async fn drain_polls(&mut self) {
        while let Some(poll) = self.polls.join_next().await {
            let Ok(CompletedPoll {
                result: Ok(messages),
                ..
            }) = poll
            else {
                continue;
            };
            let settler = &self.processor.settler;
            let releases = messages
                .into_iter()
                .map(|message| settler.release(message, Duration::ZERO));
            let given_back = join_all(releases).await.len() as u64;
            self.processor
                .counts
                .released
                .fetch_add(given_back, Ordering::Relaxed);
        }
        self.health.end_heartbeat(INTAKE_LOOP);
    }

    /// Starts polls as far as permits allow and handles one that comes home.
    async fn step(&mut self) -> Option<PollOutcome> {
        self.heartbeat();
        let room = self.breaker.receive_limit();
        let wanted = if room == usize::MAX {
            self.max_polls
        } else {
            1
        };
        while self.polls.len() < wanted {
            match self.acquire_permits(room).await {
                Some(permits) => self.start_poll(permits),
                None => break,
            }
        }
        if self.polls.is_empty() {
            if room == 0 {
                // The breaker is open and enough messages are held.
                self.pause(PROBE_INTERVAL).await;
            }
            return None;
        }
        let poll = tokio::select! {
            poll = self.polls.join_next() => poll,
            () = self.stop.cancelled() => None,
        };
        let poll = poll?.ok()?;
        let hasty = poll.elapsed < self.queue.wait() / 2;
        let came = self.handle_poll(poll);
        if came == PollOutcome::Failed {
            let pause = self.backoff.next_pause();
            self.pause(pause).await;
        } else if self.breaker.receive_limit() != usize::MAX {
            // One that works is followed by the next at once.
            tokio::select! {
                () = self.pause(PROBE_INTERVAL) => {}
                () = self.breaker.succeeded() => {}
            }
        } else if came == PollOutcome::Empty && hasty {
            // Over its in-flight limit SQS may answer a long poll empty at once.
            self.pause(EMPTY_POLL_PAUSE).await;
        }
        Some(came)
    }

    /// Permits for one receive. Under load it waits for enough of them to be
    /// worth a call, so that receives come back full.
    async fn acquire_permits(&self, room: usize) -> Option<OwnedSemaphorePermit> {
        let worth = MAX_BATCH_ENTRIES
            .min(self.concurrency.div_ceil(2))
            .min(room);
        let count = u32::try_from(worth).ok().filter(|count| *count > 0)?;
        let permits = Arc::clone(&self.permits);
        if !self.polls.is_empty() {
            return permits.try_acquire_many_owned(count).ok();
        }
        tokio::select! {
            permits = permits.acquire_many_owned(count) => permits.ok(),
            () = self.stop.cancelled() => None,
            () = tokio::time::sleep(LOOP_TICK) => None,
        }
    }

    fn start_poll(&mut self, permits: OwnedSemaphorePermit) {
        let queue = self.queue.clone();
        let asked = permits.num_permits();
        self.polls.spawn(async move {
            let limit = queue.wait() + RECEIVE_GRACE;
            let begun = Instant::now();
            let answer = tokio::time::timeout(limit, queue.receive(asked)).await;
            let answer = answer.unwrap_or_else(|_| Err(queue.timeout_failure("ReceiveMessage")));
            CompletedPoll {
                result: answer,
                permits,
                requested: asked,
                elapsed: begun.elapsed(),
            }
        });
    }

    fn handle_poll(&mut self, poll: CompletedPoll) -> PollOutcome {
        let CompletedPoll {
            result: answer,
            mut permits,
            requested: asked,
            ..
        } = poll;
        let messages = match answer {
            Ok(messages) => messages,
            Err(failure) => {
                self.handle_failure(&failure);
                return PollOutcome::Failed;
            }
        };
        self.backoff.reset();
        self.failures_in_a_row = 0;
        self.health.clear_unready(QUEUE_UNREADY_NAME);
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
                .spawn(Arc::clone(&self.processor).run(message, permit));
        }
        self.max_polls = match came {
            0 => 1,
            came if came >= asked => {
                (self.max_polls + 1).min((self.concurrency / MAX_BATCH_ENTRIES).clamp(1, 8))
            }
            _ => self.max_polls,
        };
        if came == 0 {
            PollOutcome::Empty
        } else {
            PollOutcome::Messages
        }
    }

    fn handle_failure(&mut self, failure: &Failure) {
        self.max_polls = 1;
        self.failures_in_a_row += 1;
        let broken = matches!(failure.class, Class::Systemic | Class::Credentials);
        if broken || self.failures_in_a_row >= UNREADY_AFTER_FAILURES {
            self.health
                .set_unready(QUEUE_UNREADY_NAME, format!("blocked: {failure}"));
        }
        tracing::warn!(reason = failure.reason, error = %failure, "receive failed");
    }

    /// A receive, or a pause after one, is the longest that a step takes.
    fn heartbeat(&self) {
        self.health.heartbeat(
            INTAKE_LOOP,
            self.queue.wait() + RECEIVE_GRACE + Duration::from_mins(1),
        );
    }

    async fn pause(&self, time: Duration) {
        self.heartbeat();
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            () = self.breaker.changed() => {}
            () = self.stop.cancelled() => {}
        }
    }
}
