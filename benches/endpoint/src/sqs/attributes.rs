//! Attributes and URLs of queues.

use std::collections::BTreeMap;
use std::time::Instant;

use serde::Deserialize;
use serde_json::json;

use super::{Answer, VISIBILITY, answer, name_of, no_queue, queue};
use crate::world::{State, World};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Attributes {
    queue_url: String,
    #[serde(default)]
    attribute_names: Vec<String>,
}

pub(super) fn attributes(state: &mut State, request: &Attributes) -> Answer {
    let arn = |name: &str| format!("arn:aws:sqs:eu-west-1:000000000000:{name}");
    let name = name_of(&request.queue_url).to_owned();
    let queue = queue(state, &request.queue_url)?;
    let depth = queue.depth(Instant::now());
    let redrive = queue.redrive.as_ref().map(|redrive| {
        let to = arn(&redrive.to);
        json!({"deadLetterTargetArn": to, "maxReceiveCount": redrive.max_receives}).to_string()
    });
    let known = [
        ("QueueArn", Some(arn(&name))),
        (
            "ApproximateNumberOfMessages",
            Some(depth.visible.to_string()),
        ),
        (
            "ApproximateNumberOfMessagesNotVisible",
            Some(depth.hidden.to_string()),
        ),
        (
            "ApproximateNumberOfMessagesDelayed",
            Some(depth.delayed.to_string()),
        ),
        ("VisibilityTimeout", Some(VISIBILITY.to_string())),
        ("MessageRetentionPeriod", Some("345600".to_owned())),
        ("RedrivePolicy", redrive),
    ];
    let is_requested = |name: &str| {
        let names = &request.attribute_names;
        names.iter().any(|one| one == "All" || one == name)
    };
    let attributes: BTreeMap<&str, String> = known
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .filter(|(name, _)| is_requested(name))
        .collect();
    Ok(answer(&json!({"Attributes": attributes})))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Named {
    queue_name: String,
}

pub(super) fn url(world: &World, state: &State, request: &Named) -> Answer {
    if !state.queues.contains_key(&request.queue_name) {
        return Err(no_queue());
    }
    let url = format!("{}/000000000000/{}", world.url, request.queue_name);
    Ok(answer(&json!({"QueueUrl": url})))
}
