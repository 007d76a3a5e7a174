//! Faults of queues: batches that fail in part, and messages that are delivered twice,
//! again, or not.
//!
//! <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/standard-queues-at-least-once-delivery.html>

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::response::ProxiedCall;
use super::{Call, Faults, Ledger};

/// Entries of a batch that have another result than the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Partial {
    /// The affected entries: one bit for each position.
    pub(crate) entries: u16,
    /// Whether the entries take effect.
    pub(crate) effect: bool,
    /// The error code of the entries. Without one the answer reports success.
    pub(crate) code: Option<&'static str>,
}

/// The messages that a receive returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// No messages, at once, even if the queue has some.
    Empty,
    /// A message twice, the second time with another receipt handle.
    Twice,
    /// Messages that stay visible although they were received.
    Unhidden,
    /// A message of an earlier receive again, even if it is deleted.
    Earlier,
}

/// The suffix of a copy's receipt handle.
const COPY: &str = "~copy";
/// The visibility timeout of the tests' workers. A message that is hidden for longer is in
/// a back-off; one that is hidden for as long is in progress.
const VISIBILITY: u64 = 10;
/// Seconds of a back-off in the time lapse.
const LAPSE_SECONDS: u64 = 3;

/// Changes the call to one that the endpoint understands.
pub(super) fn translate(faults: &Faults, call: &mut Call) {
    // A renewed message may have a delay.
    let delayed = call.input["DelaySeconds"].as_u64().unwrap_or(0);
    if delayed > 0 {
        faults.ledger(|ledger| ledger.hidden(delayed));
        if faults.is_time_lapse() && delayed > VISIBILITY {
            call.input["DelaySeconds"] = json!(LAPSE_SECONDS);
        }
    }
    if !matches!(
        call.operation.as_str(),
        "DeleteMessageBatch" | "ChangeMessageVisibilityBatch"
    ) {
        return;
    }
    let time_lapse = faults.is_time_lapse();
    for entry in call.input["Entries"].as_array_mut().into_iter().flatten() {
        if let Some(original) = entry["ReceiptHandle"]
            .as_str()
            .and_then(|handle| handle.strip_suffix(COPY))
        {
            entry["ReceiptHandle"] = json!(original);
        }
        if let Some(hidden) = entry["VisibilityTimeout"].as_u64() {
            faults.ledger(|ledger| ledger.hidden(hidden));
            if time_lapse && hidden > VISIBILITY {
                entry["VisibilityTimeout"] = json!(LAPSE_SECONDS);
            }
        }
    }
}

impl ProxiedCall<'_> {
    pub(super) async fn partial(&self, call: &Call, partial: Partial) -> Response {
        let all = call.input["Entries"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let is_selected = |place: usize| partial.entries >> (place % 16) & 1 == 1;
        let (others, selected): (Vec<_>, Vec<_>) = all
            .into_iter()
            .enumerate()
            .partition(|(place, _)| !is_selected(*place));
        let entries = |of: &[(usize, Value)]| -> Vec<Value> {
            of.iter().map(|(_, entry)| entry.clone()).collect()
        };
        let mut answer = json!({"Successful": [], "Failed": []});
        let mut call = Call {
            operation: call.operation.clone(),
            input: call.input.clone(),
        };
        if partial.effect {
            call.input["Entries"] = json!(entries(&selected));
            self.forward(&call).await;
        }
        if !others.is_empty() {
            call.input["Entries"] = json!(entries(&others));
            let forwarded = self.forward(&call).await;
            if forwarded.parts.status != StatusCode::OK {
                return forwarded.whole();
            }
            answer = forwarded.json();
        }
        for (_, entry) in selected {
            let (list, result) = match partial.code {
                None => ("Successful", json!({"Id": entry["Id"]})),
                Some(code) => (
                    "Failed",
                    json!({"Id": entry["Id"], "Code": code, "SenderFault": false}),
                ),
            };
            if let Some(results) = answer[list].as_array_mut() {
                results.push(result);
            } else {
                answer[list] = json!([result]);
            }
        }
        answer.to_string().into_response()
    }

    pub(super) async fn deliver(&self, call: &Call, delivery: Delivery) -> Response {
        if delivery == Delivery::Empty {
            return "{}".into_response();
        }
        let forwarded = self.forward(call).await;
        let mut answer = forwarded.json();
        let asked = call.input["MaxNumberOfMessages"].as_u64().unwrap_or(1);
        let messages = answer["Messages"].as_array().cloned().unwrap_or_default();
        let room = u64::try_from(messages.len()).is_ok_and(|came| came < asked);
        let more = match delivery {
            Delivery::Unhidden => {
                for message in &messages {
                    let input = json!({
                        "QueueUrl": call.input["QueueUrl"], "VisibilityTimeout": 0,
                        "ReceiptHandle": message["ReceiptHandle"],
                    });
                    self.also("AmazonSQS.ChangeMessageVisibility", &input).await;
                }
                None
            }
            Delivery::Earlier => self.faults.ledger(Ledger::earlier),
            _ => messages.last().map(|message| {
                let mut copy = message.clone();
                let handle = message["ReceiptHandle"].as_str().unwrap_or_default();
                copy["ReceiptHandle"] = json!(format!("{handle}{COPY}"));
                copy
            }),
        };
        if let Some(more) = more.filter(|_| room) {
            let mut messages = messages;
            messages.push(more);
            answer["Messages"] = json!(messages);
        }
        forwarded.with(&answer)
    }
}

/// Shifts the times of messages, as if the queue's clock were wrong.
pub(super) fn shift_timestamps(answer: &mut Value, hours: i64) {
    for message in answer["Messages"].as_array_mut().into_iter().flatten() {
        for name in ["SentTimestamp", "ApproximateFirstReceiveTimestamp"] {
            let time = &mut message["Attributes"][name];
            if let Some(at) = time.as_str().and_then(|at| at.parse::<i64>().ok()) {
                *time = json!((at + hours * 3_600_000).to_string());
            }
        }
    }
}
