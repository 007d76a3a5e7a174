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

use super::latency::Latency;
use super::plan::{Shot, What};
use crate::aws::{BATCH, Class, Failure, Outgoing, Queue};
use crate::retry::{Patience, Transient};

/// What is due within this time goes in one batch: at 1,000 a second ten messages,
/// as many as SQS takes in one call.
const LINGER: Duration = Duration::from_millis(10);
/// Batches that are out at once. Beyond that SQS is too slow for the schedule, and
/// the injector is late, which shows.
const OUT: usize = 128;
/// What SQS does not take is tried again for so long; the time counts as its answer's.
const TRIED_FOR: Duration = Duration::from_secs(15);

/// How far an injection is. Shared while it runs.
#[derive(Debug, Clone, Default)]
pub struct Sent(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    messages: AtomicU64,
    done: AtomicU64,
}

/// What came of an injection.
#[derive(Debug)]
pub struct Sends {
    /// Messages that SQS took.
    pub messages: u64,
    /// Those that it did not take, with the reason.
    pub refused: Vec<(What, String)>,
    /// Those that were never tried, because it was stopped.
    pub untried: u64,
    /// From the first send to the last answer.
    pub time: Duration,
    /// How long after its time a message's send began.
    pub late: Latency,
    /// How long SQS took to answer.
    pub answered: Latency,
}

#[derive(Debug, Default)]
struct Ledger {
    refused: Vec<(What, String)>,
    late: Latency,
    answered: Latency,
}

impl Sent {
    /// Messages that SQS took so far.
    pub fn messages(&self) -> u64 {
        self.0.messages.load(Ordering::Relaxed)
    }

    /// Messages that are done with, taken or not.
    pub fn done(&self) -> u64 {
        self.0.done.load(Ordering::Relaxed)
    }
}

/// Sends each shot at `begun` and its own time, or as soon after it as it can.
pub async fn inject(
    queue: &Queue,
    shots: &[Shot],
    message: impl Fn(What) -> Outgoing,
    begun: Instant,
    sent: &Sent,
    stop: &CancellationToken,
) -> Sends {
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let permits = Arc::new(Semaphore::new(OUT));
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
        let due = rest.partition_point(|shot| shot.at <= now).min(BATCH);
        let (batch, others) = rest.split_at(due);
        rest = others;
        let permit = tokio::select! {
            permit = Arc::clone(&permits).acquire_owned() => permit,
            () = stop.cancelled() => break,
            () = broken.cancelled() => break,
        };
        let task = Batch {
            queue: queue.clone(),
            shots: batch.to_vec(),
            messages: batch.iter().map(|shot| message(shot.what)).collect(),
            begun,
            sent: sent.clone(),
            ledger: Arc::clone(&ledger),
            broken: broken.clone(),
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
            Instant::now() + LINGER
        };
    }
    while sending.join_next().await.is_some() {}
    let ledger = std::mem::take(&mut *ledger.lock().unwrap_or_else(PoisonError::into_inner));
    Sends {
        messages: sent.messages(),
        untried: (shots.len() as u64).saturating_sub(sent.done()),
        refused: ledger.refused,
        time: begun.elapsed(),
        late: ledger.late,
        answered: ledger.answered,
    }
}

struct Batch {
    queue: Queue,
    shots: Vec<Shot>,
    messages: Vec<Outgoing>,
    begun: Instant,
    sent: Sent,
    ledger: Arc<Mutex<Ledger>>,
    broken: CancellationToken,
}

impl Batch {
    async fn send(self) {
        let began = self.begun.elapsed();
        let mut left: Vec<(Shot, Outgoing)> = self.shots.into_iter().zip(self.messages).collect();
        let mut pace = Patience::default();
        loop {
            let messages: Vec<Outgoing> = left.iter().map(|(_, message)| message.clone()).collect();
            let answers = self.queue.send_each(&messages).await;
            let took = self.begun.elapsed().saturating_sub(began);
            let is_broken = |answer: &Result<_, Failure>| matches!(answer, Err(failure) if failure.class == Class::Systemic);
            if answers.iter().any(is_broken) {
                self.broken.cancel();
            }
            let all = left.into_iter().zip(answers);
            left = note(all, began, took, &self.sent, &self.ledger);
            if left.is_empty() {
                return;
            }
            tokio::time::sleep(pace.next_pause()).await;
        }
    }
}

/// Notes what is done with, and answers with what is to be tried again.
fn note(
    all: impl Iterator<Item = ((Shot, Outgoing), Result<String, Failure>)>,
    began: Duration,
    took: Duration,
    sent: &Sent,
    ledger: &Mutex<Ledger>,
) -> Vec<(Shot, Outgoing)> {
    let mut ledger = ledger.lock().unwrap_or_else(PoisonError::into_inner);
    let mut again = Vec::new();
    for ((shot, message), answer) in all {
        match answer {
            Ok(_) => {
                sent.0.messages.fetch_add(1, Ordering::Relaxed);
                ledger.late.record(began.saturating_sub(shot.at));
                ledger.answered.record(took);
            }
            Err(failure) if failure.is_transient() && took < TRIED_FOR => {
                again.push((shot, message));
                continue;
            }
            Err(failure) => ledger.refused.push((shot.what, failure.to_string())),
        }
        sent.0.done.fetch_add(1, Ordering::Relaxed);
    }
    again
}
