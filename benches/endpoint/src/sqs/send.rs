//! `SendMessage`, singly and in batches.

use std::collections::BTreeMap;
use std::time::Instant;

use serde::Deserialize;
use serde_json::{Value, json};

use super::batch::{Batch, batch_answer, check, failed_entry};
use super::{Answer, answer, digest_of, queue, seconds};
use crate::answer::{Fault, uuid};
use crate::queue::{Content, Queue};
use crate::world::{State, clock, digest};

/// In seconds: the longest delay.
const MAX_DELAY: u64 = 900;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Send {
    #[serde(default)]
    id: String,
    #[serde(default)]
    queue_url: String,
    message_body: String,
    #[serde(default)]
    delay_seconds: u64,
    #[serde(default)]
    message_attributes: BTreeMap<String, Value>,
    message_group_id: Option<String>,
}

pub(super) fn send(state: &mut State, request: &Send) -> Answer {
    let queue = queue(state, &request.queue_url)?;
    Ok(answer(&add(queue, request)?))
}

pub(super) fn send_batch(state: &mut State, request: &Batch<Send>) -> Answer {
    check(&request.entries, |entry| &entry.id)?;
    let queue = queue(state, &request.queue_url)?;
    let (mut successful, mut failed) = (Vec::new(), Vec::new());
    for entry in &request.entries {
        match add(queue, entry) {
            Ok(mut sent) => {
                sent["Id"] = Value::from(entry.id.as_str());
                successful.push(sent);
            }
            Err(fault) => failed.push(failed_entry(&entry.id, &fault)),
        }
    }
    Ok(answer(&batch_answer(successful, failed)))
}

fn add(queue: &mut Queue, request: &Send) -> Result<Value, Fault> {
    let delay = seconds("DelaySeconds", request.delay_seconds, MAX_DELAY)?;
    let body_digest = digest(request.message_body.as_bytes());
    let named = request.message_attributes.iter();
    let attributes_digest = digest_of(&named.map(|(name, value)| (name.as_str(), value)).collect());
    let content = Content {
        body: request.message_body.as_str().into(),
        digest: body_digest.as_str().into(),
        attributes: request.message_attributes.clone(),
        group: request.message_group_id.clone(),
        sent: clock(),
    };
    let id = queue.send(content, delay, Instant::now());
    let mut sent = json!({
        "MessageId": uuid(u128::from(id)),
        "MD5OfMessageBody": body_digest,
    });
    if let Some(attributes_digest) = attributes_digest {
        sent["MD5OfMessageAttributes"] = Value::from(attributes_digest);
    }
    Ok(sent)
}
