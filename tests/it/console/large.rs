//! Readings of large queues, and stops in the middle.

use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{Console, with};
use crate::faults::{Call, Fault};
use crate::world::{World, eventually};

/// Two dead letters of almost 1 MiB, each time others.
fn huge(call: &Call) -> Option<Fault> {
    let url = call.input["QueueUrl"].as_str().unwrap_or_default();
    if call.operation != "ReceiveMessage" || !url.ends_with("dead-letters") {
        return None;
    }
    let message = |_| {
        let id = format!("{:032x}", fastrand::u128(..));
        json!({"MessageId": id, "ReceiptHandle": id, "Body": "x".repeat(1_000_000)})
    };
    let messages: Vec<Value> = (0..2).map(message).collect();
    Some(Fault::Pretended(json!({ "Messages": messages })))
}

#[tokio::test]
async fn a_reading_ends_at_256_mb_and_says_so() {
    let world = World::new().await;
    world.faults.plan(huge);
    let console = Console::open(world).await;
    console.read(256).await;
    console.world.faults.clear();
    let page = console.get("/console/dead-letters").await.text;
    for part in [
        "256 dead letters, read",
        "Not all: a reading ends at 20,000 dead letters or 256 MB. Replay or drop these",
    ] {
        assert!(page.contains(part), "{part} is missing in {page}");
    }
}

#[tokio::test]
async fn two_posts_at_once_start_one_job() {
    let world = World::new().await;
    world.put_dead_letter("{", "not_json", "").await;
    // While it is hidden elsewhere, a reading waits.
    let hidden = world.dead_letters.receive(1).await.expect("received");
    assert_eq!(hidden.len(), 1);
    let console = Console::open(world).await;
    let read = || console.post("/console/dead-letters/read", &[]);
    let (one, other) = tokio::join!(read(), read());
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [303, 409]);
    let (started, refused) = if one.status == 303 {
        (one, other)
    } else {
        (other, one)
    };
    let path = started.header("location").expect("a page");
    assert!(refused.text.contains("Another job is running"));
    assert!(refused.text.contains(path), "{}", refused.text);
    let stopped = console.post(&format!("{path}/stop"), &[]).await;
    console.end_of(&stopped).await;
    assert_eq!(console.get("/console/jobs/2").await.status, 404);
}

#[tokio::test]
async fn a_drop_that_is_stopped_leaves_the_rest() {
    let world = World::new().await;
    for n in 0..30 {
        world.put_dead_letter(&format!("{n}"), "not_json", "").await;
    }
    let console = Console::open(world).await;
    let all = console.read(30).await;
    let (second, mut deletes) = (CancellationToken::new(), 0);
    let opened = second.clone();
    console.world.faults.plan(move |call| {
        deletes += u64::from(call.operation == "DeleteMessageBatch");
        (deletes == 2 && call.operation == "DeleteMessageBatch")
            .then(|| Fault::Until(opened.clone()))
    });
    let note = with(&all, &[("typed", "30"), ("note", "of a test")]);
    let started = console.act("drop", &note).await;
    eventually("the second batch", || async {
        console.world.faults.calls("DeleteMessageBatch") == 2
    })
    .await;
    let path = started.header("location").expect("a page").to_owned();
    let stopped = console.post(&format!("{path}/stop"), &[]).await;
    second.cancel();
    let end = console.end_of(&stopped).await;
    for part in ["20 dead letters deleted", "10 dead letters not touched"] {
        assert!(end.contains(part), "{part} is missing in {end}");
    }
    // One line for each deletion, and one for the stop.
    assert_eq!((console.visible().await, console.audit().len()), (10, 21));
    // Nothing is deleted later.
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(console.visible().await, 10);
}
