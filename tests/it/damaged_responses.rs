//! Responses that are damaged on the network.

use axum::http::StatusCode;
use tokio::task::JoinSet;

use crate::faults::{Damaged, Fault};
use crate::world::World;

#[tokio::test]
async fn damaged_responses_do_not_count_as_success() {
    let mut runs = JoinSet::new();
    for damaged in [
        Damaged::NotJson,
        Damaged::Truncated,
        Damaged::Page(StatusCode::OK),
        Damaged::Page(StatusCode::BAD_GATEWAY),
        Damaged::Reset,
        Damaged::Closed,
    ] {
        for operation in [
            "AdminAddUserToGroup",
            "CreateGroup",
            "PutItem",
            "DeleteMessageBatch",
            "SendMessage",
        ] {
            runs.spawn(damage(damaged, operation));
        }
    }
    while let Some(run) = runs.join_next().await {
        run.expect("all is well");
    }
}

/// Processes a sign-up and a malformed body while the first two responses are damaged.
async fn damage(damaged: Damaged, operation: &'static str) {
    let world = World::new().await;
    let users = world.create_users(1).await;
    world.send_all(&users).await;
    world.send("hello").await;
    let mut left = 2;
    world.faults.plan(move |call| {
        let is_damaged = call.operation == operation && left > 0;
        left -= i32::from(is_damaged);
        is_damaged.then_some(Fault::Before(damaged))
    });
    world.work(&[]).await;
    let name = format!("{damaged:?} of {operation}");
    assert_eq!(world.read_dead_letters().await.len(), 1, "{name}");
    assert_eq!(world.profiles().await.len(), 1, "{name}");
    assert_eq!(world.members("EVERYONE").await.len(), 1, "{name}");
    world.assert_queue_empty().await;
}
