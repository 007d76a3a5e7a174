//! Federated users by `sub`: the Admin calls find them only by name, and `ListUsers` by
//! `sub`.

use axum::http::StatusCode;
use serde_json::json;

use super::{Api, sub_of};
use crate::faults::Fault;
use crate::process::finished;
use crate::world::{TestUser, eventually};

/// A user whom the Admin calls do not find by `sub`.
async fn federated(api: &Api) -> TestUser {
    let user = api.world.create_user("Google_1042").await;
    let sub = user.sub.clone();
    api.world.faults.plan(move |call| {
        let by_sub = call.operation.starts_with("Admin") && call.input["Username"] == sub;
        let refusal = Fault::Error(StatusCode::BAD_REQUEST, "UserNotFoundException");
        by_sub.then_some(refusal)
    });
    user
}

#[tokio::test]
async fn the_api_finds_a_federated_user_by_sub() {
    let api = Api::start(&[]).await;
    api.make_group("STAFF").await;
    let user = federated(&api).await;
    let sub = &user.sub;
    let user_path = format!("/v1/users/{sub}");
    let member = format!("/v1/groups/STAFF/members/{sub}");
    let resend_path = format!("/v1/invitations/{sub}/resend");

    let added = api.add("STAFF", sub).await;
    assert_eq!(
        (added.status, &added.body["user"]["sub"]),
        (200, &json!(sub))
    );
    assert_eq!(
        api.world.members("STAFF").await,
        std::slice::from_ref(&user.name)
    );
    let shown = api.ask("GET", &user_path, None).await;
    assert_eq!(
        (shown.status, &shown.body["username"], &shown.body["groups"]),
        (200, &json!(user.name), &json!(["STAFF"]))
    );
    let removed = api.ask("DELETE", &member, None).await;
    assert_eq!(removed.status, 200, "{removed:?}");
    assert!(api.world.members("STAFF").await.is_empty());
    let resent = api.ask("POST", &resend_path, None).await;
    assert_eq!(
        (resent.status, &resent.body["user"]["sub"]),
        (200, &json!(sub))
    );

    // A local user is found without a list, and a `sub` of no user stays unknown.
    let listed = api.world.faults.calls("ListUsers");
    assert_eq!(listed, 4);
    let ada = api.world.create_user("ada").await;
    assert_eq!(api.add("STAFF", &ada.sub).await.status, 200);
    assert_eq!(api.world.faults.calls("ListUsers"), listed);
    let unknown = api.add("STAFF", &sub_of("nobody")).await;
    assert_eq!((unknown.status, unknown.code()), (404, "user_not_found"));
}

#[tokio::test]
async fn commands_and_grant_find_a_federated_user_by_sub() {
    let api = Api::start(&[]).await;
    api.make_group("STAFF").await;
    api.make_group("TEAM").await;
    let user = federated(&api).await;
    // The body that the Lambda queues for a mutation.
    let body = json!({
        "usher": 1, "command": "AddUserToGroup", "requestId": "r1",
        "requestedBy": {"sub": "deadbeef-0000-4000-8000-000000000000"}, "userPoolId": api.world.pool.id,
        "username": user.sub, "groupName": "STAFF",
    });
    api.world.send(body.to_string()).await;
    eventually("it is done", || async {
        api.world.members("STAFF").await == std::slice::from_ref(&user.name)
    })
    .await;
    let mut grant = api.world.usher(&["groups", "add", "--group", "TEAM"]);
    grant.args(["--user", &user.sub, "--pool", &api.world.pool.id]);
    let (status, out, err) = finished(grant).await;
    assert_eq!(status, Some(0), "{out} {err}");
    assert_eq!(api.world.members("TEAM").await, [user.name]);
}
