//! Batches deletes and visibility changes: up to ten entries, or those of 50 ms.
//! SQS responds with 200 although entries failed. Those are sent again, and from the third
//! try on one by one.

use std::time::Duration;

use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::breaker::Breaker;
use crate::aws::{
    BatchEntry, BatchOperation, Class, FailedEntry, Failure, MAX_BATCH_ENTRIES,
    MAX_BATCHES_IN_PARALLEL, Queue,
};
use crate::retry::Backoff;

const BATCH_LINGER: Duration = Duration::from_millis(50);
/// Tries of one batch, with pauses of about 16 s in all. After them a message returns
/// when its visibility timeout ends: a failed delete does not fail the message. While the
/// queue itself is at fault, the count starts again.
const MAX_BATCH_TRIES: u32 = 7;
const MAX_WAITING_ENTRIES: usize = 1024;
/// Longest pause between tries during a drain.
const DRAIN_RETRY_PAUSE: Duration = Duration::from_millis(250);

/// Queues entries for the task that sends them.
#[derive(Debug, Clone)]
pub(super) struct Batcher {
    entries: mpsc::Sender<BatchEntry>,
    closing: CancellationToken,
}

#[derive(Debug, Clone)]
struct BatchSender {
    queue: Queue,
    operation: BatchOperation,
    breaker: Arc<Breaker>,
    closing: CancellationToken,
}

impl Batcher {
    /// Starts the task. It ends after [`Self::close`], once each entry is sent or abandoned.
    pub(super) fn start(
        queue: Queue,
        operation: BatchOperation,
        breaker: Arc<Breaker>,
    ) -> (Self, tokio::task::JoinHandle<()>) {
        let (entries, waiting) = mpsc::channel(MAX_WAITING_ENTRIES);
        let closing = CancellationToken::new();
        let sender = BatchSender {
            queue,
            operation,
            breaker,
            closing: closing.clone(),
        };
        let task = tokio::spawn(run(sender, waiting, closing.clone()));
        (Self { entries, closing }, task)
    }

    /// Adds one entry; waits while `MAX_WAITING_ENTRIES` are queued.
    pub(super) async fn push(&self, entry: BatchEntry) {
        if self.entries.send(entry).await.is_err() {
            tracing::warn!(
                "delete or visibility change discarded, since the worker ends; SQS redelivers its message"
            );
        }
    }

    /// Closes the batcher: queued entries are still sent, later ones are discarded.
    pub(super) fn close(&self) {
        self.closing.cancel();
    }
}

async fn run(
    sender: BatchSender,
    mut waiting: mpsc::Receiver<BatchEntry>,
    closing: CancellationToken,
) {
    let mut calls = JoinSet::new();
    loop {
        let first = tokio::select! {
            biased;
            entry = waiting.recv() => entry,
            () = closing.cancelled(), if !waiting.is_closed() => {
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
        let sender = sender.clone();
        calls.spawn(async move { sender.send_with_retries(batch).await });
    }
    while calls.join_next().await.is_some() {}
}

impl BatchSender {
    async fn send_with_retries(&self, mut batch: Vec<BatchEntry>) {
        let mut backoff = Backoff::default();
        let mut queue_fault: Option<Failure> = None;
        let mut tries = 0;
        while !batch.is_empty() {
            if tries > 0 {
                self.pause(backoff.next_pause()).await;
            }
            tries += 1;
            // One by one from the third try on: a bad entry must not delay nine others.
            let size = if tries > 2 { 1 } else { MAX_BATCH_ENTRIES };
            let mut remaining = Vec::new();
            let mut failed = None;
            while !batch.is_empty() {
                let rest = batch.split_off(size.min(batch.len()));
                match self.queue.apply_batch(self.operation, &batch).await {
                    Ok(failed) => {
                        let sent = batch.into_iter().enumerate();
                        let again = sent.filter(|(at, _)| FailedEntry::is_to_resend(&failed, *at));
                        remaining.extend(again.map(|(_, entry)| entry));
                    }
                    Err(failure) => {
                        remaining.extend(batch);
                        failed = Some(failure);
                    }
                }
                batch = rest;
            }
            batch = remaining;
            match failed {
                Some(failure) if is_queue_fault(&failure, tries) => {
                    self.breaker.record_settling_failure(&failure);
                    queue_fault = Some(failure);
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
                // Another failure after a queue fault does not prove a recovery.
                Some(_) => {}
                None => {
                    if let Some(failure) = queue_fault.take() {
                        self.breaker.record_recovery(&failure);
                    }
                }
            }
        }
        // No one retries this batch again, so its failure must not keep the breaker open.
        if let Some(failure) = queue_fault {
            self.breaker.record_recovery(&failure);
        }
    }

    /// Ends early when a failure may have ended, and when the batcher is closed. Closing also
    /// limits it to [`DRAIN_RETRY_PAUSE`].
    async fn pause(&self, time: Duration) {
        let is_closing = self.closing.is_cancelled();
        let time = if is_closing {
            time.min(DRAIN_RETRY_PAUSE)
        } else {
            time
        };
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            () = self.breaker.changed() => {}
            () = self.closing.cancelled(), if !is_closing => {}
        }
    }

    fn log_abandoned(&self, messages: usize, error: &str) {
        tracing::warn!(
            verb = ?self.operation, messages, error,
            "delete or visibility change abandoned; messages return after their timeout",
        );
    }
}

/// Whether the queue is at fault, and no entry. SQS refuses a bad entry within a
/// successful response. A systemic failure is a fault of the queue at once, and a permanent
/// one after [`MAX_BATCH_TRIES`]: settled messages would return until SQS moves them.
fn is_queue_fault(failure: &Failure, tries: u32) -> bool {
    match failure.class {
        Class::Systemic => true,
        // Emulators refuse the whole call for a stale receipt.
        Class::Permanent => tries >= MAX_BATCH_TRIES && !failure.is_stale_receipt(),
        _ => false,
    }
}
