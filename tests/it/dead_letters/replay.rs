//! Replays of dead letters: through the queue, direct, native, and as a dry run.

mod direct;
mod dry_run;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use axum::http::StatusCode;
use rustix::process::Signal;
use serde_json::{Value, json};
use usher::aws::Outgoing;
use usher::worker::Until;

use super::{FIRST, audited, dead_letter, objects};
use crate::faults::Fault;
use crate::process::Process;
use crate::world::{World, eventually};

const REPLAY_ALL: [&str; 3] = ["replay", "--all", "--yes"];
/// Dead letters that fail at once are back before the replay ends.
const REPLAY_SLOWLY: [&str; 6] = ["replay", "--reason", "throttled", "--yes", "--rate", "10"];

/// The whole object of a replay, with `some` of its counts.
fn counts(some: Value) -> Value {
    let mut all = json!({
        "queued": 0, "done": 0, "already_done": 0, "ignored": 0, "failed_again": {}, "left": {},
        "not_deleted": 0, "back": {},
    });
    let (Some(all_counts), Value::Object(some)) = (all.as_object_mut(), some) else {
        panic!("counts are objects");
    };
    all_counts.extend(some);
    all
}

#[tokio::test]
async fn five_thousand_dead_letters_list_and_a_killed_replay_resumes() {
    let world = World::new().await;
    let users = world.create_users(300).await;
    let mut dead_letters: Vec<Outgoing> = users
        .iter()
        .map(|user| dead_letter(user.event.to_string(), "user_not_found"))
        .collect();
    for (reason, count) in [("throttled", 2000), ("not_json", 1500), ("timeout", 800)] {
        dead_letters.extend((0..count).map(|n| dead_letter(format!("{reason} {n}"), reason)));
    }
    // Dead letters that SQS moved have no attributes.
    dead_letters.extend((0..400).map(|n| Outgoing {
        body: format!("unknown {n}"),
        ..Outgoing::default()
    }));
    fastrand::shuffle(&mut dead_letters);
    world.send_dead_letters(&dead_letters).await;

    let (status, listed, errors) = world.run_dead_letters(&["list", "--output", "json"]).await;
    assert_eq!(status, Some(0), "{errors}");
    let listed = objects(&listed);
    let ids: BTreeSet<&str> = listed.iter().filter_map(|one| one["id"].as_str()).collect();
    assert_eq!((listed.len(), ids.len()), (5000, 5000), "each once");
    let mut reasons: BTreeMap<&str, u64> = BTreeMap::new();
    for one in &listed {
        *reasons
            .entry(one["reason"].as_str().expect("a reason"))
            .or_default() += 1;
    }
    let expected = [
        ("not_json", 1500),
        ("throttled", 2000),
        ("timeout", 800),
        ("unknown", 400),
        ("user_not_found", 300),
    ];
    assert_eq!(reasons, BTreeMap::from(expected));
    assert_eq!(world.visible_dead_letters().await, 5000, "all visible");

    let worker = world.worker(&world.config(&[]), Until::Stopped).await;
    let replay = [
        "dead-letters",
        "replay",
        "--reason",
        "user_not_found",
        "--rate",
        "50",
        "--yes",
    ];
    let mut killed = Process::start(world.usher(&replay));
    eventually("half of them", || async {
        world.members("EVERYONE").await.len() > 100
    })
    .await;
    killed.signal(Signal::KILL);
    killed.exit().await;
    let left = world
        .dead_letters
        .attributes()
        .await
        .expect("attributes")
        .depth;
    assert!(
        left.visible + left.hidden > 4700,
        "killed half-way: {left:?}"
    );

    let (status, tally, errors) = world
        .run_dead_letters(&[&replay[1..], &["--output", "json"]].concat())
        .await;
    assert_eq!(status, Some(0), "{errors}");
    let tally: Value = serde_json::from_str(&tally).expect("JSON");
    assert!(tally["queued"].as_u64() < Some(250), "{tally}");
    let lines = audited(&errors);
    assert_eq!(
        Some(lines.len() as u64),
        tally["queued"].as_u64(),
        "a line for each"
    );
    let who = "arn:aws:iam::123456789012:user/local";
    assert_eq!(lines[0]["actor"], who, "{errors}");

    eventually("all users are provisioned", || async {
        world.members("EVERYONE").await.len() == users.len()
    })
    .await;
    worker.stop().await;
    world.work(&[]).await;
    let profiles = world.profiles().await;
    assert_eq!(profiles.len(), users.len(), "one profile each");
    world.assert_queue_empty().await;

    let mut rest: BTreeMap<String, BTreeMap<String, String>> = dead_letters
        .into_iter()
        .filter(|dead_letter| {
            dead_letter
                .attributes
                .get("usher.reason")
                .is_none_or(|r| r != "user_not_found")
        })
        .map(|dead_letter| (dead_letter.body, dead_letter.attributes))
        .collect();
    for dead_letter in world.read_dead_letters().await {
        let sent = rest.remove(&dead_letter.body);
        assert_eq!(sent, Some(dead_letter.attributes), "untouched");
    }
    assert!(rest.is_empty(), "lost: {}", rest.len());
}

#[tokio::test]
async fn a_dead_letter_moved_by_sqs_is_unknown_and_replayable() {
    let world = World::new().await;
    let users = world.create_users(1).await;
    world.send_all(&users).await;
    // Received without an attempt until SQS moves the message.
    while let Some(message) = world.queue.receive(1).await.expect("received").pop() {
        let receipt = [(message.receipt_handle.as_str(), Duration::ZERO)];
        world
            .queue
            .change_visibility(&receipt)
            .await
            .expect("visible again");
    }
    let (status, listed, _) = world.run_dead_letters(&["list"]).await;
    assert_eq!(status, Some(0));
    assert!(
        listed.contains("unknown") && listed.contains("1 dead letter"),
        "{listed}"
    );

    let (status, replayed, errors) = world
        .run_dead_letters(&["replay", "--reason", "unknown", "--yes"])
        .await;
    assert_eq!(status, Some(0), "{errors}");
    assert!(replayed.contains("1 dead letter sent"), "{replayed}");
    world.work(&[]).await;
    world.assert_all_provisioned(&users).await;
}

#[tokio::test]
async fn a_failed_replay_keeps_its_first_date_and_counts_replays() {
    let world = World::new().await;
    world
        .send_dead_letters(&[dead_letter("{", "throttled")])
        .await;
    for replays in ["1", "2"] {
        let (status, _, errors) = world.run_dead_letters(&REPLAY_ALL).await;
        assert_eq!(status, Some(0), "{errors}");
        world.work(&[]).await;
        let dead_letters = world.read_dead_letters().await;
        assert_eq!(dead_letters.len(), 1);
        let attributes = &dead_letters[0].attributes;
        assert_eq!(attributes["usher.reason"], "not_json");
        assert_eq!(attributes["usher.replays"], replays);
        assert_eq!(attributes["usher.first_received_at"], FIRST);
        assert_eq!(attributes["usher.attempts"], "1", "attempts begin anew");
        let receipt = [(dead_letters[0].receipt_handle.as_str(), Duration::ZERO)];
        world
            .dead_letters
            .change_visibility(&receipt)
            .await
            .expect("visible again");
    }
}

#[tokio::test]
async fn a_replay_ends_although_its_dead_letters_return() {
    let world = World::new().await;
    let worker = world.worker(&world.config(&[]), Until::Stopped).await;
    let dead_letters: Vec<Outgoing> = (0..25)
        .map(|n| dead_letter(format!("{{{n}"), "throttled"))
        .collect();
    world.send_dead_letters(&dead_letters).await;
    let (status, tally, errors) = world
        .run_dead_letters(&[&REPLAY_SLOWLY[..], &["--output", "json"]].concat())
        .await;
    assert_eq!(status, Some(1), "{errors}");
    let tally: Value = serde_json::from_str(&tally).expect("JSON");
    assert_eq!(tally["queued"], 25, "{tally}");
    assert!(tally["back"]["not_json"].as_u64() > Some(0), "{tally}");
    eventually("all back", || async {
        world.visible_dead_letters().await == 25
    })
    .await;
    worker.stop().await;

    let (status, tally, _) = world
        .run_dead_letters(&["replay", "--direct", "--all", "--yes", "--output", "json"])
        .await;
    assert_eq!(status, Some(1), "they failed again");
    let tally: Value = serde_json::from_str(&tally).expect("JSON");
    assert_eq!(tally, counts(json!({"failed_again": {"not_json": 25}})));
    let dead_letters = world.read_dead_letters().await;
    assert_eq!(dead_letters.len(), 25);
    for dead_letter in dead_letters {
        assert_eq!(dead_letter.attributes["usher.replays"], "2");
        assert_eq!(dead_letter.attributes["usher.first_received_at"], FIRST);
    }
}

#[tokio::test]
async fn a_replay_that_may_not_delete_stops_and_says_so() {
    let world = World::new().await;
    let users = world.create_users(30).await;
    world.send_dead_letters_of(&users, "throttled").await;
    world.faults.plan(|call| {
        (call.operation == "DeleteMessageBatch").then_some(Fault::Error(
            StatusCode::BAD_REQUEST,
            "AccessDeniedException",
        ))
    });
    let (status, tally, errors) = world.run_dead_letters(&REPLAY_ALL).await;
    assert_eq!(status, Some(1));
    assert_eq!(
        tally, "0 of 10 replayed; 10 replayed, but not deleted\n",
        "one batch and no more"
    );
    assert!(
        errors.contains("DeleteMessageBatch") && errors.contains("AccessDenied"),
        "{errors}"
    );
    assert_eq!(world.visible_dead_letters().await, 30);
}

#[tokio::test]
async fn a_second_signal_ends_a_command_at_once() {
    let world = World::new().await;
    world
        .send_dead_letters(&[dead_letter("?", "throttled")])
        .await;
    world.faults.plan(|call| {
        (call.operation == "ReceiveMessage").then_some(Fault::Hang(Duration::from_mins(1)))
    });
    let mut list = Process::start(world.usher(&["dead-letters", "list"]));
    eventually("a receive", || async {
        world.faults.calls("ReceiveMessage") > 0
    })
    .await;
    list.signal(Signal::INT);
    eventually("the signal is logged", || async {
        list.log().contains("stop signal received")
    })
    .await;
    list.signal(Signal::INT);
    assert_eq!(list.exit().await.code(), Some(130));
    assert!(
        list.log().contains("stopped immediately (second signal)"),
        "{}",
        list.log()
    );
}

#[tokio::test]
async fn a_native_replay_moves_all_and_counts_as_a_replay() {
    let world = World::new().await;
    let users = world.create_users(8).await;
    world.send_dead_letters_of(&users, "throttled").await;
    world
        .send_dead_letters(&[dead_letter("?", "throttled")])
        .await;
    let (status, moved, errors) = world
        .run_dead_letters(&["replay", "--native", "--rate", "5", "--yes"])
        .await;
    assert_eq!(status, Some(0), "{errors}");
    assert_eq!(moved, "completed: 9 dead letters moved\n");
    assert_eq!(audited(&errors)[0]["action"], "native replay");
    world.work(&[]).await;
    assert_eq!(world.profiles().await.len(), users.len());
    let dead_letters = world.read_dead_letters().await;
    assert_eq!(dead_letters.len(), 1, "the malformed one");
    assert_eq!(dead_letters[0].attributes["usher.replays"], "1");
    assert_eq!(dead_letters[0].attributes["usher.attempts"], "1");
    assert_eq!(dead_letters[0].attributes["usher.first_received_at"], FIRST);
}

#[tokio::test]
async fn a_replay_says_what_came_back_and_what_cannot_succeed() {
    let world = World::new().await;
    let worker = world.worker(&world.config(&[]), Until::Stopped).await;
    let mut malformed = dead_letter("{", "throttled");
    let class = "usher.class".to_owned();
    malformed.attributes.insert(class, "malformed".to_owned());
    world.send_dead_letters(&[malformed]).await;
    world
        .send_dead_letters(&vec![dead_letter("{", "throttled"); 11])
        .await;
    let (status, out, errors) = world.run_dead_letters(&REPLAY_SLOWLY).await;
    assert_eq!(status, Some(1), "{errors}");
    let back = out
        .strip_prefix("12 dead letters sent to the source queue; ")
        .and_then(|rest| rest.strip_suffix(" back already (not_json)\n"));
    assert!(back.is_some(), "{out}");
    let warning =
        "warning: these will fail again unless usher or its configuration has changed: throttled\n";
    assert_eq!(errors.matches(warning).count(), 1, "{errors}");
    worker.stop().await;
}
