//! Sends the schedule without waiting for the system: an open loop.
//!
//! A message's latency counts from its scheduled time, so an injector that cannot
//! keep up would seem to be a slow system. Its own delays are measured separately.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::latency::LatencyHistogram;
use super::plan::{LoadMessage, ScheduledMessage};
use crate::aws::{Class, Failure, MAX_BATCH_ENTRIES, Outgoing, Queue};
use crate::retry::{Backoff, Transient};

/// Messages that are due within this time go in one batch: at 1,000 a second ten,
/// the most that SQS accepts in one call.
const SEND_LINGER: Duration = Duration::from_millis(10);
/// With so many batches unanswered SQS is too slow for the schedule. The injector
/// falls behind, and the report shows it.
const MAX_BATCHES_IN_FLIGHT: usize = 128;
/// Transient failures are retried for this long; the retries count as send latency.
const MAX_SEND_RETRY_TIME: Duration = Duration::from_secs(15);

/// Counts of an injection, shared with its observers while it runs.
#[derive(Debug, Clone, Default)]
pub struct InjectionProgress(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    accepted: AtomicU64,
    done: AtomicU64,
}

/// The counts and latencies of an injection.
#[derive(Debug)]
pub struct InjectionResult {
    /// Messages that SQS accepted.
    pub accepted: u64,
    /// Messages that SQS did not accept, with the reason.
    pub failed: Vec<(LoadMessage, String)>,
    /// Messages that were never tried, because the injection ended early.
    pub(crate) not_attempted: u64,
    /// From the start of the schedule to the last answer.
    pub duration: Duration,
    /// How long after its scheduled time the send of a message began.
    pub lateness: LatencyHistogram,
    /// How long SQS took to accept a message, with retries.
    pub send_latency: LatencyHistogram,
}

#[derive(Debug, Default)]
struct InjectionLog {
    failed: Vec<(LoadMessage, String)>,
    lateness: LatencyHistogram,
    send_latency: LatencyHistogram,
}

impl InjectionProgress {
    /// Messages that SQS has accepted so far.
    pub(crate) fn accepted(&self) -> u64 {
        self.0.accepted.load(Ordering::Relaxed)
    }

    /// Messages that were accepted or have failed.
    pub(crate) fn done(&self) -> u64 {
        self.0.done.load(Ordering::Relaxed)
    }
}

/// Sends each message at its time after `start`, or as soon as possible after it.
/// After a systemic failure it ends early.
pub async fn inject(
    queue: &Queue,
    schedule: &[ScheduledMessage],
    message: impl Fn(LoadMessage) -> Outgoing,
    start: Instant,
    progress: &InjectionProgress,
    stop: &CancellationToken,
) -> InjectionResult {
    let log = Arc::new(Mutex::new(InjectionLog::default()));
    let permits = Arc::new(Semaphore::new(MAX_BATCHES_IN_FLIGHT));
    let mut sending = JoinSet::new();
    // SQS will accept nothing until the deployment is fixed.
    let outage = CancellationToken::new();
    let mut rest = schedule;
    let mut next = start;
    while let Some(first) = rest.first() {
        next = next.max(start + first.at);
        tokio::select! {
            () = tokio::time::sleep_until(next) => {}
            () = stop.cancelled() => break,
            () = outage.cancelled() => break,
        }
        let now = start.elapsed();
        let due = rest
            .partition_point(|scheduled| scheduled.at <= now)
            .min(MAX_BATCH_ENTRIES);
        let (batch, others) = rest.split_at(due);
        rest = others;
        let permit = tokio::select! {
            permit = Arc::clone(&permits).acquire_owned() => permit,
            () = stop.cancelled() => break,
            () = outage.cancelled() => break,
        };
        let task = Batch {
            queue: queue.clone(),
            scheduled: batch.to_vec(),
            messages: batch
                .iter()
                .map(|scheduled| message(scheduled.message))
                .collect(),
            start,
            progress: progress.clone(),
            log: Arc::clone(&log),
            outage: outage.clone(),
        };
        sending.spawn(async move {
            task.send().await;
            drop(permit);
        });
        // Finished tasks free their memory here.
        while sending.try_join_next().is_some() {}
        // More may be due than one batch holds; otherwise wait for the next ones.
        let behind = rest.first().is_some_and(|scheduled| scheduled.at <= now);
        next = if behind {
            Instant::now()
        } else {
            Instant::now() + SEND_LINGER
        };
    }
    while sending.join_next().await.is_some() {}
    let log = std::mem::take(&mut *log.lock().unwrap_or_else(PoisonError::into_inner));
    InjectionResult {
        accepted: progress.accepted(),
        not_attempted: (schedule.len() as u64).saturating_sub(progress.done()),
        failed: log.failed,
        duration: start.elapsed(),
        lateness: log.lateness,
        send_latency: log.send_latency,
    }
}

struct Batch {
    queue: Queue,
    scheduled: Vec<ScheduledMessage>,
    messages: Vec<Outgoing>,
    start: Instant,
    progress: InjectionProgress,
    log: Arc<Mutex<InjectionLog>>,
    outage: CancellationToken,
}

impl Batch {
    async fn send(self) {
        let send_start = self.start.elapsed();
        let mut left: Vec<(ScheduledMessage, Outgoing)> =
            self.scheduled.into_iter().zip(self.messages).collect();
        let mut backoff = Backoff::default();
        loop {
            let messages: Vec<Outgoing> = left.iter().map(|(_, message)| message.clone()).collect();
            let answers = self.queue.send_all_with_retry(&messages).await;
            let took = self.start.elapsed().saturating_sub(send_start);
            let is_broken = |answer: &Result<_, Failure>| matches!(answer, Err(failure) if failure.class == Class::Systemic);
            if answers.iter().any(is_broken) {
                self.outage.cancel();
            }
            let all = left.into_iter().zip(answers);
            left = record_answers(all, send_start, took, &self.progress, &self.log);
            if left.is_empty() {
                return;
            }
            tokio::time::sleep(backoff.next_pause()).await;
        }
    }
}

/// Records the final answers, and returns the messages to retry.
fn record_answers(
    all: impl Iterator<Item = ((ScheduledMessage, Outgoing), Result<String, Failure>)>,
    send_start: Duration,
    took: Duration,
    progress: &InjectionProgress,
    log: &Mutex<InjectionLog>,
) -> Vec<(ScheduledMessage, Outgoing)> {
    let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
    let mut retries = Vec::new();
    for ((scheduled, message), answer) in all {
        match answer {
            Ok(_) => {
                progress.0.accepted.fetch_add(1, Ordering::Relaxed);
                log.lateness.record(send_start.saturating_sub(scheduled.at));
                log.send_latency.record(took);
            }
            Err(failure) if failure.is_transient() && took < MAX_SEND_RETRY_TIME => {
                retries.push((scheduled, message));
                continue;
            }
            Err(failure) => log.failed.push((scheduled.message, failure.to_string())),
        }
        progress.0.done.fetch_add(1, Ordering::Relaxed);
    }
    retries
}
