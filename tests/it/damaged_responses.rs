//! Answers that are damaged on the network.

use axum::http::StatusCode;
use tokio::task::JoinSet;

use crate::faults::{Fault, Spoiled};
use crate::world::World;

#[tokio::test]
async fn spoiled_answers_do_not_count_as_success() {
    let mut runs = JoinSet::new();
    for spoiled in [
        Spoiled::NotJson,
        Spoiled::Truncated,
        Spoiled::Page(StatusCode::OK),
        Spoiled::Page(StatusCode::BAD_GATEWAY),
        Spoiled::Reset,
        Spoiled::Closed,
    ] {
        for operation in [
            "AdminAddUserToGroup",
            "CreateGroup",
            "PutItem",
            "DeleteMessageBatch",
            "SendMessage",
        ] {
            runs.spawn(spoil(spoiled, operation));
        }
    }
    while let Some(run) = runs.join_next().await {
        run.expect("all is well");
    }
}

/// Processes a sign-up and a malformed body while the first two answers are spoiled.
async fn spoil(spoiled: Spoiled, operation: &'static str) {
    let world = World::new().await;
    let users = world.create_users(1).await;
    world.send_all(&users).await;
    world.send("hello").await;
    let mut left = 2;
    world.faults.plan(move |call| {
        let spoil = call.operation == operation && left > 0;
        left -= i32::from(spoil);
        spoil.then_some(Fault::Before(spoiled))
    });
    world.work(&[]).await;
    let name = format!("{spoiled:?} of {operation}");
    assert_eq!(world.read_dead_letters().await.len(), 1, "{name}");
    assert_eq!(world.profiles().await.len(), 1, "{name}");
    assert_eq!(world.members("EVERYONE").await.len(), 1, "{name}");
    world.assert_queue_empty().await;
}
