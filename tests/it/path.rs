//! What a confirmed sign-up ends in.

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
    let people = world.people(40).await;
    world.send_all(&people).await;
    let report = world.work(&[]).await;
    assert_eq!(report.settled, 40);
    world.assert_all_provisioned(&people).await;
    assert_eq!(
        world.faults.calls("CreateGroup"),
        1,
        "one for the whole burst"
    );
    let record = &world.records().await[&people[0].sub];
    assert_eq!(record["__typename"], "UserProfile");
    assert_eq!(record["createdAt"], record["updatedAt"]);
    assert!(record["createdAt"].len() == 24 && record["createdAt"].ends_with('Z'));
}

#[tokio::test]
async fn three_shuffled_deliveries_have_one_effect_and_spend_the_budget_once() {
    let world = World::new().await;
    let people = world.people(60).await;
    let mut bodies: Vec<String> = Vec::new();
    for (delivery, person) in (0..3).flat_map(|n| people.iter().map(move |person| (n, person))) {
        let mut event = person.event.clone();
        event["request"]["userAttributes"]["email"] = json!(format!("{delivery}@mail.example"));
        bodies.push(event.to_string());
    }
    fastrand::shuffle(&mut bodies);
    for body in &bodies {
        world.send(body.clone()).await;
    }
    let first_values = world.work(&[]).await;
    assert_eq!(first_values.settled, 180);
    world.assert_all_provisioned(&people).await;
    assert_eq!(
        world.faults.calls("PutItem"),
        60,
        "duplicates are remembered"
    );
    // One call finds the group missing, at the most one for each in flight.
    assert!(world.faults.calls("AdminAddUserToGroup") <= 60 + 64);

    // Once more, through a worker that remembers nothing: the records stay.
    let before = world.records().await;
    world.send_all(&people).await;
    world.work(&[]).await;
    assert_eq!(
        world.records().await,
        before,
        "first writer's values are kept"
    );
    world.assert_all_provisioned(&people).await;
}

#[tokio::test]
async fn an_existing_profile_is_never_changed() {
    let world = World::new().await;
    let people = world.people(2).await;
    let edited = BTreeMap::from([
        ("id".to_owned(), people[0].sub.clone()),
        (
            "profileOwner".to_owned(),
            format!("{}::{}", people[0].sub, people[0].name),
        ),
        ("nickname".to_owned(), "kept".to_owned()),
    ]);
    world
        .sandbox
        .put_profile(TABLE, edited.clone())
        .await
        .expect("written");
    world.send_all(&people).await;
    world.work(&[]).await;
    assert_eq!(world.records().await[&people[0].sub], edited);
    world.assert_all_provisioned(&people).await;
}

#[tokio::test]
async fn a_missing_sub_is_asked_for() {
    let world = World::new().await;
    let mut people = world.people(3).await;
    for person in &mut people {
        let attributes = person.event["request"]["userAttributes"].as_object_mut();
        attributes.expect("attributes").remove("sub");
    }
    world.send_all(&people).await;
    world.work(&[]).await;
    world.assert_all_provisioned(&people).await;
    assert_eq!(world.faults.calls("AdminGetUser"), 3);
}

#[tokio::test]
async fn rules_give_groups_by_what_the_event_says() {
    let world = World::new().await;
    let people = world.people(2).await;
    let mut pro = people[1].event.clone();
    pro["request"]["userAttributes"]["custom:plan"] = json!("pro");
    world.send(people[0].event.to_string()).await;
    world.send(pro.to_string()).await;

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

    assert_eq!(world.members("PRO").await, [people[1].name.clone()]);
    assert_eq!(world.members("MAIL").await.len(), 2);
    world.assert_all_provisioned(&people).await;
}

#[tokio::test]
async fn profiles_can_be_switched_off() {
    let world = World::new().await;
    let people = world.people(2).await;
    world.send_all(&people).await;
    world.work(&[("profiles.enabled", "false")]).await;
    assert_eq!(world.members("EVERYONE").await.len(), 2);
    assert!(world.records().await.is_empty());
    world.assert_queue_empty().await;
}

#[tokio::test]
async fn a_foreign_pool_ends_in_a_letter_whatever_the_message() {
    let world = World::new().await;
    let people = world.people(3).await;
    let pool = "us-east-1_Another1";
    let mut foreign = people[0].event.clone();
    foreign["userPoolId"] = json!(pool);
    let bodies = [
        foreign,
        json!({"usher": 1, "command": "Reconcile", "userPoolId": pool}),
        json!({"usher": 1, "command": "AddUserToGroup", "requestId": "r", "userPoolId": pool,
            "requestedBy": {"sub": "s"}, "username": people[0].name, "groupName": "STAFF"}),
    ];
    for body in &bodies {
        world.send(body.to_string()).await;
    }
    world.send_all(&people[1..]).await;
    world.work(&[("pools.allowed", &world.pool.id)]).await;
    let letters = world.letters().await;
    assert_eq!(letters.len(), bodies.len());
    for letter in letters {
        assert_eq!(letter.attributes["usher.reason"], "foreign_pool");
        assert_eq!(letter.attributes["usher.attempts"], "1");
    }
    assert_eq!(world.members("EVERYONE").await.len(), 2);
    assert_eq!(world.records().await.len(), 2);
    world.assert_queue_empty().await;
}

#[tokio::test]
async fn a_replay_mends_what_a_wrong_list_of_pools_refused() {
    let world = World::new().await;
    let people = world.people(30).await;
    world.send_all(&people).await;
    let wrong = world.config(&[("pools.allowed", "us-east-1_Another1")]);
    let running = world.worker(&wrong, Until::Stopped).await;
    eventually("all are dead letters", || async {
        let depth = world.dead_letters.attributes().await.expect("facts").depth;
        depth.visible == 30
    })
    .await;
    let why = running.health.unready_reasons().join(" ");
    assert!(!why.contains("blocked"), "the breaker is closed: {why}");
    running.stop().await;
    let replay = ["dead-letters", "replay", "--reason", "foreign_pool"];
    let (status, said, errors) = finished(world.usher(&replay)).await;
    assert_eq!(status, Some(0), "{errors}");
    assert!(said.contains("30  queued"), "{said}");
    world.work(&[("pools.allowed", &world.pool.id)]).await;
    world.assert_all_provisioned(&people).await;
}

#[tokio::test]
async fn a_missing_group_that_may_not_be_created_ends_in_a_letter() {
    let world = World::new().await;
    let people = world.people(1).await;
    world.send_all(&people).await;
    world
        .work(&[
            ("groups.create_missing", "false"),
            ("worker.max_attempts", "1"),
        ])
        .await;
    let letters = world.letters().await;
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].attributes["usher.reason"], "group_not_found");
    assert!(world.records().await.is_empty(), "not finished");
}

#[tokio::test]
async fn a_user_who_is_gone_ends_in_a_letter_and_not_in_a_loop() {
    let world = World::new().await;
    let mut person = world.person("gone").await;
    person.event["userName"] = json!("somebody-else");
    world.send(person.event.to_string()).await;
    world.work(&[("worker.max_attempts", "2")]).await;
    let letters = world.letters().await;
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].attributes["usher.reason"], "user_not_found");
    assert_eq!(letters[0].attributes["usher.attempts"], "2");
    assert_eq!(letters[0].body, person.event.to_string(), "byte for byte");
    assert!(world.records().await.is_empty(), "no record of nobody");
}

#[tokio::test]
async fn a_name_that_is_the_sub_of_another_gives_that_user_nothing() {
    let world = World::new().await;
    let victim = world.person("victim").await;
    // Who chose the name has deleted their account since.
    let mut event = world.person("mallory").await.event;
    event["userName"] = json!(victim.sub);
    event["request"]["userAttributes"]["sub"] = json!("deadbeef-0000-4000-8000-000000000000");
    world.send(event.to_string()).await;
    world.work(&[("worker.max_attempts", "1")]).await;
    let letters = world.letters().await;
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].attributes["usher.reason"], "user_not_found");
    assert!(world.members("EVERYONE").await.is_empty());
    assert!(world.records().await.is_empty());
}

#[tokio::test]
async fn a_user_who_is_not_found_for_a_while_is_no_dead_letter() {
    let world = World::new().await;
    world.faults.time_lapse();
    let person = world.person("late").await;
    let mut calls = 0;
    world.faults.plan(move |call| {
        if call.operation != "AdminAddUserToGroup" {
            return None;
        }
        calls += 1;
        let missing = Fault::Error(StatusCode::BAD_REQUEST, "UserNotFoundException");
        (calls == 1).then_some(missing)
    });
    // Four attempts are behind it: those that a command has are used up with the next.
    let behind = |body: String| Outgoing {
        body,
        attributes: [("usher.attempts".to_owned(), "4".to_owned())].into(),
        ..Outgoing::default()
    };
    let sign_up = behind(person.event.to_string());
    world.queue.send(sign_up).await.expect("sent");
    world.work(&[]).await;
    world.assert_all_provisioned(&[person]).await;
    let hidden = world.faults.ledger(|ledger| ledger.longest_hide());
    assert_eq!(hidden, Duration::from_secs(48), "3, 6, 12, 24, 48 seconds");

    let command = json!({"usher": 1, "command": "AddUserToGroup", "requestId": "r",
        "userPoolId": world.pool.id, "requestedBy": {"sub": "s"}, "username": "nobody",
        "groupName": "EVERYONE"});
    let command = behind(command.to_string());
    world.queue.send(command).await.expect("sent");
    world.work(&[]).await;
    let letters = world.letters().await;
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].attributes["usher.reason"], "user_not_found");
    assert_eq!(letters[0].attributes["usher.attempts"], "5");
}

#[tokio::test]
async fn a_group_that_is_refused_does_not_keep_the_user_from_the_others() {
    let world = World::new().await;
    let people = world.people(2).await;
    let name = people[0].name.clone();
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
    world.send_all(&people[..1]).await;
    let worker = world.worker(&world.config(&groups), Until::Empty).await;
    eventually("the refusal", || async {
        world.faults.count("AdminAddUserToGroup") > 0
    })
    .await;
    // The second shows that it is the first one's own fault.
    world.send_all(&people[1..]).await;
    worker.end(PATIENCE).await;
    assert_eq!(world.members("EVERYONE").await.len(), 2);
    let letters = world.letters().await;
    assert_eq!(letters[0].attributes["usher.reason"], "limit_exceeded");
    let records = world.records().await;
    assert!(!records.contains_key(&people[0].sub), "not finished");

    // A replay gives what was missing, group and record.
    world.faults.mend();
    world.send(&letters[0].body).await;
    world.work(&groups).await;
    assert_eq!(world.members("FULL").await.len(), 2);
    assert_eq!(world.records().await.len(), 2);
}
