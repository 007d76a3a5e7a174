//! Extends the visibility timeout of messages in progress: no other process receives them.
//!
//! <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-visibility-timeout.html>

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::aws::{MAX_BATCH_ENTRIES, Queue, Received};
use crate::telemetry::Health;

/// SQS hides a message for twelve hours at most, counted from its receive.
const MAX_VISIBILITY_TIMEOUT: Duration = Duration::from_hours(12);
const EXTENDER_LOOP: &str = "visibility extender";

#[derive(Debug, Clone)]
pub(super) struct VisibilityExtender(Arc<ExtenderState>);

pub(super) struct ExtenderTask {
    extender: VisibilityExtender,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl ExtenderTask {
    pub(super) fn start(queue: Queue, health: Health) -> Self {
        let extender = VisibilityExtender::new(queue);
        let stop = CancellationToken::new();
        let task = tokio::spawn(extender.clone().run(health, stop.clone()));
        Self {
            extender,
            stop,
            task,
        }
    }

    pub(super) fn extender(&self) -> VisibilityExtender {
        self.extender.clone()
    }

    pub(super) async fn stop(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            tracing::error!(error = %error, "visibility extender task failed");
        }
    }
}

#[derive(Debug)]
struct ExtenderState {
    queue: Queue,
    messages: Mutex<HiddenMessages>,
    /// Locked while a batch is sent.
    send_lock: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct HiddenMessages {
    next_id: u64,
    by_id: HashMap<u64, HiddenMessage>,
}

#[derive(Debug)]
struct HiddenMessage {
    receipt: String,
    received_at: Instant,
    extended_at: Instant,
    is_sending: bool,
}

/// Extends the visibility timeout of a message until it is dropped.
#[derive(Debug)]
#[must_use = "the timeout is extended only while its guard exists"]
pub(super) struct VisibilityGuard {
    extender: VisibilityExtender,
    id: u64,
}

impl VisibilityExtender {
    fn new(queue: Queue) -> Self {
        Self(Arc::new(ExtenderState {
            queue,
            messages: Mutex::default(),
            send_lock: tokio::sync::Mutex::default(),
        }))
    }

    /// Extends the message's visibility timeout until the guard is dropped.
    pub(super) fn keep_hidden(&self, message: &Received) -> VisibilityGuard {
        let mut messages = self.messages();
        let id = messages.next_id;
        messages.next_id += 1;
        let entry = HiddenMessage {
            receipt: message.receipt_handle.clone(),
            received_at: message.receive_time,
            extended_at: message.receive_time,
            is_sending: false,
        };
        messages.by_id.insert(id, entry);
        VisibilityGuard {
            extender: self.clone(),
            id,
        }
    }

    /// Extends due messages at each tick, a sixth of the visibility timeout, until `stop`.
    async fn run(self, health: Health, stop: CancellationToken) {
        let visibility = self.0.queue.visibility();
        // A message is due after half of the timeout, and found a sixth later at most: a
        // third is left for the request.
        let tick = visibility / 6;
        while !stop.is_cancelled() {
            health.heartbeat(EXTENDER_LOOP, tick * 3 + Duration::from_secs(30));
            self.extend_due(visibility).await;
            tokio::select! {
                () = tokio::time::sleep(tick) => {}
                () = stop.cancelled() => {}
            }
        }
        health.end_heartbeat(EXTENDER_LOOP);
    }

    async fn extend_due(&self, visibility: Duration) {
        let due = self.take_due(visibility);
        for batch in due.chunks(MAX_BATCH_ENTRIES) {
            let _sending = self.0.send_lock.lock().await;
            let batch = self.mark_sending(batch);
            if batch.is_empty() {
                continue;
            }
            let started = Instant::now();
            let receipts: Vec<(&str, Duration)> = batch
                .iter()
                .map(|(_, receipt)| (receipt.as_str(), visibility))
                .collect();
            let result = self.0.queue.change_visibility(&receipts).await;
            if let Err(failure) = &result {
                tracing::warn!(
                    messages = batch.len(), error = %failure,
                    "visibility not extended; retrying at the next tick",
                );
            }
            let mut messages = self.messages();
            for (position, (id, _)) in batch.iter().enumerate() {
                let Some(entry) = messages.by_id.get_mut(id) else {
                    continue;
                };
                entry.is_sending = false;
                match &result {
                    // Retried at the next tick.
                    Err(_) => {}
                    Ok(failed) => match failed.iter().find(|failed| failed.position == position) {
                        Some(failed) if !failed.is_terminal => {}
                        // Extended, or the receipt is stale.
                        _ => entry.extended_at = started,
                    },
                }
            }
        }
    }

    /// Ids of the messages to extend. Messages near [`MAX_VISIBILITY_TIMEOUT`] are forgotten.
    fn take_due(&self, visibility: Duration) -> Vec<u64> {
        let mut messages = self.messages();
        messages
            .by_id
            .retain(|_, entry| entry.received_at.elapsed() + visibility < MAX_VISIBILITY_TIMEOUT);
        messages
            .by_id
            .iter()
            .filter(|(_, entry)| entry.extended_at.elapsed() >= visibility / 2)
            .map(|(id, _)| *id)
            .collect()
    }

    fn mark_sending(&self, ids: &[u64]) -> Vec<(u64, String)> {
        let mut messages = self.messages();
        ids.iter()
            .filter_map(|id| {
                let entry = messages.by_id.get_mut(id)?;
                entry.is_sending = true;
                Some((*id, entry.receipt.clone()))
            })
            .collect()
    }

    fn messages(&self) -> MutexGuard<'_, HiddenMessages> {
        self.0
            .messages
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends the extension even if the task of the message panics or is cancelled.
impl Drop for VisibilityGuard {
    fn drop(&mut self) {
        self.remove();
    }
}

impl VisibilityGuard {
    fn remove(&self) -> Option<HiddenMessage> {
        self.extender.messages().by_id.remove(&self.id)
    }

    /// Ends the extension. It waits for a call in progress, which could otherwise undo
    /// the delete or the visibility change that follows.
    pub(super) async fn stop_extending(self) {
        let removed = self.remove();
        if removed.is_some_and(|entry| entry.is_sending) {
            drop(self.extender.0.send_lock.lock().await);
        }
    }
}
