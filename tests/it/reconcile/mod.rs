//! Users whose event never came.

mod command;
mod elsewhere;
mod endless;
mod scope;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use axum::http::StatusCode;
use rustix::process::Signal;
use serde_json::{Value, json};
use usher::event::{Event, parse};

use crate::crowd::{People, name, sub};
use crate::faults::{Call, Fault};
use crate::process::{Process, finished};
use crate::world::{World, eventually};

/// As many users as `usher reconcile` may list in a second here.
const FAST: &str = "quota.user_list=1000";

impl World {
    /// `usher reconcile`: exit status, standard output, standard error.
    async fn reconcile(&self, folder: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
        let mut command = self.usher(&["reconcile", "--set", FAST, "--pool", &self.pool.id]);
        command.args(arguments).current_dir(folder);
        finished(command).await
    }

    /// Takes everything from the queue: the users' names and how often each came.
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

/// Who lacks what, by name.
struct Lacking {
    profile: BTreeSet<String>,
    group: BTreeSet<String>,
}

impl Lacking {
    fn anything(&self) -> BTreeSet<String> {
        self.profile.union(&self.group).cloned().collect()
    }
}

/// 10,000 users of whom 137 lack a profile and 41 a group, some of them both, and
/// others who are not meant.
fn crowd() -> (People, Lacking) {
    let mut people = People {
        unconfirmed: 50,
        federated: 30,
        ..People::whole(10_000)
    };
    let without_profile: BTreeSet<usize> = (0..137).map(|n| n * 73).collect();
    let without_group: BTreeSet<usize> = (0..6)
        .map(|n| n * 73 * 20)
        .chain((0..35).map(|n| n * 271 + 1))
        .collect();
    assert_eq!((without_profile.len(), without_group.len()), (137, 41));
    for n in &without_profile {
        people.profiles.remove(&sub(*n));
    }
    for n in &without_group {
        people.members.remove(&name(*n));
    }
    let names = |numbers: BTreeSet<usize>| numbers.into_iter().map(name).collect();
    let lacking = Lacking {
        profile: names(without_profile),
        group: names(without_group),
    };
    (people, lacking)
}

/// Everybody has the group and one profile, put once.
fn assert_whole(world: &World) {
    world.crowd.look(|people| {
        let counts = (people.members.len(), people.profiles.len());
        assert_eq!(counts, (10_000, 10_000));
        assert!(people.profiles.values().all(|puts| *puts == 1));
    });
}

fn once_each(names: &BTreeSet<String>) -> BTreeMap<String, u32> {
    names.iter().map(|name| (name.clone(), 1)).collect()
}

#[tokio::test]
async fn users_without_a_record_are_queued_and_no_members_are_read() {
    let world = World::new().await;
    let (people, lacking) = crowd();
    let before = people.members.clone();
    world.crowd.fill(people);
    let folder = tempfile::tempdir().expect("a folder");

    let (status, said, errors) = world.reconcile(folder.path(), &[]).await;
    assert_eq!(status, Some(0), "{errors}");
    assert!(
        said.ends_with("10000 users checked, 137 lack a profile; 137 queued\n"),
        "{said}"
    );
    assert_eq!(world.faults.calls("ListUsersInGroup"), 0);
    assert_eq!(world.faults.calls("Scan"), 1);
    world.work(&[]).await;
    world.crowd.look(|people| {
        assert_eq!(people.profiles.len(), 10_000);
        // Who has a record and is in no group was taken out: they stay out.
        let joined: BTreeSet<String> = people.members.difference(&before).cloned().collect();
        let both = lacking.profile.intersection(&lacking.group);
        assert_eq!(joined, both.cloned().collect());
    });

    let (_, said, _) = world.reconcile(folder.path(), &[]).await;
    assert!(said.ends_with("0 lack a profile; 0 queued\n"), "{said}");
    let scans = world.faults.calls("Scan");
    assert_eq!(
        scans, 1,
        "the table is read for users without a record only"
    );
}

#[tokio::test]
async fn users_with_a_password_to_choose_count_and_disabled_ones_do_not() {
    let world = World::new().await;
    world.crowd.fill(People {
        unconfirmed: 3,
        imported: 7,
        disabled: 2,
        ..People::whole(20)
    });
    let folder = tempfile::tempdir().expect("a folder");
    let (status, said, errors) = world.reconcile(folder.path(), &["--groups"]).await;
    assert_eq!(status, Some(0), "{errors}");
    let lack = "27 users checked, 7 lack a profile, 7 lack a group; 7 queued\n";
    assert!(said.ends_with(lack), "{said}");
    let imported: BTreeSet<String> = (23..30).map(name).collect();
    assert_eq!(world.take_queued().await, once_each(&imported));
}

#[tokio::test]
async fn exactly_those_who_lack_something_are_queued_and_nobody_the_second_time() {
    let world = World::new().await;
    let (people, lacking) = crowd();
    let lacking = lacking.anything();
    world.crowd.fill(people);
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
    assert_eq!(dry.len(), lacking.len());
    assert_eq!(
        dry.iter()
            .filter(|user| user["lacks_profile"] == json!(true))
            .count(),
        137
    );
    assert_eq!(
        dry.iter()
            .filter(|user| user["lacks_groups"] == json!(["EVERYONE"]))
            .count(),
        41
    );
    world.assert_queue_empty().await;

    let (status, said, errors) = world.reconcile(folder.path(), &["--groups"]).await;
    assert_eq!(status, Some(0), "{errors}");
    assert!(
        said.ends_with(&format!(
            "10000 users checked, 137 lack a profile, 41 lack a group; {} queued\n",
            lacking.len()
        )),
        "{said}"
    );
    // What they lack is done by a worker, so look before it takes them.
    let depth = world.queue.attributes().await.expect("facts").depth;
    assert_eq!(depth.visible, lacking.len() as u64);
    world.work(&[]).await;
    assert_whole(&world);

    let (status, said, errors) = world.reconcile(folder.path(), &["--groups"]).await;
    assert_eq!(status, Some(0), "{errors}");
    assert!(
        said.ends_with("0 lack a profile, 0 lack a group; 0 queued\n"),
        "{said}"
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
async fn a_run_that_was_stopped_or_killed_goes_on_where_it_was() {
    let world = World::new().await;
    let (people, lacking) = crowd();
    world.crowd.fill(people);
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
    assert!(errors.contains("goes on after"), "{errors}");
    let pages = world.faults.calls("ListUsers") - before;
    assert!(pages < 168 - 80, "{pages} pages: it went on");
    let mut queued = world.take_queued().await;
    // The page that was under way when it was killed may be queued again.
    let twice = queued.values().filter(|times| **times > 1).count();
    assert!(twice <= 60, "{twice}");
    for times in queued.values_mut() {
        *times = 1;
    }
    assert_eq!(queued, once_each(&lacking.profile));
}

#[tokio::test]
async fn a_run_can_be_narrowed() {
    let world = World::new().await;
    let (people, lacking) = crowd();
    world.crowd.fill(people);
    let folder = tempfile::tempdir().expect("a folder");

    let (status, _, errors) = world.reconcile(folder.path(), &["--limit", "10"]).await;
    assert_eq!(status, Some(0), "{errors}");
    let first = world.take_queued().await;
    assert_eq!(first.len(), 10);
    let (_, _, errors) = world.reconcile(folder.path(), &["--limit", "10000"]).await;
    assert!(errors.contains("goes on after"), "{errors}");
    let mut all = world.take_queued().await;
    all.extend(first);
    assert_eq!(
        all.into_keys().collect::<BTreeSet<_>>(),
        lacking.profile,
        "the rest"
    );

    // The day begins with user-0; user-86400 would be the next day's first.
    let since = ["--since", "2026-08-01T02:00:00Z", "--restart"];
    let (_, _, errors) = world.reconcile(folder.path(), &since).await;
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
    let (people, _) = crowd();
    world.crowd.fill(people);
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
    let all = ": 10000 users checked, 137 lack a profile; 137 queued\n";

    // Some users were checked before the run went on.
    world.reconcile(folder.path(), &["--limit", "10"]).await;
    world.faults.plan(expired());
    let (status, said, errors) = world.reconcile(folder.path(), &[]).await;
    assert_eq!(status, Some(0), "{errors}");
    assert!(errors.contains("goes on after"), "{errors}");
    assert!(errors.contains("begins again"), "{errors}");
    assert!(said.ends_with(all), "{said}");

    world.faults.plan(expired());
    let (_, said, errors) = world.reconcile(folder.path(), &[]).await;
    assert!(errors.contains("begins again"), "{errors}");
    assert!(said.contains(": 10000 users checked"), "{said}");
}

#[tokio::test]
async fn a_run_lets_live_sign_ups_pass() {
    let world = World::new().await;
    let (people, _) = crowd();
    world.crowd.fill(people);
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
    eventually("a look at the queue", || async {
        world.faults.calls("GetQueueAttributes") > 1
    })
    .await;
    assert_eq!(world.faults.calls("SendMessageBatch"), 0);
    // One is enough.
    let live = world.queue.receive(1).await.expect("received").remove(0);
    world
        .queue
        .delete(&[&live.receipt_handle])
        .await
        .expect("deleted");
    eventually("its turn", || async {
        world.faults.calls("SendMessageBatch") > 0
    })
    .await;
    run.signal(Signal::TERM);
    assert!(!run.exit().await.success());
}

#[tokio::test]
async fn a_user_whom_the_queue_does_not_take_keeps_nobody_else() {
    let world = World::new().await;
    let (people, mut lacking) = crowd();
    world.crowd.fill(people);
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
        errors.contains("1 users could not be queued") && errors.contains(&sub(73)),
        "{errors}"
    );
    assert!(lacking.profile.remove("user-73"));
    assert_eq!(world.take_queued().await, once_each(&lacking.profile));
}

#[tokio::test]
async fn trouble_on_the_way_stops_no_run() {
    let world = World::new().await;
    let (people, lacking) = crowd();
    let lacking = lacking.anything();
    world.crowd.fill(people);
    let mut calls = 0;
    world.faults.plan(move |call| {
        calls += 1;
        let list = ["ListUsers", "ListUsersInGroup", "BatchGetItem"];
        if !list.contains(&call.operation.as_str()) {
            return None;
        }
        // Now and then, and once for a while.
        (calls % 11 == 0 || (100..112).contains(&calls)).then_some(Fault::Error(
            StatusCode::INTERNAL_SERVER_ERROR,
            "InternalErrorException",
        ))
    });
    let folder = tempfile::tempdir().expect("a folder");
    let (status, _, errors) = world.reconcile(folder.path(), &["--groups"]).await;
    assert_eq!(status, Some(0), "{errors}");
    assert_eq!(world.take_queued().await, once_each(&lacking));

    // A token that Cognito has forgotten: the list begins anew.
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
    assert!(errors.contains("begins again"), "{errors}");
    let queued: BTreeSet<String> = world.take_queued().await.into_keys().collect();
    assert_eq!(queued, lacking);
}
