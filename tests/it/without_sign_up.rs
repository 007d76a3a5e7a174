//! Users without a sign-up event: they choose a new password, or sign in through a provider.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::faults::Fault;
use crate::process::finished;
use crate::trigger::Lambda;
use crate::world::{TABLE, TestUser, World};

const INDEXED: &str = "Indexed";
const INDEX: &str = "userProfilesByProfileOwner";

/// Rules on an attribute of administrators, and on the client that the user chooses.
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
fn reset(user: &TestUser) -> Value {
    let mut event = user.event.clone();
    event["triggerSource"] = json!("PostConfirmation_ConfirmForgotPassword");
    event["callerContext"]["clientId"] = json!("web");
    event["request"]["userAttributes"]["custom:plan"] = json!("pro");
    event
}

/// Writes a profile with this id and owner.
async fn put(world: &World, table: &str, id: &str, owner: &str) {
    let profile = [("id", id), ("profileOwner", owner)];
    let profile = profile.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let written = world.sandbox.put_profile(table, profile.into()).await;
    written.expect("written");
}

/// Runs `usher worker` until the queue is empty. Asserts that no dead letter is made.
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
    assert_eq!(world.read_dead_letters().await.len(), 0);
}

async fn groups(world: &World) -> BTreeMap<String, Vec<String>> {
    let groups = world.sandbox.groups(&world.pool.id).await;
    groups.expect("groups")
}

#[tokio::test]
async fn a_new_password_without_profile_provisions_like_reconcile() {
    let world = World::new().await;
    let user = world.create_user("imported").await;
    world.send(reset(&user).to_string()).await;
    work(&world, RULES, &[]).await;
    let given: Vec<String> = groups(&world).await.into_keys().collect();
    assert_eq!(given, ["EVERYONE", "PRO"]);
    assert_eq!(world.members("PRO").await, std::slice::from_ref(&user.name));
    let profiles = world.profiles().await;
    let owner = format!("{}::{}", user.sub, user.name);
    assert_eq!(profiles[&user.sub]["profileOwner"], owner);
}

#[tokio::test]
async fn a_user_with_a_profile_costs_one_read() {
    let world = World::new().await;
    let user = world.create_user("known").await;
    let profile = BTreeMap::from([("id".to_owned(), user.sub.clone())]);
    let written = world.sandbox.put_profile(TABLE, profile).await;
    written.expect("written");
    world.send(reset(&user).to_string()).await;
    work(&world, RULES, &[]).await;
    assert!(groups(&world).await.is_empty());
    assert_eq!(world.profiles().await[&user.sub].len(), 1);
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
    let user = world.create_user("forgot").await;
    for setting in ["profiles.without_sign_up=false", "profiles.enabled=false"] {
        world.send(reset(&user).to_string()).await;
        work(&world, RULES, &[setting]).await;
        assert!(groups(&world).await.is_empty(), "{setting}");
        assert!(world.profiles().await.is_empty(), "{setting}");
        assert_eq!(world.faults.calls("BatchGetItem"), 0);
    }
}

#[tokio::test]
async fn an_index_finds_a_profile_under_another_id() {
    let world = World::new().await;
    let index = Some((INDEX, "profileOwner"));
    let made = world.sandbox.create_table_with(INDEXED, "id", index).await;
    made.expect("a table");
    let user = world.create_user("ada").await;
    let owner = format!("{}::{}", user.sub, user.name);
    put(&world, INDEXED, "c1d4a0f0", &owner).await;
    let index = format!("profiles.owner_index={INDEX}");
    for (settings, profiles) in [
        (&["profiles.table=Indexed", &index][..], 1),
        // Without the index the user gets a second profile.
        (&["profiles.table=Indexed"], 2),
    ] {
        world.send(reset(&user).to_string()).await;
        work(&world, "", settings).await;
        let found = world
            .sandbox
            .profiles(INDEXED, "id")
            .await
            .expect("profiles");
        assert_eq!(found.len(), profiles, "{settings:?}");
    }
}

#[tokio::test]
async fn a_failed_profile_lookup_stops_no_sign_up() {
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
        // As many refusals as open the breaker.
        let resets = world.create_users(16).await;
        for user in &resets {
            world.send(reset(user).to_string()).await;
        }
        let signed_up = world.create_user("signed-up").await;
        world.send(signed_up.event.to_string()).await;
        let mut worker = world.usher(&["worker", "--until-empty"]);
        for setting in [&["worker.max_attempts=1"], settings].concat() {
            worker.args(["--set", setting]);
        }
        let (status, _, errors) = finished(worker).await;
        assert_eq!(status, Some(0), "{errors}");
        assert!(!errors.contains("breaker open"), "{errors}");
        let profiles = world.profiles().await;
        assert_eq!(profiles.keys().collect::<Vec<_>>(), [&signed_up.sub]);
        let dead_letters = world.read_dead_letters().await;
        assert_eq!(dead_letters.len(), resets.len(), "{reason}");
        for dead_letter in &dead_letters {
            assert_eq!(dead_letter.attributes["usher.reason"], reason);
        }
    }
}

#[tokio::test]
async fn check_finds_profiles_that_a_new_password_would_duplicate() {
    let world = World::new().await;
    let check = async |settings: &[&str]| {
        let mut command = world.usher(&["check", "--pool", &world.pool.id]);
        for setting in settings {
            command.args(["--set", setting]);
        }
        let (status, stdout, errors) = finished(command).await;
        let text = stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        let found = text.split_once("FAIL profiles.without_sign_up ");
        let found = found.map(|(_, detail)| detail.to_owned());
        assert_eq!(status == Some(1), found.is_some(), "{stdout}{errors}");
        found
    };
    let (ada, grace) = (
        world.create_user("ada").await,
        world.create_user("grace").await,
    );
    let owner = |user: &TestUser| format!("{}::{}", user.sub, user.name);
    put(&world, TABLE, &ada.sub, &owner(&ada)).await;
    assert_eq!(check(&[]).await, None);

    put(&world, TABLE, "c1d4a0f0", &owner(&grace)).await;
    let found = check(&[]).await.expect("a finding");
    for part in ["profiles.owner_index", "switch"] {
        assert!(found.contains(part), "{part} in {found}");
    }
    for personal in [grace.name.as_str(), &grace.sub] {
        assert!(!found.contains(personal), "{found}");
    }
    let off = "profiles.without_sign_up=false";
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
async fn a_dry_run_predicts_the_replay_of_a_new_password() {
    let world = World::new().await;
    let (known, imported) = (
        world.create_user("known").await,
        world.create_user("imported").await,
    );
    let profile = BTreeMap::from([("id".to_owned(), known.sub.clone())]);
    let written = world.sandbox.put_profile(TABLE, profile).await;
    written.expect("written");
    for user in [&known, &imported] {
        let message = usher::aws::Outgoing {
            body: reset(user).to_string(),
            ..Default::default()
        };
        world.dead_letters.send(message).await.expect("sent");
    }
    let dry = ["dead-letters", "replay", "--dry-run", "--output", "json"];
    let (status, stdout, errors) = finished(world.usher(&dry)).await;
    assert_eq!(status, Some(0), "{errors}");
    for part in [
        r#""outcome":"ignored""#,
        r#""not_needed""#,
        r#""outcome":"done""#,
    ] {
        assert!(stdout.contains(part), "{part} in {stdout}");
    }
}

/// A sign-in through a provider, as a `PreTokenGeneration` trigger gets it.
fn sign_in(user: &TestUser, groups: &[&str]) -> String {
    let mut event = user.event.clone();
    event["triggerSource"] = json!("TokenGeneration_HostedAuth");
    event["request"]["userAttributes"]["cognito:user_status"] = json!("EXTERNAL_PROVIDER");
    event["request"]["groupConfiguration"] = json!({"groupsToOverride": groups});
    event.to_string()
}

/// The groups that the answer puts into the token.
fn token_groups(answer: &str) -> Value {
    let answer: Value = serde_json::from_str(answer).expect("JSON");
    answer["response"]["claimsOverrideDetails"]["groupOverrideDetails"]["groupsToOverride"].clone()
}

#[tokio::test]
async fn a_sign_in_of_a_providers_user_provisions_once() {
    let world = World::new().await;
    let user = world.create_user("google").await;
    let mut lambda = Lambda::of(&world).await;
    for _ in 0..2 {
        let answer = lambda.invoke(&sign_in(&user, &[])).await;
        assert_eq!(token_groups(&answer), json!(["EVERYONE"]));
    }
    assert_eq!(world.faults.calls("SendMessage"), 1, "once a minute");
    work(&world, RULES, &[]).await;
    world
        .assert_all_provisioned(std::slice::from_ref(&user))
        .await;

    // A removal lasts, though another instance of the Lambda sends the next sign-in.
    let (pool, name) = (&world.pool.id, &user.name);
    let removed = world
        .sandbox
        .remove_from_group(pool, name, "EVERYONE")
        .await;
    removed.expect("removed");
    Lambda::of(&world).await.invoke(&sign_in(&user, &[])).await;
    assert_eq!(world.faults.calls("SendMessage"), 2);
    work(&world, RULES, &[]).await;
    assert!(world.members("EVERYONE").await.is_empty());
}

#[tokio::test]
async fn a_sign_in_with_all_groups_or_of_others_sends_nothing() {
    let world = World::new().await;
    let user = world.create_user("ada").await;
    let mut lambda = Lambda::of(&world).await;
    lambda.invoke(&sign_in(&user, &["EVERYONE"])).await;
    let native = sign_in(&user, &[]).replace("EXTERNAL_PROVIDER", "CONFIRMED");
    lambda.invoke(&native).await;
    let refresh = sign_in(&user, &[]).replace("HostedAuth", "RefreshTokens");
    lambda.invoke(&refresh).await;
    assert_eq!(world.faults.calls("SendMessage"), 0);
}

#[tokio::test]
async fn post_authentication_sends_and_returns_the_event_unchanged() {
    let world = World::new().await;
    let user = world.create_user("google").await;
    let mut lambda = Lambda::of(&world).await;
    let event = sign_in(&user, &[]).replace(
        "TokenGeneration_HostedAuth",
        "PostAuthentication_Authentication",
    );
    assert_eq!(lambda.invoke(&event).await, event);
    assert_eq!(world.faults.calls("SendMessage"), 1);
    work(&world, RULES, &[]).await;
    world
        .assert_all_provisioned(std::slice::from_ref(&user))
        .await;
}

#[tokio::test]
async fn a_sign_up_is_not_sent_again_with_the_first_token() {
    let world = World::new().await;
    let user = world.create_user("google").await;
    let mut lambda = Lambda::of(&world).await;
    lambda.invoke(&user.event.to_string()).await;
    lambda.invoke(&sign_in(&user, &[])).await;
    assert_eq!(world.faults.calls("SendMessage"), 1);
}

#[tokio::test]
async fn a_sign_in_never_fails_nor_waits_for_the_queue() {
    let world = World::new().await;
    let user = world.create_user("google").await;
    for fault in [Fault::Hang(Duration::from_secs(20)), Fault::ResetBefore] {
        let mut lambda = Lambda::of(&world).await;
        world.faults.plan(move |_| Some(fault.clone()));
        let begun = Instant::now();
        let answer = lambda.invoke(&sign_in(&user, &[])).await;
        // 300 ms, and time for a busy machine.
        assert!(
            begun.elapsed() < Duration::from_secs(3),
            "{:?}",
            begun.elapsed()
        );
        assert_eq!(token_groups(&answer), json!(["EVERYONE"]));
        let log = lambda.process.log();
        assert!(
            log.contains("sign-in not queued") && log.contains(&user.sub),
            "{log}"
        );
        assert!(!log.contains(&user.name), "{log}");
    }
}
