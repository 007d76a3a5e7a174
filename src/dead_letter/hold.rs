//! Letters that were received and are kept hidden, so that a scan sees each
//! once however long it takes, and everything is visible again afterwards.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::aws::{BATCH, Failure, Queue, Received};
use crate::retry::quickly;

/// Calls that are out at once.
const PARALLEL: usize = 8;
/// With very many letters in hand an extension lasts longer, so that extending
/// takes no more than some twenty calls a second.
const EXTENDED_A_SECOND: usize = 100;

#[derive(Debug)]
pub(super) struct Hold {
    letters: Letters,
    stop: CancellationToken,
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
            stop,
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

    /// Deletes letters for good; each by its latest receipt. Answers with those
    /// that could not be deleted: they are held no more and come back by themselves.
    pub(super) async fn delete(&self, ids: &[&str]) -> Vec<(String, Failure)> {
        let entries: Vec<(String, Held)> = {
            let mut held = self.letters.held();
            ids.iter().filter_map(|id| held.remove_entry(*id)).collect()
        };
        let mut failed = Vec::new();
        for batch in entries.chunks(BATCH) {
            failed.extend(self.letters.delete(batch).await);
        }
        failed
    }

    /// Makes every letter that is still held visible again. Answers with how
    /// many could not be: they stay hidden for a while.
    pub(super) async fn release(self) -> u64 {
        // An extension that is on its way must not come after the release.
        self.stop.cancel();
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
        stream::iter(receipts.chunks(BATCH))
            .map(|batch| letters.show(batch))
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
            let lasting = visibility.max(Duration::from_secs(
                (self.held().len() / EXTENDED_A_SECOND) as u64,
            ));
            stream::iter(due.chunks(BATCH))
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
            Ok(_) => {
                let mut held = self.held();
                for (id, receipt) in batch {
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

    async fn delete(&self, batch: &[(String, Held)]) -> Vec<(String, Failure)> {
        let mut left: Vec<&(String, Held)> = batch.iter().collect();
        let mut why = None;
        // SQS answers 200 although entries failed.
        for _ in 0..3 {
            let receipts: Vec<&str> = left.iter().map(|(_, held)| held.receipt.as_str()).collect();
            match quickly(|| self.queue.delete(&receipts)).await {
                Ok(undone) => {
                    why = undone
                        .first()
                        .map(|undone| self.queue.undone("DeleteMessageBatch", undone));
                    let mut position = 0;
                    left.retain(|_| {
                        position += 1;
                        undone.iter().any(|undone| undone.position == position - 1)
                    });
                }
                Err(failure) => {
                    why = Some(failure);
                    break;
                }
            }
            if left.is_empty() {
                return Vec::new();
            }
        }
        let Some(why) = why else { return Vec::new() };
        left.into_iter()
            .map(|(id, _)| (id.clone(), why.clone()))
            .collect()
    }

    async fn show(&self, receipts: &[String]) -> u64 {
        let mut left: Vec<(&str, Duration)> = receipts
            .iter()
            .map(|receipt| (receipt.as_str(), Duration::ZERO))
            .collect();
        for _ in 0..3 {
            let Ok(undone) = quickly(|| self.queue.hide(&left)).await else {
                break;
            };
            let mut position = 0;
            left.retain(|_| {
                position += 1;
                // A void receipt: the letter is visible, or somebody else's now.
                undone
                    .iter()
                    .any(|undone| undone.position == position - 1 && !undone.hopeless)
            });
            if left.is_empty() {
                return 0;
            }
        }
        left.len() as u64
    }

    fn held(&self) -> MutexGuard<'_, HashMap<String, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
