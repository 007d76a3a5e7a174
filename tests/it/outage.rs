//! Broken deployments and outages of services.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::http::StatusCode;

use crate::faults::Fault;
use crate::process::{Process, get};
use crate::world::{PATIENCE, World, eventually};
use usher::worker::Until;

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
