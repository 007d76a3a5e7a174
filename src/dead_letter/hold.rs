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

use crate::aws::{BATCH, Failure, Queue, Received, Undone};
use crate::retry::quickly;

/// Tries of a batch of which entries fail.
const TRIES: u32 = 3;
/// Calls that are out at once.
const PARALLEL: usize = 8;
/// With very many letters in hand an extension lasts longer, so that extending
/// takes no more than some twenty calls a second.
const EXTENDED_A_SECOND: usize = 100;

/// How long so many letters stay hidden when their process is killed.
pub(super) fn lasting(visibility: Duration, letters: u64) -> Duration {
    visibility.max(Duration::from_secs(letters / EXTENDED_A_SECOND as u64))
}

#[derive(Debug)]
pub(super) struct Hold {
    letters: Letters,
    /// Stops the keeper, also when this is dropped on the way.
    stop: DropGuard,
    keeping: JoinHandle<()>,
}

#[derive(Debug, Clone)]
struct Letters {
    queue: Queue,
    held: Arc<Mutex<HashMap<String, Held>>>,
}

#[derive(Debug, Clone)]
struct Held {
    receipt: String,
    until: Instant,
}

impl Hold {
    /// Holds nothing yet. `queue.visibility()` is what its receives hide for.
    pub(super) fn new(queue: Queue) -> Self {
        let letters = Letters {
            queue,
            held: Arc::default(),
        };
        let stop = CancellationToken::new();
        let keeping = tokio::spawn(letters.clone().keep(stop.clone()));
        Self {
            letters,
            stop: stop.drop_guard(),
            keeping,
        }
    }

    /// Holds what was just received. A letter that is held already goes on with
    /// its new receipt, the old one being void.
    pub(super) fn take(&self, message: &Received) {
        let held = Held {
            receipt: message.receipt.clone(),
            until: message.received + self.letters.queue.visibility(),
        };
        self.letters.held().insert(message.id.clone(), held);
    }

    pub(super) fn holds(&self, id: &str) -> bool {
        self.letters.held().contains_key(id)
    }

    pub(super) fn len(&self) -> usize {
        self.letters.held().len()
    }

    /// Deletes letters for good, each by its latest receipt. Answers with those
    /// that could not be deleted; they are held as before.
    pub(super) async fn delete(&self, ids: &[&str]) -> Vec<(String, Failure)> {
        let entries: Vec<(String, Held)> = {
            let mut held = self.letters.held();
            ids.iter().filter_map(|id| held.remove_entry(*id)).collect()
        };
        let mut failed = Vec::new();
        for batch in entries.chunks(BATCH) {
            for (entry, failure) in self.letters.delete(batch).await {
                let (id, held) = entry.clone();
                self.letters.held().insert(id.clone(), held);
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
        if let Err(error) = self.keeping.await {
            tracing::error!(error = %error, "the keeper of the letters failed");
        }
        let receipts: Vec<String> = self
            .letters
            .held()
            .drain()
            .map(|(_, held)| held.receipt)
            .collect();
        let letters = &self.letters;
        // Out of reach for one is out of reach for all.
        let broken = &AtomicBool::new(false);
        stream::iter(receipts.chunks(BATCH))
            .map(|batch| letters.show(batch, broken))
            .buffer_unordered(PARALLEL)
            .fold(0, |sum, left| async move { sum + left })
            .await
    }
}

impl Letters {
    async fn keep(self, stop: CancellationToken) {
        let visibility = self.queue.visibility();
        loop {
            tokio::select! {
                () = tokio::time::sleep(visibility / 6) => {}
                () = stop.cancelled() => return,
            }
            let due = self.due(visibility);
            let lasting = lasting(visibility, self.held().len() as u64);
            stream::iter(due.chunks(BATCH))
                .take_while(|_| std::future::ready(!stop.is_cancelled()))
                .for_each_concurrent(PARALLEL, |batch| self.extend(batch, lasting))
                .await;
        }
    }

    fn due(&self, visibility: Duration) -> Vec<(String, String)> {
        let soon = Instant::now() + visibility / 2;
        self.held()
            .iter()
            .filter(|(_, held)| held.until < soon)
            .map(|(id, held)| (id.clone(), held.receipt.clone()))
            .collect()
    }

    /// What cannot be extended becomes visible, is received again and then known.
    async fn extend(&self, batch: &[(String, String)], lasting: Duration) {
        let until = Instant::now() + lasting;
        let receipts: Vec<_> = batch
            .iter()
            .map(|(_, receipt)| (receipt.as_str(), lasting))
            .collect();
        match self.queue.hide(&receipts).await {
            Ok(undone) => {
                let mut held = self.held();
                for (position, (id, receipt)) in batch.iter().enumerate() {
                    // Tried again at the next look; a void receipt is not worth it.
                    let again = |undone: &Undone| undone.position == position && !undone.hopeless;
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

    async fn delete<'a>(&self, batch: &'a [(String, Held)]) -> Vec<(&'a (String, Held), Failure)> {
        let mut left: Vec<&(String, Held)> = batch.iter().collect();
        let mut why = Vec::new();
        // SQS answers 200 although entries failed.
        for _ in 0..TRIES {
            let receipts: Vec<&str> = left.iter().map(|(_, held)| held.receipt.as_str()).collect();
            match quickly(|| self.queue.delete(&receipts)).await {
                Ok(undone) => {
                    let failure = |undone| self.queue.undone("DeleteMessageBatch", undone);
                    why = undone.iter().map(failure).collect();
                    left = of(&left, &undone);
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

    async fn show(&self, receipts: &[String], broken: &AtomicBool) -> u64 {
        let mut left: Vec<(&str, Duration)> = receipts
            .iter()
            .map(|receipt| (receipt.as_str(), Duration::ZERO))
            .collect();
        for _ in 0..TRIES {
            if broken.load(Ordering::Relaxed) {
                break;
            }
            let Ok(mut undone) = quickly(|| self.queue.hide(&left)).await else {
                broken.store(true, Ordering::Relaxed);
                break;
            };
            // A void receipt: the letter is visible, or somebody else's now.
            undone.retain(|undone| !undone.hopeless);
            left = of(&left, &undone);
            if left.is_empty() {
                break;
            }
        }
        left.len() as u64
    }

    fn held(&self) -> MutexGuard<'_, HashMap<String, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The entries that were not carried out, in the order of `undone`.
fn of<T: Copy>(batch: &[T], undone: &[Undone]) -> Vec<T> {
    undone
        .iter()
        .filter_map(|undone| batch.get(undone.position).copied())
        .collect()
}
