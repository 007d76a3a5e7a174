//! Deletes and changes of visibility, singly and in batches.

use std::time::Instant;

use serde::Deserialize;

use super::batch::{Batch, check, settled};
use super::{Answer, MAX_VISIBILITY, invalid_receipt, invalid_value, queue, seconds};
use crate::answer::Fault;
use crate::queue::{NotHidden, Queue};
use crate::world::State;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Receipt {
    queue_url: String,
    receipt_handle: String,
    #[serde(default)]
    visibility_timeout: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Entry {
    id: String,
    receipt_handle: String,
    #[serde(default)]
    visibility_timeout: u64,
}

pub(super) fn delete(state: &mut State, request: &Receipt) -> Answer {
    let deleted = queue(state, &request.queue_url)?.delete(&request.receipt_handle);
    state.seen.last_delete = Some(Instant::now());
    match deleted {
        Ok(()) => Ok(b"{}".to_vec()),
        Err(_) => Err(invalid_receipt()),
    }
}

pub(super) fn delete_batch(state: &mut State, request: &Batch<Entry>) -> Answer {
    check(&request.entries, |entry| &entry.id)?;
    let queue = queue(state, &request.queue_url)?;
    let results = request.entries.iter().map(|entry| {
        let deleted = queue.delete(&entry.receipt_handle);
        (entry.id.as_str(), deleted.map_err(|_| invalid_receipt()))
    });
    let answer = settled(results);
    state.seen.last_delete = Some(Instant::now());
    Ok(answer)
}

pub(super) fn hide(state: &mut State, request: &Receipt) -> Answer {
    let queue = queue(state, &request.queue_url)?;
    hide_one(queue, &request.receipt_handle, request.visibility_timeout)?;
    Ok(b"{}".to_vec())
}

pub(super) fn hide_batch(state: &mut State, request: &Batch<Entry>) -> Answer {
    check(&request.entries, |entry| &entry.id)?;
    let queue = queue(state, &request.queue_url)?;
    let results = request.entries.iter().map(|entry| {
        let hidden = hide_one(queue, &entry.receipt_handle, entry.visibility_timeout);
        (entry.id.as_str(), hidden)
    });
    Ok(settled(results))
}

fn hide_one(queue: &mut Queue, receipt: &str, visibility: u64) -> Result<(), Fault> {
    let time = seconds("VisibilityTimeout", visibility, MAX_VISIBILITY)?;
    let hidden = queue.hide(receipt, time, Instant::now());
    hidden.map_err(|reason| match reason {
        NotHidden::Invalid => invalid_receipt(),
        // The reference names only `MessageNotInflight`. AWS is known to send this:
        // <https://github.com/vmihailenco/taskq/issues/29>
        NotHidden::Deleted => invalid_value(
            "Message does not exist or is not available for visibility timeout change.",
        ),
        NotHidden::NotInFlight => Fault {
            query_error: Some("AWS.SimpleQueueService.MessageNotInflight"),
            ..Fault::new(
                "com.amazonaws.sqs#MessageNotInflight",
                "the message is not in flight",
            )
        },
    })
}
