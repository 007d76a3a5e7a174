//! A queue that refuses `MessageGroupId`: a partition without fair queues, or an emulator.

use std::time::Duration;

use serde_json::{Value, json};
use usher::aws::{Outgoing, Queue};

use crate::faults::{Call, Fault};
use crate::trigger::Lambda;
use crate::world::World;

const TEXT: &str = "Value us-east-1_x for parameter MessageGroupId is invalid. Reason: The request \
                    include parameter that is not valid for this queue type.";

type Plan = fn(&Call) -> Option<Fault>;

fn has_group(entry: &Value) -> bool {
    entry.get("MessageGroupId").is_some()
}

fn refused(call: &Call) -> Option<Fault> {
    let grouped = match call.operation.as_str() {
        "SendMessage" => has_group(&call.input),
        "SendMessageBatch" => call.input["Entries"].as_array()?.iter().any(has_group),
        _ => false,
    };
    grouped.then_some(Fault::Refused("InvalidParameterValue", TEXT))
}

/// Refuses each entry of a batch separately, as AWS does.
fn refused_by_entry(call: &Call) -> Option<Fault> {
    let entries = call.input["Entries"].as_array()?;
    if call.operation != "SendMessageBatch" || !entries.iter().any(has_group) {
        return None;
    }
    let failed: Vec<Value> = entries
        .iter()
        .map(|entry| {
            json!({"Id": entry["Id"], "Code": "InvalidParameterValue", "Message": TEXT,
                "SenderFault": true})
        })
        .collect();
    Some(Fault::Pretended(
        json!({"Successful": [], "Failed": failed}),
    ))
}

fn messages(count: usize) -> Vec<Outgoing> {
    let message = |n: usize| Outgoing {
        body: format!("message {n}"),
        message_group: Some("us-east-1_x".to_owned()),
        ..Outgoing::default()
    };
    (0..count).map(message).collect()
}

#[tokio::test]
async fn messages_are_sent_without_a_group_if_the_queue_refuses_it() {
    let world = World::new().await;
    let time = Duration::from_secs(1);
    let queue = || Queue::new(&world.aws, world.queue.url(), time, time);
    world.faults.plan(refused);
    let single = queue();
    for message in messages(2) {
        single.send(message).await.expect("sent");
    }
    assert_eq!(world.faults.calls("SendMessage"), 3, "asked for once");
    for (plan, calls) in [(refused as Plan, 3), (refused_by_entry, 6)] {
        world.faults.plan(plan);
        let queue = queue();
        for sent in queue.send_all(&messages(15)).await {
            sent.expect("sent");
        }
        assert_eq!(world.faults.calls("SendMessageBatch"), calls);
    }
    let depth = world.queue.attributes().await.expect("attributes").depth;
    assert_eq!(depth.visible, 2 + 15 + 15);
}

#[tokio::test]
async fn another_refusal_is_not_sent_again() {
    let world = World::new().await;
    let time = Duration::from_secs(1);
    let queue = Queue::new(&world.aws, world.queue.url(), time, time);
    world.faults.plan(|call| {
        let text = "One or more parameters are invalid.";
        (call.operation == "SendMessage").then_some(Fault::Refused("InvalidParameterValue", text))
    });
    for message in messages(1) {
        queue.send(message).await.expect_err("refused");
    }
    assert_eq!(world.faults.calls("SendMessage"), 1);
}

#[tokio::test]
async fn the_lambda_forwards_without_a_refused_group() {
    let world = World::new().await;
    let users = world.create_users(2).await;
    world.faults.plan(refused);
    let mut lambda = Lambda::of(&world).await;
    for user in &users {
        lambda.invoke_in(&user.event.to_string(), None).await;
    }
    assert_eq!(world.faults.calls("SendMessage"), 3);
    world.work(&[]).await;
    world.assert_all_provisioned(&users).await;
}
