//! Amazon SQS: deletes and visibility changes in batches.
//!
//! SQS answers 200 although entries failed. Those are sent again, except for one with a stale
//! receipt: its message is deleted, or was received again.

use std::sync::OnceLock;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};

use super::message::FailedEntry;
use super::queue::{MAX_BATCH_ENTRIES, Queue};
use crate::aws::error::Failure;
use crate::retry::retry_inline;

pub(crate) const MAX_BATCHES_IN_PARALLEL: usize = 8;
/// Calls of [`Queue::apply_to_all`] for one batch while SQS refuses some of its entries.
const MAX_ROUNDS: u32 = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BatchOperation {
    Delete,
    ChangeVisibility,
}

#[derive(Debug, Clone)]
pub(crate) struct BatchEntry {
    pub(crate) receipt: String,
    /// Used for [`BatchOperation::ChangeVisibility`] only.
    pub(crate) visibility_timeout: Duration,
}

impl Queue {
    /// One call for at most 10 entries. Returns those that SQS did not carry out.
    ///
    /// # Errors
    /// When the whole call failed.
    pub(crate) async fn apply_batch(
        &self,
        operation: BatchOperation,
        batch: &[BatchEntry],
    ) -> Result<Vec<FailedEntry>, Failure> {
        match operation {
            BatchOperation::Delete => {
                let receipts: Vec<&str> =
                    batch.iter().map(|entry| entry.receipt.as_str()).collect();
                self.delete(&receipts).await
            }
            BatchOperation::ChangeVisibility => {
                let receipts: Vec<(&str, Duration)> = batch
                    .iter()
                    .map(|entry| (entry.receipt.as_str(), entry.visibility_timeout))
                    .collect();
                self.change_visibility(&receipts).await
            }
        }
    }

    /// Sends any number of entries, in calls that are retried inline. After a call that failed
    /// for good, no other begins: it would fail, too. Returns the entries that SQS did not carry
    /// out, those with a stale receipt included.
    pub(crate) async fn apply_to_all(
        &self,
        operation: BatchOperation,
        entries: &[BatchEntry],
    ) -> Vec<FailedEntry> {
        let outage = OnceLock::new();
        let positions: Vec<usize> = (0..entries.len()).collect();
        stream::iter(positions.chunks(MAX_BATCH_ENTRIES))
            .map(|batch| self.apply_until_done(operation, entries, batch, &outage))
            .buffer_unordered(MAX_BATCHES_IN_PARALLEL)
            .concat()
            .await
    }

    /// Sends the entries at `positions`, and again those that failed.
    async fn apply_until_done(
        &self,
        operation: BatchOperation,
        entries: &[BatchEntry],
        positions: &[usize],
        outage: &OnceLock<Failure>,
    ) -> Vec<FailedEntry> {
        let mut remaining = positions.to_vec();
        let (mut stale, mut failed) = (Vec::new(), Vec::new());
        for _ in 0..MAX_ROUNDS {
            let batch: Vec<BatchEntry> = remaining.iter().map(|at| entries[*at].clone()).collect();
            let result = match outage.get() {
                Some(failure) => Err(failure.clone()),
                None => retry_inline(|| self.apply_batch(operation, &batch)).await,
            };
            let in_all = |entry: FailedEntry| {
                let position = *remaining.get(entry.position)?;
                Some(FailedEntry { position, ..entry })
            };
            match result {
                Ok(refused) => {
                    let refused = refused.into_iter().filter_map(in_all);
                    let is_stale = |entry: &FailedEntry| entry.failure.is_stale_receipt();
                    let (never, again): (Vec<_>, Vec<_>) = refused.partition(is_stale);
                    stale.extend(never);
                    failed = again;
                }
                Err(failure) => {
                    let failure = outage.get_or_init(|| failure);
                    let unsent = |position: &usize| FailedEntry {
                        position: *position,
                        failure: failure.clone(),
                    };
                    failed = remaining.iter().map(unsent).collect();
                    break;
                }
            }
            remaining = failed.iter().map(|entry| entry.position).collect();
            if remaining.is_empty() {
                break;
            }
        }
        [stale, failed].concat()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::{Arc, Mutex};

    use serde_json::{Value, json};

    use super::*;
    use crate::aws::cognito::fake::fake_aws;

    type Calls = Arc<Mutex<Vec<Vec<String>>>>;

    /// A queue that refuses entries by their receipt, and the receipts of each call.
    async fn queue(refused: BTreeMap<&'static str, &'static str>) -> (Queue, Calls) {
        let calls = Calls::default();
        let log = Arc::clone(&calls);
        let respond = move |_: &str, input: &Value| {
            let entries = input["Entries"].as_array().expect("entries");
            let receipts = entries
                .iter()
                .map(|entry| entry["ReceiptHandle"].as_str().expect("text").to_owned());
            log.lock().expect("no panic").push(receipts.collect());
            let is_down = entries.iter().any(|entry| entry["ReceiptHandle"] == "down");
            if is_down {
                let body = json!({"__type": "InternalFailure"});
                return (Duration::ZERO, 500, body);
            }
            let failed: Vec<Value> = entries
                .iter()
                .filter_map(|entry| {
                    let code = refused.get(entry["ReceiptHandle"].as_str()?)?;
                    Some(json!({"Id": entry["Id"], "Code": code, "SenderFault": true}))
                })
                .collect();
            let body = json!({"Successful": [], "Failed": failed});
            (Duration::ZERO, 200, body)
        };
        let aws = fake_aws(respond).await;
        let url = "https://sqs.us-east-1.amazonaws.com/1/queue";
        let queue = Queue::new(&aws, url, Duration::ZERO, Duration::from_mins(1));
        (queue, calls)
    }

    fn entries(receipts: &[&str]) -> Vec<BatchEntry> {
        let entry = |receipt: &&str| BatchEntry {
            receipt: (*receipt).to_owned(),
            visibility_timeout: Duration::ZERO,
        };
        receipts.iter().map(entry).collect()
    }

    fn by_position(failed: &[FailedEntry]) -> BTreeMap<usize, &str> {
        let entries = failed.iter();
        entries
            .map(|entry| (entry.position, entry.failure.code.as_str()))
            .collect()
    }

    #[tokio::test(start_paused = true)]
    async fn failed_entries_are_sent_again_and_stale_receipts_are_not() {
        let refused = [("d", "InternalError"), ("c", "ReceiptHandleIsInvalid")];
        for operation in [BatchOperation::Delete, BatchOperation::ChangeVisibility] {
            let (queue, calls) = queue(refused.into()).await;
            let all = [
                "a", "b", "b", "b", "b", "b", "b", "b", "b", "b", "c", "d", "e",
            ];
            let failed = queue.apply_to_all(operation, &entries(&all)).await;
            let expected = [(10, "ReceiptHandleIsInvalid"), (11, "InternalError")];
            assert_eq!(by_position(&failed), expected.into());
            let calls = calls.lock().expect("no panic");
            let of_second = calls[1..].iter().map(|call| call.join(" "));
            assert_eq!(of_second.collect::<Vec<_>>(), ["c d e", "d", "d"]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_failed_call_no_other_begins() {
        let (queue, calls) = queue(BTreeMap::new()).await;
        let receipts = [vec!["up"; 10], vec!["down"; 1990]].concat();
        let failed = queue
            .apply_to_all(BatchOperation::ChangeVisibility, &entries(&receipts))
            .await;
        let positions: Vec<usize> = by_position(&failed).into_keys().collect();
        assert_eq!(positions, (10..2000).collect::<Vec<_>>());
        let calls = calls.lock().expect("no panic").len();
        assert!(calls <= 1 + 8 * 4, "{calls} calls");
    }

    #[test]
    fn only_a_failed_entry_with_a_valid_receipt_is_resent() {
        let failed = |position, code: &str| FailedEntry {
            position,
            failure: Failure {
                operation: crate::aws::SqsOperation::DeleteMessageBatch.into(),
                resource: "queue".into(),
                code: code.to_owned(),
                reason: crate::reason::Reason::ServerError,
                class: crate::aws::Class::Transient,
                explanation: None,
            },
        };
        let failed = [
            failed(1, "InternalError"),
            failed(2, "AWS.SimpleQueueService.MessageNotInflight"),
        ];
        let resent = (0..4).filter(|at| FailedEntry::is_to_resend(&failed, *at));
        assert_eq!(resent.collect::<Vec<_>>(), [1]);
    }
}
