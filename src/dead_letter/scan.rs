//! Reads every dead letter of a queue and leaves it there.
//!
//! SQS has no call to read a message: it must be received, which hides it. So every
//! dead letter stays hidden until the scan ends, and all become visible again then. One that
//! comes twice is recognised by its id.
//!
//! A scan ends when two steps receive nothing and SQS's counts match the hidden dead
//! letters. Both are needed, since the counts may be a minute old. While they differ, the
//! scan waits up to 65 seconds. If another process hides dead letters, it waits as long as
//! they would stay hidden if that process died now.
//!
//! SQS allows about 120,000 messages in flight; the rest is reported as [`Unseen`].

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use super::received_dead_letter::ReceivedDeadLetter;
use crate::aws::{
    BatchEntry, BatchOperation, Failure, MAX_BATCH_ENTRIES, Queue, Received, VisibilityExtender,
    VisibilityGuard,
};
use crate::retry::retry_inline;

/// Long poll of a receive. It asks all of SQS's servers, so an empty response means that
/// no message is visible.
const SCAN_POLL_WAIT: Duration = Duration::from_secs(1);
/// SQS counts approximately, and its counts may be a minute old.
///
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_GetQueueAttributes.html>
pub(crate) const SQS_COUNTS_LAG: Duration = Duration::from_secs(65);
/// Added to the time after which the dead letters of a killed process are visible.
const HIDDEN_WAIT_MARGIN: Duration = Duration::from_secs(5);
/// The more dead letters are hidden, the longer an extension lasts. So extending takes
/// at most about twenty calls a second.
const EXTENSIONS_PER_SECOND: u64 = 100;

#[derive(Debug)]
pub(super) struct Scan {
    queue: Queue,
    extender: VisibilityExtender,
    /// The guard of the latest receive, by the id of the dead letter.
    hidden: HashMap<String, VisibilityGuard>,
    seen_ids: HashSet<String>,
    parallel_receives: usize,
    /// Steps in a row that received nothing new.
    empty_steps: u32,
    last_progress: Instant,
}

/// The result of one [`Scan::step`].
#[derive(Debug)]
pub(super) enum ScanStep {
    /// New ones; each id comes only once in a scan.
    DeadLetters(Vec<ReceivedDeadLetter>),
    /// Other processes hide about this many; they may become visible.
    Waiting(u64),
    /// No more will come; these remain.
    End(Unseen),
}

/// Approximate numbers of dead letters that the scan did not receive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Unseen {
    /// Hidden by another process.
    pub(crate) hidden_elsewhere: u64,
    /// Visible or delayed, and not delivered.
    pub(crate) not_received: u64,
}

impl Scan {
    /// `queue` is the dead-letter queue. `parallel_receives` is limited to 1 to 8.
    pub(super) fn new(queue: &Queue, parallel_receives: usize) -> Self {
        let queue = queue.with_wait(SCAN_POLL_WAIT);
        Self {
            extender: VisibilityExtender::start(queue.clone(), None),
            queue,
            hidden: HashMap::new(),
            seen_ids: HashSet::new(),
            parallel_receives: parallel_receives.clamp(1, 8),
            empty_steps: 0,
            last_progress: Instant::now(),
        }
    }

    /// One round of parallel receives.
    ///
    /// # Errors
    /// When the queue cannot be read. Call [`Self::make_all_visible`] also then.
    pub(super) async fn step(&mut self) -> Result<ScanStep, Failure> {
        let receives = (0..self.parallel_receives)
            .map(|_| retry_inline(|| self.queue.receive(MAX_BATCH_ENTRIES)));
        let mut failed = None;
        let mut incoming = Vec::new();
        // Await all of them: messages of a dropped receive would stay hidden.
        for result in join_all(receives).await {
            match result {
                Ok(messages) => incoming.extend(messages),
                Err(failure) => failed = Some(failure),
            }
        }
        let dead_letters = self.hide_received(incoming).await?;
        if let Some(failure) = failed.filter(|_| dead_letters.is_empty()) {
            return Err(failure);
        }
        if !dead_letters.is_empty() {
            self.empty_steps = 0;
            // Dead letters that are sent during the scan must not prolong it.
            if !dead_letters.iter().all(is_new) {
                self.last_progress = Instant::now();
            }
            return Ok(ScanStep::DeadLetters(dead_letters));
        }
        self.empty_steps += 1;
        self.check_end().await
    }

    /// Deletes dead letters that were received, each by its latest receipt. Returns those that
    /// SQS did not delete; they stay hidden.
    pub(super) async fn delete(&mut self, ids: &[&str]) -> Vec<(String, Failure)> {
        let (ids, entries): (Vec<&str>, Vec<BatchEntry>) = ids
            .iter()
            .filter_map(|id| Some((*id, entry_of(self.hidden.get(*id)?))))
            .unzip();
        let operation = BatchOperation::Delete;
        let failed = self.queue.apply_to_all(operation, &entries).await;
        let failed: Vec<(String, Failure)> = failed
            .into_iter()
            .map(|entry| (ids[entry.position].to_owned(), entry.failure))
            .collect();
        for id in ids {
            if failed.iter().all(|(failed_id, _)| failed_id != id) {
                self.hidden.remove(id);
            }
        }
        failed
    }

    /// Makes everything visible again that was not deleted. Returns the number of dead
    /// letters for which this failed: they stay hidden until their visibility timeout ends.
    pub(super) async fn make_all_visible(self) -> u64 {
        // An extension in progress must not reach SQS after the messages are visible.
        self.extender.stop().await;
        let entries: Vec<BatchEntry> = self.hidden.values().map(entry_of).collect();
        let operation = BatchOperation::ChangeVisibility;
        let failed = self.queue.apply_to_all(operation, &entries).await;
        // Stale receipt: the dead letter is visible, or another process received it.
        let still_hidden = failed.iter().filter(|it| !it.failure.is_stale_receipt());
        still_hidden.count() as u64
    }

    async fn hide_received(
        &mut self,
        received: Vec<Received>,
    ) -> Result<Vec<ReceivedDeadLetter>, Failure> {
        let mut dead_letters = Vec::with_capacity(received.len());
        let mut deleted = Vec::new();
        for message in received {
            if self.seen_ids.insert(message.id.clone()) {
                self.hide(&message);
                dead_letters.push(ReceivedDeadLetter::new(message));
            } else {
                // Its visibility timeout ended, or one of SQS's servers missed its delete.
                if !self.hidden.contains_key(&message.id) {
                    deleted.push(message.id.clone());
                }
                self.hide(&message);
            }
        }
        let deleted: Vec<&str> = deleted.iter().map(String::as_str).collect();
        match self.delete(&deleted).await.into_iter().next() {
            Some((_, failure)) if dead_letters.is_empty() => Err(failure),
            _ => Ok(dead_letters),
        }
    }

    /// Hides a message that was just received. For one that is hidden already, the new receipt
    /// replaces the old, which is stale.
    fn hide(&mut self, message: &Received) {
        let guard = self.extender.keep_hidden(message);
        self.hidden.insert(message.id.clone(), guard);
        let time = extension_time(self.queue.visibility(), self.hidden.len() as u64);
        self.extender.set_extension(time);
    }

    async fn check_end(&mut self) -> Result<ScanStep, Failure> {
        let depth = retry_inline(|| self.queue.attributes()).await?.depth;
        let hidden_here = self.hidden.len() as u64;
        let not_received = depth.visible + depth.delayed;
        let hidden_elsewhere = depth.hidden.saturating_sub(hidden_here);
        let required_wait = if (not_received, depth.hidden) == (0, hidden_here) {
            // The counts of SQS match the dead letters that this scan hides.
            Duration::ZERO
        } else if not_received > 0 || depth.hidden < hidden_here {
            // The counts are old, or SQS does not deliver some messages.
            SQS_COUNTS_LAG
        } else {
            SQS_COUNTS_LAG
                .max(extension_time(self.queue.visibility(), hidden_elsewhere) + HIDDEN_WAIT_MARGIN)
        };
        if self.empty_steps < 2 || self.last_progress.elapsed() < required_wait {
            // Some endpoints end a long poll at once.
            tokio::time::sleep(SCAN_POLL_WAIT / 4).await;
            return Ok(ScanStep::Waiting(hidden_elsewhere));
        }
        Ok(ScanStep::End(Unseen {
            hidden_elsewhere,
            not_received,
        }))
    }
}

/// To delete the dead letter, or to make it visible.
fn entry_of(guard: &VisibilityGuard) -> BatchEntry {
    BatchEntry {
        receipt: guard.receipt().to_owned(),
        visibility_timeout: Duration::ZERO,
    }
}

/// How long an extension lasts when `dead_letters` are hidden. After a kill they stay
/// hidden for at most this time.
fn extension_time(visibility: Duration, dead_letters: u64) -> Duration {
    visibility.max(Duration::from_secs(dead_letters / EXTENSIONS_PER_SECOND))
}

/// Whether its first receive came within five seconds of its send, by SQS's clock.
fn is_new(dead_letter: &ReceivedDeadLetter) -> bool {
    const NEW_MESSAGE_AGE: jiff::SignedDuration = jiff::SignedDuration::from_secs(5);
    let message = &dead_letter.message;
    let times = message.first_received_at.zip(message.sent_at);
    times.is_some_and(|(received, sent)| received.duration_since(sent) < NEW_MESSAGE_AGE)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use serde_json::{Value, json};

    use super::*;
    use crate::aws::cognito::fake::fake_aws;

    const EXTENSION_CALL_TIME: Duration = Duration::from_secs(3);

    #[tokio::test(start_paused = true)]
    async fn dead_letters_stay_hidden_until_they_are_deleted_or_the_scan_ends() {
        let calls = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&calls);
        // Refuses to delete `b`.
        let respond = move |operation: &str, input: &Value| {
            let entries = input["Entries"].as_array().cloned().unwrap_or_default();
            let receipt = |entry: &Value| entry["ReceiptHandle"].as_str().map(str::to_owned);
            let mut receipts: Vec<String> = entries.iter().filter_map(receipt).collect();
            receipts.sort();
            let timeout = entries
                .first()
                .and_then(|it| it["VisibilityTimeout"].as_u64());
            let is_first = {
                let mut log = log.lock().expect("no panic");
                log.push((Instant::now(), timeout, receipts));
                log.len() == 1
            };
            let answer = match operation {
                "ReceiveMessage" if is_first => {
                    let message = |id| json!({"MessageId": id, "ReceiptHandle": id, "Body": "{}"});
                    let messages = ["a", "b", "c"].map(message);
                    json!({ "Messages": messages })
                }
                "DeleteMessageBatch" => {
                    let entry = entries.iter().find(|it| it["ReceiptHandle"] == "b");
                    let failed = entry.map(|it| {
                        json!({"Id": it["Id"], "Code": "ReceiptHandleIsInvalid", "SenderFault": true})
                    });
                    json!({"Successful": [], "Failed": failed.into_iter().collect::<Vec<_>>()})
                }
                _ => json!({}),
            };
            let is_extension = timeout.is_some_and(|timeout| timeout > 0);
            let delay = if is_extension {
                EXTENSION_CALL_TIME
            } else {
                Duration::ZERO
            };
            (delay, 200, answer)
        };
        let aws = fake_aws(respond).await;
        let url = "https://sqs.us-east-1.amazonaws.com/1/queue";
        let queue = Queue::new(&aws, url, Duration::ZERO, Duration::from_mins(1));
        let mut scan = Scan::new(&queue, 1);
        let step = scan.step().await.expect("a step");
        assert!(matches!(step, ScanStep::DeadLetters(found) if found.len() == 3));

        let undeleted = scan.delete(&["a", "b", "unknown"]).await;
        let undeleted: Vec<&str> = undeleted.iter().map(|(id, _)| id.as_str()).collect();
        assert_eq!(undeleted, ["b"]);
        let last = || {
            let calls = calls.lock().expect("no panic");
            calls.last().cloned().expect("a call")
        };
        assert_eq!(last().2, ["a", "b"]);
        while last().1.is_none() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let (extended_at, timeout, receipts) = last();
        assert_eq!((timeout, receipts.join(" ")), (Some(60), "b c".to_owned()));

        assert_eq!(scan.make_all_visible().await, 0);
        let (made_visible_at, timeout, receipts) = last();
        assert_eq!((timeout, receipts.join(" ")), (Some(0), "b c".to_owned()));
        assert!(
            made_visible_at >= extended_at + EXTENSION_CALL_TIME,
            "overtaken"
        );
    }

    #[test]
    fn extending_takes_few_calls_however_many_are_hidden() {
        let visibility = Duration::from_mins(1);
        for (dead_letters, seconds) in [(0, 60), (6000, 60), (120_000, 1200)] {
            let time = extension_time(visibility, dead_letters);
            assert_eq!(time, Duration::from_secs(seconds), "{dead_letters}");
        }
    }
}
