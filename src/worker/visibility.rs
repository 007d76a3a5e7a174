//! The visibility keeper: while a message is in work, nobody else receives it.
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
const EXTENDER_LOOP: &str = "visibility keeper";

#[derive(Debug, Clone)]
pub(super) struct VisibilityExtender(Arc<ExtenderState>);

/// The running keeper.
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
            tracing::error!(error = %error, "the visibility keeper failed");
        }
    }
}

#[derive(Debug)]
struct ExtenderState {
    queue: Queue,
    messages: Mutex<HiddenMessages>,
    /// Held while a batch is on its way.
    sending: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct HiddenMessages {
    next_id: u64,
    by_id: HashMap<u64, HiddenMessage>,
}

#[derive(Debug)]
struct HiddenMessage {
    receipt: String,
    received: Instant,
    extended: Instant,
    sending: bool,
}

/// A message that is kept hidden until it is let go.
#[derive(Debug)]
#[must_use = "a message that is not let go stays hidden for twelve hours"]
pub(super) struct VisibilityGuard {
    extender: VisibilityExtender,
    id: u64,
}

impl VisibilityExtender {
    fn new(queue: Queue) -> Self {
        Self(Arc::new(ExtenderState {
            queue,
            messages: Mutex::default(),
            sending: tokio::sync::Mutex::default(),
        }))
    }

    /// Keeps a message hidden from its receive on.
    pub(super) fn keep_hidden(&self, message: &Received) -> VisibilityGuard {
        let mut messages = self.messages();
        let id = messages.next_id;
        messages.next_id += 1;
        let entry = HiddenMessage {
            receipt: message.receipt_handle.clone(),
            received: message.receive_time,
            extended: message.receive_time,
            sending: false,
        };
        messages.by_id.insert(id, entry);
        VisibilityGuard {
            extender: self.clone(),
            id,
        }
    }

    /// Extends what is due until told to stop.
    async fn run(self, health: Health, stop: CancellationToken) {
        let visibility = self.0.queue.visibility();
        // Half the time-out has passed when a message is due, a sixth more at
        // most when it is looked at: a third is left for the request.
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
        let due = self.due(visibility);
        for batch in due.chunks(MAX_BATCH_ENTRIES) {
            let _sending = self.0.sending.lock().await;
            let batch = self.mark_sending(batch);
            if batch.is_empty() {
                continue;
            }
            let begun = Instant::now();
            let receipts: Vec<(&str, Duration)> = batch
                .iter()
                .map(|(_, receipt)| (receipt.as_str(), visibility))
                .collect();
            let undone = self.0.queue.change_visibility(&receipts).await;
            if let Err(failure) = &undone {
                tracing::warn!(
                    messages = batch.len(), error = %failure,
                    "visibility not extended; tried again in a moment",
                );
            }
            let mut messages = self.messages();
            for (position, (id, _)) in batch.iter().enumerate() {
                let Some(entry) = messages.by_id.get_mut(id) else {
                    continue;
                };
                entry.sending = false;
                match &undone {
                    // Tried again at the next tick.
                    Err(_) => {}
                    Ok(undone) => match undone.iter().find(|undone| undone.position == position) {
                        Some(undone) if !undone.is_terminal => {}
                        // Extended, or no longer ours to extend.
                        _ => entry.extended = begun,
                    },
                }
            }
        }
    }

    fn due(&self, visibility: Duration) -> Vec<u64> {
        let mut messages = self.messages();
        messages
            .by_id
            .retain(|_, entry| entry.received.elapsed() + visibility < MAX_VISIBILITY_TIMEOUT);
        messages
            .by_id
            .iter()
            .filter(|(_, entry)| entry.extended.elapsed() >= visibility / 2)
            .map(|(id, _)| *id)
            .collect()
    }

    fn mark_sending(&self, ids: &[u64]) -> Vec<(u64, String)> {
        let mut messages = self.messages();
        ids.iter()
            .filter_map(|id| {
                let entry = messages.by_id.get_mut(id)?;
                entry.sending = true;
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

/// Whatever becomes of the task that held it, the message is not kept for ever.
impl Drop for VisibilityGuard {
    fn drop(&mut self) {
        self.remove();
    }
}

impl VisibilityGuard {
    fn remove(&self) -> Option<HiddenMessage> {
        self.extender.messages().by_id.remove(&self.id)
    }

    /// Lets the message go. An extension that is on its way is waited for, so
    /// that it cannot undo the delete or the back-off that follows.
    pub(super) async fn stop_extending(self) {
        let removed = self.remove();
        if removed.is_some_and(|entry| entry.sending) {
            drop(self.extender.0.sending.lock().await);
        }
    }
}
