//! Pools with other kinds of user names or without passwords, and names that no pool
//! accepts.

use axum::http::StatusCode;
use serde_json::json;
use usher::aws::PoolOptions;

use super::Api;
use super::mails::counted;
use crate::faults::Fault;
use crate::world::{World, eventually};

const ADDRESS: &str = "ada@mail.example";

async fn api_in(kind: PoolOptions) -> Api {
    Api::start_in(World::new_in(&kind).await, &[], None).await
}

fn with_aliases() -> PoolOptions {
    PoolOptions {
        aliases: vec!["email".to_owned()],
        ..PoolOptions::default()
    }
}

#[tokio::test]
async fn every_resend_reaches_a_user_named_by_address() {
    let api = api_in(PoolOptions {
        email_usernames: true,
        ..PoolOptions::default()
    })
    .await;
    let mails = counted(&api);
    let mut invitation = json!({"email": ADDRESS});
    let answer = api
        .ask("POST", "/v1/invitations", Some(invitation.clone()))
        .await;
    assert_eq!((answer.status, mails()), (200, 1), "{answer:?}");
    let name = answer.body["user"]["username"].as_str().expect("a name");
    assert_eq!(answer.body["user"]["sub"], name, "the pool made it");
    for named in [ADDRESS, name] {
        let path = format!("/v1/invitations/{named}/resend");
        let before = mails();
        let again = api.ask("POST", &path, None).await;
        assert_eq!(again.body["mail"], "sent", "{again:?}");
        assert_eq!(mails(), before + 1);
    }
    invitation["resend"] = json!(true);
    let again = api.ask("POST", "/v1/invitations", Some(invitation)).await;
    assert_eq!((&again.body["mail"], mails()), (&json!("sent"), 4));
    // The bodies that the Lambda queues for AppSync.
    for command in ["ResendInvitation", "InviteUser"] {
        let mut body = json!({
            "usher": 1, "command": command, "requestId": command,
            "requestedBy": {"sub": "deadbeef-0000-4000-8000-000000000000"}, "userPoolId": api.world.pool.id,
        });
        if command == "InviteUser" {
            body["email"] = json!(ADDRESS);
            body["resend"] = json!(true);
        } else {
            body["username"] = json!(name);
        }
        api.world.send(body.to_string()).await;
        eventually("its end", || async { api.audit().contains_key(command) }).await;
        let audit = api.audit();
        assert_eq!(audit[command][0]["mail"], "sent", "{command}");
    }
    assert_eq!(mails(), 6);
}

#[tokio::test]
async fn another_users_address_is_a_conflict_at_once() {
    let api = api_in(with_aliases()).await;
    let mut invitation = json!({"email": ADDRESS, "username": "ada"});
    let answer = api
        .ask("POST", "/v1/invitations", Some(invitation.clone()))
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    invitation["username"] = json!("grace");
    let before = api.world.faults.calls("AdminCreateUser");
    let refused = api.ask("POST", "/v1/invitations", Some(invitation)).await;
    assert_eq!((refused.status, refused.code()), (409, "alias_exists"));
    assert_eq!(api.world.faults.calls("AdminCreateUser"), before + 1);
    let missing = api.ask("GET", "/v1/users/grace", None).await;
    assert_eq!(missing.status, 404, "nobody was made");
    // From the queue it becomes a dead letter with the reason, after one attempt.
    let body = json!({
        "usher": 1, "command": "InviteUser", "requestId": "r1", "requestedBy": {"sub": "deadbeef-0000-4000-8000-000000000000"},
        "userPoolId": api.world.pool.id, "email": ADDRESS, "username": "grace",
    });
    api.world.send(body.to_string()).await;
    eventually("its end", || async { api.audit().contains_key("r1") }).await;
    assert_eq!(api.audit()["r1"][0]["reason"], "alias_exists");
    assert_eq!(api.world.faults.calls("AdminCreateUser"), before + 2);
}

#[tokio::test]
async fn a_user_not_visible_yet_is_no_alias_conflict() {
    let api = api_in(with_aliases()).await;
    let invitation = json!({"email": ADDRESS, "username": "ada"});
    let answer = api
        .ask("POST", "/v1/invitations", Some(invitation.clone()))
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    api.world.faults.plan(|call| {
        let missing = "UserNotFoundException";
        (call.operation == "AdminGetUser").then_some(Fault::Error(StatusCode::BAD_REQUEST, missing))
    });
    let answer = api
        .ask("POST", "/v1/invitations", Some(invitation.clone()))
        .await;
    assert_eq!(answer.status, 202, "{answer:?}");
    // The address finds the user before the name does.
    api.world.faults.plan(|call| {
        let missing = "UserNotFoundException";
        (call.operation == "AdminGetUser" && call.input["Username"] == "ada")
            .then_some(Fault::Error(StatusCode::BAD_REQUEST, missing))
    });
    let answer = api.ask("POST", "/v1/invitations", Some(invitation)).await;
    assert_eq!(
        (answer.status, &answer.body["created"]),
        (200, &json!(false))
    );
    assert_eq!(api.world.members("EVERYONE").await, ["ada"]);
}

#[tokio::test]
async fn a_passwordless_pool_reports_that_no_code_is_sent() {
    let api = api_in(PoolOptions {
        first_factors: ["PASSWORD", "EMAIL_OTP"].map(str::to_owned).into(),
        ..PoolOptions::default()
    })
    .await;
    let invitation = json!({"email": ADDRESS, "username": "ada"});
    let answer = api.ask("POST", "/v1/invitations", Some(invitation)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.body["created"], true);
    assert_eq!(answer.body["user"]["status"], "CONFIRMED");
    assert_eq!(answer.body["mail"], "no_code");
    assert_eq!(api.world.members("EVERYONE").await, ["ada"]);
    let again = api.ask("POST", "/v1/invitations/ada/resend", None).await;
    assert_eq!((again.status, again.code()), (409, "already_accepted"));
    let detail = again.body["detail"].as_str().expect("text");
    assert!(detail.contains("needs no password"), "{detail}");
}

#[tokio::test]
async fn an_invisible_character_is_reported_with_its_position() {
    let world = World::new().await;
    let client = world.pool.client.clone();
    let api = Api::start_in(world, &[("invitations.client_id", &client)], None).await;
    for (member, value, field, place) in [
        (
            "email",
            json!("ada@\u{200b}mail.example"),
            "email",
            "email: character 5",
        ),
        (
            "username",
            json!("ada\u{200b}"),
            "username",
            "username: character 4",
        ),
        (
            "givenName",
            json!("\u{feff}Ada"),
            "givenName",
            "givenName: character 1",
        ),
        (
            "groups",
            json!(["STA\u{ad}FF"]),
            "groups",
            "groups: group 1: character 4",
        ),
        (
            "attributes",
            json!({"phone_number": "+44\u{202c}"}),
            "attributes",
            "attributes: phone_number: character 4",
        ),
    ] {
        let mut invitation = json!({"email": ADDRESS});
        invitation[member] = value;
        let refused = api.ask("POST", "/v1/invitations", Some(invitation)).await;
        assert_eq!((refused.status, refused.code()), (422, "invalid"));
        assert_eq!(refused.body["field"], field);
        let detail = refused.body["detail"].as_str().expect("text");
        assert!(
            detail.starts_with(&format!("{place} is invisible (U+")),
            "{detail}"
        );
    }
    let mut acceptance = json!({"username": "ada", "code": "Temporary-1", "password": "p"});
    acceptance["attributes"] = json!({"given_name": "Ada", "custom:note": "a\u{200b}"});
    for (pointer, value, expected) in [
        (
            "/username",
            "ad\u{200b}a",
            "username: character 3 is invisible",
        ),
        (
            "/code",
            "Temporary-1\u{ad}",
            "code: character 12 is invisible",
        ),
        (
            "/attributes/given_name",
            "A\u{200b}da",
            "attributes: given_name: character 2 is invisible",
        ),
    ] {
        let mut acceptance = acceptance.clone();
        *acceptance.pointer_mut(pointer).expect("a member") = json!(value);
        let refused = api
            .client
            .ask("POST", "/accept", Some(acceptance), &[])
            .await;
        assert_eq!((refused.status, refused.code()), (422, "invalid"));
        let detail = refused.body["detail"].as_str().expect("text");
        assert!(detail.starts_with(expected), "{detail}");
    }
    let pasted = "ad%E2%80%8Ba";
    for (method, path) in [
        ("GET", format!("/v1/users/{pasted}")),
        ("POST", format!("/v1/invitations/{pasted}/resend")),
        ("DELETE", format!("/v1/groups/STAFF/members/{pasted}")),
    ] {
        let refused = api.ask(method, &path, None).await;
        assert_eq!((refused.status, refused.code()), (422, "invalid"));
        let detail = refused.body["detail"].as_str().expect("text");
        assert!(
            detail.starts_with("username: character 3 is invisible"),
            "{detail}"
        );
    }
    for operation in ["AdminCreateUser", "InitiateAuth", "AdminGetUser"] {
        assert_eq!(api.world.faults.calls(operation), 0, "{operation}");
    }
}
