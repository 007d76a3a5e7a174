//! Replays that provision in the process of the command.

use serde_json::{Value, json};

use super::{REPLAY_ALL, counts};
use crate::dead_letters::dead_letter;
use crate::world::{TestUser, World};

#[tokio::test]
async fn a_direct_replay_provisions_in_its_own_process() {
    let world = World::new().await;
    let users = world.create_users(12).await;
    world.send_dead_letters_of(&users, "timeout").await;
    let (status, tally, errors) = world
        .run_dead_letters(&["replay", "--direct", "--reason", "timeout", "--yes"])
        .await;
    assert_eq!(status, Some(0), "{errors}");
    assert!(tally.contains("12 of 12 replayed"), "{tally}");
    world.assert_all_provisioned(&users).await;
}

#[tokio::test]
async fn a_replay_gives_nothing_to_a_new_user_of_the_name() {
    for direct in [true, false] {
        let world = World::new().await;
        let before = world.create_user("ada").await;
        world.delete_user("ada").await;
        let now = world.create_user("ada").await;
        assert_ne!(before.sub, now.sub);
        let event = before.event.to_string();
        world
            .send_dead_letters(&[dead_letter(event, "throttled")])
            .await;
        let (_, verdicts, errors) = world.run_dead_letters(&["replay", "--dry-run"]).await;
        assert!(
            verdicts.contains("would fail again: user_not_found"),
            "{verdicts} {errors}"
        );
        if direct {
            world
                .run_dead_letters(&["replay", "--direct", "--all", "--yes"])
                .await;
        } else {
            world.run_dead_letters(&REPLAY_ALL).await;
            world.work(&[]).await;
        }
        assert!(world.members("EVERYONE").await.is_empty(), "{direct}");
        assert!(world.profiles().await.is_empty(), "{direct}");
        let dead_letters = world.read_dead_letters().await;
        assert_eq!(dead_letters.len(), 1);
        assert_eq!(dead_letters[0].attributes["usher.reason"], "user_not_found");
    }
}

#[tokio::test]
async fn a_direct_replay_leaves_foreign_dead_letters() {
    let world = World::new().await;
    let users = world.create_users(2).await;
    world.send_dead_letters_of(&users, "throttled").await;
    let mut unknown = users[0].event.clone();
    unknown["userPoolId"] = json!("us-east-1_Strange01");
    // Another user: the profile is written concurrently with the groups, possibly before
    // the error shows that the pool does not exist.
    unknown["request"]["userAttributes"]["sub"] = json!("deadbeef-0000-4000-8000-000000000000");
    world
        .send_dead_letters(&[
            dead_letter(unknown.to_string(), "throttled"),
            dead_letter(r#"{"usher":1,"command":"Reconcile"}"#, "throttled"),
        ])
        .await;
    let replay = ["replay", "--direct", "--all", "--yes", "--output", "json"];
    let (status, tally, errors) = world.run_dead_letters(&replay).await;
    assert_eq!(status, Some(1), "{errors}");
    let tally: Value = serde_json::from_str(&tally).expect("JSON");
    let left = json!({"needs the queue": 1, "pool_not_found": 1});
    assert_eq!(tally, counts(json!({"done": 2, "left": left})));
    let allowed = format!("pools.allowed={}", world.pool.id);
    let (_, tally, _) = world
        .run_dead_letters(&[&replay[..], &["--set", &allowed]].concat())
        .await;
    let tally: Value = serde_json::from_str(&tally).expect("JSON");
    let left = json!({"needs the queue": 1, "foreign_pool": 1});
    assert_eq!(tally, counts(json!({"left": left})));
    assert_eq!(world.visible_dead_letters().await, 2);
}

#[tokio::test]
async fn a_direct_replay_verifies_admin_membership() {
    let world = World::new().await;
    let admin = world.create_user("admin").await;
    let former = world.create_user("former").await;
    let pool = &world.pool.id;
    for (name, group) in [("admin", "ADMINS"), ("admin", "STAFF")] {
        world
            .sandbox
            .add_to_group(pool, name, group)
            .await
            .expect("joined");
    }
    let command = |user: &TestUser| {
        let body = json!({
            "usher": 1, "command": "AddUserToGroup", "requestId": user.name,
            "requestedBy": {"sub": user.sub}, "userPoolId": pool,
            "username": user.name, "groupName": "STAFF",
        });
        dead_letter(body.to_string(), "timeout")
    };
    world
        .send_dead_letters(&[command(&admin), command(&former)])
        .await;
    let replay = ["replay", "--direct", "--all", "--yes", "--output", "json"];
    let verified = ["--set", "admin.verify_membership=true"];
    let (status, tally, errors) = world
        .run_dead_letters(&[&replay[..], &verified].concat())
        .await;
    assert_eq!(status, Some(1), "{errors}");
    let tally: Value = serde_json::from_str(&tally).expect("JSON");
    let failed_again = json!({"not_administrator": 1});
    let expected = counts(json!({"done": 1, "failed_again": failed_again}));
    assert_eq!(tally, expected);
    assert_eq!(world.members("STAFF").await, ["admin"]);
}
