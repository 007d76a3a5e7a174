//! `ReceiveMessage`, with its long poll.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Answer, MAX_VISIBILITY, VISIBILITY, digest_of, invalid_value, queue, seconds};
use crate::answer::{Fault, uuid};
use crate::queue::Delivered;
use crate::world::{State, World, clock};

/// The longest pause between two checks of a long poll.
const RECHECK_INTERVAL: Duration = Duration::from_secs(1);
/// In seconds: the longest long poll.
const MAX_WAIT: u64 = 20;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Receive {
    queue_url: String,
    max_number_of_messages: Option<usize>,
    visibility_timeout: Option<u64>,
    wait_time_seconds: Option<u64>,
    #[serde(default)]
    message_attribute_names: Vec<String>,
    #[serde(default)]
    message_system_attribute_names: Vec<String>,
    #[serde(default)]
    attribute_names: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Received<'a> {
    messages: Vec<Message<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Message<'a> {
    message_id: String,
    receipt_handle: String,
    #[serde(rename = "MD5OfBody")]
    md5_of_body: &'a str,
    body: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    attributes: BTreeMap<&'static str, String>,
    #[serde(
        skip_serializing_if = "Option::is_none",
        rename = "MD5OfMessageAttributes"
    )]
    md5_of_message_attributes: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    message_attributes: BTreeMap<&'a str, &'a Value>,
}

pub(super) async fn receive(world: &World, request: &Receive) -> Answer {
    let wait = request.wait_time_seconds.unwrap_or_default();
    let wait = seconds("WaitTimeSeconds", wait, MAX_WAIT)?;
    let until = Instant::now() + wait;
    let run = world.state().run;
    loop {
        // Registered before the check, so that no message is missed.
        let arrival = world.arrivals.notified();
        tokio::pin!(arrival);
        arrival.as_mut().enable();
        let (response, next_visible) = {
            let mut state = world.state();
            if state.run != run {
                return Ok(b"{}".to_vec());
            }
            (
                take(&mut state, request)?,
                queue(&mut state, &request.queue_url)?.next_visible(),
            )
        };
        let now = Instant::now();
        if let Some(response) = response {
            world.progress.notify_waiters();
            world.delay(|settings| settings.sqs).await;
            return Ok(response);
        }
        if now >= until {
            world.state().seen.empty_receives += 1;
            world.progress.notify_waiters();
            world.delay(|settings| settings.sqs).await;
            return Ok(b"{}".to_vec());
        }
        let next = [Some(until), next_visible, Some(now + RECHECK_INTERVAL)];
        let next = next.into_iter().flatten().min().unwrap_or(until);
        tokio::select! {
            () = arrival => {}
            () = world.clock.sleep(next.saturating_duration_since(now)) => {}
        }
    }
}

/// The response with visible messages, if there are any.
fn take(state: &mut State, request: &Receive) -> Result<Option<Vec<u8>>, Fault> {
    let now = Instant::now();
    let max_messages = request.max_number_of_messages.unwrap_or(1);
    if !(1..=10).contains(&max_messages) {
        return Err(invalid_value(
            "MaxNumberOfMessages must be between 1 and 10",
        ));
    }
    let visibility = request.visibility_timeout.unwrap_or(VISIBILITY);
    let visibility = seconds("VisibilityTimeout", visibility, MAX_VISIBILITY)?;
    let queue = queue(state, &request.queue_url)?;
    let (ids, too_often) = queue.receive(max_messages, visibility, now, clock());
    let redrive = queue.redrive.clone();
    let messages: Vec<Message<'_>> = ids
        .iter()
        .filter_map(|id| Some(message(&queue.delivered(*id)?, request)))
        .collect();
    let delivered = messages.len() as u64;
    let answer =
        (delivered > 0).then(|| serde_json::to_vec(&Received { messages }).expect("it is JSON"));
    state.seen.delivered += delivered;
    if let Some(dead_letter_queue) = redrive.and_then(|redrive| state.queues.get_mut(&redrive.to)) {
        for (id, message) in too_often {
            dead_letter_queue.take_over(id, message);
        }
    }
    Ok(answer)
}

fn message<'a>(delivered: &Delivered<'a>, request: &Receive) -> Message<'a> {
    let message = delivered.message;
    let content = &message.content;
    let is_requested = |name: &str| {
        let names = &request.message_attribute_names;
        names.iter().any(|pattern| {
            let prefix = pattern.strip_suffix(".*");
            pattern == "All"
                || pattern == name
                || prefix.is_some_and(|start| name.starts_with(start))
        })
    };
    let message_attributes: BTreeMap<&str, &Value> = content
        .attributes
        .iter()
        .filter(|(name, _)| is_requested(name))
        .map(|(name, value)| (name.as_str(), value))
        .collect();
    let system = [
        &request.message_system_attribute_names,
        &request.attribute_names,
    ];
    let attributes = [
        (
            "ApproximateReceiveCount",
            Some(message.receives.to_string()),
        ),
        (
            "ApproximateFirstReceiveTimestamp",
            message.first_received.map(|at| at.to_string()),
        ),
        ("SentTimestamp", Some(content.sent.to_string())),
        ("SenderId", Some("AIDAEXAMPLE".to_owned())),
        ("MessageGroupId", content.group.clone()),
    ];
    Message {
        message_id: uuid(u128::from(delivered.id)),
        receipt_handle: delivered.receipt.clone(),
        md5_of_body: &content.digest,
        body: &content.body,
        attributes: attributes
            .into_iter()
            .filter(|(name, _)| {
                let mut requested = system.iter().copied().flatten();
                requested.any(|one| one == "All" || one == name)
            })
            .filter_map(|(name, value)| Some((name, value?)))
            .collect(),
        md5_of_message_attributes: digest_of(&message_attributes),
        message_attributes,
    }
}
