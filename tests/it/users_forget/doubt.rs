//! Users of one name: what may belong to another stays.

use axum::http::StatusCode;
use serde_json::json;

use super::{NOBODY, audited};
use crate::faults::Fault;
use crate::process::finished;
use crate::world::{TABLE, World};

#[tokio::test]
async fn a_profile_that_only_the_name_finds_goes_before_the_user() {
    let world = World::new().await;
    let zora = world.person("zora").await;
    world
        .put_profile_under_another_id(&zora, TABLE, "zora")
        .await;
    world.faults.plan(|call| {
        let denied = Fault::Error(StatusCode::BAD_REQUEST, "AccessDeniedException");
        (call.operation == "AdminDeleteUser").then_some(denied)
    });
    let (status, _, errors) = world.forget(&zora.sub, &[]).await;
    assert_eq!(status, Some(1), "{errors}");
    assert!(world.profiles().await.is_empty());
    let users = world.sandbox.users(&world.pool.id).await.expect("users");
    assert_eq!(users.get("zora"), Some(&zora.sub));
}

#[tokio::test]
async fn a_profile_with_a_name_that_another_pool_may_have_stays() {
    let world = World::new().await;
    let zora = world.person("zora").await;
    world
        .put_profile_under_another_id(&zora, TABLE, "zora")
        .await;
    let both = format!("pools.allowed={},us-east-1_other", world.pool.id);
    let settings = ["--pool", &world.pool.id, "--set", &both];
    let (status, stdout, errors) = world.forget(&zora.sub, &settings).await;
    assert_eq!(status, Some(1), "{errors}");
    for part in [
        "deleted: nothing\n",
        "\nprofiles in doubt: 1\n",
        "note: a profile in doubt has only the user name as its owner",
        "not finished: left user\n",
    ] {
        assert!(stdout.contains(part), "{part}: {stdout}");
    }
    assert_eq!(world.profiles().await.len(), 1);
    let users = world.sandbox.users(&world.pool.id).await.expect("users");
    assert_eq!(users.get("zora"), Some(&zora.sub));
    let only = format!("pools.allowed={}", world.pool.id);
    let (status, stdout, errors) = world.forget(&zora.sub, &["--set", &only]).await;
    assert_eq!(status, Some(0), "{errors}");
    assert!(stdout.starts_with("deleted: user, 1 profile\n"), "{stdout}");
}

#[tokio::test]
async fn a_dead_letter_with_only_the_name_is_decided_first() {
    let world = World::new().await;
    let zora = world.known_person("zora").await;
    for name in ["zora", "grace"] {
        let command = world.command("AddUserToGroup", name);
        world.send_dead_letter_of(&command, "group_not_found").await;
    }
    let (status, stdout, errors) = world.forget(&zora.sub, &[]).await;
    assert_eq!(status, Some(1), "{stdout}{errors}");
    assert!(stdout.starts_with("deleted: nothing\n"), "{stdout}");
    let doubt = stdout
        .lines()
        .find_map(|line| line.strip_prefix("dead letters in doubt: "));
    let doubt = doubt.expect("ids").to_owned();
    assert!(audited(&errors).is_empty(), "{errors}");
    assert_eq!(world.profiles().await.len(), 2);
    let letters = world.dead_letters.attributes().await.expect("attributes");
    assert_eq!(letters.depth.total(), 4);
    let drop = world.usher(&["dead-letters", "drop", &doubt, "--yes"]);
    let (status, stdout, errors) = finished(drop).await;
    assert_eq!(status, Some(0), "{stdout}{errors}");
    let (status, stdout, errors) = world.forget(&zora.sub, &[]).await;
    assert_eq!(status, Some(0), "{stdout}{errors}");
    let left = world.read_dead_letters().await;
    let left: Vec<&str> = left.iter().map(|it| it.body.as_str()).collect();
    assert_eq!(left, [world.command("AddUserToGroup", "grace").to_string()]);
}

#[tokio::test]
async fn another_user_with_the_same_name_stays() {
    let world = World::new().await;
    let old = world.known_person("zora").await;
    world.delete_user("zora").await;
    let new = world.person("zora").await;
    world
        .put_profile_under_another_id(&new, TABLE, "zora")
        .await;
    // The list still shows the old user.
    let listed = json!({"Users": [{
        "Username": "zora", "UserStatus": "CONFIRMED", "Enabled": true,
        "Attributes": [{"Name": "sub", "Value": old.sub}],
    }]});
    world.faults.plan(move |call| {
        let filter = call.input["Filter"].as_str().unwrap_or_default();
        let is_by_sub = call.operation == "ListUsers" && filter.starts_with("sub");
        is_by_sub.then(|| Fault::Pretended(listed.clone()))
    });
    let deletions = world.faults.calls("AdminDeleteUser");
    let (status, stdout, errors) = world.forget(&old.sub, &[]).await;
    assert_eq!((status, stdout.as_str()), (Some(1), ""), "{errors}");
    world.faults.clear();
    let (status, stdout, errors) = world.forget(&old.sub, &[]).await;
    assert_eq!(status, Some(0), "{stdout}{errors}");
    assert_eq!(world.faults.calls("AdminDeleteUser"), deletions, "{errors}");
    assert!(
        stdout.starts_with("deleted: 1 profile, 2 dead letters\n"),
        "{stdout}"
    );
    let users = world.sandbox.users(&world.pool.id).await.expect("users");
    assert_eq!(users.get("zora"), Some(&new.sub));
    assert_eq!(world.profiles().await.len(), 1, "that of the new user");
}

#[tokio::test]
async fn a_user_who_has_the_name_since_the_look_stays() {
    let world = World::new().await;
    let zora = world.person("zora").await;
    let mut reads = 0;
    world.faults.plan(move |call| {
        reads += u32::from(call.operation == "AdminGetUser");
        let sub = json!([{"Name": "sub", "Value": NOBODY}]);
        let another = json!({"Username": "zora", "Enabled": true, "UserAttributes": sub});
        let is_late = call.operation == "AdminGetUser" && reads > 2;
        is_late.then(|| Fault::Pretended(another))
    });
    let (status, _, errors) = world.forget(&zora.sub, &[]).await;
    assert_eq!(status, Some(1), "{errors}");
    assert_eq!(world.faults.calls("AdminDeleteUser"), 0, "{errors}");
}

#[tokio::test]
async fn a_profile_that_gets_another_owner_meanwhile_stays() {
    let world = World::new().await;
    let zora = world.person("zora").await;
    world
        .put_profile_under_another_id(&zora, TABLE, &format!("{}::zora", zora.sub))
        .await;
    world.faults.plan(|call| {
        let is_late = call.operation == "DeleteItem";
        is_late.then_some(Fault::Altered(|mut input| {
            input["ExpressionAttributeValues"][":owner"] = json!({"S": "another"});
            input
        }))
    });
    let (status, stdout, errors) = world.forget(&zora.sub, &[]).await;
    assert_eq!(status, Some(1), "{stdout}{errors}");
    assert!(
        stdout.contains("not finished: left 1 profile\n"),
        "{stdout}"
    );
    assert_eq!(world.profiles().await.len(), 1);
}
