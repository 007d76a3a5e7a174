//! A federated user by their `sub`: the Admin calls know them by name only, and `ListUsers`
//! finds them.

use axum::http::StatusCode;
use serde_json::json;

use super::{Api, sub_of};
use crate::faults::Fault;
use crate::process::finished;
use crate::world::{Person, eventually};

/// Somebody whom the Admin calls do not know by `sub`.
async fn federated(api: &Api) -> Person {
    let person = api.world.person("Google_1042").await;
    let sub = person.sub.clone();
    api.world.faults.plan(move |call| {
        let by_sub = call.operation.starts_with("Admin") && call.input["Username"] == sub;
        let refusal = Fault::Error(StatusCode::BAD_REQUEST, "UserNotFoundException");
        by_sub.then_some(refusal)
    });
    person
}

#[tokio::test]
async fn the_api_finds_a_federated_user_by_sub() {
    let api = Api::start(&[]).await;
    api.make_group("STAFF").await;
    let person = federated(&api).await;
    let sub = &person.sub;
    let user = format!("/v1/users/{sub}");
    let member = format!("/v1/groups/STAFF/members/{sub}");
    let resend_path = format!("/v1/invitations/{sub}/resend");

    let added = api.add("STAFF", sub).await;
    assert_eq!(
        (added.status, &added.body["user"]["sub"]),
        (200, &json!(sub))
    );
    assert_eq!(
        api.world.members("STAFF").await,
        std::slice::from_ref(&person.name)
    );
    let shown = api.ask("GET", &user, None).await;
    assert_eq!(
        (shown.status, &shown.body["username"], &shown.body["groups"]),
        (200, &json!(person.name), &json!(["STAFF"]))
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
    let ada = api.world.person("ada").await;
    assert_eq!(api.add("STAFF", &ada.sub).await.status, 200);
    assert_eq!(api.world.faults.calls("ListUsers"), listed);
    let unknown = api.add("STAFF", &sub_of("nobody")).await;
    assert_eq!((unknown.status, unknown.code()), (404, "user_not_found"));
}

#[tokio::test]
async fn a_mutation_and_the_shell_find_a_federated_user_by_sub() {
    let api = Api::start(&[]).await;
    api.make_group("STAFF").await;
    api.make_group("TEAM").await;
    let person = federated(&api).await;
    // As the Lambda queues the mutation.
    let body = json!({
        "usher": 1, "command": "AddUserToGroup", "requestId": "r1",
        "requestedBy": {"sub": "s"}, "userPoolId": api.world.pool.id,
        "username": person.sub, "groupName": "STAFF",
    });
    api.world.send(body.to_string()).await;
    eventually("it is done", || async {
        api.world.members("STAFF").await == std::slice::from_ref(&person.name)
    })
    .await;
    let mut grant = api.world.usher(&["grant", "--group", "TEAM"]);
    grant.args(["--user", &person.sub, "--pool", &api.world.pool.id]);
    let (status, out, err) = finished(grant).await;
    assert_eq!(status, Some(0), "{out} {err}");
    assert_eq!(api.world.members("TEAM").await, [person.name]);
}
