//! The results of a confirmed sign-up.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::http::StatusCode;
use serde_json::json;
use usher::aws::Outgoing;
use usher::config::{Config, Layers};
use usher::worker::Until;

use crate::faults::Fault;
use crate::process::finished;
use crate::world::{PATIENCE, TABLE, World, eventually};

#[tokio::test]
async fn every_sign_up_ends_in_its_group_with_one_profile() {
    let world = World::new().await;
    let users = world.create_users(40).await;
    world.send_all(&users).await;
    let report = world.work(&[]).await;
    assert_eq!(report.settled, 40);
    world.assert_all_provisioned(&users).await;
    assert_eq!(
        world.faults.calls("CreateGroup"),
        1,
        "one for the whole burst"
    );
    let profile = &world.profiles().await[&users[0].sub];
    assert_eq!(profile["__typename"], "UserProfile");
    assert_eq!(profile["createdAt"], profile["updatedAt"]);
    assert!(profile["createdAt"].len() == 24 && profile["createdAt"].ends_with('Z'));
}

#[tokio::test]
async fn duplicate_deliveries_have_one_effect_and_one_set_of_calls() {
    let world = World::new().await;
    let users = world.create_users(60).await;
    let mut bodies: Vec<String> = Vec::new();
    for (delivery, user) in (0..3).flat_map(|n| users.iter().map(move |user| (n, user))) {
        let mut event = user.event.clone();
        event["request"]["userAttributes"]["email"] = json!(format!("{delivery}@mail.example"));
        bodies.push(event.to_string());
    }
    fastrand::shuffle(&mut bodies);
    for body in &bodies {
        world.send(body.clone()).await;
    }
    let first_values = world.work(&[]).await;
    assert_eq!(first_values.settled, 180);
    world.assert_all_provisioned(&users).await;
    assert_eq!(
        world.faults.calls("PutItem"),
        60,
        "duplicates are remembered"
    );
    // At most one call for each message in progress finds the group missing.
    assert!(world.faults.calls("AdminAddUserToGroup") <= 60 + 64);

    // Again, with a new worker that remembers no user: the profiles stay.
    let before = world.profiles().await;
    world.send_all(&users).await;
    world.work(&[]).await;
    assert_eq!(
        world.profiles().await,
        before,
        "first writer's values are kept"
    );
    world.assert_all_provisioned(&users).await;
}

#[tokio::test]
async fn an_existing_profile_is_never_changed() {
    let world = World::new().await;
    let users = world.create_users(2).await;
    let edited = BTreeMap::from([
        ("id".to_owned(), users[0].sub.clone()),
        (
            "profileOwner".to_owned(),
            format!("{}::{}", users[0].sub, users[0].name),
        ),
        ("nickname".to_owned(), "kept".to_owned()),
    ]);
    world
        .sandbox
        .put_profile(TABLE, edited.clone())
        .await
        .expect("written");
    world.send_all(&users).await;
    world.work(&[]).await;
    assert_eq!(world.profiles().await[&users[0].sub], edited);
    world.assert_all_provisioned(&users).await;
}

#[tokio::test]
async fn a_missing_sub_is_looked_up() {
    let world = World::new().await;
    let mut users = world.create_users(3).await;
    for user in &mut users {
        let attributes = user.event["request"]["userAttributes"].as_object_mut();
        attributes.expect("attributes").remove("sub");
    }
    world.send_all(&users).await;
    world.work(&[]).await;
    world.assert_all_provisioned(&users).await;
    assert_eq!(world.faults.calls("AdminGetUser"), 3);
}

#[tokio::test]
async fn a_sub_that_is_no_uuid_makes_no_second_profile() {
    let world = World::new().await;
    let user = world.create_user("ada").await;
    world.send(user.event.to_string()).await;
    let upper_case = json!(user.sub.to_uppercase());
    for forged in [
        json!("ada@example.com"),
        json!("15550100"),
        json!([1]),
        upper_case,
    ] {
        let mut event = user.event.clone();
        event["request"]["userAttributes"]["sub"] = forged;
        world.send(event.to_string()).await;
    }
    assert_eq!(world.work(&[]).await.settled, 5);
    assert_eq!(
        world.profiles().await.keys().collect::<Vec<_>>(),
        [&user.sub]
    );
}

#[tokio::test]
async fn rules_give_groups_by_event_attributes() {
    let world = World::new().await;
    let users = world.create_users(3).await;
    let mut pro = users[1].event.clone();
    let attributes = &mut pro["request"]["userAttributes"];
    attributes["custom:plan"] = json!("pro");
    attributes["custom:idp_groups"] = json!("[Everyone+in+Sales, Unknown]");
    attributes["cognito:user_status"] = json!("EXTERNAL_PROVIDER");
    let mut other = users[2].event.clone();
    // Without a provider, the user has written it.
    other["request"]["userAttributes"]["custom:idp_groups"] = json!("[Everyone+in+Sales]");
    world.send(users[0].event.to_string()).await;
    world.send(pro.to_string()).await;
    world.send(other.to_string()).await;

    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("usher.toml");
    std::fs::write(
        &file,
        r#"
        [[groups.rules]]
        groups = ["PRO"]
        attribute = "custom:plan"
        equals = "pro"

        [[groups.rules]]
        groups = ["MAIL"]
        email_domain = "mail.example"

        [[groups.rules]]
        [groups.rules.groups_from]
        attribute = "custom:idp_groups"
        map = { "Everyone in Sales" = "SALES", "Everyone in IT" = "IT" }
        "#,
    )
    .expect("written");
    let flags: Vec<String> = world
        .settings()
        .into_iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let config = Config::from_layers(&Layers::defaults().file(&file).flags(&flags)).expect("valid");
    world
        .worker(&config, Until::Empty)
        .await
        .end(PATIENCE)
        .await;

    assert_eq!(world.members("PRO").await, [users[1].name.clone()]);
    assert_eq!(world.members("MAIL").await.len(), 3);
    assert_eq!(world.members("SALES").await, [users[1].name.clone()]);
    assert!(world.members("IT").await.is_empty());
    world.assert_all_provisioned(&users).await;
}

#[tokio::test]
async fn profiles_can_be_disabled() {
    let world = World::new().await;
    let users = world.create_users(2).await;
    world.send_all(&users).await;
    world.work(&[("profiles.enabled", "false")]).await;
    assert_eq!(world.members("EVERYONE").await.len(), 2);
    assert!(world.profiles().await.is_empty());
    world.assert_queue_empty().await;
}

#[tokio::test]
async fn any_message_of_a_foreign_pool_is_dead_lettered() {
    let world = World::new().await;
    let users = world.create_users(3).await;
    let pool = "us-east-1_Another1";
    let mut foreign = users[0].event.clone();
    foreign["userPoolId"] = json!(pool);
    let bodies = [
        foreign,
        json!({"usher": 1, "command": "Reconcile", "userPoolId": pool}),
        json!({"usher": 1, "command": "AddUserToGroup", "requestId": "r", "userPoolId": pool,
            "requestedBy": {"sub": "deadbeef-0000-4000-8000-000000000000"}, "username": users[0].name, "groupName": "STAFF"}),
    ];
    for body in &bodies {
        world.send(body.to_string()).await;
    }
    world.send_all(&users[1..]).await;
    world.work(&[("pools.allowed", &world.pool.id)]).await;
    let dead_letters = world.read_dead_letters().await;
    assert_eq!(dead_letters.len(), bodies.len());
    for dead_letter in dead_letters {
        assert_eq!(dead_letter.attributes["usher.reason"], "foreign_pool");
        assert_eq!(dead_letter.attributes["usher.attempts"], "1");
    }
    assert_eq!(world.members("EVERYONE").await.len(), 2);
    assert_eq!(world.profiles().await.len(), 2);
    world.assert_queue_empty().await;
}

#[tokio::test]
async fn a_replay_recovers_what_a_wrong_pool_list_refused() {
    let world = World::new().await;
    let users = world.create_users(30).await;
    world.send_all(&users).await;
    let wrong = world.config(&[("pools.allowed", "us-east-1_Another1")]);
    let running = world.worker(&wrong, Until::Stopped).await;
    eventually("all are dead letters", || async {
        let depth = world
            .dead_letters
            .attributes()
            .await
            .expect("attributes")
            .depth;
        depth.visible == 30
    })
    .await;
    let why = running.health.unready_reasons().join(" ");
    assert!(!why.contains("blocked"), "the breaker is closed: {why}");
    running.stop().await;
    let replay = [
        "dead-letters",
        "replay",
        "--reason",
        "foreign_pool",
        "--yes",
    ];
    let (status, stdout, errors) = finished(world.usher(&replay)).await;
    assert_eq!(status, Some(0), "{errors}");
    assert!(stdout.contains("30 dead letters sent"), "{stdout}");
    world.work(&[("pools.allowed", &world.pool.id)]).await;
    world.assert_all_provisioned(&users).await;
}

#[tokio::test]
async fn a_missing_group_that_may_not_be_created_is_dead_lettered() {
    let world = World::new().await;
    let users = world.create_users(1).await;
    world.send_all(&users).await;
    world
        .work(&[
            ("groups.create_missing", "false"),
            ("worker.max_attempts", "1"),
        ])
        .await;
    let dead_letters = world.read_dead_letters().await;
    assert_eq!(dead_letters.len(), 1);
    assert_eq!(
        dead_letters[0].attributes["usher.reason"],
        "group_not_found"
    );
    assert!(world.profiles().await.is_empty(), "not finished");
}

#[tokio::test]
async fn a_deleted_user_is_dead_lettered_and_not_retried_forever() {
    let world = World::new().await;
    let mut user = world.create_user("gone").await;
    user.event["userName"] = json!("somebody-else");
    world.send(user.event.to_string()).await;
    world.work(&[("worker.max_attempts", "2")]).await;
    let dead_letters = world.read_dead_letters().await;
    assert_eq!(dead_letters.len(), 1);
    assert_eq!(dead_letters[0].attributes["usher.reason"], "user_not_found");
    assert_eq!(dead_letters[0].attributes["usher.attempts"], "2");
    assert_eq!(
        dead_letters[0].body,
        user.event.to_string(),
        "byte for byte"
    );
    assert!(world.profiles().await.is_empty(), "no record of nobody");
}

#[tokio::test]
async fn a_name_that_is_the_sub_of_another_gives_that_user_nothing() {
    let world = World::new().await;
    let victim = world.create_user("victim").await;
    // The user who chose the name has since deleted their account.
    let mut event = world.create_user("mallory").await.event;
    event["userName"] = json!(victim.sub);
    event["request"]["userAttributes"]["sub"] = json!("deadbeef-0000-4000-8000-000000000000");
    world.send(event.to_string()).await;
    world.work(&[("worker.max_attempts", "1")]).await;
    let dead_letters = world.read_dead_letters().await;
    assert_eq!(dead_letters.len(), 1);
    assert_eq!(dead_letters[0].attributes["usher.reason"], "user_not_found");
    assert!(world.members("EVERYONE").await.is_empty());
    assert!(world.profiles().await.is_empty());
}

#[tokio::test]
async fn a_user_not_found_for_a_while_is_not_dead_lettered() {
    let world = World::new().await;
    world.faults.time_lapse();
    let user = world.create_user("late").await;
    let mut calls = 0;
    world.faults.plan(move |call| {
        if call.operation != "AdminAddUserToGroup" {
            return None;
        }
        calls += 1;
        let missing = Fault::Error(StatusCode::BAD_REQUEST, "UserNotFoundException");
        (calls == 1).then_some(missing)
    });
    // After four attempts, a command has only one left.
    let behind = |body: String| Outgoing {
        body,
        attributes: [("usher.attempts".to_owned(), "4".to_owned())].into(),
        ..Outgoing::default()
    };
    let sign_up = behind(user.event.to_string());
    world.queue.send(sign_up).await.expect("sent");
    world.work(&[]).await;
    world.assert_all_provisioned(&[user]).await;
    let hidden = world.faults.ledger(|ledger| ledger.longest_hide());
    assert_eq!(hidden, Duration::from_secs(48), "3, 6, 12, 24, 48 seconds");

    let command = json!({"usher": 1, "command": "AddUserToGroup", "requestId": "r",
        "userPoolId": world.pool.id, "requestedBy": {"sub": "deadbeef-0000-4000-8000-000000000000"}, "username": "nobody",
        "groupName": "EVERYONE"});
    let command = behind(command.to_string());
    world.queue.send(command).await.expect("sent");
    world.work(&[]).await;
    let dead_letters = world.read_dead_letters().await;
    assert_eq!(dead_letters.len(), 1);
    assert_eq!(dead_letters[0].attributes["usher.reason"], "user_not_found");
    assert_eq!(dead_letters[0].attributes["usher.attempts"], "5");
}

#[tokio::test]
async fn a_refused_group_does_not_block_the_other_groups() {
    let world = World::new().await;
    let users = world.create_users(2).await;
    let name = users[0].name.clone();
    world.faults.plan(move |call| {
        let full = (&json!("FULL"), &json!(name));
        let refused = call.operation == "AdminAddUserToGroup"
            && (&call.input["GroupName"], &call.input["Username"]) == full;
        refused.then_some(Fault::Error(
            StatusCode::BAD_REQUEST,
            "LimitExceededException",
        ))
    });
    let groups = [("groups.default", "FULL,EVERYONE")];
    world.send_all(&users[..1]).await;
    let worker = world.worker(&world.config(&groups), Until::Empty).await;
    eventually("the refusal", || async {
        world.faults.count("AdminAddUserToGroup") > 0
    })
    .await;
    // The second user's success shows that the first user's refusal is not an outage.
    world.send_all(&users[1..]).await;
    worker.end(PATIENCE).await;
    assert_eq!(world.members("EVERYONE").await.len(), 2);
    let dead_letters = world.read_dead_letters().await;
    assert_eq!(dead_letters[0].attributes["usher.reason"], "limit_exceeded");
    let profiles = world.profiles().await;
    assert!(!profiles.contains_key(&users[0].sub), "not finished");

    // A replay adds the missing group and profile.
    world.faults.clear();
    world.send(&dead_letters[0].body).await;
    world.work(&groups).await;
    assert_eq!(world.members("FULL").await.len(), 2);
    assert_eq!(world.profiles().await.len(), 2);
}
