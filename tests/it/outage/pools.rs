//! Pools that are missing or refuse, beside others that work.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::http::StatusCode;
use usher::worker::Until;

use crate::faults::Fault;
use crate::world::{PATIENCE, World, eventually};

#[tokio::test]
async fn messages_of_unknown_pools_do_not_stop_a_new_worker() {
    let world = World::new().await;
    let users = world.create_users(10).await;
    for (n, user) in users.iter().take(5).enumerate() {
        let mut unknown = user.event.clone();
        unknown["userPoolId"] = serde_json::json!(format!("us-east-1_Nowhere{n}"));
        world.send(unknown.to_string()).await;
    }
    world.send_all(&users).await;
    let config = world.config(&[("worker.concurrency", "8"), ("worker.max_attempts", "1")]);
    let running = world.worker(&config, Until::Stopped).await;
    eventually("all users are in the group", || async {
        world.members("EVERYONE").await.len() == 10
    })
    .await;
    running.stop().await;
    for dead_letter in world.read_dead_letters().await {
        assert_eq!(dead_letter.attributes["usher.reason"], "pool_not_found");
    }
}

#[tokio::test]
async fn a_pool_missing_for_a_moment_causes_short_delays() {
    let world = World::new().await;
    let users = world.create_users(40).await;
    world.send_all(&users).await;
    let mut missing = 12;
    world.faults.time_lapse();
    world.faults.plan(move |call| {
        let fault = call.operation == "CreateGroup" && missing > 0;
        missing -= i32::from(fault);
        fault.then_some(Fault::Error(
            StatusCode::BAD_REQUEST,
            "ResourceNotFoundException",
        ))
    });
    world.work(&[("pools.allowed", &world.pool.id)]).await;
    world.assert_all_provisioned(&users).await;
    let hidden = world.faults.ledger(|ledger| ledger.longest_hide());
    assert!(hidden <= Duration::from_secs(10), "hidden for {hidden:?}");
}

#[tokio::test]
async fn an_unknown_pool_does_not_stop_the_others() {
    let world = World::new().await;
    let users = world.create_users(20).await;
    let mut unknown = users[0].event.clone();
    unknown["userPoolId"] = serde_json::json!("us-east-1_Strange01");
    world.send(unknown.to_string()).await;
    world.send_all(&users).await;
    world.work(&[("worker.max_attempts", "1")]).await;
    let dead_letters = world.read_dead_letters().await;
    assert_eq!(dead_letters.len(), 1);
    assert_eq!(dead_letters[0].attributes["usher.reason"], "pool_not_found");
    assert_eq!(world.profiles().await.len(), 20);
    assert_eq!(world.members("EVERYONE").await.len(), 20);
}

#[tokio::test]
async fn an_unknown_pool_that_refuses_does_not_stop_the_others() {
    let world = World::new().await;
    let users = world.create_users(10).await;
    let (first, others) = users.split_at(2);
    world.faults.plan(|call| {
        let is_strange = call.input["UserPoolId"] == "us-east-1_Strange01";
        is_strange.then_some(Fault::Error(
            StatusCode::BAD_REQUEST,
            "AccessDeniedException",
        ))
    });
    world.send_all(first).await;
    let config = world.config(&[("worker.max_attempts", "1")]);
    let running = world.worker(&config, Until::Stopped).await;
    eventually("one pool works", || async {
        world.profiles().await.len() == 2
    })
    .await;
    for user in first {
        let mut unknown = user.event.clone();
        for n in 0..3 {
            unknown["userPoolId"] = serde_json::json!("us-east-1_Strange01");
            unknown["userName"] = serde_json::json!(format!("{}-{n}", user.name));
            world.send(unknown.to_string()).await;
        }
    }
    eventually("they are dead letters", || async {
        world
            .dead_letters
            .attributes()
            .await
            .expect("attributes")
            .depth
            .visible
            == 6
    })
    .await;
    world.send_all(others).await;
    eventually("the others go on", || async {
        world.profiles().await.len() == 10
    })
    .await;
    assert!(running.health.unready_reasons().is_empty());
    running.stop().await;
    for dead_letter in world.read_dead_letters().await {
        assert_eq!(dead_letter.attributes["usher.reason"], "access_denied");
    }
}

/// For example a replica of a pool, a pool during a restore, or a new error code.
#[tokio::test]
async fn a_service_that_refuses_every_user_loses_no_message() {
    for (operation, code) in [
        ("AdminAddUserToGroup", "OperationNotEnabledException"),
        ("AdminAddUserToGroup", "SomethingNewException"),
        ("PutItem", "SomethingNewException"),
    ] {
        let world = World::new().await;
        let users = world.create_users(30).await;
        world.faults.time_lapse();
        world.faults.plan(move |call| {
            let refused = Fault::Error(StatusCode::BAD_REQUEST, code);
            (call.operation == operation).then_some(refused)
        });
        world.send_all(&users).await;
        // The first attempt is also the last.
        let config = world.config(&[("worker.max_attempts", "1")]);
        let running = world.worker(&config, Until::Empty).await;
        eventually("readiness says why", || async {
            let why = running.health.unready_reasons().join(" ");
            why.contains(operation) && why.contains(code)
        })
        .await;
        let refused = world.faults.count(operation);
        eventually("probes", || async {
            world.faults.count(operation) > refused + 4
        })
        .await;
        let depth = world
            .dead_letters
            .attributes()
            .await
            .expect("attributes")
            .depth;
        assert!(depth.is_empty(), "{code}: {depth:?}");
        world.faults.clear();
        running.end(PATIENCE).await;
        world.assert_all_provisioned(&users).await;
    }
}

#[tokio::test]
async fn many_refusals_in_a_row_do_not_stop_the_others() {
    refusals_in_a_row("64").await;
}

#[tokio::test]
async fn refusals_in_a_row_do_not_stop_a_worker_of_concurrency_1() {
    refusals_in_a_row("1").await;
}

async fn refusals_in_a_row(concurrency: &str) {
    let world = World::new().await;
    let users = world.create_users(50).await;
    let (refused, others) = users.split_at(20);
    let names: BTreeSet<String> = refused.iter().map(|one| one.name.clone()).collect();
    world.faults.time_lapse();
    world.faults.plan(move |call| {
        let name = call.input["Username"].as_str().unwrap_or_default();
        (call.operation == "AdminAddUserToGroup" && names.contains(name)).then_some(Fault::Error(
            StatusCode::BAD_REQUEST,
            "InvalidParameterException",
        ))
    });
    world.send_all(refused).await;
    let config = world.config(&[("worker.concurrency", concurrency)]);
    let running = world.worker(&config, Until::Stopped).await;
    eventually("they look like an outage", || async {
        let why = running.health.unready_reasons().join(" ");
        why.contains("InvalidParameterException")
    })
    .await;
    world.send_all(others).await;
    eventually("the others are in the group", || async {
        world.members("EVERYONE").await.len() == others.len()
    })
    .await;
    let sent = AtomicUsize::new(0);
    eventually("the refused users are dead-lettered", || async {
        let depth = world.queue.attributes().await.expect("attributes").depth;
        if depth.visible == 0 {
            // A success shows that the refusals are not an outage.
            let n = sent.fetch_add(1, Ordering::Relaxed);
            let more = world.create_user(&format!("more-{n}")).await;
            world.send(more.event.to_string()).await;
        }
        let dead_letters = world
            .dead_letters
            .attributes()
            .await
            .expect("attributes")
            .depth;
        dead_letters.visible == 20
    })
    .await;
    eventually("it is over", || async {
        running.health.unready_reasons().is_empty()
    })
    .await;
    running.stop().await;
    for dead_letter in world.read_dead_letters().await {
        assert_eq!(dead_letter.attributes["usher.reason"], "invalid_parameter");
    }
}
