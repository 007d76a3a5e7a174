//! Users who have chosen a new password: some of them came in this way only.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::faults::Fault;
use crate::process::finished;
use crate::world::{Person, TABLE, World};

const INDEXED: &str = "Indexed";
const INDEX: &str = "userProfilesByProfileOwner";

/// Rules on what an administrator writes, and on what the user chooses.
const RULES: &str = r#"
    [[groups.rules]]
    groups = ["PRO", "ADMINS"]
    attribute = "custom:plan"
    equals = "pro"
    trusted = true

    [[groups.rules]]
    groups = ["WEB"]
    client_id = "web"
"#;

/// The event of a new password.
fn reset(person: &Person) -> Value {
    let mut event = person.event.clone();
    event["triggerSource"] = json!("PostConfirmation_ConfirmForgotPassword");
    event["callerContext"]["clientId"] = json!("web");
    event["request"]["userAttributes"]["custom:plan"] = json!("pro");
    event
}

/// Writes a record with this id and owner.
async fn put(world: &World, table: &str, id: &str, owner: &str) {
    let record = [("id", id), ("profileOwner", owner)];
    let record = record.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let written = world.sandbox.put_profile(table, record.into()).await;
    written.expect("written");
}

/// `usher worker` until the queue is empty.
async fn work(world: &World, rules: &str, settings: &[&str]) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("usher.toml");
    let mut command = world.usher(&["worker", "--until-empty"]);
    if !rules.is_empty() {
        std::fs::write(&file, rules).expect("written");
        command.env("USHER_CONFIG", &file);
    }
    for setting in settings {
        command.args(["--set", setting]);
    }
    let (status, _, errors) = finished(command).await;
    assert_eq!(status, Some(0), "{errors}");
    world.assert_queue_empty().await;
    assert_eq!(world.letters().await.len(), 0);
}

async fn groups(world: &World) -> BTreeMap<String, Vec<String>> {
    let groups = world.sandbox.groups(&world.pool.id).await;
    groups.expect("groups")
}

#[tokio::test]
async fn a_user_without_a_record_gets_what_reconcile_gives() {
    let world = World::new().await;
    let person = world.person("imported").await;
    world.send(reset(&person).to_string()).await;
    work(&world, RULES, &[]).await;
    let given: Vec<String> = groups(&world).await.into_keys().collect();
    assert_eq!(given, ["EVERYONE", "PRO"]);
    assert_eq!(
        world.members("PRO").await,
        std::slice::from_ref(&person.name)
    );
    let records = world.records().await;
    let owner = format!("{}::{}", person.sub, person.name);
    assert_eq!(records[&person.sub]["profileOwner"], owner);
}

#[tokio::test]
async fn a_user_with_a_record_costs_one_read() {
    let world = World::new().await;
    let person = world.person("known").await;
    let record = BTreeMap::from([("id".to_owned(), person.sub.clone())]);
    let written = world.sandbox.put_profile(TABLE, record).await;
    written.expect("written");
    world.send(reset(&person).to_string()).await;
    work(&world, RULES, &[]).await;
    assert!(groups(&world).await.is_empty());
    assert_eq!(world.records().await[&person.sub].len(), 1);
    assert_eq!(world.faults.calls("BatchGetItem"), 1);
    for call in [
        "AdminGetUser",
        "AdminAddUserToGroup",
        "PutItem",
        "Query",
        "Scan",
    ] {
        assert_eq!(world.faults.calls(call), 0, "{call}");
    }
}

#[tokio::test]
async fn a_new_password_is_ignored_without_setting_or_profiles() {
    let world = World::new().await;
    let person = world.person("forgot").await;
    for setting in [
        "profiles.after_password_reset=false",
        "profiles.enabled=false",
    ] {
        world.send(reset(&person).to_string()).await;
        work(&world, RULES, &[setting]).await;
        assert!(groups(&world).await.is_empty(), "{setting}");
        assert!(world.records().await.is_empty(), "{setting}");
        assert_eq!(world.faults.calls("BatchGetItem"), 0);
    }
}

#[tokio::test]
async fn an_index_shows_a_record_under_another_id() {
    let world = World::new().await;
    let index = Some((INDEX, "profileOwner"));
    let made = world.sandbox.create_table_with(INDEXED, "id", index).await;
    made.expect("a table");
    let person = world.person("ada").await;
    let owner = format!("{}::{}", person.sub, person.name);
    put(&world, INDEXED, "c1d4a0f0", &owner).await;
    let index = format!("profiles.owner_index={INDEX}");
    for (settings, records) in [
        (&["profiles.table=Indexed", &index][..], 1),
        // What the index is for.
        (&["profiles.table=Indexed"], 2),
    ] {
        world.send(reset(&person).to_string()).await;
        work(&world, "", settings).await;
        let found = world
            .sandbox
            .profiles(INDEXED, "id")
            .await
            .expect("records");
        assert_eq!(found.len(), records, "{settings:?}");
    }
}

#[tokio::test]
async fn a_look_that_fails_stops_no_sign_up() {
    let index = format!("profiles.owner_index={INDEX}");
    let (none, index): (&[&str], &[&str]) = (&[], &[&index]);
    for (operation, fault, reason, settings) in [
        (
            "BatchGetItem",
            Fault::Error(StatusCode::BAD_REQUEST, "AccessDeniedException"),
            "access_denied",
            none,
        ),
        (
            "Query",
            Fault::Refused(
                "ValidationException",
                "The table does not have the specified index: renamed",
            ),
            "table_mismatch",
            index,
        ),
        (
            "Query",
            Fault::Refused(
                "ValidationException",
                "Cannot read from backfilling global secondary index: new",
            ),
            "validation",
            index,
        ),
    ] {
        let world = World::new().await;
        world.faults.plan(move |call| {
            let fails = call.operation == operation;
            fails.then(|| fault.clone())
        });
        // As many as open the breaker when all are refused.
        let resets = world.people(16).await;
        for person in &resets {
            world.send(reset(person).to_string()).await;
        }
        let signed_up = world.person("signed-up").await;
        world.send(signed_up.event.to_string()).await;
        let mut worker = world.usher(&["worker", "--until-empty"]);
        for setting in [&["worker.max_attempts=1"], settings].concat() {
            worker.args(["--set", setting]);
        }
        let (status, _, errors) = finished(worker).await;
        assert_eq!(status, Some(0), "{errors}");
        assert!(!errors.contains("breaker open"), "{errors}");
        let records = world.records().await;
        assert_eq!(records.keys().collect::<Vec<_>>(), [&signed_up.sub]);
        let letters = world.letters().await;
        assert_eq!(letters.len(), resets.len(), "{reason}");
        for letter in &letters {
            assert_eq!(letter.attributes["usher.reason"], reason);
        }
    }
}

#[tokio::test]
async fn check_finds_records_that_a_new_password_would_double() {
    let world = World::new().await;
    let check = async |settings: &[&str]| {
        let mut command = world.usher(&["check", "--pool", &world.pool.id]);
        for setting in settings {
            command.args(["--set", setting]);
        }
        let (status, said, errors) = finished(command).await;
        let wrong = |line: &&str| line.starts_with("WRONG profiles.after_password_reset");
        let found = said.lines().find(wrong).map(str::to_owned);
        assert_eq!(status == Some(1), found.is_some(), "{said}{errors}");
        found
    };
    let (ada, grace) = (world.person("ada").await, world.person("grace").await);
    let owner = |person: &Person| format!("{}::{}", person.sub, person.name);
    put(&world, TABLE, &ada.sub, &owner(&ada)).await;
    assert_eq!(check(&[]).await, None);

    put(&world, TABLE, "c1d4a0f0", &owner(&grace)).await;
    let found = check(&[]).await.expect("a finding");
    for part in [TABLE, "profiles.owner_index", "switch"] {
        assert!(found.contains(part), "{part} in {found}");
    }
    for personal in [grace.name.as_str(), &grace.sub] {
        assert!(!found.contains(personal), "{found}");
    }
    let off = "profiles.after_password_reset=false";
    assert_eq!(check(&[off]).await, None);

    let index = Some((INDEX, "profileOwner"));
    let made = world.sandbox.create_table_with(INDEXED, "id", index).await;
    made.expect("a table");
    put(&world, INDEXED, "c1d4a0f0", &owner(&grace)).await;
    let index = format!("profiles.owner_index={INDEX}");
    assert_eq!(check(&["profiles.table=Indexed", &index]).await, None);
    assert!(check(&["profiles.table=Indexed"]).await.is_some());
}

#[tokio::test]
async fn a_dry_run_tells_what_a_replay_does_for_a_new_password() {
    let world = World::new().await;
    let (known, imported) = (world.person("known").await, world.person("imported").await);
    let record = BTreeMap::from([("id".to_owned(), known.sub.clone())]);
    let written = world.sandbox.put_profile(TABLE, record).await;
    written.expect("written");
    for person in [&known, &imported] {
        let message = usher::aws::Outgoing {
            body: reset(person).to_string(),
            ..Default::default()
        };
        world.dead_letters.send(message).await.expect("sent");
    }
    let dry = ["dead-letters", "replay", "--dry-run", "--output", "json"];
    let (status, said, errors) = finished(world.usher(&dry)).await;
    assert_eq!(status, Some(0), "{errors}");
    for part in [
        r#""outcome":"ignored""#,
        r#""forgot_password""#,
        r#""outcome":"done""#,
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
}
