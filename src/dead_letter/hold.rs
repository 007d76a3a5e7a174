//! Letters that were received and are kept hidden, so that a scan sees each
//! once however long it takes, and everything is visible again afterwards.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::aws::{FailedEntry, Failure, MAX_BATCH_ENTRIES, Queue, Received};
use crate::retry::retry_inline;

/// Tries of a batch of which entries fail.
const MAX_HOLD_BATCH_TRIES: u32 = 3;
/// Calls that are out at once.
const HOLD_CALLS_IN_PARALLEL: usize = 8;
/// With very many letters in hand an extension lasts longer, so that extending
/// takes no more than some twenty calls a second.
const EXTENSIONS_PER_SECOND: usize = 100;

/// How long so many letters stay hidden when their process is killed.
pub(super) fn hold_duration(visibility: Duration, letters: u64) -> Duration {
    visibility.max(Duration::from_secs(letters / EXTENSIONS_PER_SECOND as u64))
}

#[derive(Debug)]
pub(super) struct HoldSet {
    messages: HeldMessages,
    /// Stops the keeper, also when this is dropped on the way.
    stop: DropGuard,
    extender: JoinHandle<()>,
}

#[derive(Debug, Clone)]
struct HeldMessages {
    queue: Queue,
    receipts: Arc<Mutex<HashMap<String, HeldReceipt>>>,
}

#[derive(Debug, Clone)]
struct HeldReceipt {
    receipt: String,
    until: Instant,
}

impl HoldSet {
    /// Holds nothing yet. `queue.visibility()` is what its receives hide for.
    pub(super) fn new(queue: Queue) -> Self {
        let messages = HeldMessages {
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

    /// Holds what was just received. A letter that is held already goes on with
    /// its new receipt, the old one being void.
    pub(super) fn insert(&self, message: &Received) {
        let held = HeldReceipt {
            receipt: message.receipt_handle.clone(),
            until: message.receive_time + self.messages.queue.visibility(),
        };
        self.messages.lock().insert(message.id.clone(), held);
    }

    pub(super) fn contains(&self, id: &str) -> bool {
        self.messages.lock().contains_key(id)
    }

    pub(super) fn len(&self) -> usize {
        self.messages.lock().len()
    }

    /// Deletes letters for good, each by its latest receipt. Answers with those
    /// that could not be deleted; they are held as before.
    pub(super) async fn delete(&self, ids: &[&str]) -> Vec<(String, Failure)> {
        let entries: Vec<(String, HeldReceipt)> = {
            let mut held = self.messages.lock();
            ids.iter().filter_map(|id| held.remove_entry(*id)).collect()
        };
        let mut failed = Vec::new();
        for batch in entries.chunks(MAX_BATCH_ENTRIES) {
            for (entry, failure) in self.messages.delete_batch(batch).await {
                let (id, held) = entry.clone();
                self.messages.lock().insert(id.clone(), held);
                failed.push((id, failure));
            }
        }
        failed
    }

    /// Makes every letter that is still held visible again. Answers with how
    /// many could not be: they stay hidden for a while.
    pub(super) async fn release(self) -> u64 {
        // An extension that is on its way must not come after the release.
        drop(self.stop);
        if let Err(error) = self.extender.await {
            tracing::error!(error = %error, "the keeper of the letters failed");
        }
        let receipts: Vec<String> = self
            .messages
            .lock()
            .drain()
            .map(|(_, held)| held.receipt)
            .collect();
        let letters = &self.messages;
        // Out of reach for one is out of reach for all.
        let broken = &AtomicBool::new(false);
        stream::iter(receipts.chunks(MAX_BATCH_ENTRIES))
            .map(|batch| letters.make_batch_visible(batch, broken))
            .buffer_unordered(HOLD_CALLS_IN_PARALLEL)
            .fold(0, |sum, left| async move { sum + left })
            .await
    }
}

impl HeldMessages {
    async fn extend_until_stopped(self, stop: CancellationToken) {
        let visibility = self.queue.visibility();
        loop {
            tokio::select! {
                () = tokio::time::sleep(visibility / 6) => {}
                () = stop.cancelled() => return,
            }
            let due = self.due(visibility);
            let lasting = hold_duration(visibility, self.lock().len() as u64);
            stream::iter(due.chunks(MAX_BATCH_ENTRIES))
                .take_while(|_| std::future::ready(!stop.is_cancelled()))
                .for_each_concurrent(HOLD_CALLS_IN_PARALLEL, |batch| {
                    self.extend_batch(batch, lasting)
                })
                .await;
        }
    }

    fn due(&self, visibility: Duration) -> Vec<(String, String)> {
        let soon = Instant::now() + visibility / 2;
        self.lock()
            .iter()
            .filter(|(_, held)| held.until < soon)
            .map(|(id, held)| (id.clone(), held.receipt.clone()))
            .collect()
    }

    /// What cannot be extended becomes visible, is received again and then known.
    async fn extend_batch(&self, batch: &[(String, String)], lasting: Duration) {
        let until = Instant::now() + lasting;
        let receipts: Vec<_> = batch
            .iter()
            .map(|(_, receipt)| (receipt.as_str(), lasting))
            .collect();
        match self.queue.change_visibility(&receipts).await {
            Ok(undone) => {
                let mut held = self.lock();
                for (position, (id, receipt)) in batch.iter().enumerate() {
                    // Tried again at the next look; a void receipt is not worth it.
                    let again =
                        |undone: &FailedEntry| undone.position == position && !undone.is_terminal;
                    if undone.iter().any(again) {
                        continue;
                    }
                    if let Some(held) = held.get_mut(id).filter(|held| held.receipt == *receipt) {
                        held.until = until;
                    }
                }
            }
            Err(failure) => {
                tracing::warn!(letters = batch.len(), error = %failure, "letters not kept hidden; tried again");
            }
        }
    }

    async fn delete_batch<'a>(
        &self,
        batch: &'a [(String, HeldReceipt)],
    ) -> Vec<(&'a (String, HeldReceipt), Failure)> {
        let mut left: Vec<&(String, HeldReceipt)> = batch.iter().collect();
        let mut why = Vec::new();
        // SQS answers 200 although entries failed.
        for _ in 0..MAX_HOLD_BATCH_TRIES {
            let receipts: Vec<&str> = left.iter().map(|(_, held)| held.receipt.as_str()).collect();
            match retry_inline(|| self.queue.delete(&receipts)).await {
                Ok(undone) => {
                    let failure = |undone| self.queue.entry_failure("DeleteMessageBatch", undone);
                    why = undone.iter().map(failure).collect();
                    left = select_failed(&left, &undone);
                }
                Err(failure) => {
                    why = vec![failure; left.len()];
                    break;
                }
            }
            if left.is_empty() {
                break;
            }
        }
        left.into_iter().zip(why).collect()
    }

    async fn make_batch_visible(&self, receipts: &[String], broken: &AtomicBool) -> u64 {
        let mut left: Vec<(&str, Duration)> = receipts
            .iter()
            .map(|receipt| (receipt.as_str(), Duration::ZERO))
            .collect();
        for _ in 0..MAX_HOLD_BATCH_TRIES {
            if broken.load(Ordering::Relaxed) {
                break;
            }
            let Ok(mut undone) = retry_inline(|| self.queue.change_visibility(&left)).await else {
                broken.store(true, Ordering::Relaxed);
                break;
            };
            // A void receipt: the letter is visible, or somebody else's now.
            undone.retain(|undone| !undone.is_terminal);
            left = select_failed(&left, &undone);
            if left.is_empty() {
                break;
            }
        }
        left.len() as u64
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, HeldReceipt>> {
        self.receipts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The entries that were not carried out, in the order of `undone`.
fn select_failed<T: Copy>(batch: &[T], undone: &[FailedEntry]) -> Vec<T> {
    undone
        .iter()
        .filter_map(|undone| batch.get(undone.position).copied())
        .collect()
}
