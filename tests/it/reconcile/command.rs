//! The reconcile command on the queue.

use axum::http::StatusCode;
use rustix::process::Signal;
use serde_json::json;
use usher::worker::Until;

use super::{assert_whole, pool_with_missed_users};
use crate::faults::Fault;
use crate::large_pool::PoolContents;
use crate::process::Process;
use crate::world::{World, eventually};

pub(super) fn reconcile(world: &World) -> String {
    let pool = &world.pool.id;
    json!({"usher": 1, "command": "Reconcile", "userPoolId": pool, "groups": true}).to_string()
}

#[tokio::test]
async fn a_queued_reconcile_resumes_in_another_worker() {
    let world = World::new().await;
    let (contents, _) = pool_with_missed_users();
    world.large_pool.fill(contents);
    let pool = world.pool.id.clone();
    let settings = [("pools.allowed", pool.as_str()), ("quota.user_list", "100")];
    world
        .send(r#"{"usher": 1, "command": "Reconcile", "requestId": "daily", "groups": true}"#)
        .await;

    let first = world.worker(&world.config(&settings), Until::Stopped).await;
    eventually("half of the users", || async {
        world.faults.calls("ListUsers") > 80
    })
    .await;
    first.stop().await;
    let before = world.faults.calls("ListUsers");
    world.work(&settings).await;
    let pages = world.faults.calls("ListUsers") - before;
    assert!(pages < 168 - 70, "{pages} pages: it went on");
    assert_whole(&world);
    world.assert_queue_empty().await;
    assert_eq!(world.read_dead_letters().await.len(), 0);
}

#[tokio::test]
async fn the_reconcile_of_a_killed_worker_resumes_in_the_next() {
    let world = World::new().await;
    let (contents, _) = pool_with_missed_users();
    world.large_pool.fill(contents);
    world.send(reconcile(&world)).await;
    let slow = [("quota.user_list", "100")];
    let first = world.worker(&world.config(&slow), Until::Stopped).await;
    eventually("half of the users", || async {
        world.faults.calls("ListUsers") > 80
    })
    .await;
    first.stop().await;
    // The second resumes where the first stopped, and is killed before it renews the command.
    let half = world.faults.calls("ListUsers");
    let mut second = Process::start(world.usher(&["worker", "--set", "quota.user_list=100"]));
    eventually("some more", || async {
        world.faults.calls("ListUsers") > half + 20
    })
    .await;
    second.signal(Signal::KILL);
    second.exit().await;
    let before = world.faults.calls("ListUsers");
    world.work(&[("quota.user_list", "1000")]).await;
    let pages = world.faults.calls("ListUsers") - before;
    assert!(
        pages < 168 - 70,
        "{pages} pages: what the first did is not lost"
    );
    assert_whole(&world);
    world.assert_queue_empty().await;
}

#[tokio::test]
async fn sign_ups_do_not_wait_for_reconcile() {
    const LIVE: &str = "deadbeef-0000-4000-8000-000000000000";
    let world = World::new().await;
    world.large_pool.fill(PoolContents::whole(10_000));
    world.send(reconcile(&world)).await;
    let settings = [("quota.user_list", "1"), ("worker.concurrency", "1")];
    let worker = world.worker(&world.config(&settings), Until::Stopped).await;
    eventually("the run", || async {
        world.faults.calls("ListUsersInGroup") > 0
    })
    .await;
    let event = json!({
        "triggerSource": "PostConfirmation_ConfirmSignUp", "userPoolId": world.pool.id,
        "userName": "live", "request": {"userAttributes": {"sub": LIVE}},
    });
    world.send(event.to_string()).await;
    eventually("the sign-up", || async {
        world
            .large_pool
            .read(|contents| contents.profiles.contains_key(LIVE))
    })
    .await;
    assert_eq!(
        world.faults.calls("ListUsers"),
        0,
        "the run is far from its end"
    );
    worker.stop().await;
}

#[tokio::test]
async fn a_failed_reconcile_is_dead_lettered_and_stops_no_sign_up() {
    let world = World::new().await;
    let users = world.create_users(2).await;
    world.faults.plan(|call| {
        (call.operation == "ListUsersInGroup").then_some(Fault::Error(
            StatusCode::BAD_REQUEST,
            "AccessDeniedException",
        ))
    });
    world.send(reconcile(&world)).await;
    world.send(r#"{"usher": 1, "command": "Reconcile"}"#).await;
    world.send_all(&users).await;
    world.work(&[]).await;
    let dead_letters = world.read_dead_letters().await;
    let mut reasons: Vec<&str> = dead_letters
        .iter()
        .map(|one| one.attributes["usher.reason"].as_str())
        .collect();
    reasons.sort_unstable();
    assert_eq!(reasons, ["access_denied", "no_user_pool"]);
    assert_eq!(world.profiles().await.len(), 2);
    world.assert_queue_empty().await;
}
