//! Replays of dead letters: through the queue, direct, native, and as a dry run.

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
use crate::world::{TestUser, World, eventually};

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
async fn a_direct_replay_provisions_in_its_own_process() {
    let world = World::new().await;
    let users = world.create_users(12).await;
    world.send_dead_letters_of(&users, "timeout").await;
    let (status, tally, errors) = world
        .run_dead_letters(&["replay", "--direct", "--reason", "timeout", "--yes"])
        .await;
    assert_eq!(status, Some(0), "{errors}");
    assert!(tally.contains("12 of 12 replayed"), "{tally}");
    world.assert_all_provisioned(&users).await;
}

#[tokio::test]
async fn a_replay_gives_nothing_to_a_new_user_of_the_name() {
    for direct in [true, false] {
        let world = World::new().await;
        let before = world.create_user("ada").await;
        world.delete_user("ada").await;
        let now = world.create_user("ada").await;
        assert_ne!(before.sub, now.sub);
        let event = before.event.to_string();
        world
            .send_dead_letters(&[dead_letter(event, "throttled")])
            .await;
        let (_, verdicts, errors) = world.run_dead_letters(&["replay", "--dry-run"]).await;
        assert!(
            verdicts.contains("would fail again: user_not_found"),
            "{verdicts} {errors}"
        );
        if direct {
            world
                .run_dead_letters(&["replay", "--direct", "--all", "--yes"])
                .await;
        } else {
            world.run_dead_letters(&REPLAY_ALL).await;
            world.work(&[]).await;
        }
        assert!(world.members("EVERYONE").await.is_empty(), "{direct}");
        assert!(world.profiles().await.is_empty(), "{direct}");
        let dead_letters = world.read_dead_letters().await;
        assert_eq!(dead_letters.len(), 1);
        assert_eq!(dead_letters[0].attributes["usher.reason"], "user_not_found");
    }
}

#[tokio::test]
async fn a_direct_replay_leaves_foreign_dead_letters() {
    let world = World::new().await;
    let users = world.create_users(2).await;
    world.send_dead_letters_of(&users, "throttled").await;
    let mut unknown = users[0].event.clone();
    unknown["userPoolId"] = json!("us-east-1_Strange01");
    // Another user: the profile is written concurrently with the groups, possibly before
    // the error shows that the pool does not exist.
    unknown["request"]["userAttributes"]["sub"] = json!("sub-of-somebody-strange");
    world
        .send_dead_letters(&[
            dead_letter(unknown.to_string(), "throttled"),
            dead_letter(r#"{"usher":1,"command":"Reconcile"}"#, "throttled"),
        ])
        .await;
    let replay = ["replay", "--direct", "--all", "--yes", "--output", "json"];
    let (status, tally, errors) = world.run_dead_letters(&replay).await;
    assert_eq!(status, Some(1), "{errors}");
    let tally: Value = serde_json::from_str(&tally).expect("JSON");
    let left = json!({"needs the queue": 1, "pool_not_found": 1});
    assert_eq!(tally, counts(json!({"done": 2, "left": left})));
    let allowed = format!("pools.allowed={}", world.pool.id);
    let (_, tally, _) = world
        .run_dead_letters(&[&replay[..], &["--set", &allowed]].concat())
        .await;
    let tally: Value = serde_json::from_str(&tally).expect("JSON");
    let left = json!({"needs the queue": 1, "foreign_pool": 1});
    assert_eq!(tally, counts(json!({"left": left})));
    assert_eq!(world.visible_dead_letters().await, 2);
}

#[tokio::test]
async fn a_direct_replay_verifies_admin_membership() {
    let world = World::new().await;
    let admin = world.create_user("admin").await;
    let former = world.create_user("former").await;
    let pool = &world.pool.id;
    for (name, group) in [("admin", "ADMINS"), ("admin", "STAFF")] {
        world
            .sandbox
            .add_to_group(pool, name, group)
            .await
            .expect("joined");
    }
    let command = |user: &TestUser| {
        let body = json!({
            "usher": 1, "command": "AddUserToGroup", "requestId": user.name,
            "requestedBy": {"sub": user.sub}, "userPoolId": pool,
            "username": user.name, "groupName": "STAFF",
        });
        dead_letter(body.to_string(), "timeout")
    };
    world
        .send_dead_letters(&[command(&admin), command(&former)])
        .await;
    let replay = ["replay", "--direct", "--all", "--yes", "--output", "json"];
    let verified = ["--set", "admin.verify_membership=true"];
    let (status, tally, errors) = world
        .run_dead_letters(&[&replay[..], &verified].concat())
        .await;
    assert_eq!(status, Some(1), "{errors}");
    let tally: Value = serde_json::from_str(&tally).expect("JSON");
    let failed_again = json!({"not_administrator": 1});
    let expected = counts(json!({"done": 1, "failed_again": failed_again}));
    assert_eq!(tally, expected);
    assert_eq!(world.members("STAFF").await, ["admin"]);
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
async fn a_dry_run_reports_and_changes_nothing() {
    let world = World::new().await;
    let users = world.create_users(3).await;
    world.send_all(&users[..1]).await;
    world.work(&[]).await;
    let mut gone = users[2].event.clone();
    gone["userName"] = json!("nobody");
    let command = json!({
        "usher": 1, "command": "AddUserToGroup", "requestId": "r1",
        "requestedBy": {"sub": "s"}, "userPoolId": world.pool.id,
        "username": "nobody", "groupName": "STAFF",
    });
    world
        .send_dead_letters(&[
            dead_letter(users[0].event.to_string(), "throttled"),
            dead_letter(users[1].event.to_string(), "throttled"),
            dead_letter(gone.to_string(), "throttled"),
            dead_letter("?", "throttled"),
            dead_letter(command.to_string(), "throttled"),
        ])
        .await;
    let writes = ["AdminAddUserToGroup", "PutItem", "CreateGroup"];
    let before = writes.map(|operation| world.faults.calls(operation));
    let looked_up = world.faults.calls("AdminGetUser");
    let (status, verdicts, errors) = world
        .run_dead_letters(&["replay", "--dry-run", "--output", "json"])
        .await;
    assert_eq!(status, Some(0), "{errors}");
    let mut verdicts: Vec<(String, String, Value)> = objects(&verdicts)
        .into_iter()
        .map(|one| {
            let text = |name: &str| one["would"][name].as_str().expect("text").to_owned();
            (
                text("outcome"),
                text("reason"),
                json!([
                    one["would"]["missing_groups"],
                    one["would"]["missing_profile"]
                ]),
            )
        })
        .collect();
    verdicts.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
    let none = || json!([[], false]);
    let expected = [
        ("already_done", "", none()),
        ("done", "", json!([["EVERYONE"], true])),
        ("rejected", "not_json", none()),
        ("rejected", "user_not_found", none()),
        ("rejected", "user_not_found", none()),
    ];
    let expected = expected.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c));
    assert_eq!(verdicts, expected);
    assert_eq!(
        before,
        writes.map(|operation| world.faults.calls(operation))
    );
    // The command's, as a worker makes it; a sign-up needs none.
    assert_eq!(world.faults.calls("AdminGetUser"), looked_up + 1);
    assert_eq!(world.visible_dead_letters().await, 5);
    assert!(audited(&errors).is_empty());

    let dry_run = ["replay", "--dry-run"];
    let (_, tally, _) = world.run_dead_letters(&dry_run).await;
    let expected = "\
reason      count  prediction
throttled       1  would change nothing
throttled       1  would fail again: not_json
throttled       2  would fail again: user_not_found
throttled       1  would succeed

dry run: 1 would change nothing, 3 would fail again, 1 would succeed
";
    assert_eq!(tally, expected);
    let (_, rows, _) = world
        .run_dead_letters(&[&dry_run[..], &["--verbose"]].concat())
        .await;
    assert!(
        rows.contains("  throttled             would add EVERYONE, profile\n"),
        "{rows}"
    );
    assert!(
        rows.ends_with(expected) && rows.lines().count() == 13,
        "{rows}"
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

#[tokio::test]
async fn a_dry_run_predicts_commands_with_the_workers_checks() {
    let world = World::new().await;
    let admin = world.create_user("admin").await;
    world.create_user("user").await;
    let pool = &world.pool.id;
    for group in ["ADMINS", "STAFF"] {
        let joined = world.sandbox.add_to_group(pool, "admin", group).await;
        joined.expect("joined");
    }
    let command = |sub: &str, pool: &str, user: &str, group: &str| {
        let body = json!({
            "usher": 1, "command": "AddUserToGroup", "requestId": format!("{sub}{pool}{user}{group}"),
            "requestedBy": {"sub": sub}, "userPoolId": pool, "username": user, "groupName": group,
        });
        dead_letter(body.to_string(), "timeout")
    };
    let sub = admin.sub.as_str();
    let invite = json!({
        "usher": 1, "command": "InviteUser", "requestId": "i1", "requestedBy": {"sub": sub},
        "userPoolId": pool, "email": "new@example.com", "groups": ["BETA"],
    });
    let resend = json!({
        "usher": 1, "command": "ResendInvitation", "requestId": "i2", "requestedBy": {"sub": sub},
        "userPoolId": pool, "username": "user",
    });
    world
        .send_dead_letters(&[
            command(sub, pool, "user", "STAFF"),
            command(sub, pool, "user", "BETA"),
            command(sub, pool, "user", "ROOT"),
            command(sub, pool, "nobody", "STAFF"),
            command("someone", pool, "user", "STAFF"),
            command(sub, "us-east-1_Strange01", "user", "STAFF"),
            dead_letter(invite.to_string(), "timeout"),
            dead_letter(resend.to_string(), "timeout"),
        ])
        .await;
    let allowed = format!("pools.allowed={pool}");
    let settings = [
        "--output",
        "json",
        "--set",
        &allowed,
        "--set",
        "admin.verify_membership=true",
        "--set",
        "admin.grantable_groups=STAFF,BETA",
    ];
    let dry_run = [&["replay", "--dry-run"][..], &settings].concat();
    let (status, predicted, errors) = world.run_dead_letters(&dry_run).await;
    assert_eq!(status, Some(0), "{errors}");
    let mut predictions = json!({"done": 0, "left": {}, "failed_again": {}});
    let add = |count: &mut Value| *count = json!(count.as_u64().unwrap_or_default() + 1);
    for one in objects(&predicted) {
        let (outcome, reason) = (&one["would"]["outcome"], &one["would"]["reason"]);
        match (outcome.as_str(), reason.as_str()) {
            (Some("done"), _) => add(&mut predictions["done"]),
            (Some("rejected"), Some("foreign_pool")) => {
                add(&mut predictions["left"]["foreign_pool"]);
            }
            (Some("rejected"), Some(reason)) => add(&mut predictions["failed_again"][reason]),
            other => panic!("{other:?}"),
        }
    }
    let replay = [&["replay", "--direct", "--all", "--yes"][..], &settings].concat();
    let (_, tally, errors) = world.run_dead_letters(&replay).await;
    let tally: Value = serde_json::from_str(&tally).expect("JSON");
    assert_eq!(tally, counts(predictions), "{errors}");
    let failed_again = json!({
        "group_not_found": 2, "group_not_grantable": 1, "not_administrator": 1, "user_not_found": 1,
    });
    let expected = json!({"done": 2, "failed_again": failed_again, "left": {"foreign_pool": 1}});
    assert_eq!(tally, counts(expected));
}
