//! Receives messages: requests no more than there are free permits.
//!
//! There are more permits than `worker.concurrency`, so that the next messages are
//! prefetched when a message is settled. A receive takes as long as the work on a message:
//! without prefetched messages a free concurrency permit would be idle for that time.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::breaker::{Breaker, MAX_HELD};
use super::processor::Processor;
use crate::aws::{Class, Failure, MAX_BATCH_ENTRIES, Queue, Received, SqsOperation};
use crate::retry::Backoff;
use crate::telemetry::Health;

const FIRST_POLL_WAIT: Duration = Duration::from_secs(1);
const INTAKE_LOOP: &str = "intake";
/// Maximum number of prefetched messages: those of two full receives.
const PREFETCH: usize = 2 * MAX_BATCH_ENTRIES;
const QUEUE_COMPONENT: &str = "queue";
/// Failed receives in a row, of any kind, before readiness drops.
const UNREADY_AFTER_FAILURES: u32 = 3;
/// Time beyond the long poll after which a receive counts as hung and is given up.
/// Longer than the SDK's own time-out.
const RECEIVE_GRACE: Duration = Duration::from_secs(15);
/// Longest wait for permits in one step of the loop.
const MAX_PERMIT_WAIT: Duration = Duration::from_secs(5);
/// Pause after a long poll that returned empty too early.
const EMPTY_POLL_PAUSE: Duration = Duration::from_secs(1);
/// Pause between receives while the breaker is open.
const OPEN_RECEIVE_INTERVAL: Duration = Duration::from_secs(5);

pub(super) struct Intake {
    queue: Queue,
    concurrency: usize,
    /// One for each message that is prefetched or in progress.
    permits: Arc<Semaphore>,
    processor: Arc<Processor>,
    breaker: Arc<Breaker>,
    tracker: TaskTracker,
    health: Health,
    stop: CancellationToken,
    polls: JoinSet<CompletedPoll>,
    /// Receives in progress at once: one when idle, up to eight under load.
    max_polls: usize,
    backoff: Backoff,
    failures_in_a_row: u32,
    has_polled: bool,
}

struct CompletedPoll {
    result: Result<Vec<Received>, Failure>,
    permits: OwnedSemaphorePermit,
    requested: usize,
    /// Far earlier than the wait that it asked for.
    is_early: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PollOutcome {
    Empty,
    Messages,
    Failed,
}

/// Maximum number of prefetched messages. Zero if held messages can take every concurrency
/// permit: a prefetched message waits for one even to be released.
fn prefetch(concurrency: usize) -> usize {
    if concurrency > MAX_HELD {
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
        health.set_unready(QUEUE_COMPONENT, "starting: first receive pending");
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
            has_polled: false,
        }
    }

    pub(super) async fn run_until_stopped(&mut self) {
        while !self.stop.is_cancelled() {
            self.step().await;
        }
    }

    /// Receives until the queue is empty and every message is settled, or until the stop.
    /// It waits for messages that are hidden for a retry or by another process.
    pub(super) async fn run_until_empty(&mut self) {
        // SQS's counts are approximate: the queue must be empty twice.
        let mut empty_checks = 0;
        while !self.stop.is_cancelled() && empty_checks < 2 {
            let poll_outcome = self.step().await;
            let idle = self.polls.is_empty() && self.tracker.is_empty();
            empty_checks = match poll_outcome {
                Some(PollOutcome::Empty) if idle => match self.queue.attributes().await {
                    Ok(attributes) if attributes.depth.is_empty() => empty_checks + 1,
                    Ok(_) => 0,
                    Err(failure) => {
                        tracing::warn!(error = %failure, "check for an empty queue failed");
                        0
                    }
                },
                _ => 0,
            };
        }
    }

    /// Waits for the polls in progress and releases their messages. A cancelled long
    /// poll would leave its messages hidden until their visibility timeout ends.
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
            let count = join_all(releases).await.len() as u64;
            self.processor
                .counts
                .released
                .fetch_add(count, Ordering::Relaxed);
        }
        self.health.end_heartbeat(INTAKE_LOOP);
    }

    /// Starts polls as far as permits allow and handles the next that finishes.
    async fn step(&mut self) -> Option<PollOutcome> {
        self.heartbeat();
        let message_limit = self.breaker.receive_limit();
        let poll_limit = if message_limit == usize::MAX {
            self.max_polls
        } else {
            1
        };
        while self.polls.len() < poll_limit {
            match self.acquire_permits(message_limit).await {
                Some(permits) => self.start_poll(permits),
                None => break,
            }
        }
        if self.polls.is_empty() {
            if message_limit == 0 {
                // The breaker is open and holds enough messages, or a settling call fails.
                self.pause(OPEN_RECEIVE_INTERVAL).await;
            }
            return None;
        }
        let poll = tokio::select! {
            poll = self.polls.join_next() => poll,
            () = self.stop.cancelled() => None,
        };
        let poll = poll?.ok()?;
        let is_early = poll.is_early;
        let poll_outcome = self.handle_poll(poll);
        if poll_outcome == PollOutcome::Failed {
            let pause = self.backoff.next_pause();
            self.pause(pause).await;
        } else if self.breaker.receive_limit() != usize::MAX {
            // A success allows the next receive at once.
            tokio::select! {
                () = self.pause(OPEN_RECEIVE_INTERVAL) => {}
                () = self.breaker.succeeded() => {}
            }
        } else if poll_outcome == PollOutcome::Empty && is_early {
            // Over its in-flight limit, SQS may end a long poll at once without messages.
            self.pause(EMPTY_POLL_PAUSE).await;
        }
        Some(poll_outcome)
    }

    /// Permits for one receive. Under load it waits for several, so that receives
    /// return full batches.
    async fn acquire_permits(&self, message_limit: usize) -> Option<OwnedSemaphorePermit> {
        let wanted = MAX_BATCH_ENTRIES
            .min(self.concurrency.div_ceil(2))
            .min(message_limit);
        let count = u32::try_from(wanted).ok().filter(|count| *count > 0)?;
        let permits = Arc::clone(&self.permits);
        if !self.polls.is_empty() {
            return permits.try_acquire_many_owned(count).ok();
        }
        tokio::select! {
            permits = permits.acquire_many_owned(count) => permits.ok(),
            () = self.stop.cancelled() => None,
            () = tokio::time::sleep(MAX_PERMIT_WAIT) => None,
        }
    }

    fn start_poll(&mut self, permits: OwnedSemaphorePermit) {
        // The first poll is short: an idle worker is ready soon.
        let queue = if self.has_polled {
            self.queue.clone()
        } else {
            self.queue.with_wait(FIRST_POLL_WAIT)
        };
        let requested = permits.num_permits();
        self.polls.spawn(async move {
            let time_limit = queue.wait() + RECEIVE_GRACE;
            let started = Instant::now();
            let result = tokio::time::timeout(time_limit, queue.receive(requested)).await;
            let result =
                result.unwrap_or_else(|_| Err(queue.timeout_failure(SqsOperation::ReceiveMessage)));
            CompletedPoll {
                result,
                permits,
                requested,
                is_early: started.elapsed() < queue.wait() / 2,
            }
        });
    }

    fn handle_poll(&mut self, poll: CompletedPoll) -> PollOutcome {
        let CompletedPoll {
            result,
            mut permits,
            requested,
            ..
        } = poll;
        let messages = match result {
            Ok(messages) => messages,
            Err(failure) => {
                self.handle_failure(&failure);
                return PollOutcome::Failed;
            }
        };
        self.backoff.reset();
        self.failures_in_a_row = 0;
        self.health.clear_unready(QUEUE_COMPONENT);
        self.has_polled = true;
        #[expect(clippy::cast_precision_loss, reason = "ten at most")]
        metrics::histogram!("usher_receive_messages").record(messages.len() as f64);
        let count = messages.len();
        for message in messages {
            // SQS returns no more than requested. Excess messages would stay hidden
            // until their visibility timeout ends, and not exceed the limit.
            let Some(permit) = permits.split(1) else {
                break;
            };
            self.tracker
                .spawn(Arc::clone(&self.processor).run(message, permit));
        }
        self.max_polls = match count {
            0 => 1,
            count if count >= requested => {
                (self.max_polls + 1).min((self.concurrency / MAX_BATCH_ENTRIES).clamp(1, 8))
            }
            _ => self.max_polls,
        };
        if count == 0 {
            PollOutcome::Empty
        } else {
            PollOutcome::Messages
        }
    }

    fn handle_failure(&mut self, failure: &Failure) {
        self.max_polls = 1;
        self.failures_in_a_row += 1;
        let is_broken = matches!(failure.class, Class::Systemic | Class::Credentials);
        if is_broken || self.failures_in_a_row >= UNREADY_AFTER_FAILURES {
            self.health
                .set_unready(QUEUE_COMPONENT, format!("blocked: {failure}"));
        }
        tracing::warn!(reason = failure.reason.as_str(), error = %failure, "receive failed");
    }

    /// The limit covers the longest part of a step: a receive, or the pause after it.
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
