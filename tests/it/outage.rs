//! Broken deployments and outages of services.

mod pools;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::http::StatusCode;
use usher::worker::Until;

use crate::faults::Fault;
use crate::process::{Process, get};
use crate::world::{PATIENCE, World, eventually};

const DENIED: Fault = Fault::Error(StatusCode::BAD_REQUEST, "AccessDeniedException");

#[tokio::test]
async fn a_missing_permission_stops_intake_and_loses_no_message() {
    let world = World::new().await;
    let users = world.create_users(100).await;
    world.send_all(&users).await;
    world
        .faults
        .plan(|call| (call.operation == "AdminAddUserToGroup").then_some(DENIED));
    let process = Process::start(world.usher(&["worker"]));
    let http = process.http().await;

    let denied = || world.faults.count("AdminAddUserToGroup");
    eventually("readiness says why", || async {
        let (status, why) = get(&http, "/readyz").await;
        status == 503 && why.contains("AdminAddUserToGroup") && why.contains("AccessDenied")
    })
    .await;
    let before = denied();
    eventually("probes", || async { denied() > before + 4 }).await;
    assert_eq!(get(&http, "/healthz").await.0, 200, "blocked is not dead");
    assert_eq!(world.read_dead_letters().await.len(), 0);

    world.faults.clear();
    eventually("all users are provisioned", || async {
        world.profiles().await.len() == 100 && world.members("EVERYONE").await.len() == 100
    })
    .await;
    eventually("ready again", || async {
        get(&http, "/readyz").await.0 == 200
    })
    .await;
    eventually("settled", || async {
        world
            .queue
            .attributes()
            .await
            .expect("attributes")
            .depth
            .is_empty()
    })
    .await;
    world.assert_all_provisioned(&users).await;
}

#[tokio::test]
async fn a_blocked_worker_hides_only_the_messages_it_tries() {
    let world = World::new().await;
    let users = world.create_users(30).await;
    world.send_all(&users).await;
    world
        .faults
        .plan(|call| (call.operation == "AdminAddUserToGroup").then_some(DENIED));
    for concurrency in [1_u64, 4, 5] {
        let config = world.config(&[("worker.concurrency", &concurrency.to_string())]);
        let worker = world.worker(&config, Until::Stopped).await;
        let denied = || world.faults.count("AdminAddUserToGroup");
        let before = denied();
        eventually("the held messages are tried again", || async {
            denied() > before + concurrency.min(4) + 1
        })
        .await;
        eventually("nothing else is hidden", || async {
            world
                .queue
                .attributes()
                .await
                .expect("attributes")
                .depth
                .hidden
                <= concurrency.min(4)
        })
        .await;
        worker.stop().await;
    }
    world.faults.clear();
    world.work(&[]).await;
    world.assert_all_provisioned(&users).await;
}

#[tokio::test]
async fn a_release_counts_no_attempt() {
    let world = World::new().await;
    let users = world.create_users(6).await;
    world.send_all(&users).await;
    world
        .faults
        .plan(|call| (call.operation == "AdminAddUserToGroup").then_some(DENIED));
    // More often than `maxReceiveCount`. The breaker holds four messages, which the drain
    // releases, and releases the others at once.
    for _ in 0..12 {
        let worker = world.worker(&world.config(&[]), Until::Stopped).await;
        eventually("blocked", || async {
            let why = worker.health.unready_reasons();
            why.iter().any(|why| why.contains("AdminAddUserToGroup"))
        })
        .await;
        worker.stop().await;
    }
    assert_eq!(world.read_dead_letters().await.len(), 0);
    // Every attempt is left.
    world.faults.plan(|call| {
        (call.operation == "AdminAddUserToGroup").then_some(Fault::Error(
            StatusCode::BAD_REQUEST,
            "UserNotFoundException",
        ))
    });
    world.work(&[("worker.max_attempts", "1")]).await;
    let dead_letters = world.read_dead_letters().await;
    assert_eq!(dead_letters.len(), 6);
    for dead_letter in dead_letters {
        assert_eq!(dead_letter.attributes["usher.attempts"], "1");
    }
}

#[tokio::test]
async fn a_worker_waits_for_a_missing_table_and_dead_letter_queue() {
    let world = World::new().await;
    let users = world.create_users(3).await;
    world.send_all(&users).await;
    world.send("poison").await;
    let broken = Arc::new(AtomicBool::new(true));
    let is_broken = Arc::clone(&broken);
    world.faults.plan(move |call| {
        let missing = match call.operation.as_str() {
            "PutItem" => "ResourceNotFoundException",
            "SendMessage" => "AWS.SimpleQueueService.NonExistentQueue",
            _ => return None,
        };
        is_broken
            .load(Ordering::Relaxed)
            .then_some(Fault::Error(StatusCode::BAD_REQUEST, missing))
    });
    let running = world.worker(&world.config(&[]), Until::Empty).await;
    eventually("both are known", || async {
        let why = running.health.unready_reasons().join(" ");
        why.contains("PutItem") && why.contains("SendMessage")
    })
    .await;
    broken.store(false, Ordering::Relaxed);
    running.end(PATIENCE).await;
    assert_eq!(world.profiles().await.len(), 3);
    assert_eq!(world.members("EVERYONE").await.len(), 3);
    assert_eq!(world.read_dead_letters().await.len(), 1);
    world.assert_queue_empty().await;
}

#[tokio::test]
async fn an_intermittent_permission_loses_no_message() {
    let world = World::new().await;
    let users = world.create_users(60).await;
    world.send_all(&users).await;
    // A granted permission reaches Cognito's servers one after another.
    let mut random = fastrand::Rng::with_seed(11);
    world.faults.plan(move |call| {
        (call.operation == "AdminAddUserToGroup" && random.f64() < 0.7).then_some(DENIED)
    });
    let running = world.worker(&world.config(&[]), Until::Empty).await;
    eventually("it was denied often", || async {
        world.faults.count("AdminAddUserToGroup") > 40
    })
    .await;
    let receives = world.faults.calls("ReceiveMessage");
    assert!(receives < 60, "{receives} receives: no hot loop");
    world.faults.clear();
    running.end(PATIENCE).await;
    world.assert_all_provisioned(&users).await;
}

#[tokio::test]
async fn a_message_that_may_not_be_hidden_is_not_lost() {
    let world = World::new().await;
    let users = world.create_users(5).await;
    world.send_all(&users).await;
    let mut throttles = 30;
    world
        .faults
        .plan(move |call| match call.operation.as_str() {
            "ChangeMessageVisibilityBatch" if throttles > 0 => Some(DENIED),
            "PutItem" if throttles > 0 => {
                throttles -= 1;
                Some(Fault::Error(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "InternalServerError",
                ))
            }
            _ => None,
        });
    let running = world.worker(&world.config(&[]), Until::Empty).await;
    eventually("readiness says why", || async {
        let why = running.health.unready_reasons().join(" ");
        why.contains("ChangeMessageVisibility")
    })
    .await;
    world.faults.clear();
    running.end(PATIENCE).await;
    world.assert_all_provisioned(&users).await;
}

#[tokio::test]
async fn a_queue_that_refuses_deletes_stops_intake() {
    let world = World::new().await;
    let users = world.create_users(5).await;
    world.send_all(&users).await;
    world.faults.plan(|call| {
        let refused = Fault::Error(StatusCode::BAD_REQUEST, "SomethingNewException");
        (call.operation == "DeleteMessageBatch").then_some(refused)
    });
    let running = world.worker(&world.config(&[]), Until::Empty).await;
    eventually("readiness says why", || async {
        let why = running.health.unready_reasons().join(" ");
        why.contains("DeleteMessageBatch") && why.contains("SomethingNew")
    })
    .await;
    world.faults.clear();
    running.end(PATIENCE).await;
    world.assert_all_provisioned(&users).await;
}

#[tokio::test]
async fn a_worker_waits_for_a_queue_it_may_not_read() {
    let world = World::new().await;
    let users = world.create_users(3).await;
    world.send_all(&users).await;
    world
        .faults
        .plan(|call| (call.operation == "ReceiveMessage").then_some(DENIED));
    let running = world.worker(&world.config(&[]), Until::Empty).await;
    eventually("it is known", || async {
        running
            .health
            .unready_reasons()
            .iter()
            .any(|why| why.contains("ReceiveMessage"))
    })
    .await;
    world.faults.clear();
    running.end(PATIENCE).await;
    world.assert_all_provisioned(&users).await;
}

#[tokio::test]
async fn with_a_third_of_the_calls_failing_nothing_is_lost() {
    let world = World::new().await;
    let users = world.create_users(150).await;
    world.send_all(&users).await;
    let mut random = fastrand::Rng::with_seed(7);
    world.faults.plan(move |call| {
        if random.f64() >= 0.3 || call.operation == "GetQueueAttributes" {
            return None;
        }
        let of_cognito = call.operation.starts_with("Admin") || call.operation == "CreateGroup";
        Some(match random.u8(0..20) {
            0..7 if of_cognito => Fault::Error(StatusCode::BAD_REQUEST, "TooManyRequestsException"),
            0..7 => Fault::Error(StatusCode::BAD_REQUEST, "ThrottlingException"),
            7..12 => Fault::Error(StatusCode::INTERNAL_SERVER_ERROR, "InternalErrorException"),
            // Longer than an attempt may take. Receives may wait longer and are excluded.
            12 if call.operation != "ReceiveMessage" => Fault::Hang(Duration::from_secs(6)),
            13..17 => Fault::ResetAfter,
            _ => Fault::ResetBefore,
        })
    });
    let config = world.config(&[
        ("quota.user_update", "500"),
        ("queue.dead_letter_url", world.dead_letters.url()),
    ]);
    let running = world.worker(&config, Until::Stopped).await;
    eventually("all users are provisioned", || async {
        world
            .queue
            .attributes()
            .await
            .expect("attributes")
            .depth
            .is_empty()
    })
    .await;
    world.faults.clear();
    running.stop().await;
    for operation in [
        "AdminAddUserToGroup",
        "PutItem",
        "DeleteMessageBatch",
        "ReceiveMessage",
    ] {
        assert!(
            world.faults.count(operation) > 0,
            "{operation} never failed"
        );
    }
    world.assert_all_provisioned(&users).await;
}

#[tokio::test]
async fn an_outage_of_a_service_dead_letters_no_message() {
    let world = World::new().await;
    let users = world.create_users(60).await;
    world.send_all(&users).await;
    world.faults.plan(|call| {
        let down = Fault::Error(StatusCode::INTERNAL_SERVER_ERROR, "InternalErrorException");
        (call.operation == "AdminAddUserToGroup").then_some(down)
    });
    // With so few attempts, counted failures would soon make dead letters.
    let config = world.config(&[("worker.max_attempts", "2")]);
    let running = world.worker(&config, Until::Empty).await;
    eventually("readiness says why", || async {
        running
            .health
            .unready_reasons()
            .join(" ")
            .contains("AdminAddUserToGroup")
    })
    .await;
    let receives = world.faults.calls("ReceiveMessage");
    let failed = world.faults.count("AdminAddUserToGroup");
    eventually("it goes on", || async {
        world.faults.count("AdminAddUserToGroup") > failed + 20
    })
    .await;
    let more = world.faults.calls("ReceiveMessage") - receives;
    assert!(more < 10, "{more} receives while the service was down");
    world.faults.clear();
    running.end(PATIENCE).await;
    world.assert_all_provisioned(&users).await;
}
