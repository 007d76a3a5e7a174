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
use crate::aws::{BATCH, Class, Failure, Queue, Undone};
use crate::retry::Patience;

const LINGER: Duration = Duration::from_millis(50);
const PARALLEL: usize = 8;
/// Tries of one batch, some 20 s in all. Then the message is left to its
/// visibility timeout: a failed delete is not a failed message.
const TRIES: u32 = 7;
const WAITING: usize = 1024;
/// Pause between tries on the way out.
const HURRIED: Duration = Duration::from_millis(250);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Delete,
    Hide,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) receipt: String,
    /// For [`Verb::Hide`].
    pub(super) time: Duration,
}

/// Where entries are handed in.
#[derive(Debug, Clone)]
pub(super) struct Batcher {
    entries: mpsc::Sender<Entry>,
    flush: CancellationToken,
}

#[derive(Debug, Clone)]
struct Caller {
    queue: Queue,
    verb: Verb,
    breaker: Arc<Breaker>,
    flush: CancellationToken,
}

impl Batcher {
    /// Starts the batcher; the task ends when it was told to flush and is done.
    pub(super) fn start(
        queue: Queue,
        verb: Verb,
        breaker: Arc<Breaker>,
    ) -> (Self, tokio::task::JoinHandle<()>) {
        let (entries, waiting) = mpsc::channel(WAITING);
        let flush = CancellationToken::new();
        let caller = Caller {
            queue,
            verb,
            breaker,
            flush: flush.clone(),
        };
        let task = tokio::spawn(run(caller, waiting, flush.clone()));
        (Self { entries, flush }, task)
    }

    /// Hands in one entry; waits while too many are waiting.
    pub(super) async fn push(&self, entry: Entry) {
        if self.entries.send(entry).await.is_err() {
            tracing::warn!("an entry came after the flush; its message will be delivered again");
        }
    }

    /// Takes nothing more and sends what there is.
    pub(super) fn flush(&self) {
        self.flush.cancel();
    }
}

async fn run(caller: Caller, mut waiting: mpsc::Receiver<Entry>, flush: CancellationToken) {
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
        let until = Instant::now() + LINGER;
        while batch.len() < BATCH {
            match tokio::time::timeout_at(until, waiting.recv()).await {
                Ok(Some(entry)) => batch.push(entry),
                _ => break,
            }
        }
        while calls.len() >= PARALLEL {
            calls.join_next().await;
        }
        let caller = caller.clone();
        calls.spawn(async move { caller.carry_out(batch).await });
    }
    while calls.join_next().await.is_some() {}
}

impl Caller {
    async fn carry_out(&self, mut batch: Vec<Entry>) {
        let mut pace = Patience::default();
        let mut broken: Option<Failure> = None;
        let mut tries = 0;
        while !batch.is_empty() {
            if tries > 0 {
                self.pause(pace.next_pause()).await;
            }
            tries += 1;
            // Singly from the third try on: one bad entry must not hold up nine.
            let size = if tries > 2 { 1 } else { BATCH };
            let mut left = Vec::new();
            let mut failed = None;
            while !batch.is_empty() {
                let rest = batch.split_off(size.min(batch.len()));
                match self.send(&batch).await {
                    Ok(undone) => left.extend(keep_undone(batch, &undone)),
                    Err(failure) => {
                        left.extend(batch);
                        failed = Some(failure);
                    }
                }
                batch = rest;
            }
            batch = left;
            match failed {
                Some(failure) if is_of_the_queue(&failure, tries) => {
                    self.breaker.report(&failure);
                    broken = Some(failure);
                    tries = 1;
                }
                Some(failure) if tries >= TRIES => {
                    self.give_up(batch.len(), &failure.code);
                    break;
                }
                None if tries >= TRIES && !batch.is_empty() => {
                    self.give_up(batch.len(), "entries failed");
                    break;
                }
                // A time-out after a refusal proves nothing.
                Some(_) => {}
                None => {
                    if let Some(failure) = broken.take() {
                        self.breaker.mended(&failure);
                    }
                }
            }
        }
        if let Some(failure) = broken {
            self.breaker.mended(&failure);
        }
    }

    /// Shorter when something was mended, and on the way out.
    async fn pause(&self, time: Duration) {
        let flushing = self.flush.is_cancelled();
        let time = if flushing { time.min(HURRIED) } else { time };
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            () = self.breaker.changed() => {}
            () = self.flush.cancelled(), if !flushing => {}
        }
    }

    async fn send(&self, batch: &[Entry]) -> Result<Vec<Undone>, Failure> {
        match self.verb {
            Verb::Delete => {
                let receipts: Vec<&str> =
                    batch.iter().map(|entry| entry.receipt.as_str()).collect();
                self.queue.delete(&receipts).await
            }
            Verb::Hide => {
                let receipts: Vec<(&str, Duration)> = batch
                    .iter()
                    .map(|entry| (entry.receipt.as_str(), entry.time))
                    .collect();
                self.queue.hide(&receipts).await
            }
        }
    }

    fn give_up(&self, messages: usize, error: &str) {
        tracing::warn!(
            verb = ?self.verb, messages, error,
            "not carried out; the messages come back after their visibility timeout",
        );
    }
}

/// Whether no entry is to blame. SQS refuses those one by one, so a whole call that is
/// refused again and again, even with one entry, is refused to everybody: messages that are
/// done would come again until SQS moves them.
fn is_of_the_queue(failure: &Failure, tries: u32) -> bool {
    match failure.class {
        Class::Systemic => true,
        // Emulators refuse the whole call for a stale receipt.
        Class::Permanent => tries >= TRIES && !Undone::is_hopeless(&failure.code),
        _ => false,
    }
}

/// The entries worth another try. A stale receipt is not: the message is gone
/// or has been received again.
fn keep_undone(batch: Vec<Entry>, undone: &[Undone]) -> impl Iterator<Item = Entry> {
    batch
        .into_iter()
        .enumerate()
        .filter(|(position, _)| {
            undone
                .iter()
                .any(|undone| undone.position == *position && !undone.hopeless)
        })
        .map(|(_, entry)| entry)
}
