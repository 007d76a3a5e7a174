//! Amazon SQS.
//!
//! <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/Welcome.html>

mod attributes;
mod batch;
mod receive;
mod send;
mod settle;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::answer::{Fault, unreadable};
use crate::queue::Queue;
use crate::world::{State, World, digest};
use attributes::{attributes, url};
use receive::receive;
use send::{send, send_batch};
use settle::{delete, delete_batch, hide, hide_batch};

/// In seconds: the default of a queue.
const VISIBILITY: u64 = 30;
/// In seconds: the longest visibility timeout.
const MAX_VISIBILITY: u64 = 43_200;

type Answer = Result<Vec<u8>, Fault>;

pub(crate) async fn call(world: &World, operation: &str, body: &[u8]) -> Answer {
    // A receive waits for messages first, and then for its latency.
    if operation == "ReceiveMessage" {
        let request = read(body)?;
        world.state().receives_begun += 1;
        world.progress.notify_waiters();
        return receive(world, &request).await;
    }
    world.delay(|settings| settings.sqs).await;
    call_now(world, operation, body)
}

fn call_now(world: &World, operation: &str, body: &[u8]) -> Answer {
    let mut state = world.state();
    let answer = match operation {
        "DeleteMessage" => delete(&mut state, &read(body)?),
        "DeleteMessageBatch" => delete_batch(&mut state, &read(body)?),
        "ChangeMessageVisibility" => hide(&mut state, &read(body)?),
        "ChangeMessageVisibilityBatch" => hide_batch(&mut state, &read(body)?),
        "SendMessage" => send(&mut state, &read(body)?),
        "SendMessageBatch" => send_batch(&mut state, &read(body)?),
        "GetQueueAttributes" => attributes(&mut state, &read(body)?),
        "GetQueueUrl" => url(world, &state, &read(body)?),
        _ => Err(Fault::new(
            "com.amazonaws.sqs#UnsupportedOperation",
            "this endpoint does not have the operation",
        )),
    };
    drop(state);
    world.progress.notify_waiters();
    if operation.starts_with("Send") || operation.starts_with("Change") {
        world.arrivals.notify_waiters();
    }
    answer
}

/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html#sqs-attributes-md5-message-digest-calculation>
fn digest_of(attributes: &BTreeMap<&str, &Value>) -> Option<String> {
    if attributes.is_empty() {
        return None;
    }
    let mut bytes = Vec::new();
    for (name, value) in attributes {
        put(&mut bytes, name);
        put(&mut bytes, value["DataType"].as_str().unwrap_or_default());
        // A string follows.
        bytes.push(1);
        put(
            &mut bytes,
            value["StringValue"].as_str().unwrap_or_default(),
        );
    }
    Some(digest(&bytes))
}

fn put(bytes: &mut Vec<u8>, text: &str) {
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    bytes.extend(length.to_be_bytes());
    bytes.extend(text.as_bytes());
}

fn queue<'a>(state: &'a mut State, url: &str) -> Result<&'a mut Queue, Fault> {
    state.queues.get_mut(name_of(url)).ok_or_else(no_queue)
}

fn name_of(url: &str) -> &str {
    url.rsplit('/').next().unwrap_or_default()
}

fn no_queue() -> Fault {
    Fault {
        query_error: Some("AWS.SimpleQueueService.NonExistentQueue"),
        ..Fault::new(
            "com.amazonaws.sqs#QueueDoesNotExist",
            "The specified queue does not exist.",
        )
    }
}

/// The duration, if it is at most `max` seconds.
fn seconds(name: &str, value: u64, max: u64) -> Result<Duration, Fault> {
    if value > max {
        return Err(invalid_value(&format!(
            "{name} must be between 0 and {max}"
        )));
    }
    Ok(Duration::from_secs(value))
}

fn invalid_value(message: &str) -> Fault {
    Fault {
        query_error: Some("InvalidParameterValue"),
        ..Fault::new("com.amazonaws.sqs#InvalidParameterValue", message)
    }
}

fn invalid_receipt() -> Fault {
    Fault {
        query_error: Some("ReceiptHandleIsInvalid"),
        ..Fault::new(
            "com.amazonaws.sqs#ReceiptHandleIsInvalid",
            "The input receipt handle is invalid.",
        )
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Fault> {
    serde_json::from_slice(body).map_err(|error| unreadable(&error))
}

fn answer(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}
