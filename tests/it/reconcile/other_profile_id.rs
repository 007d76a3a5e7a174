//! Profiles with other ids than the `sub`, as Amplify's Data client writes them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::http::StatusCode;
use serde_json::{Value, json};
use usher::worker::Until;

use crate::faults::Fault;
use crate::process::finished;
use crate::world::{TABLE, TestUser, World, eventually};

const INDEXED: &str = "Indexed";
const INDEX: &str = "userProfilesByProfileOwner";

/// A user who was confirmed before usher was deployed.
pub(super) async fn confirmed(world: &World, name: &str) -> TestUser {
    let user = world.create_user(name).await;
    let password = world
        .sandbox
        .set_password(&world.pool.id, name, "A-passw0rd");
    password.await.expect("confirmed");
    user
}

/// Writes the profile of an owner under a random id.
async fn put(world: &World, table: &str, owner: &str) {
    let id = format!("{:032x}", fastrand::u128(..));
    put_under(world, table, &id, owner).await;
}

async fn put_under(world: &World, table: &str, id: &str, owner: &str) {
    let profile = [
        ("id", id),
        ("__typename", "UserProfile"),
        ("profileOwner", owner),
        ("nickname", "kept"),
    ];
    let profile = profile.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let written = world.sandbox.put_profile(table, profile.into()).await;
    written.expect("written");
}

/// Fifty users with a profile as in Amplify's sample, and three without one.
async fn sample(world: &World, table: &str) -> (Vec<TestUser>, Vec<TestUser>) {
    let (mut before, mut without) = (Vec::new(), Vec::new());
    for n in 0..53 {
        let user = confirmed(world, &format!("person-{n}")).await;
        if n % 17 == 3 {
            without.push(user);
            continue;
        }
        let (sub, name) = (&user.sub, &user.name);
        // The owner formats that AppSync accepts.
        let owner = match n {
            0 => sub.clone(),
            1 => name.clone(),
            _ => format!("{sub}::{name}"),
        };
        put(world, table, &owner).await;
        before.push(user);
    }
    assert_eq!((before.len(), without.len()), (50, 3));
    (before, without)
}

impl World {
    /// Runs `usher` in this folder: exit status, standard output, standard error.
    async fn run(&self, folder: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
        let mut command = self.usher(arguments);
        command
            .current_dir(folder)
            .env("USHER_POOLS__ALLOWED", &self.pool.id);
        finished(command).await
    }

    /// The ids of all profiles by owner.
    async fn by_owner(&self, table: &str) -> BTreeMap<String, BTreeSet<String>> {
        let profiles = self.sandbox.profiles(table, "id").await.expect("profiles");
        let mut ids: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (id, profile) in profiles {
            ids.entry(profile["profileOwner"].clone())
                .or_default()
                .insert(id);
        }
        ids
    }
}

#[tokio::test]
async fn no_user_gets_a_second_profile_without_the_option() {
    let world = World::new().await;
    let (before, without) = sample(&world, TABLE).await;
    let profiles = world.by_owner(TABLE).await;
    let folder = tempfile::tempdir().expect("a folder");

    let dry = ["reconcile", "--dry-run"];
    let (status, stdout, errors) = world.run(folder.path(), &dry).await;
    assert_eq!(status, Some(0), "{errors}");
    let lack = "53 confirmed users checked: 3 missing a profile, 50 with a profile under another id, groups not compared (--groups); dry run: 3 would be queued\n";
    assert!(stdout.ends_with(lack), "{stdout}");
    for part in [
        "50 users",
        "--second-profile",
        "docs/guide/amplify-migration.md",
    ] {
        assert!(errors.contains(part), "{part} in {errors}");
    }
    let lines = |ending: &str| stdout.lines().filter(|line| line.ends_with(ending)).count();
    assert_eq!(lines("  profile under another id"), 50);
    assert_eq!(lines("  missing profile"), 3);
    let json = [&dry[..], &["--output", "json"]].concat();
    let (_, stdout, _) = world.run(folder.path(), &json).await;
    let users: Vec<Value> = stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let (_summary, users) = users.split_last().expect("a summary");
    let elsewhere = users
        .iter()
        .filter(|it| it["under_another_id"] == json!(true));
    assert_eq!((users.len(), elsewhere.count()), (53, 50));

    // The run refuses the others, and still queues the users without any profile.
    let (status, stdout, errors) = world.run(folder.path(), &["reconcile"]).await;
    assert_eq!(status, Some(1), "{stdout}{errors}");
    assert!(stdout.ends_with("(--groups); 3 queued\n"), "{stdout}");
    assert!(errors.contains("--second-profile"), "{errors}");
    world.work(&[]).await;
    let mut expected = profiles.clone();
    for TestUser { sub, name, .. } in &without {
        expected.insert(format!("{sub}::{name}"), [sub.clone()].into());
    }
    assert_eq!(world.by_owner(TABLE).await, expected);

    // The command on the queue refuses, too.
    world.send(r#"{"usher": 1, "command": "Reconcile"}"#).await;
    let worker = ["worker", "--until-empty"];
    let (status, _, errors) = world.run(folder.path(), &worker).await;
    assert_eq!(status, Some(0), "{errors}");
    assert!(
        errors.contains("users skipped: their profile has another id"),
        "{errors}"
    );
    assert_eq!(world.by_owner(TABLE).await, expected);
    assert_eq!(world.read_dead_letters().await.len(), 0);

    // A missing group is still given.
    let (status, stdout, _) = world.run(folder.path(), &["reconcile", "--groups"]).await;
    assert_eq!(status, Some(1));
    assert!(
        stdout.ends_with("50 missing a group; 50 queued\n"),
        "{stdout}"
    );
    world.work(&[]).await;
    assert_eq!(world.by_owner(TABLE).await, expected);
    assert_eq!(world.members("EVERYONE").await.len(), 53);

    let (status, stdout, errors) = world
        .run(folder.path(), &["reconcile", "--second-profile"])
        .await;
    assert_eq!(status, Some(0), "{errors}");
    assert!(
        stdout.ends_with("53 confirmed users checked: 50 missing a profile, groups not compared (--groups); 50 queued\n"),
        "{stdout}"
    );
    world.work(&[]).await;
    let all = world.profiles().await;
    assert_eq!(all.len(), 103);
    assert!(before.iter().all(|user| all.contains_key(&user.sub)));
}

#[tokio::test]
async fn a_forced_reconcile_writes_a_second_profile() {
    let world = World::new().await;
    let user = confirmed(&world, "ada").await;
    put(&world, TABLE, &format!("{}::ada", user.sub)).await;
    let command = json!({
        "usher": 1, "command": "Reconcile", "userPoolId": world.pool.id, "force": true,
    });
    world.send(command.to_string()).await;
    world.work(&[]).await;
    assert_eq!(world.profiles().await.len(), 2);
    assert_eq!(world.faults.calls("Scan"), 0, "nothing is looked for");
}

#[tokio::test]
async fn the_owner_scan_survives_failing_pages() {
    let world = World::new().await;
    sample(&world, TABLE).await;
    let mut calls = 0;
    world.faults.plan(move |call| {
        if call.operation != "Scan" {
            return None;
        }
        calls += 1;
        let down = StatusCode::INTERNAL_SERVER_ERROR;
        // A real page has one megabyte; here it has seven profiles.
        Some(if (3..10).contains(&calls) {
            Fault::Error(down, "InternalServerError")
        } else {
            Fault::Altered(|mut input| {
                input["Limit"] = json!(7);
                input
            })
        })
    });
    let folder = tempfile::tempdir().expect("a folder");
    let (status, stdout, errors) = world.run(folder.path(), &["reconcile", "--dry-run"]).await;
    assert_eq!(status, Some(0), "{errors}");
    assert!(
        stdout.contains("50 with a profile under another id"),
        "{stdout}"
    );
    assert_eq!(
        world.faults.calls("Scan"),
        8 + 7,
        "each page once, beside the failures"
    );
    let before = world.faults.calls("Scan");

    // A worker reads page by page, too, and another one resumes when it is stopped.
    world.faults.plan(|call| {
        (call.operation == "Scan").then_some(Fault::Altered(|mut input| {
            input["Limit"] = json!(7);
            input
        }))
    });
    world.send(r#"{"usher": 1, "command": "Reconcile"}"#).await;
    let settings = [("pools.allowed", world.pool.id.as_str())];
    let first = world.worker(&world.config(&settings), Until::Stopped).await;
    eventually("a page", || async { world.faults.calls("Scan") > before }).await;
    first.stop().await;
    world.work(&settings).await;
    assert_eq!(world.profiles().await.len(), 53);
}

#[tokio::test]
async fn an_owner_index_replaces_the_scan() {
    let world = World::new().await;
    let index = Some((INDEX, "profileOwner"));
    let made = world.sandbox.create_table_with(INDEXED, "id", index).await;
    made.expect("a table");
    let (_, without) = sample(&world, INDEXED).await;
    let folder = tempfile::tempdir().expect("a folder");
    let table = ["--set", "profiles.table=Indexed"];
    let reconcile = [&["reconcile", "--owner-index", INDEX][..], &table].concat();
    let (status, stdout, errors) = world.run(folder.path(), &reconcile).await;
    assert_eq!(status, Some(1), "{errors}");
    let lack = "3 missing a profile, 50 with a profile under another id, groups not compared (--groups); 3 queued\n";
    assert!(stdout.ends_with(lack), "{stdout}");
    assert_eq!(world.faults.calls("Scan"), 0);
    let settings = [
        ("profiles.table", INDEXED),
        ("profiles.owner_index", INDEX),
        ("pools.allowed", world.pool.id.as_str()),
    ];
    world.work(&settings).await;
    let profiles = world.by_owner(INDEXED).await;
    assert_eq!(profiles.values().map(BTreeSet::len).sum::<usize>(), 53);
    let TestUser { sub, name, .. } = &without[0];
    assert!(profiles[&format!("{sub}::{name}")].contains(sub));

    // The configuration key has the effect of the option for the queued command.
    world.send(r#"{"usher": 1, "command": "Reconcile"}"#).await;
    world.work(&settings).await;
    assert_eq!(world.by_owner(INDEXED).await, profiles);
    assert_eq!(world.faults.calls("Scan"), 0);
    assert_eq!(world.read_dead_letters().await.len(), 0);

    let absent = [&["reconcile", "--owner-index", "absent"][..], &table].concat();
    let (status, _, errors) = world.run(folder.path(), &absent).await;
    assert_eq!(status, Some(1));
    for part in ["absent", "partition key", "profileOwner"] {
        assert!(errors.contains(part), "{part} in {errors}");
    }
    world.faults.plan(|call| {
        let denied = Fault::Error(StatusCode::BAD_REQUEST, "AccessDeniedException");
        (call.operation == "Query").then_some(denied)
    });
    let (status, _, errors) = world.run(folder.path(), &reconcile).await;
    assert_eq!(status, Some(1));
    assert!(errors.contains("AccessDeniedException"), "{errors}");
    assert!(!errors.contains("partition key"), "{errors}");
}

#[tokio::test]
async fn the_likely_owner_value_is_queried_first() {
    let world = World::new().await;
    let index = Some((INDEX, "profileOwner"));
    let made = world.sandbox.create_table_with(INDEXED, "id", index).await;
    made.expect("a table");
    for n in 0..5 {
        let TestUser { sub, name, .. } = confirmed(&world, &format!("person-{n}")).await;
        put(&world, INDEXED, &format!("{sub}::{name}")).await;
    }
    // A lost call is repeated with the same value.
    let mut is_first = true;
    world.faults.plan(move |call| {
        let is_query = call.operation == "Query";
        let is_lost = is_query && std::mem::replace(&mut is_first, false);
        is_lost.then_some(Fault::ResetBefore)
    });
    let folder = tempfile::tempdir().expect("a folder");
    let reconcile = [
        "reconcile",
        "--owner-index",
        INDEX,
        "--set",
        "profiles.table=Indexed",
    ];
    let (_, stdout, errors) = world.run(folder.path(), &reconcile).await;
    assert!(
        stdout.contains("5 with a profile under another id"),
        "{stdout}"
    );
    assert_eq!(world.faults.calls("Query"), 5 + 1, "{errors}");
}

#[tokio::test]
async fn a_profile_created_meanwhile_is_not_elsewhere() {
    let index = ["--owner-index", INDEX, "--set", "profiles.table=Indexed"];
    for (table, arguments) in [(INDEXED, &index[..]), (TABLE, &[])] {
        let world = World::new().await;
        let by_owner = Some((INDEX, "profileOwner"));
        let made = world.sandbox.create_table_with(INDEXED, "id", by_owner);
        made.await.expect("a table");
        let TestUser { sub, name, .. } = confirmed(&world, "ada").await;
        put_under(&world, table, &sub, &format!("{sub}::{name}")).await;
        // The first read comes before the profile.
        let mut is_first = true;
        world.faults.plan(move |call| {
            let is_look = call.operation == "BatchGetItem";
            let is_early = is_look && std::mem::replace(&mut is_first, false);
            let none = json!({"Responses": {table: []}, "UnprocessedKeys": {}});
            is_early.then_some(Fault::Pretended(none))
        });
        let folder = tempfile::tempdir().expect("a folder");
        let reconcile = [&["reconcile"], arguments].concat();
        let (status, stdout, errors) = world.run(folder.path(), &reconcile).await;
        assert_eq!(status, Some(0), "{errors}");
        let none = ": 1 confirmed user checked: 0 missing a profile, groups not compared (--groups); 0 queued\n";
        assert!(stdout.ends_with(none), "{stdout}");
        assert_eq!(world.faults.calls("BatchGetItem"), 2, "{table}");
    }
}

#[tokio::test]
async fn users_left_out_are_counted_across_resumed_runs() {
    let world = World::new().await;
    let sub = |n: u32| format!("00000000-0000-4000-8000-{n:012}");
    let user = |n: u32| {
        let sub = json!([{"Name": "sub", "Value": sub(n)}]);
        json!({
            "Username": format!("person-{n}"), "UserStatus": "CONFIRMED", "Enabled": true,
            "UserCreateDate": 1_785_542_400, "Attributes": sub,
        })
    };
    put(&world, TABLE, &format!("{}::person-1", sub(1))).await;
    put_under(&world, TABLE, &sub(3), &format!("{}::person-3", sub(3))).await;
    let first = json!({"Users": [user(1), user(2)], "PaginationToken": "next"});
    let second = json!({"Users": [user(3)]});
    let expires = Arc::new(AtomicBool::new(false));
    let is_over = Arc::clone(&expires);
    world.faults.plan(move |call| {
        if call.operation != "ListUsers" {
            return None;
        }
        if call.input["PaginationToken"].is_null() {
            return Some(Fault::Pretended(first.clone()));
        }
        let refusal = Fault::Error(StatusCode::BAD_REQUEST, "InvalidParameterException");
        let is_over = is_over.swap(false, Ordering::Relaxed);
        Some(if is_over {
            refusal
        } else {
            Fault::Pretended(second.clone())
        })
    });
    let folder = tempfile::tempdir().expect("a folder");
    let left_out = "1 user with a profile under another id";
    // The limit is reached on the first page, which has a user of each kind. The last run
    // begins again, and counts each user once.
    let limit: &[&str] = &["--limit", "1"];
    for (arguments, users, begins_again) in [
        (limit, 2, false),
        (&[], 1, false),
        (limit, 2, false),
        (&[], 3, true),
    ] {
        expires.store(begins_again, Ordering::Relaxed);
        let reconcile = [&["reconcile"], arguments].concat();
        let (status, stdout, errors) = world.run(folder.path(), &reconcile).await;
        assert_eq!(status, Some(1), "{stdout}{errors}");
        assert!(
            stdout.contains(&format!(": {users} confirmed user")),
            "{stdout}"
        );
        assert!(errors.contains(left_out), "{errors}");
        assert_eq!(
            errors.contains("read again from its start"),
            begins_again,
            "{errors}"
        );
    }
}

#[tokio::test]
async fn an_unknown_owner_attribute_is_reported() {
    let world = World::new().await;
    confirmed(&world, "ada").await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("usher.toml");
    std::fs::write(&file, "[profiles.attributes]\nemail = \"{email}\"\n").expect("written");
    let file = file.to_str().expect("text");
    let reconcile = ["reconcile", "--dry-run", "--config", file];
    let (status, stdout, errors) = world.run(folder.path(), &reconcile).await;
    assert_eq!(status, Some(0), "{errors}");
    assert!(
        stdout.ends_with(
            "1 missing a profile, groups not compared (--groups); dry run: 1 would be queued\n"
        ),
        "{stdout}"
    );
    assert!(errors.contains("profiles.attributes"), "{errors}");
    let index = [&reconcile[..], &["--owner-index", INDEX]].concat();
    let (status, _, errors) = world.run(folder.path(), &index).await;
    assert_eq!(status, Some(2), "{errors}");
    assert!(errors.contains("--owner-index"), "{errors}");
    let key = [&reconcile[..], &["--set", "profiles.owner_index=byOwner"]].concat();
    let (status, _, errors) = world.run(folder.path(), &key).await;
    assert_eq!(status, Some(78), "{errors}");
    assert!(errors.contains("profiles.owner_index"), "{errors}");
}
