//! Deletes and visibility changes in batches: up to ten, or what came together
//! within 50 ms. SQS answers 200 although entries failed, so those are tried
//! again, then singly.

use std::time::Duration;

use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::breaker::Breaker;
use crate::aws::{Class, FailedEntry, Failure, MAX_BATCH_ENTRIES, Queue};
use crate::retry::Backoff;

const BATCH_LINGER: Duration = Duration::from_millis(50);
const MAX_BATCHES_IN_PARALLEL: usize = 8;
/// Tries of one batch, some 20 s in all. Then the message is left to its
/// visibility timeout: a failed delete is not a failed message.
const MAX_BATCH_TRIES: u32 = 7;
const MAX_WAITING_ENTRIES: usize = 1024;
/// Pause between tries on the way out.
const DRAIN_RETRY_PAUSE: Duration = Duration::from_millis(250);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BatchOperation {
    Delete,
    Hide,
}

#[derive(Debug)]
pub(super) struct BatchEntry {
    pub(super) receipt: String,
    /// For [`BatchOperation::Hide`].
    pub(super) visibility_timeout: Duration,
}

/// Where entries are handed in.
#[derive(Debug, Clone)]
pub(super) struct Batcher {
    entries: mpsc::Sender<BatchEntry>,
    flush: CancellationToken,
}

#[derive(Debug, Clone)]
struct BatchSender {
    queue: Queue,
    operation: BatchOperation,
    breaker: Arc<Breaker>,
    flush: CancellationToken,
}

impl Batcher {
    /// Starts the batcher; the task ends when it was told to flush and is done.
    pub(super) fn start(
        queue: Queue,
        verb: BatchOperation,
        breaker: Arc<Breaker>,
    ) -> (Self, tokio::task::JoinHandle<()>) {
        let (entries, waiting) = mpsc::channel(MAX_WAITING_ENTRIES);
        let flush = CancellationToken::new();
        let caller = BatchSender {
            queue,
            operation: verb,
            breaker,
            flush: flush.clone(),
        };
        let task = tokio::spawn(run(caller, waiting, flush.clone()));
        (Self { entries, flush }, task)
    }

    /// Hands in one entry; waits while too many are waiting.
    pub(super) async fn push(&self, entry: BatchEntry) {
        if self.entries.send(entry).await.is_err() {
            tracing::warn!("an entry came after the flush; its message will be delivered again");
        }
    }

    /// Takes nothing more and sends what there is.
    pub(super) fn flush(&self) {
        self.flush.cancel();
    }
}

async fn run(
    caller: BatchSender,
    mut waiting: mpsc::Receiver<BatchEntry>,
    flush: CancellationToken,
) {
    let mut calls = JoinSet::new();
    loop {
        let first = tokio::select! {
            biased;
            entry = waiting.recv() => entry,
            () = flush.cancelled(), if !waiting.is_closed() => {
                waiting.close();
                continue;
            }
        };
        let Some(first) = first else { break };
        let mut batch = vec![first];
        let until = Instant::now() + BATCH_LINGER;
        while batch.len() < MAX_BATCH_ENTRIES {
            match tokio::time::timeout_at(until, waiting.recv()).await {
                Ok(Some(entry)) => batch.push(entry),
                _ => break,
            }
        }
        while calls.len() >= MAX_BATCHES_IN_PARALLEL {
            calls.join_next().await;
        }
        let caller = caller.clone();
        calls.spawn(async move { caller.send_with_retries(batch).await });
    }
    while calls.join_next().await.is_some() {}
}

impl BatchSender {
    async fn send_with_retries(&self, mut batch: Vec<BatchEntry>) {
        let mut pace = Backoff::default();
        let mut broken: Option<Failure> = None;
        let mut tries = 0;
        while !batch.is_empty() {
            if tries > 0 {
                self.pause(pace.next_pause()).await;
            }
            tries += 1;
            // Singly from the third try on: one bad entry must not hold up nine.
            let size = if tries > 2 { 1 } else { MAX_BATCH_ENTRIES };
            let mut left = Vec::new();
            let mut failed = None;
            while !batch.is_empty() {
                let rest = batch.split_off(size.min(batch.len()));
                match self.send(&batch).await {
                    Ok(undone) => left.extend(retain_failed(batch, &undone)),
                    Err(failure) => {
                        left.extend(batch);
                        failed = Some(failure);
                    }
                }
                batch = rest;
            }
            batch = left;
            match failed {
                Some(failure) if is_queue_fault(&failure, tries) => {
                    self.breaker.record_settling_failure(&failure);
                    broken = Some(failure);
                    tries = 1;
                }
                Some(failure) if tries >= MAX_BATCH_TRIES => {
                    self.log_abandoned(batch.len(), &failure.code);
                    break;
                }
                None if tries >= MAX_BATCH_TRIES && !batch.is_empty() => {
                    self.log_abandoned(batch.len(), "entries failed");
                    break;
                }
                // A time-out after a refusal proves nothing.
                Some(_) => {}
                None => {
                    if let Some(failure) = broken.take() {
                        self.breaker.record_recovery(&failure);
                    }
                }
            }
        }
        if let Some(failure) = broken {
            self.breaker.record_recovery(&failure);
        }
    }

    /// Shorter when something was mended, and on the way out.
    async fn pause(&self, time: Duration) {
        let flushing = self.flush.is_cancelled();
        let time = if flushing {
            time.min(DRAIN_RETRY_PAUSE)
        } else {
            time
        };
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            () = self.breaker.changed() => {}
            () = self.flush.cancelled(), if !flushing => {}
        }
    }

    async fn send(&self, batch: &[BatchEntry]) -> Result<Vec<FailedEntry>, Failure> {
        match self.operation {
            BatchOperation::Delete => {
                let receipts: Vec<&str> =
                    batch.iter().map(|entry| entry.receipt.as_str()).collect();
                self.queue.delete(&receipts).await
            }
            BatchOperation::Hide => {
                let receipts: Vec<(&str, Duration)> = batch
                    .iter()
                    .map(|entry| (entry.receipt.as_str(), entry.visibility_timeout))
                    .collect();
                self.queue.change_visibility(&receipts).await
            }
        }
    }

    fn log_abandoned(&self, messages: usize, error: &str) {
        tracing::warn!(
            verb = ?self.operation, messages, error,
            "not carried out; the messages come back after their visibility timeout",
        );
    }
}

/// Whether no entry is to blame. SQS refuses those one by one, so a whole call that is
/// refused again and again, even with one entry, is refused to everybody: messages that are
/// done would come again until SQS moves them.
fn is_queue_fault(failure: &Failure, tries: u32) -> bool {
    match failure.class {
        Class::Systemic => true,
        // Emulators refuse the whole call for a stale receipt.
        Class::Permanent => {
            tries >= MAX_BATCH_TRIES && !FailedEntry::is_terminal_code(&failure.code)
        }
        _ => false,
    }
}

/// The entries worth another try. A stale receipt is not: the message is gone
/// or has been received again.
fn retain_failed(
    batch: Vec<BatchEntry>,
    undone: &[FailedEntry],
) -> impl Iterator<Item = BatchEntry> {
    batch
        .into_iter()
        .enumerate()
        .filter(|(position, _)| {
            undone
                .iter()
                .any(|undone| undone.position == *position && !undone.is_terminal)
        })
        .map(|(_, entry)| entry)
}
