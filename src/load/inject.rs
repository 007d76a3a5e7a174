//! Sends the schedule, whatever becomes of it: an open loop.
//!
//! A message's latency counts from its scheduled time, so an injector that cannot
//! keep up would look like a slow system. Its own delays are measured beside.

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

/// What is due within this time goes in one batch: at 1,000 a second ten messages,
/// as many as SQS takes in one call.
const SEND_LINGER: Duration = Duration::from_millis(10);
/// Batches that are out at once. Beyond that SQS is too slow for the schedule, and
/// the injector is late, which shows.
const MAX_BATCHES_IN_FLIGHT: usize = 128;
/// What SQS does not take is tried again for so long; the time counts as its answer's.
const MAX_SEND_RETRY_TIME: Duration = Duration::from_secs(15);

/// How far an injection is. Shared while it runs.
#[derive(Debug, Clone, Default)]
pub struct InjectionProgress(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    accepted: AtomicU64,
    done: AtomicU64,
}

/// What came of an injection.
#[derive(Debug)]
pub struct InjectionResult {
    /// Messages that SQS took.
    pub accepted: u64,
    /// Those that it did not take, with the reason.
    pub failed: Vec<(LoadMessage, String)>,
    /// Those that were never tried, because it was stopped.
    pub(crate) not_attempted: u64,
    /// From the first send to the last answer.
    pub duration: Duration,
    /// How long after its time a message's send began.
    pub lateness: LatencyHistogram,
    /// How long SQS took to answer.
    pub send_latency: LatencyHistogram,
}

#[derive(Debug, Default)]
struct InjectionLog {
    failed: Vec<(LoadMessage, String)>,
    lateness: LatencyHistogram,
    send_latency: LatencyHistogram,
}

impl InjectionProgress {
    /// Messages that SQS took so far.
    pub(crate) fn accepted(&self) -> u64 {
        self.0.accepted.load(Ordering::Relaxed)
    }

    /// Messages that are done with, taken or not.
    pub(crate) fn done(&self) -> u64 {
        self.0.done.load(Ordering::Relaxed)
    }
}

/// Sends each shot at `begun` and its own time, or as soon after it as it can.
pub async fn inject(
    queue: &Queue,
    shots: &[ScheduledMessage],
    message: impl Fn(LoadMessage) -> Outgoing,
    begun: Instant,
    sent: &InjectionProgress,
    stop: &CancellationToken,
) -> InjectionResult {
    let ledger = Arc::new(Mutex::new(InjectionLog::default()));
    let permits = Arc::new(Semaphore::new(MAX_BATCHES_IN_FLIGHT));
    let mut sending = JoinSet::new();
    // Nothing will be taken until somebody mends the deployment.
    let broken = CancellationToken::new();
    let mut rest = shots;
    let mut next = begun;
    while let Some(first) = rest.first() {
        next = next.max(begun + first.at);
        tokio::select! {
            () = tokio::time::sleep_until(next) => {}
            () = stop.cancelled() => break,
            () = broken.cancelled() => break,
        }
        let now = begun.elapsed();
        let due = rest
            .partition_point(|shot| shot.at <= now)
            .min(MAX_BATCH_ENTRIES);
        let (batch, others) = rest.split_at(due);
        rest = others;
        let permit = tokio::select! {
            permit = Arc::clone(&permits).acquire_owned() => permit,
            () = stop.cancelled() => break,
            () = broken.cancelled() => break,
        };
        let task = Batch {
            queue: queue.clone(),
            scheduled: batch.to_vec(),
            messages: batch.iter().map(|shot| message(shot.message)).collect(),
            start: begun,
            progress: sent.clone(),
            log: Arc::clone(&ledger),
            outage: broken.clone(),
        };
        sending.spawn(async move {
            task.send().await;
            drop(permit);
        });
        // What ended gives its memory back.
        while sending.try_join_next().is_some() {}
        // More may be due than one batch holds; otherwise wait for the next ones.
        let behind = rest.first().is_some_and(|shot| shot.at <= now);
        next = if behind {
            Instant::now()
        } else {
            Instant::now() + SEND_LINGER
        };
    }
    while sending.join_next().await.is_some() {}
    let ledger = std::mem::take(&mut *ledger.lock().unwrap_or_else(PoisonError::into_inner));
    InjectionResult {
        accepted: sent.accepted(),
        not_attempted: (shots.len() as u64).saturating_sub(sent.done()),
        failed: ledger.failed,
        duration: begun.elapsed(),
        lateness: ledger.lateness,
        send_latency: ledger.send_latency,
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
        let began = self.start.elapsed();
        let mut left: Vec<(ScheduledMessage, Outgoing)> =
            self.scheduled.into_iter().zip(self.messages).collect();
        let mut pace = Backoff::default();
        loop {
            let messages: Vec<Outgoing> = left.iter().map(|(_, message)| message.clone()).collect();
            let answers = self.queue.send_all_with_retry(&messages).await;
            let took = self.start.elapsed().saturating_sub(began);
            let is_broken = |answer: &Result<_, Failure>| matches!(answer, Err(failure) if failure.class == Class::Systemic);
            if answers.iter().any(is_broken) {
                self.outage.cancel();
            }
            let all = left.into_iter().zip(answers);
            left = record_answers(all, began, took, &self.progress, &self.log);
            if left.is_empty() {
                return;
            }
            tokio::time::sleep(pace.next_pause()).await;
        }
    }
}

/// Notes what is done with, and answers with what is to be tried again.
fn record_answers(
    all: impl Iterator<Item = ((ScheduledMessage, Outgoing), Result<String, Failure>)>,
    began: Duration,
    took: Duration,
    sent: &InjectionProgress,
    ledger: &Mutex<InjectionLog>,
) -> Vec<(ScheduledMessage, Outgoing)> {
    let mut ledger = ledger.lock().unwrap_or_else(PoisonError::into_inner);
    let mut again = Vec::new();
    for ((shot, message), answer) in all {
        match answer {
            Ok(_) => {
                sent.0.accepted.fetch_add(1, Ordering::Relaxed);
                ledger.lateness.record(began.saturating_sub(shot.at));
                ledger.send_latency.record(took);
            }
            Err(failure) if failure.is_transient() && took < MAX_SEND_RETRY_TIME => {
                again.push((shot, message));
                continue;
            }
            Err(failure) => ledger.failed.push((shot.message, failure.to_string())),
        }
        sent.0.done.fetch_add(1, Ordering::Relaxed);
    }
    again
}
