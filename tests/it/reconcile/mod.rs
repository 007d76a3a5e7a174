//! `usher reconcile`: users whose event was lost.

mod command;
mod other_profile_id;
mod repeated_pages;
mod scope;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use axum::http::StatusCode;
use rustix::process::Signal;
use serde_json::{Value, json};
use usher::event::{Event, parse};

use crate::faults::{Call, Fault};
use crate::large_pool::{PoolContents, name, sub};
use crate::process::{Process, finished};
use crate::world::{World, eventually};

/// A high rate of list calls: the pool of these tests has no quota.
const FAST: &str = "quota.user_list=1000";

impl World {
    /// `usher reconcile`: exit status, standard output, standard error.
    async fn reconcile(&self, folder: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
        let mut command = self.usher(&["reconcile", "--set", FAST, "--pool", &self.pool.id]);
        command.args(arguments).current_dir(folder);
        finished(command).await
    }

    /// Takes all messages off the queue: user names, and the number of messages for each.
    async fn take_queued(&self) -> BTreeMap<String, u32> {
        let mut names = BTreeMap::new();
        loop {
            let batch = self.queue.receive(10).await.expect("messages");
            if batch.is_empty() {
                return names;
            }
            let receipts: Vec<&str> = batch
                .iter()
                .map(|one| one.receipt_handle.as_str())
                .collect();
            self.queue.delete(&receipts).await.expect("deleted");
            for message in &batch {
                assert_eq!(message.attributes["usher.origin"], "reconcile");
                let Ok(Event::SignUp(sign_up)) = parse(&message.body) else {
                    panic!("not a sign-up");
                };
                assert_eq!(sign_up.client_id, None, "rules on the client do not apply");
                assert_eq!(sign_up.attributes.get("email_verified"), Some("true"));
                *names
                    .entry(sign_up.username.reveal().to_owned())
                    .or_default() += 1;
            }
        }
    }
}

/// The incomplete users, by name.
struct Lacking {
    profile: BTreeSet<String>,
    group: BTreeSet<String>,
}

impl Lacking {
    fn anything(&self) -> BTreeSet<String> {
        self.profile.union(&self.group).cloned().collect()
    }
}

/// 10,000 users, of whom 137 lack a profile and 41 a group, and some both; also users whom
/// reconcile ignores.
fn pool_with_missed_users() -> (PoolContents, Lacking) {
    let mut contents = PoolContents {
        unconfirmed: 50,
        federated: 30,
        ..PoolContents::whole(10_000)
    };
    let without_profile: BTreeSet<usize> = (0..137).map(|n| n * 73).collect();
    let without_group: BTreeSet<usize> = (0..6)
        .map(|n| n * 73 * 20)
        .chain((0..35).map(|n| n * 271 + 1))
        .collect();
    assert_eq!((without_profile.len(), without_group.len()), (137, 41));
    for n in &without_profile {
        contents.profiles.remove(&sub(*n));
    }
    for n in &without_group {
        contents.members.remove(&name(*n));
    }
    let names = |numbers: BTreeSet<usize>| numbers.into_iter().map(name).collect();
    let lacking = Lacking {
        profile: names(without_profile),
        group: names(without_group),
    };
    (contents, lacking)
}

/// Asserts that every user has the group and one profile, put once.
fn assert_whole(world: &World) {
    world.large_pool.read(|contents| {
        let counts = (contents.members.len(), contents.profiles.len());
        assert_eq!(counts, (10_000, 10_000));
        assert!(contents.profiles.values().all(|puts| *puts == 1));
    });
}

fn once_each(names: &BTreeSet<String>) -> BTreeMap<String, u32> {
    names.iter().map(|name| (name.clone(), 1)).collect()
}

#[tokio::test]
async fn users_without_a_profile_are_queued_without_reading_groups() {
    let world = World::new().await;
    let (contents, lacking) = pool_with_missed_users();
    let before = contents.members.clone();
    world.large_pool.fill(contents);
    let folder = tempfile::tempdir().expect("a folder");

    let (status, stdout, errors) = world.reconcile(folder.path(), &[]).await;
    assert_eq!(status, Some(0), "{errors}");
    assert!(
        stdout.ends_with("10000 confirmed users checked: 137 missing a profile, groups not compared (--groups); 137 queued\n"),
        "{stdout}"
    );
    assert_eq!(world.faults.calls("ListUsersInGroup"), 0);
    assert_eq!(world.faults.calls("Scan"), 1);
    world.work(&[]).await;
    world.large_pool.read(|contents| {
        assert_eq!(contents.profiles.len(), 10_000);
        // Users with a profile and without the group were removed from it, and stay out.
        let joined: BTreeSet<String> = contents.members.difference(&before).cloned().collect();
        let both = lacking.profile.intersection(&lacking.group);
        assert_eq!(joined, both.cloned().collect());
    });

    let (_, stdout, _) = world.reconcile(folder.path(), &[]).await;
    assert!(
        stdout.ends_with("0 missing a profile, groups not compared (--groups); 0 queued\n"),
        "{stdout}"
    );
    let scans = world.faults.calls("Scan");
    assert_eq!(
        scans, 1,
        "the table is read for users without a record only"
    );
}

#[tokio::test]
async fn imported_users_count_and_disabled_users_do_not() {
    let world = World::new().await;
    world.large_pool.fill(PoolContents {
        unconfirmed: 3,
        imported: 7,
        disabled: 2,
        ..PoolContents::whole(20)
    });
    let folder = tempfile::tempdir().expect("a folder");
    let (status, stdout, errors) = world.reconcile(folder.path(), &["--groups"]).await;
    assert_eq!(status, Some(0), "{errors}");
    let lack = "27 confirmed users checked: 7 missing a profile, 7 missing a group; 7 queued\n";
    assert!(stdout.ends_with(lack), "{stdout}");
    let imported: BTreeSet<String> = (23..30).map(name).collect();
    assert_eq!(world.take_queued().await, once_each(&imported));
}

#[tokio::test]
async fn only_incomplete_users_are_queued_and_none_the_second_time() {
    let world = World::new().await;
    let (contents, lacking) = pool_with_missed_users();
    let lacking = lacking.anything();
    world.large_pool.fill(contents);
    let folder = tempfile::tempdir().expect("a folder");

    let (status, dry, errors) = world
        .reconcile(
            folder.path(),
            &["--groups", "--dry-run", "--output", "json"],
        )
        .await;
    assert_eq!(status, Some(0), "{errors}");
    let dry: Vec<Value> = dry
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let (summary, dry) = dry.split_last().expect("a summary");
    assert_eq!(
        (&summary["users"], &summary["queued"]),
        (&json!(10_000), &json!(0))
    );
    assert_eq!(dry.len(), lacking.len());
    assert_eq!(
        dry.iter()
            .filter(|user| user["missing_profile"] == json!(true))
            .count(),
        137
    );
    assert_eq!(
        dry.iter()
            .filter(|user| user["missing_groups"] == json!(["EVERYONE"]))
            .count(),
        41
    );
    world.assert_queue_empty().await;

    let (status, stdout, errors) = world.reconcile(folder.path(), &["--groups"]).await;
    assert_eq!(status, Some(0), "{errors}");
    assert!(
        stdout.ends_with(&format!(
            "10000 confirmed users checked: 137 missing a profile, 41 missing a group; {} queued\n",
            lacking.len()
        )),
        "{stdout}"
    );
    // Read the depth before a worker takes the messages.
    let depth = world.queue.attributes().await.expect("attributes").depth;
    assert_eq!(depth.visible, lacking.len() as u64);
    world.work(&[]).await;
    assert_whole(&world);

    let (status, stdout, errors) = world.reconcile(folder.path(), &["--groups"]).await;
    assert_eq!(status, Some(0), "{errors}");
    assert!(
        stdout.ends_with("0 missing a profile, 0 missing a group; 0 queued\n"),
        "{stdout}"
    );
    world.assert_queue_empty().await;
    for billed in ["AdminGetUser", "AdminListGroupsForUser"] {
        assert_eq!(world.faults.calls(billed), 0, "{billed}");
    }
    assert_eq!(
        world.faults.calls("AdminAddUserToGroup"),
        lacking.len() as u64
    );
    let left: Vec<_> = std::fs::read_dir(folder.path())
        .expect("a folder")
        .collect();
    assert!(left.is_empty(), "no checkpoint is left: {left:?}");
}

#[tokio::test]
async fn a_stopped_or_killed_run_resumes() {
    let world = World::new().await;
    let (contents, lacking) = pool_with_missed_users();
    world.large_pool.fill(contents);
    let folder = tempfile::tempdir().expect("a folder");
    let slow = [
        "reconcile",
        "--set",
        "quota.user_list=100",
        "--pool",
        &world.pool.id,
    ];
    for (signal, after) in [(Signal::INT, 40), (Signal::KILL, 90)] {
        let mut command = world.usher(&slow);
        command.current_dir(folder.path());
        let mut run = Process::start(command);
        eventually("some pages", || async {
            world.faults.calls("ListUsers") > after
        })
        .await;
        run.signal(signal);
        assert!(!run.exit().await.success());
    }
    let before = world.faults.calls("ListUsers");
    let (status, _, errors) = world.reconcile(folder.path(), &[]).await;
    assert_eq!(status, Some(0), "{errors}");
    assert!(errors.contains("resuming after"), "{errors}");
    let pages = world.faults.calls("ListUsers") - before;
    assert!(pages < 168 - 80, "{pages} pages: it went on");
    let mut queued = world.take_queued().await;
    // The page in progress at the kill may be queued twice.
    let twice = queued.values().filter(|times| **times > 1).count();
    assert!(twice <= 60, "{twice}");
    for times in queued.values_mut() {
        *times = 1;
    }
    assert_eq!(queued, once_each(&lacking.profile));
}

#[tokio::test]
async fn limit_since_and_include_federated_select_users() {
    let world = World::new().await;
    let (contents, lacking) = pool_with_missed_users();
    world.large_pool.fill(contents);
    let folder = tempfile::tempdir().expect("a folder");

    let (status, _, errors) = world.reconcile(folder.path(), &["--limit", "10"]).await;
    assert_eq!(status, Some(0), "{errors}");
    let first = world.take_queued().await;
    assert_eq!(first.len(), 10);
    let (_, _, errors) = world.reconcile(folder.path(), &["--limit", "10000"]).await;
    assert!(errors.contains("resuming after"), "{errors}");
    let mut all = world.take_queued().await;
    all.extend(first);
    assert_eq!(
        all.into_keys().collect::<BTreeSet<_>>(),
        lacking.profile,
        "the rest"
    );

    // user-0 was created at midnight, and each next user one second later.
    let since = ["--since", "2026-08-01T02:00:00Z", "--restart"];
    let (_, _, errors) = world.reconcile(folder.path(), &since).await;
    assert!(errors.contains("since 2026-08-01 02:00 UTC\n"), "{errors}");
    let young: BTreeSet<String> = (7200..10_000).map(name).collect();
    let queued: BTreeSet<String> = world.take_queued().await.into_keys().collect();
    let expected: BTreeSet<String> = lacking.profile.intersection(&young).cloned().collect();
    assert_eq!(queued, expected, "{errors}");

    let (_, _, errors) = world
        .reconcile(folder.path(), &["--include-federated"])
        .await;
    let mut expected = lacking.profile;
    expected.extend((10_050..10_080).map(name));
    assert_eq!(world.take_queued().await, once_each(&expected), "{errors}");
}

#[tokio::test]
async fn a_list_that_begins_again_counts_each_user_once() {
    let world = World::new().await;
    let (contents, _) = pool_with_missed_users();
    world.large_pool.fill(contents);
    let expired = || {
        let mut is_over = false;
        move |call: &Call| {
            let is_late = call.operation == "ListUsers" && !call.input["PaginationToken"].is_null();
            let expires = is_late && !std::mem::replace(&mut is_over, true);
            let status = StatusCode::BAD_REQUEST;
            expires.then_some(Fault::Error(status, "InvalidParameterException"))
        }
    };
    let folder = tempfile::tempdir().expect("a folder");
    let all = ": 10000 confirmed users checked: 137 missing a profile, groups not compared (--groups); 137 queued\n";

    // Some users were checked before the run resumed.
    world.reconcile(folder.path(), &["--limit", "10"]).await;
    world.faults.plan(expired());
    let (status, stdout, errors) = world.reconcile(folder.path(), &[]).await;
    assert_eq!(status, Some(0), "{errors}");
    assert!(errors.contains("resuming after"), "{errors}");
    assert!(errors.contains("read again from its start"), "{errors}");
    assert!(stdout.ends_with(all), "{stdout}");

    world.faults.plan(expired());
    let (_, stdout, errors) = world.reconcile(folder.path(), &[]).await;
    assert!(errors.contains("read again from its start"), "{errors}");
    assert!(
        stdout.contains(": 10000 confirmed users checked"),
        "{stdout}"
    );
}

#[tokio::test]
async fn a_run_waits_while_the_backlog_is_full() {
    let world = World::new().await;
    let (contents, _) = pool_with_missed_users();
    world.large_pool.fill(contents);
    for n in 0..20 {
        world.send(n.to_string()).await;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = world.usher(&[
        "reconcile",
        "--set",
        FAST,
        "--backlog",
        "19",
        "--pool",
        &world.pool.id,
    ]);
    command.current_dir(folder.path());
    let mut run = Process::start(command);
    eventually("the queue depth is read", || async {
        world.faults.calls("GetQueueAttributes") > 1
    })
    .await;
    assert_eq!(world.faults.calls("SendMessageBatch"), 0);
    // One message less is enough.
    let live = world.queue.receive(1).await.expect("received").remove(0);
    world
        .queue
        .delete(&[&live.receipt_handle])
        .await
        .expect("deleted");
    eventually("the run continues", || async {
        world.faults.calls("SendMessageBatch") > 0
    })
    .await;
    run.signal(Signal::TERM);
    assert!(!run.exit().await.success());
}

#[tokio::test]
async fn a_user_the_queue_refuses_does_not_stop_the_others() {
    let world = World::new().await;
    let (contents, mut lacking) = pool_with_missed_users();
    world.large_pool.fill(contents);
    world.faults.plan(|call| {
        let body = call.input["MessageBody"].as_str().unwrap_or_default();
        let refused = call.operation == "SendMessageBatch"
            || call.operation == "SendMessage" && body.contains("\"user-73\"");
        refused.then_some(Fault::Error(
            StatusCode::BAD_REQUEST,
            "InvalidMessageContents",
        ))
    });
    let folder = tempfile::tempdir().expect("a folder");
    let (status, _, errors) = world.reconcile(folder.path(), &[]).await;
    assert_eq!(status, Some(1));
    assert!(
        errors.contains("1 user could not be queued") && errors.contains(&sub(73)),
        "{errors}"
    );
    assert!(lacking.profile.remove("user-73"));
    assert_eq!(world.take_queued().await, once_each(&lacking.profile));
}

#[tokio::test]
async fn failing_calls_do_not_stop_a_run() {
    let world = World::new().await;
    let (contents, lacking) = pool_with_missed_users();
    let lacking = lacking.anything();
    world.large_pool.fill(contents);
    let mut calls = 0;
    world.faults.plan(move |call| {
        calls += 1;
        let list = ["ListUsers", "ListUsersInGroup", "BatchGetItem"];
        if !list.contains(&call.operation.as_str()) {
            return None;
        }
        // Single failures, and once a series of them.
        (calls % 11 == 0 || (100..112).contains(&calls)).then_some(Fault::Error(
            StatusCode::INTERNAL_SERVER_ERROR,
            "InternalErrorException",
        ))
    });
    let folder = tempfile::tempdir().expect("a folder");
    let (status, _, errors) = world.reconcile(folder.path(), &["--groups"]).await;
    assert_eq!(status, Some(0), "{errors}");
    assert_eq!(world.take_queued().await, once_each(&lacking));

    // The token has expired in Cognito: the list begins again.
    let mut forgotten = false;
    world.faults.plan(move |call| {
        let late = call.operation == "ListUsers" && call.input["PaginationToken"] == "6000";
        (late && !std::mem::replace(&mut forgotten, true)).then_some(Fault::Error(
            StatusCode::BAD_REQUEST,
            "InvalidParameterException",
        ))
    });
    let (status, _, errors) = world.reconcile(folder.path(), &["--groups"]).await;
    assert_eq!(status, Some(0), "{errors}");
    assert!(errors.contains("read again from its start"), "{errors}");
    let queued: BTreeSet<String> = world.take_queued().await.into_keys().collect();
    assert_eq!(queued, lacking);
}
