//! A user whose name is the `sub` of another: users who choose their own name may
//! choose that one, and Cognito finds them by it.

use serde_json::json;

use super::Api;
use crate::process::finished;
use crate::world::{TestUser, eventually};

/// A user, and a second one whose name is the `sub` of the first.
async fn pair(api: &Api) -> (TestUser, TestUser) {
    let ada = api.world.create_user("ada").await;
    let impostor = api.world.create_user(&ada.sub).await;
    (ada, impostor)
}

#[tokio::test]
async fn a_name_equal_to_another_users_sub_is_ambiguous() {
    let api = Api::start(&[]).await;
    api.make_group("STAFF").await;
    let (ada, impostor) = pair(&api).await;
    let sub = &ada.sub;
    let member = format!("/v1/groups/STAFF/members/{sub}");
    let user = format!("/v1/users/{sub}");
    let resend = format!("/v1/invitations/{sub}/resend");
    let named = json!({"username": sub});
    let invitation = json!({"email": "ada@post.example", "username": sub, "groups": ["STAFF"]});
    for (method, path, body) in [
        ("POST", "/v1/groups/STAFF/members", Some(named)),
        ("DELETE", &member, None),
        ("GET", &user, None),
        ("POST", &resend, None),
        ("POST", "/v1/invitations", Some(invitation)),
    ] {
        let answer = api.ask(method, path, body).await;
        assert_eq!(
            (answer.status, answer.code()),
            (409, "ambiguous_user"),
            "{method} {path}: {answer:?}"
        );
    }
    assert!(api.world.members("STAFF").await.is_empty());
    for operation in ["AdminAddUserToGroup", "AdminRemoveUserFromGroup"] {
        assert_eq!(api.world.faults.calls(operation), 0, "{operation}");
    }
    // Each user is found by an identifier that only they have.
    assert_eq!(api.add("STAFF", "ada").await.body["user"]["sub"], *sub);
    let other = api.add("STAFF", &impostor.sub).await;
    assert_eq!(other.body["user"]["sub"], impostor.sub, "{other:?}");
    let grace = api.world.create_user("grace").await;
    let by_sub = api.add("STAFF", &grace.sub).await;
    assert_eq!(by_sub.body["user"]["username"], "grace");
    // The check costs no additional lookup.
    assert_eq!(api.world.faults.calls("AdminGetUser"), 8);
}

#[tokio::test]
async fn a_command_for_an_ambiguous_name_is_dead_lettered_each_time() {
    let api = Api::start(&[]).await;
    api.make_group("STAFF").await;
    let (ada, _) = pair(&api).await;
    // The body that the Lambda queues for a mutation.
    let body = json!({
        "usher": 1, "command": "AddUserToGroup", "requestId": "r1",
        "requestedBy": {"sub": "deadbeef-0000-4000-8000-000000000000"}, "userPoolId": api.world.pool.id,
        "username": ada.sub, "groupName": "STAFF",
    });
    api.world.send(body.to_string()).await;
    let refusals = || api.audit().remove("r1").unwrap_or_default().len();
    // On a slow machine an attempt may be made twice.
    let refused_after = |before: usize| {
        let (api, refusals) = (&api, &refusals);
        eventually("dead-lettered", move || async move {
            let depth = api
                .world
                .dead_letters
                .attributes()
                .await
                .expect("attributes")
                .depth;
            refusals() > before && depth.visible > 0
        })
    };
    refused_after(0).await;
    let before = refusals();
    let mut replay = api.world.usher(&["dead-letters", "replay"]);
    replay.args(["--reason", "ambiguous_user", "--yes"]);
    let (_, out, err) = finished(replay).await;
    assert!(out.contains("sent to the source queue"), "{out} {err}");
    refused_after(before).await;
    let dead_letters = api.world.read_dead_letters().await;
    let reasons: Vec<&str> = dead_letters
        .iter()
        .map(|dead_letter| dead_letter.attributes["usher.reason"].as_str())
        .collect();
    assert!(
        reasons.iter().all(|reason| *reason == "ambiguous_user"),
        "{reasons:?}"
    );
    assert!(api.world.members("STAFF").await.is_empty());
}

#[tokio::test]
async fn an_invitation_with_a_uuid_as_name_is_repeatable() {
    let api = Api::start(&[]).await;
    let name = "7e8a1e7c-3d2f-4b6a-9c11-0a8d5c2b7f10";
    let invitation = json!({"email": "ada@mail.example", "username": name});
    for created in [true, false] {
        let answer = api
            .ask("POST", "/v1/invitations", Some(invitation.clone()))
            .await;
        assert_eq!(
            (answer.status, &answer.body["created"]),
            (200, &json!(created)),
            "{answer:?}"
        );
    }
    assert_eq!(api.world.members("EVERYONE").await, [name]);
}
