//! The data that an interrupted run leaves, and its removal.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::http::StatusCode;
use rustix::process::Signal;
use serde_json::{Value, json};
use usher::aws::Outgoing;
use usher::worker::Until;

use super::{LIMIT, load_arguments};
use crate::faults::Fault;
use crate::process::{Process, finished, finished_within};
use crate::world::{TestUser, World, eventually};

/// Data that existed before the run and must stay.
struct Others {
    user: TestUser,
    dead_letter: String,
}

impl World {
    async fn others(&self) -> Others {
        let user = self.create_user("somebody-else").await;
        let profile = BTreeMap::from([("id".to_owned(), user.sub.clone())]);
        self.sandbox
            .put_profile(crate::world::TABLE, profile)
            .await
            .expect("a profile");
        let dead_letter = Outgoing {
            body: "another dead letter".to_owned(),
            ..Outgoing::default()
        };
        let dead_letter = self.dead_letters.send(dead_letter).await.expect("sent");
        Others { user, dead_letter }
    }

    async fn assert_only(&self, others: &Others) {
        let users = self.sandbox.users(&self.pool.id).await.expect("users");
        let user = &others.user;
        assert!(users.keys().eq([&user.name]), "{users:?}");
        let profiles = self.profiles().await;
        assert!(profiles.keys().eq([&user.sub]), "{profiles:?}");
        let dead_letters = self.read_dead_letters().await;
        let ids: Vec<&str> = dead_letters
            .iter()
            .map(|dead_letter| dead_letter.id.as_str())
            .collect();
        assert_eq!(ids, [others.dead_letter.as_str()]);
        // Reading hides the dead letters.
        let shown = dead_letters
            .iter()
            .map(|dead_letter| (dead_letter.receipt_handle.as_str(), Duration::ZERO));
        let shown: Vec<_> = shown.collect();
        self.dead_letters
            .change_visibility(&shown)
            .await
            .expect("shown");
    }

    fn start_load(&self, arguments: &[&str]) -> Process {
        let (allowed, pool) = (self.allowed(), self.with_pool());
        let mut all = load_arguments(&allowed, arguments);
        all.extend(["--set", &pool]);
        Process::start(self.usher(&all))
    }

    /// The id of a run that was killed when `count` sign-ups were on the queue.
    async fn killed_run(&self, count: u64) -> String {
        let mut process = self.start_load(&["--count", &count.to_string(), "--rate", "50"]);
        let run = run_of(&process).await;
        eventually("all is on the queue", || async {
            self.queue
                .attributes()
                .await
                .expect("attributes")
                .depth
                .visible
                == count
        })
        .await;
        process.signal(Signal::KILL);
        process.exit().await;
        run
    }

    async fn clean(&self, run: &str) -> (Option<i32>, Value, String) {
        let (allowed, pool) = (self.allowed(), self.with_pool());
        let mut arguments = load_arguments(&allowed, &["--set", &pool, run]);
        arguments[1] = "clean";
        let (status, out, err) = finished_within(LIMIT, self.usher(&arguments)).await;
        (status, serde_json::from_str(&out).unwrap_or_default(), err)
    }
}

/// The id of the run, from the first line of its output.
async fn run_of(process: &Process) -> String {
    let id = || {
        let log = process.log();
        let (_, rest) = log.split_once("run ")?;
        Some(rest.split_once(':')?.0.to_owned())
    };
    eventually("the run's id", || async { id().is_some() }).await;
    id().expect("just seen")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clean_removes_all_that_a_killed_run_left() {
    let world = World::new().await;
    let others = world.others().await;
    let config = world.config(&[("pools.allowed", &world.pool.id)]);
    let worker = world.worker(&config, Until::Stopped).await;
    let mut process = world.start_load(&["--count", "400", "--rate", "50", "--poison", "10%"]);
    let run = run_of(&process).await;
    eventually("half of them are done", || async {
        world.profiles().await.len() > 100
    })
    .await;
    process.signal(Signal::KILL);
    process.exit().await;
    let (status, cleaned, err) = world.clean(&run).await;
    assert_eq!(status, Some(0), "{err}");
    assert_eq!(cleaned["users"], json!(404));
    assert!(cleaned["profiles"].as_u64() >= Some(100), "{cleaned}");
    world.assert_queue_empty().await;
    world.assert_only(&others).await;
    worker.stop().await;
    let (status, again, err) = world.clean(&run).await;
    assert_eq!(status, Some(0), "{err}");
    assert_eq!(again["users"], json!(0));
}

#[tokio::test]
async fn clean_removes_only_the_messages_of_its_run() {
    let world = World::new().await;
    let others = world.others().await;
    let live = world.send(others.user.event.to_string()).await;
    let mut process = world.start_load(&["--count", "50", "--rate", "50", "--poison", "10%"]);
    let run = run_of(&process).await;
    eventually("all is on the queue", || async {
        world
            .queue
            .attributes()
            .await
            .expect("attributes")
            .depth
            .visible
            == 56
    })
    .await;
    process.signal(Signal::KILL);
    process.exit().await;
    let (status, cleaned, err) = world.clean(&run).await;
    assert_eq!(status, Some(0), "{err}");
    let right = json!({
        "messages": 55, "dead_letters": 0, "profiles": 0, "users": 51, "complete": true,
    });
    assert_eq!(cleaned, right);
    let left = world.queue.receive(10).await.expect("messages");
    let ids: Vec<&str> = left.iter().map(|message| message.id.as_str()).collect();
    assert_eq!(ids, [live.as_str()]);
    world.assert_only(&others).await;
}

#[tokio::test]
async fn a_run_stopped_while_creating_users_removes_them() {
    let world = World::new().await;
    let others = world.others().await;
    let mut process = world.start_load(&["--count", "5000", "--rate", "20"]);
    eventually("users are made", || async {
        world
            .sandbox
            .users(&world.pool.id)
            .await
            .expect("users")
            .len()
            > 20
    })
    .await;
    process.signal(Signal::INT);
    assert_eq!(process.exit().await.code(), Some(1), "{}", process.log());
    let log = process.log();
    assert!(log.contains("stopped before anything was sent"), "{log}");
    world.assert_only(&others).await;
}

#[tokio::test]
async fn a_run_stopped_while_sending_reports_and_cleans_up() {
    let world = World::new().await;
    let others = world.others().await;
    let out = tempfile::NamedTempFile::new().expect("a file");
    let (allowed, pool) = (world.allowed(), world.with_pool());
    let mut all = load_arguments(&allowed, &["--count", "300", "--rate", "10"]);
    all.extend(["--set", &pool]);
    let mut command = world.usher(&all);
    command.stdout(out.reopen().expect("opens"));
    let mut process = Process::with_output(command);
    eventually("some are on the queue", || async {
        world
            .queue
            .attributes()
            .await
            .expect("attributes")
            .depth
            .visible
            > 5
    })
    .await;
    process.signal(Signal::TERM);
    assert_eq!(process.exit().await.code(), Some(1), "{}", process.log());
    let text = std::fs::read_to_string(out.path()).expect("text");
    let report: Value = serde_json::from_str(&text).expect("a report");
    assert_eq!(report["verified"], json!(false));
    let differences = report["differences"].as_array().expect("a list");
    let kinds: Vec<&str> = differences
        .iter()
        .map(|difference| difference["kind"].as_str().expect("a kind"))
        .collect();
    assert_eq!(kinds, ["not_sent", "not_verified"], "{report}");
    assert_eq!(report["cleaned"]["complete"], json!(true));
    assert!(report["cleaned"]["messages"].as_u64() > Some(5), "{report}");
    world.assert_queue_empty().await;
    world.assert_only(&others).await;
}

#[tokio::test]
async fn messages_without_a_worker_are_reported_and_removed() {
    let world = World::new().await;
    let others = world.others().await;
    let (allowed, pool) = (world.allowed(), world.with_pool());
    let mut arguments = load_arguments(&allowed, &["--set", &pool]);
    arguments.extend(["--count", "20", "--rate", "1000", "--give-up-after", "4s"]);
    let (status, out, err) = finished(world.usher(&arguments)).await;
    assert_eq!(status, Some(1), "{err}");
    let report: Value = serde_json::from_str(&out).expect("a report");
    let differences = report["differences"].as_array().expect("a list").iter();
    let mut kinds: BTreeMap<&str, u32> = BTreeMap::new();
    for difference in differences {
        *kinds
            .entry(difference["kind"].as_str().expect("a kind"))
            .or_default() += 1;
    }
    let right = [
        ("left_on_queue", 1),
        ("missing_group", 20),
        ("missing_profile", 20),
    ];
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), right);
    let latency = &report["latency_ms"];
    assert_eq!(
        latency["count"],
        json!(20),
        "who never finished counts, too"
    );
    assert!(latency["p50"].as_f64() > Some(1900.0), "{latency}");
    assert_eq!(report["cleaned"]["messages"], json!(20));
    world.assert_only(&others).await;
}

#[tokio::test]
async fn clean_waits_for_a_hidden_message() {
    let world = World::new().await;
    let others = world.others().await;
    let run = world.killed_run(3).await;
    let received = world.queue.receive(1).await.expect("a message");
    let hidden = [(received[0].receipt_handle.as_str(), Duration::from_secs(15))];
    world
        .queue
        .change_visibility(&hidden)
        .await
        .expect("hidden");
    let (status, cleaned, err) = world.clean(&run).await;
    assert_eq!(status, Some(0), "{err}");
    assert_eq!(cleaned["messages"], json!(3));
    world.assert_queue_empty().await;
    world.assert_only(&others).await;
}

/// The profile is found by its user, who stays while a message may write the profile again.
#[tokio::test]
async fn users_stay_while_a_worker_holds_a_message() {
    let world = World::new().await;
    let others = world.others().await;
    let run = world.killed_run(3).await;
    let received = world.queue.receive(1).await.expect("a message");
    let receipt = received[0].receipt_handle.as_str();
    let hidden = [(receipt, Duration::from_mins(10))];
    world
        .queue
        .change_visibility(&hidden)
        .await
        .expect("hidden");
    let (status, cleaned, err) = world.clean(&run).await;
    assert_eq!(status, Some(1), "{err}");
    let right = json!({
        "messages": 2, "dead_letters": 0, "profiles": 0, "users": 0, "complete": false,
    });
    assert_eq!(cleaned, right);
    world
        .queue
        .change_visibility(&[(receipt, Duration::ZERO)])
        .await
        .expect("shown");
    let (status, cleaned, err) = world.clean(&run).await;
    assert_eq!(status, Some(0), "{err}");
    assert_eq!(cleaned["users"], json!(4));
    world.assert_only(&others).await;
}

/// A worker may write a profile again after its user is deleted. The dead letter names it.
#[tokio::test]
async fn a_profile_without_user_is_found_by_its_dead_letter() {
    let world = World::new().await;
    let others = world.others().await;
    let run = "20261121-142249-k3f9";
    let mut event = others.user.event.clone();
    event["userName"] = json!(format!("usher-load-{run}-7"));
    event["request"]["userAttributes"]["sub"] = json!("deadbeef-0000-4000-8000-000000000000");
    let dead_letter = Outgoing {
        body: event.to_string(),
        ..Outgoing::default()
    };
    world.dead_letters.send(dead_letter).await.expect("sent");
    let profile = BTreeMap::from([(
        "id".to_owned(),
        "deadbeef-0000-4000-8000-000000000000".to_owned(),
    )]);
    let table = crate::world::TABLE;
    world
        .sandbox
        .put_profile(table, profile)
        .await
        .expect("a profile");
    let (status, cleaned, err) = world.clean(run).await;
    assert_eq!(status, Some(0), "{err}");
    let right = json!({
        "messages": 0, "dead_letters": 1, "profiles": 1, "users": 0, "complete": true,
    });
    assert_eq!(cleaned, right);
    world.assert_only(&others).await;
}

#[tokio::test]
async fn a_failed_clean_up_reports_cause_and_progress() {
    let world = World::new().await;
    let others = world.others().await;
    world.faults.plan(|call| {
        let denied = call.operation == "AdminDeleteUser"
            && call.input["Username"]
                .as_str()
                .is_some_and(|name| name.ends_with("-2"));
        denied.then_some(Fault::Error(
            StatusCode::BAD_REQUEST,
            "AccessDeniedException",
        ))
    });
    let pool = world.with_pool();
    let arguments = ["--set", &pool, "--count", "5", "--give-up-after", "4s"];
    let (status, report, err) = world.load(&arguments).await;
    assert_eq!(status, Some(1), "{err}");
    assert_eq!(report["cleaned"]["complete"], json!(false));
    for part in [
        "AdminDeleteUser",
        "AccessDeniedException",
        "usher load clean",
    ] {
        assert!(err.contains(part), "{part} is missing in {err}");
    }
    world.faults.clear();
    let run = report["run"].as_str().expect("a run");
    let (status, _, err) = world.clean(run).await;
    assert_eq!(status, Some(0), "{err}");
    world.assert_queue_empty().await;
    world.assert_only(&others).await;
}
