//! A user whose name is the `sub` of another: whoever chooses their own user name may
//! choose that one, and Cognito finds them under it.

use serde_json::json;

use super::Api;
use crate::process::finished;
use crate::world::{Person, eventually};

/// Somebody, and a user who has their `sub` for a name.
async fn pair(api: &Api) -> (Person, Person) {
    let ada = api.world.person("ada").await;
    let impostor = api.world.person(&ada.sub).await;
    (ada, impostor)
}

#[tokio::test]
async fn the_name_that_is_the_sub_of_another_names_nobody() {
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
    // Each of them is found by what is theirs alone.
    assert_eq!(api.add("STAFF", "ada").await.body["user"]["sub"], *sub);
    let other = api.add("STAFF", &impostor.sub).await;
    assert_eq!(other.body["user"]["sub"], impostor.sub, "{other:?}");
    let grace = api.world.person("grace").await;
    let by_sub = api.add("STAFF", &grace.sub).await;
    assert_eq!(by_sub.body["user"]["username"], "grace");
    // Nobody is looked up more often for it.
    assert_eq!(api.world.faults.calls("AdminGetUser"), 8);
}

#[tokio::test]
async fn a_command_for_an_ambiguous_name_is_dead_lettered_each_time() {
    let api = Api::start(&[]).await;
    api.make_group("STAFF").await;
    let (ada, _) = pair(&api).await;
    // As the Lambda queues the mutation.
    let body = json!({
        "usher": 1, "command": "AddUserToGroup", "requestId": "r1",
        "requestedBy": {"sub": "s"}, "userPoolId": api.world.pool.id,
        "username": ada.sub, "groupName": "STAFF",
    });
    api.world.send(body.to_string()).await;
    let refusals = || api.audit().remove("r1").unwrap_or_default().len();
    // On a slow machine an attempt may be made twice.
    let refused_after = |before: usize| {
        let (api, refusals) = (&api, &refusals);
        eventually("dead-lettered", move || async move {
            let letters = api
                .world
                .dead_letters
                .attributes()
                .await
                .expect("facts")
                .depth;
            refusals() > before && letters.visible > 0
        })
    };
    refused_after(0).await;
    let before = refusals();
    let mut replay = api.world.usher(&["dead-letters", "replay"]);
    replay.args(["--reason", "ambiguous_user"]);
    let (status, out, err) = finished(replay).await;
    assert_eq!(status, Some(0), "{out} {err}");
    refused_after(before).await;
    let letters = api.world.letters().await;
    let reasons: Vec<&str> = letters
        .iter()
        .map(|letter| letter.attributes["usher.reason"].as_str())
        .collect();
    assert!(
        reasons.iter().all(|reason| *reason == "ambiguous_user"),
        "{reasons:?}"
    );
    assert!(api.world.members("STAFF").await.is_empty());
}

#[tokio::test]
async fn an_invitation_under_a_uuid_of_the_apps_own_is_repeatable() {
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
