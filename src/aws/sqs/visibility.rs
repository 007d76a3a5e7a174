//! Keeps received messages hidden: extends their visibility timeout, so that no other process
//! receives them.
//!
//! <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-visibility-timeout.html>

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::batch::{BatchEntry, BatchOperation, MAX_BATCHES_IN_PARALLEL};
use super::message::{FailedEntry, Received};
use super::queue::{MAX_BATCH_ENTRIES, Queue};
use crate::telemetry::Health;

/// SQS hides a message for twelve hours at most, counted from its receive.
const MAX_VISIBILITY_TIMEOUT: Duration = Duration::from_hours(12);
const EXTENDER_LOOP: &str = "visibility extender";

/// Extends the visibility timeout of messages until it is stopped or dropped.
#[derive(Debug)]
pub(crate) struct VisibilityExtender {
    state: Arc<ExtenderState>,
    task: TaskTracker,
}

#[derive(Debug)]
struct ExtenderState {
    queue: Queue,
    messages: Mutex<HiddenMessages>,
    stop: CancellationToken,
}

#[derive(Debug)]
struct HiddenMessages {
    next_id: u64,
    by_id: HashMap<u64, HiddenMessage>,
    /// How long an extension lasts.
    extension: Duration,
}

#[derive(Debug)]
struct HiddenMessage {
    receipt: Arc<str>,
    received_at: Instant,
    until: Instant,
    /// The last call that extends it; cancelled once the call has ended.
    call: Option<CancellationToken>,
}

/// Extends the visibility timeout of a message until it is dropped.
#[derive(Debug)]
#[must_use = "the timeout is extended only while its guard exists"]
pub(crate) struct VisibilityGuard {
    state: Arc<ExtenderState>,
    id: u64,
    receipt: Arc<str>,
}

impl VisibilityExtender {
    /// Starts the task. Its heartbeats go to `health`.
    pub(crate) fn start(queue: Queue, health: Option<Health>) -> Self {
        let messages = HiddenMessages {
            next_id: 0,
            by_id: HashMap::new(),
            extension: queue.visibility(),
        };
        let state = Arc::new(ExtenderState {
            queue,
            messages: Mutex::new(messages),
            stop: CancellationToken::new(),
        });
        let task = TaskTracker::new();
        task.spawn(Arc::clone(&state).run(health));
        task.close();
        Self { state, task }
    }

    /// Extends the message's visibility timeout until the guard is dropped.
    pub(crate) fn keep_hidden(&self, message: &Received) -> VisibilityGuard {
        let mut messages = self.state.messages();
        let id = messages.next_id;
        messages.next_id += 1;
        let receipt: Arc<str> = message.receipt_handle.as_str().into();
        let entry = HiddenMessage {
            receipt: Arc::clone(&receipt),
            received_at: message.receive_time,
            until: message.receive_time + self.state.queue.visibility(),
            call: None,
        };
        messages.by_id.insert(id, entry);
        VisibilityGuard {
            state: Arc::clone(&self.state),
            id,
            receipt,
        }
    }

    /// Changes how long an extension lasts: at first, the visibility timeout of a receive.
    pub(crate) fn set_extension(&self, extension: Duration) {
        self.state.messages().extension = extension;
    }

    /// Ends all extensions. Waits for calls in progress.
    pub(crate) async fn stop(&self) {
        self.state.stop.cancel();
        self.task.wait().await;
    }
}

impl Drop for VisibilityExtender {
    fn drop(&mut self) {
        self.state.stop.cancel();
    }
}

impl ExtenderState {
    /// Extends due messages at each tick, a sixth of the visibility timeout.
    async fn run(self: Arc<Self>, health: Option<Health>) {
        // A message is due once half of the timeout is left, and found a sixth later at most:
        // a third is left for the request.
        let tick = self.queue.visibility() / 6;
        while !self.stop.is_cancelled() {
            if let Some(health) = &health {
                health.heartbeat(EXTENDER_LOOP, tick * 3 + Duration::from_secs(30));
            }
            let due = self.take_due();
            stream::iter(due.chunks(MAX_BATCH_ENTRIES))
                .take_while(|_| std::future::ready(!self.stop.is_cancelled()))
                .for_each_concurrent(MAX_BATCHES_IN_PARALLEL, |batch| self.extend(batch))
                .await;
            tokio::select! {
                () = tokio::time::sleep(tick) => {}
                () = self.stop.cancelled() => {}
            }
        }
        if let Some(health) = &health {
            health.end_heartbeat(EXTENDER_LOOP);
        }
    }

    /// Ids of the messages to extend. Messages near [`MAX_VISIBILITY_TIMEOUT`] are forgotten.
    fn take_due(&self) -> Vec<u64> {
        let mut messages = self.messages();
        let extension = messages.extension;
        messages
            .by_id
            .retain(|_, entry| entry.received_at.elapsed() + extension < MAX_VISIBILITY_TIMEOUT);
        let threshold = Instant::now() + self.queue.visibility() / 2;
        messages
            .by_id
            .iter()
            .filter(|(_, entry)| entry.until <= threshold)
            .map(|(id, _)| *id)
            .collect()
    }

    /// Extends one batch. A message that cannot be extended becomes visible in the end.
    async fn extend(&self, ids: &[u64]) {
        let call = CancellationToken::new();
        let _call_ends = call.clone().drop_guard();
        let started = Instant::now();
        let (ids, batch) = self.begin_call(ids, &call);
        if batch.is_empty() {
            return;
        }
        let operation = BatchOperation::ChangeVisibility;
        match self.queue.apply_batch(operation, &batch).await {
            Ok(failed) => {
                let mut messages = self.messages();
                for (position, (id, extended)) in ids.iter().zip(&batch).enumerate() {
                    if let Some(entry) = messages.by_id.get_mut(id)
                        && !FailedEntry::is_to_resend(&failed, position)
                    {
                        // Extended, or the receipt is stale.
                        entry.until = started + extended.visibility_timeout;
                    }
                }
            }
            Err(failure) => tracing::warn!(
                messages = batch.len(), error = %failure,
                "visibility not extended; retrying at the next tick",
            ),
        }
    }

    /// The batch of the messages that still have their guard.
    fn begin_call(&self, ids: &[u64], call: &CancellationToken) -> (Vec<u64>, Vec<BatchEntry>) {
        let mut messages = self.messages();
        let visibility_timeout = messages.extension;
        ids.iter()
            .filter_map(|id| {
                let entry = messages.by_id.get_mut(id)?;
                entry.call = Some(call.clone());
                let entry = BatchEntry {
                    receipt: entry.receipt.as_ref().to_owned(),
                    visibility_timeout,
                };
                Some((*id, entry))
            })
            .unzip()
    }

    fn messages(&self) -> MutexGuard<'_, HiddenMessages> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends the extension even if the task of the message panics or is cancelled.
impl Drop for VisibilityGuard {
    fn drop(&mut self) {
        self.remove();
    }
}

impl VisibilityGuard {
    /// The receipt of the message.
    pub(crate) fn receipt(&self) -> &str {
        &self.receipt
    }

    fn remove(&self) -> Option<HiddenMessage> {
        self.state.messages().by_id.remove(&self.id)
    }

    /// Ends the extension. It waits for a call in progress, which could otherwise undo
    /// the delete or the visibility change that follows.
    pub(crate) async fn stop_extending(self) {
        if let Some(HiddenMessage {
            call: Some(call), ..
        }) = self.remove()
        {
            call.cancelled().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::*;
    use crate::aws::cognito::fake::fake_aws;

    const CALL_TIME: Duration = Duration::from_secs(3);

    /// The seconds since the start, the timeout and the receipts of each call.
    type Calls = Arc<Mutex<Vec<(u64, u64, Vec<String>)>>>;

    struct Fixture {
        extender: VisibilityExtender,
        calls: Calls,
        started: Instant,
    }

    impl Fixture {
        /// A queue that answers after [`CALL_TIME`]. It refuses the receipts `broken` and
        /// `stale`.
        async fn new(visibility: Duration) -> Self {
            let (calls, started) = (Calls::default(), Instant::now());
            let log = Arc::clone(&calls);
            let respond = move |_: &str, input: &Value| {
                let entries = input["Entries"].as_array().expect("entries");
                let receipt =
                    |entry: &Value| entry["ReceiptHandle"].as_str().expect("text").to_owned();
                let timeout = entries[0]["VisibilityTimeout"].as_u64().expect("a number");
                let mut receipts: Vec<String> = entries.iter().map(receipt).collect();
                receipts.sort();
                let call = (started.elapsed().as_secs(), timeout, receipts);
                log.lock().expect("no panic").push(call);
                let failed: Vec<Value> = entries
                    .iter()
                    .filter_map(|entry| {
                        let code = match receipt(entry).as_str() {
                            "broken" => "InternalError",
                            "stale" => "ReceiptHandleIsInvalid",
                            _ => return None,
                        };
                        Some(json!({"Id": entry["Id"], "Code": code, "SenderFault": true}))
                    })
                    .collect();
                (CALL_TIME, 200, json!({"Successful": [], "Failed": failed}))
            };
            let aws = fake_aws(respond).await;
            let url = "https://sqs.us-east-1.amazonaws.com/1/queue";
            let queue = Queue::new(&aws, url, Duration::ZERO, visibility);
            Self {
                extender: VisibilityExtender::start(queue, None),
                calls,
                started,
            }
        }

        fn hide(&self, receipt: &str) -> VisibilityGuard {
            self.extender.keep_hidden(&Received {
                id: "id".to_owned(),
                receipt_handle: receipt.to_owned(),
                body: String::new(),
                receive_count: 1,
                sent_at: None,
                first_received_at: None,
                attributes: BTreeMap::new(),
                message_group: None,
                trace_header: None,
                receive_time: Instant::now(),
            })
        }

        async fn wait_until(&self, seconds: u64) {
            tokio::time::sleep_until(self.started + Duration::from_secs(seconds)).await;
        }

        /// The calls so far, which are then forgotten.
        fn take_calls(&self) -> Vec<(u64, u64, Vec<String>)> {
            std::mem::take(&mut *self.calls.lock().expect("no panic"))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn messages_are_extended_at_half_of_their_timeout_while_guarded() {
        let fixture = Fixture::new(Duration::from_mins(1)).await;
        let guards: Vec<VisibilityGuard> = (0..25).map(|_| fixture.hide("a")).collect();
        fixture.wait_until(29).await;
        assert_eq!(fixture.take_calls(), []);
        fixture.wait_until(45).await;
        let calls = fixture.take_calls();
        let sizes: Vec<usize> = calls
            .iter()
            .map(|(_, _, receipts)| receipts.len())
            .collect();
        assert_eq!(sizes, [10, 10, 5]);
        assert!(
            calls
                .iter()
                .all(|(at, timeout, _)| (30..=40).contains(at) && *timeout == 60),
            "{calls:?}"
        );
        fixture.extender.set_extension(Duration::from_secs(200));
        fixture.wait_until(85).await;
        let calls = fixture.take_calls();
        assert_eq!(calls.len(), 3);
        assert!(
            calls.iter().all(|(_, timeout, _)| *timeout == 200),
            "{calls:?}"
        );
        fixture.wait_until(235).await;
        assert_eq!(fixture.take_calls(), [], "hidden long enough");
        drop(guards);
        fixture.wait_until(600).await;
        assert_eq!(fixture.take_calls(), []);
    }

    #[tokio::test(start_paused = true)]
    async fn a_guard_waits_only_for_a_call_that_extends_its_message() {
        let fixture = Fixture::new(Duration::from_mins(1)).await;
        let (first, dropped) = (fixture.hide("a"), fixture.hide("a"));
        fixture.wait_until(20).await;
        let later = fixture.hide("b");
        while fixture.calls.lock().expect("no panic").is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let called = Instant::now();
        drop(dropped);
        later.stop_extending().await;
        assert_eq!(called.elapsed(), Duration::ZERO);
        first.stop_extending().await;
        assert!(called.elapsed() > CALL_TIME / 2, "{:?}", called.elapsed());
        fixture.take_calls();

        let guard = fixture.hide("c");
        fixture.wait_until(90).await;
        assert_eq!(fixture.take_calls().len(), 1);
        let now = Instant::now();
        guard.stop_extending().await;
        assert_eq!(now.elapsed(), Duration::ZERO, "the call has ended");
        fixture.wait_until(300).await;
        assert_eq!(fixture.take_calls(), []);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_extension_is_repeated_soon_and_a_stale_receipt_is_not() {
        let fixture = Fixture::new(Duration::from_mins(1)).await;
        let _guards = ["broken", "fine", "stale"].map(|receipt| fixture.hide(receipt));
        fixture.wait_until(59).await;
        let calls = fixture.take_calls();
        assert_eq!(calls[0].2, ["broken", "fine", "stale"]);
        assert!(calls.len() > 1, "repeated");
        assert!(
            calls[1..]
                .iter()
                .all(|(_, _, receipts)| *receipts == ["broken"]),
            "{calls:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn no_message_is_hidden_for_longer_than_sqs_allows() {
        let fixture = Fixture::new(Duration::from_hours(1)).await;
        let _guard = fixture.hide("a");
        fixture.wait_until(24 * 3600).await;
        let calls = fixture.take_calls();
        let last = calls.last().expect("a call").0;
        assert!((10 * 3600..11 * 3600).contains(&last), "{last}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_extender_ends_its_calls_when_stopped_and_when_dropped() {
        let fixture = Fixture::new(Duration::from_mins(1)).await;
        let _guard = fixture.hide("a");
        while fixture.calls.lock().expect("no panic").is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let called = Instant::now();
        fixture.extender.stop().await;
        assert!(called.elapsed() > CALL_TIME / 2, "{:?}", called.elapsed());
        fixture.take_calls();
        fixture.wait_until(300).await;
        assert_eq!(fixture.take_calls(), []);

        let fixture = Fixture::new(Duration::from_mins(1)).await;
        let _guard = fixture.hide("b");
        let Fixture {
            extender, calls, ..
        } = fixture;
        drop(extender);
        tokio::time::sleep(Duration::from_mins(5)).await;
        assert_eq!(calls.lock().expect("no panic").len(), 0);
    }
}
