//! Hides received dead letters until a scan ends, so that the scan sees each only
//! once. At the end all of them become visible again.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::aws::{FailedEntry, Failure, MAX_BATCH_ENTRIES, Queue, Received, SqsOperation};
use crate::retry::retry_inline;

/// Calls for one batch while SQS refuses some of its entries.
const MAX_HIDE_TRIES: u32 = 3;
const MAX_CALLS_IN_PARALLEL: usize = 8;
/// The more dead letters are hidden, the longer an extension lasts. So extending takes
/// at most about twenty calls a second.
const EXTENSIONS_PER_SECOND: usize = 100;

/// How long an extension lasts when `dead_letters` are hidden. After a kill they stay
/// hidden for at most this time.
pub(super) fn extension_time(visibility: Duration, dead_letters: u64) -> Duration {
    visibility.max(Duration::from_secs(
        dead_letters / EXTENSIONS_PER_SECOND as u64,
    ))
}

#[derive(Debug)]
pub(super) struct HiddenSet {
    messages: HiddenReceipts,
    /// Stops the extender task, also when the scan is dropped before its end.
    stop: DropGuard,
    extender: JoinHandle<()>,
}

#[derive(Debug, Clone)]
struct HiddenReceipts {
    queue: Queue,
    receipts: Arc<Mutex<HashMap<String, HiddenReceipt>>>,
}

#[derive(Debug, Clone)]
struct HiddenReceipt {
    receipt: String,
    until: Instant,
}

impl HiddenSet {
    /// Starts empty. Receives on `queue` hide for `queue.visibility()`.
    pub(super) fn new(queue: Queue) -> Self {
        let messages = HiddenReceipts {
            queue,
            receipts: Arc::default(),
        };
        let stop = CancellationToken::new();
        let extender = tokio::spawn(messages.clone().extend_until_stopped(stop.clone()));
        Self {
            messages,
            stop: stop.drop_guard(),
            extender,
        }
    }

    /// Hides a message that was just received. For one that is hidden already, the new
    /// receipt replaces the old, which is stale.
    pub(super) fn insert(&self, message: &Received) {
        let hidden = HiddenReceipt {
            receipt: message.receipt_handle.clone(),
            until: message.receive_time + self.messages.queue.visibility(),
        };
        self.messages.lock().insert(message.id.clone(), hidden);
    }

    pub(super) fn contains(&self, id: &str) -> bool {
        self.messages.lock().contains_key(id)
    }

    pub(super) fn len(&self) -> usize {
        self.messages.lock().len()
    }

    /// Deletes dead letters, each by its latest receipt. Returns those that SQS did
    /// not delete; they stay hidden.
    pub(super) async fn delete(&self, ids: &[&str]) -> Vec<(String, Failure)> {
        let entries: Vec<(String, HiddenReceipt)> = {
            let mut hidden = self.messages.lock();
            ids.iter()
                .filter_map(|id| hidden.remove_entry(*id))
                .collect()
        };
        let mut failed = Vec::new();
        for batch in entries.chunks(MAX_BATCH_ENTRIES) {
            for (entry, failure) in self.messages.delete_batch(batch).await {
                let (id, hidden) = entry.clone();
                self.messages.lock().insert(id.clone(), hidden);
                failed.push((id, failure));
            }
        }
        failed
    }

    /// Makes every hidden dead letter visible again. Returns the number of those for which
    /// this failed: they stay hidden until their visibility timeout ends.
    pub(super) async fn release(self) -> u64 {
        // An extension in progress must not reach SQS after the messages are visible.
        drop(self.stop);
        if let Err(error) = self.extender.await {
            tracing::error!(error = %error, "task that extends the visibility of received dead letters failed");
        }
        let receipts: Vec<String> = self
            .messages
            .lock()
            .drain()
            .map(|(_, hidden)| hidden.receipt)
            .collect();
        let messages = &self.messages;
        // When one call fails, the others would fail too.
        let is_unreachable = &AtomicBool::new(false);
        stream::iter(receipts.chunks(MAX_BATCH_ENTRIES))
            .map(|batch| messages.make_batch_visible(batch, is_unreachable))
            .buffer_unordered(MAX_CALLS_IN_PARALLEL)
            .fold(0, |sum, remaining| async move { sum + remaining })
            .await
    }
}

impl HiddenReceipts {
    async fn extend_until_stopped(self, stop: CancellationToken) {
        let visibility = self.queue.visibility();
        loop {
            tokio::select! {
                () = tokio::time::sleep(visibility / 6) => {}
                () = stop.cancelled() => return,
            }
            let due = self.receipts_to_extend(visibility);
            let extension = extension_time(visibility, self.lock().len() as u64);
            stream::iter(due.chunks(MAX_BATCH_ENTRIES))
                .take_while(|_| std::future::ready(!stop.is_cancelled()))
                .for_each_concurrent(MAX_CALLS_IN_PARALLEL, |batch| {
                    self.extend_batch(batch, extension)
                })
                .await;
        }
    }

    fn receipts_to_extend(&self, visibility: Duration) -> Vec<(String, String)> {
        let threshold = Instant::now() + visibility / 2;
        self.lock()
            .iter()
            .filter(|(_, hidden)| hidden.until < threshold)
            .map(|(id, hidden)| (id.clone(), hidden.receipt.clone()))
            .collect()
    }

    /// A dead letter that cannot be extended becomes visible. The scan receives it again
    /// and knows its id.
    async fn extend_batch(&self, batch: &[(String, String)], extension: Duration) {
        let until = Instant::now() + extension;
        let receipts: Vec<_> = batch
            .iter()
            .map(|(_, receipt)| (receipt.as_str(), extension))
            .collect();
        match self.queue.change_visibility(&receipts).await {
            Ok(failed) => {
                let mut receipts = self.lock();
                for (position, (id, receipt)) in batch.iter().enumerate() {
                    // Retried at the next extension, unless its receipt is stale.
                    let is_retried =
                        |failed: &FailedEntry| failed.position == position && !failed.is_terminal;
                    if failed.iter().any(is_retried) {
                        continue;
                    }
                    if let Some(hidden) = receipts
                        .get_mut(id)
                        .filter(|hidden| hidden.receipt == *receipt)
                    {
                        hidden.until = until;
                    }
                }
            }
            Err(failure) => {
                tracing::warn!(dead_letters = batch.len(), error = %failure, "visibility of received dead letters could not be extended; retrying");
            }
        }
    }

    async fn delete_batch<'a>(
        &self,
        batch: &'a [(String, HiddenReceipt)],
    ) -> Vec<(&'a (String, HiddenReceipt), Failure)> {
        let mut remaining: Vec<&(String, HiddenReceipt)> = batch.iter().collect();
        let mut failures = Vec::new();
        // SQS responds with 200 although entries failed.
        for _ in 0..MAX_HIDE_TRIES {
            let receipts: Vec<&str> = remaining
                .iter()
                .map(|(_, hidden)| hidden.receipt.as_str())
                .collect();
            match retry_inline(|| self.queue.delete(&receipts)).await {
                Ok(failed) => {
                    let failure = |failed| {
                        self.queue
                            .entry_failure(SqsOperation::DeleteMessageBatch, failed)
                    };
                    failures = failed.iter().map(failure).collect();
                    remaining = select_failed(&remaining, &failed);
                }
                Err(failure) => {
                    failures = vec![failure; remaining.len()];
                    break;
                }
            }
            if remaining.is_empty() {
                break;
            }
        }
        remaining.into_iter().zip(failures).collect()
    }

    async fn make_batch_visible(&self, receipts: &[String], is_unreachable: &AtomicBool) -> u64 {
        let mut remaining: Vec<(&str, Duration)> = receipts
            .iter()
            .map(|receipt| (receipt.as_str(), Duration::ZERO))
            .collect();
        for _ in 0..MAX_HIDE_TRIES {
            if is_unreachable.load(Ordering::Relaxed) {
                break;
            }
            let Ok(mut failed) = retry_inline(|| self.queue.change_visibility(&remaining)).await
            else {
                is_unreachable.store(true, Ordering::Relaxed);
                break;
            };
            // Stale receipt: the dead letter is visible, or another process received it.
            failed.retain(|failed| !failed.is_terminal);
            remaining = select_failed(&remaining, &failed);
            if remaining.is_empty() {
                break;
            }
        }
        remaining.len() as u64
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, HiddenReceipt>> {
        self.receipts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The entries of `batch` that failed, in the order of `failed`.
fn select_failed<T: Copy>(batch: &[T], failed: &[FailedEntry]) -> Vec<T> {
    failed
        .iter()
        .filter_map(|failed| batch.get(failed.position).copied())
        .collect()
}
