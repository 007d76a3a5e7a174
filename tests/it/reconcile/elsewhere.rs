//! Records under other ids than the `sub`, as Amplify's Data client writes them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::http::StatusCode;
use serde_json::{Value, json};
use usher::worker::Until;

use crate::faults::Fault;
use crate::process::finished;
use crate::world::{Person, TABLE, World, eventually};

const INDEXED: &str = "Indexed";
const INDEX: &str = "userProfilesByProfileOwner";

/// A user who signed up and was confirmed before usher was there.
pub(super) async fn confirmed(world: &World, name: &str) -> Person {
    let person = world.person(name).await;
    let password = world
        .sandbox
        .set_password(&world.pool.id, name, "A-passw0rd");
    password.await.expect("confirmed");
    person
}

/// The record of a user under an id that says nothing of them.
async fn put(world: &World, table: &str, owner: &str) {
    let id = format!("{:032x}", fastrand::u128(..));
    put_under(world, table, &id, owner).await;
}

async fn put_under(world: &World, table: &str, id: &str, owner: &str) {
    let record = [
        ("id", id),
        ("__typename", "UserProfile"),
        ("profileOwner", owner),
        ("nickname", "kept"),
    ];
    let record = record.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let written = world.sandbox.put_profile(table, record.into()).await;
    written.expect("written");
}

/// Fifty users with a record of Amplify's sample, and three without any.
async fn sample(world: &World, table: &str) -> (Vec<Person>, Vec<Person>) {
    let (mut before, mut without) = (Vec::new(), Vec::new());
    for n in 0..53 {
        let person = confirmed(world, &format!("person-{n}")).await;
        if n % 17 == 3 {
            without.push(person);
            continue;
        }
        let (sub, name) = (&person.sub, &person.name);
        // The forms that AppSync takes for an owner.
        let owner = match n {
            0 => sub.clone(),
            1 => name.clone(),
            _ => format!("{sub}::{name}"),
        };
        put(world, table, &owner).await;
        before.push(person);
    }
    assert_eq!((before.len(), without.len()), (50, 3));
    (before, without)
}

impl World {
    /// `usher` in a folder of its own: exit status, standard output, standard error.
    async fn run(&self, folder: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
        let mut command = self.usher(arguments);
        command
            .current_dir(folder)
            .env("USHER_POOLS__ALLOWED", &self.pool.id);
        finished(command).await
    }

    /// The ids of all records by their owner.
    async fn by_owner(&self, table: &str) -> BTreeMap<String, BTreeSet<String>> {
        let records = self.sandbox.profiles(table, "id").await.expect("records");
        let mut ids: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (id, record) in records {
            ids.entry(record["profileOwner"].clone())
                .or_default()
                .insert(id);
        }
        ids
    }
}

#[tokio::test]
async fn no_user_gets_a_second_record_unless_it_is_forced() {
    let world = World::new().await;
    let (before, without) = sample(&world, TABLE).await;
    let records = world.by_owner(TABLE).await;
    let folder = tempfile::tempdir().expect("a folder");

    let dry = ["reconcile", "--dry-run"];
    let (status, said, errors) = world.run(folder.path(), &dry).await;
    assert_eq!(status, Some(0), "{errors}");
    let lack = "53 users checked, 3 lack a profile, 50 have a profile under another id; 0 queued\n";
    assert!(said.ends_with(lack), "{said}");
    for part in ["50 users", "--force", "docs/guide/amplify-migration.md"] {
        assert!(errors.contains(part), "{part} in {errors}");
    }
    let lines = |ending: &str| said.lines().filter(|line| line.ends_with(ending)).count();
    assert_eq!(lines("  has a profile under another id"), 50);
    assert_eq!(lines("  lacks a profile"), 3);
    let json = [&dry[..], &["--output", "json"]].concat();
    let (_, said, _) = world.run(folder.path(), &json).await;
    let users: Vec<Value> = said
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let elsewhere = users
        .iter()
        .filter(|it| it["record_elsewhere"] == json!(true));
    assert_eq!((users.len(), elsewhere.count()), (53, 50));

    // It refuses, and those without any record are not kept waiting for it.
    let (status, said, errors) = world.run(folder.path(), &["reconcile"]).await;
    assert_eq!(status, Some(1), "{said}{errors}");
    assert!(said.ends_with("another id; 3 queued\n"), "{said}");
    assert!(errors.contains("--force"), "{errors}");
    world.work(&[]).await;
    let mut expected = records.clone();
    for Person { sub, name, .. } in &without {
        expected.insert(format!("{sub}::{name}"), [sub.clone()].into());
    }
    assert_eq!(world.by_owner(TABLE).await, expected);

    // The command on the queue refuses alike.
    world.send(r#"{"usher": 1, "command": "Reconcile"}"#).await;
    let worker = ["worker", "--until-empty"];
    let (status, _, errors) = world.run(folder.path(), &worker).await;
    assert_eq!(status, Some(0), "{errors}");
    assert!(errors.contains("get no second one"), "{errors}");
    assert_eq!(world.by_owner(TABLE).await, expected);
    assert_eq!(world.letters().await.len(), 0);

    // A group is given all the same.
    let (status, said, _) = world.run(folder.path(), &["reconcile", "--groups"]).await;
    assert_eq!(status, Some(1));
    assert!(said.ends_with("50 lack a group; 50 queued\n"), "{said}");
    world.work(&[]).await;
    assert_eq!(world.by_owner(TABLE).await, expected);
    assert_eq!(world.members("EVERYONE").await.len(), 53);

    let (status, said, errors) = world.run(folder.path(), &["reconcile", "--force"]).await;
    assert_eq!(status, Some(0), "{errors}");
    assert!(
        said.ends_with("53 users checked, 50 lack a profile; 50 queued\n"),
        "{said}"
    );
    world.work(&[]).await;
    let all = world.records().await;
    assert_eq!(all.len(), 103);
    assert!(before.iter().all(|person| all.contains_key(&person.sub)));
}

#[tokio::test]
async fn a_forced_command_writes_beside_other_records() {
    let world = World::new().await;
    let person = confirmed(&world, "ada").await;
    put(&world, TABLE, &format!("{}::ada", person.sub)).await;
    let command = json!({
        "usher": 1, "command": "Reconcile", "userPoolId": world.pool.id, "force": true,
    });
    world.send(command.to_string()).await;
    world.work(&[]).await;
    assert_eq!(world.records().await.len(), 2);
    assert_eq!(world.faults.calls("Scan"), 0, "nothing is looked for");
}

#[tokio::test]
async fn the_owners_are_read_page_by_page_through_trouble() {
    let world = World::new().await;
    sample(&world, TABLE).await;
    let mut calls = 0;
    world.faults.plan(move |call| {
        if call.operation != "Scan" {
            return None;
        }
        calls += 1;
        let down = StatusCode::INTERNAL_SERVER_ERROR;
        // A page holds a megabyte; here it holds seven records.
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
    let (status, said, errors) = world.run(folder.path(), &["reconcile", "--dry-run"]).await;
    assert_eq!(status, Some(0), "{errors}");
    assert!(
        said.contains("50 have a profile under another id"),
        "{said}"
    );
    assert_eq!(
        world.faults.calls("Scan"),
        8 + 7,
        "each page once, beside the failures"
    );
    let before = world.faults.calls("Scan");

    // So does a worker, which is stopped on the way and taken over.
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
    assert_eq!(world.records().await.len(), 53);
}

#[tokio::test]
async fn an_index_by_the_owner_takes_the_place_of_the_scan() {
    let world = World::new().await;
    let index = Some((INDEX, "profileOwner"));
    let made = world.sandbox.create_table_with(INDEXED, "id", index).await;
    made.expect("a table");
    let (_, without) = sample(&world, INDEXED).await;
    let folder = tempfile::tempdir().expect("a folder");
    let table = ["--set", "profiles.table=Indexed"];
    let reconcile = [&["reconcile", "--owner-index", INDEX][..], &table].concat();
    let (status, said, errors) = world.run(folder.path(), &reconcile).await;
    assert_eq!(status, Some(1), "{errors}");
    let lack = "3 lack a profile, 50 have a profile under another id; 3 queued\n";
    assert!(said.ends_with(lack), "{said}");
    assert_eq!(world.faults.calls("Scan"), 0);
    let settings = [
        ("profiles.table", INDEXED),
        ("profiles.owner_index", INDEX),
        ("pools.allowed", world.pool.id.as_str()),
    ];
    world.work(&settings).await;
    let records = world.by_owner(INDEXED).await;
    assert_eq!(records.values().map(BTreeSet::len).sum::<usize>(), 53);
    let Person { sub, name, .. } = &without[0];
    assert!(records[&format!("{sub}::{name}")].contains(sub));

    // The key of the configuration does for the command what the option does here.
    world.send(r#"{"usher": 1, "command": "Reconcile"}"#).await;
    world.work(&settings).await;
    assert_eq!(world.by_owner(INDEXED).await, records);
    assert_eq!(world.faults.calls("Scan"), 0);
    assert_eq!(world.letters().await.len(), 0);

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
async fn the_likely_owner_is_asked_for_first() {
    let world = World::new().await;
    let index = Some((INDEX, "profileOwner"));
    let made = world.sandbox.create_table_with(INDEXED, "id", index).await;
    made.expect("a table");
    for n in 0..5 {
        let Person { sub, name, .. } = confirmed(&world, &format!("person-{n}")).await;
        put(&world, INDEXED, &format!("{sub}::{name}")).await;
    }
    // A lost call is made again for its own value.
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
    let (_, said, errors) = world.run(folder.path(), &reconcile).await;
    assert!(said.contains("5 have a profile under another id"), "{said}");
    assert_eq!(world.faults.calls("Query"), 5 + 1, "{errors}");
}

#[tokio::test]
async fn a_record_that_comes_under_the_sub_is_not_elsewhere() {
    let index = ["--owner-index", INDEX, "--set", "profiles.table=Indexed"];
    for (table, arguments) in [(INDEXED, &index[..]), (TABLE, &[])] {
        let world = World::new().await;
        let by_owner = Some((INDEX, "profileOwner"));
        let made = world.sandbox.create_table_with(INDEXED, "id", by_owner);
        made.await.expect("a table");
        let Person { sub, name, .. } = confirmed(&world, "ada").await;
        put_under(&world, table, &sub, &format!("{sub}::{name}")).await;
        // The first look comes before the record.
        let mut is_first = true;
        world.faults.plan(move |call| {
            let is_look = call.operation == "BatchGetItem";
            let is_early = is_look && std::mem::replace(&mut is_first, false);
            let none = json!({"Responses": {table: []}, "UnprocessedKeys": {}});
            is_early.then_some(Fault::Pretended(none))
        });
        let folder = tempfile::tempdir().expect("a folder");
        let reconcile = [&["reconcile"], arguments].concat();
        let (status, said, errors) = world.run(folder.path(), &reconcile).await;
        assert_eq!(status, Some(0), "{errors}");
        let none = ": 1 users checked, 0 lack a profile; 0 queued\n";
        assert!(said.ends_with(none), "{said}");
        assert_eq!(world.faults.calls("BatchGetItem"), 2, "{table}");
    }
}

#[tokio::test]
async fn users_left_out_before_a_run_went_on_count_at_its_end() {
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
    let left_out = "1 users have a profile under another id";
    // The limit is reached with the first page, which has a user of each kind. The last run
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
        let (status, said, errors) = world.run(folder.path(), &reconcile).await;
        assert_eq!(status, Some(1), "{said}{errors}");
        assert!(said.contains(&format!(": {users} users checked")), "{said}");
        assert!(errors.contains(left_out), "{errors}");
        assert_eq!(errors.contains("begins again"), begins_again, "{errors}");
    }
}

#[tokio::test]
async fn an_owner_that_no_attribute_names_is_said_to_be_unknown() {
    let world = World::new().await;
    confirmed(&world, "ada").await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("usher.toml");
    std::fs::write(&file, "[profiles.attributes]\nemail = \"{email}\"\n").expect("written");
    let file = file.to_str().expect("text");
    let reconcile = ["reconcile", "--dry-run", "--config", file];
    let (status, said, errors) = world.run(folder.path(), &reconcile).await;
    assert_eq!(status, Some(0), "{errors}");
    assert!(said.ends_with("1 lack a profile; 0 queued\n"), "{said}");
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
