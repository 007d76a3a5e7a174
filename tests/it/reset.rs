//! Users who have chosen a new password: some of them came in this way only.

use std::collections::BTreeMap;

use serde_json::{Value, json};

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

/// `usher worker` until the queue is empty.
async fn work(world: &World, rules: &str, settings: &[&str]) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("usher.toml");
    std::fs::write(&file, rules).expect("written");
    let mut command = world.usher(&["worker", "--until-empty"]);
    command.env("USHER_CONFIG", &file);
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
async fn someone_without_a_record_is_provisioned_as_reconcile_does_it() {
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
async fn someone_with_a_record_is_left_alone_after_one_read() {
    let world = World::new().await;
    let person = world.person("known").await;
    let record = BTreeMap::from([("id".to_owned(), person.sub.clone())]);
    let written = world.sandbox.put_record(TABLE, record).await;
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
async fn where_nothing_tells_who_is_finished_a_new_password_is_ignored() {
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
    let record = [("id", "c1d4a0f0"), ("profileOwner", owner.as_str())];
    let record = record.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let written = world.sandbox.put_record(INDEXED, record.into()).await;
    written.expect("written");
    let index = format!("profiles.owner_index={INDEX}");
    for (settings, records) in [
        (&["profiles.table=Indexed", &index][..], 1),
        // What the index is for.
        (&["profiles.table=Indexed"], 2),
    ] {
        world.send(reset(&person).to_string()).await;
        work(&world, "", settings).await;
        let found = world.sandbox.records(INDEXED, "id").await.expect("records");
        assert_eq!(found.len(), records, "{settings:?}");
    }
}

#[tokio::test]
async fn a_dry_run_tells_what_a_replay_does_for_a_new_password() {
    let world = World::new().await;
    let (known, imported) = (world.person("known").await, world.person("imported").await);
    let record = BTreeMap::from([("id".to_owned(), known.sub.clone())]);
    let written = world.sandbox.put_record(TABLE, record).await;
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
