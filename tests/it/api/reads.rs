//! Lookups of users and profiles.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::{Api, claims, sub_of, token};
use crate::faults::Fault;
use crate::world::TABLE;

#[tokio::test]
async fn an_administrator_sees_status_groups_and_profile() {
    let api = Api::start(&[]).await;
    let ada = api.world.create_user("ada").await;
    api.world.send(ada.event.to_string()).await;
    crate::world::eventually("provisioned", || async {
        api.world.profiles().await.contains_key(&ada.sub)
            && !api.world.members("EVERYONE").await.is_empty()
    })
    .await;
    let answer = api.ask("GET", "/v1/users/ada", None).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.body["sub"], ada.sub);
    assert_eq!(answer.body["groups"], json!(["EVERYONE"]));
    assert_eq!(
        answer.body["profile"]["profileOwner"],
        format!("{}::ada", ada.sub)
    );
    assert_eq!(api.ask("GET", "/v1/users/nobody", None).await.status, 404);
    let lines = api.audit().remove("").expect("lines without a request id");
    let ada = json!(ada.sub);
    let expected = [
        (&ada, "done", ""),
        (&Value::Null, "rejected", "user_not_found"),
    ];
    assert_eq!(lines.len(), expected.len());
    for (line, (sub, result, reason)) in lines.iter().zip(expected) {
        assert_eq!(
            (&line["action"], &line["user.sub"]),
            (&json!("GetUser"), sub)
        );
        assert_eq!(
            (&line["result"], &line["reason"]),
            (&json!(result), &json!(reason))
        );
        assert_eq!(line["actor"], sub_of("admin"));
        assert_eq!(line["pool.id"], api.world.pool.id);
    }
    let ordinary = token(&api.world, &claims(&api.world, "ada", &["EVERYONE"]));
    assert_eq!(
        api.ask_as(&ordinary, "GET", "/v1/users/ada").await.status,
        403
    );
    let odd = api.ask("GET", "/v1/users/a%20b", None).await;
    assert_eq!(
        (odd.status, odd.body["field"].as_str()),
        (422, Some("username"))
    );
    assert_eq!(api.ask("GET", "/v1/users/%ff", None).await.status, 400);
}

#[tokio::test]
async fn a_failed_lookup_has_an_audit_line() {
    let api = Api::start(&[]).await;
    api.world.create_user("ada").await;
    api.world.faults.plan(|call| {
        let denied = Fault::Error(StatusCode::BAD_REQUEST, "AccessDeniedException");
        (call.operation == "AdminListGroupsForUser").then_some(denied)
    });
    assert_eq!(api.ask("GET", "/v1/users/ada", None).await.status, 503);
    let lines = api.audit().remove("").expect("a line without a request id");
    let [line] = &lines[..] else {
        panic!("{lines:?}")
    };
    assert_eq!(
        (&line["result"], &line["reason"]),
        (&json!("failed"), &json!("access_denied"))
    );
}

#[tokio::test]
async fn users_read_only_their_own_profile() {
    let api = Api::start(&[]).await;
    let users = api.world.create_users(2).await;
    for user in &users {
        api.world.send(user.event.to_string()).await;
    }
    crate::world::eventually("provisioned", || async {
        api.world.profiles().await.len() == 2
    })
    .await;
    let whose = |name: &str, sub: &str| {
        let mut claims = claims(&api.world, name, &[]);
        claims["sub"] = json!(sub);
        token(&api.world, &claims)
    };
    for user in &users {
        let own = whose(&user.name, &user.sub);
        let answer = api.ask_as(&own, "GET", "/v1/me/profile").await;
        assert_eq!(answer.status, 200);
        let owner = format!("{}::{}", user.sub, user.name);
        assert_eq!(answer.body["profileOwner"], owner);
        assert_eq!(answer.body["id"], user.sub);
    }
    // AppSync compares the owner with the `sub` or the user name: one match is enough.
    let [ada, grace] = &users[..] else {
        panic!("{users:?}")
    };
    let owned_by = |owner: &str| {
        let profile = [("id", ada.sub.as_str()), ("profileOwner", owner)];
        let profile = profile.map(|(name, value)| (name.to_owned(), value.to_owned()));
        api.world.sandbox.put_profile(TABLE, profile.into())
    };
    let status = async |token: &str| api.ask_as(token, "GET", "/v1/me/profile").await.status;
    for (owner, expected) in [
        (ada.sub.as_str(), 200),
        (&ada.name, 200),
        (&grace.sub, 404),
        (&grace.name, 404),
    ] {
        owned_by(owner).await.expect("a profile");
        assert_eq!(
            status(&whose(&ada.name, &ada.sub)).await,
            expected,
            "{owner}"
        );
    }
    // A user whose name is the `sub` of the owner.
    owned_by(&grace.sub).await.expect("a profile");
    assert_eq!(status(&whose(&grace.sub, &ada.sub)).await, 404);
    // A profile under this `sub` that belongs to another name.
    owned_by(&format!("{}::{}", ada.sub, ada.name))
        .await
        .expect("a profile");
    let odd = whose("person-1", &users[0].sub);
    assert_eq!(api.ask_as(&odd, "GET", "/v1/me/profile").await.status, 404);
    let none = whose("nobody", &sub_of("nobody"));
    let answer = api.ask_as(&none, "GET", "/v1/me/profile").await;
    assert_eq!((answer.status, answer.code()), (404, "profile_not_found"));
    assert_eq!(
        api.client
            .ask("GET", "/v1/me/profile", None, &[])
            .await
            .status,
        401
    );
}

#[tokio::test]
async fn a_planted_profile_is_not_shown() {
    for template in ["{sub}", "USER#{sub}"] {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("usher.toml");
        let text = format!("[profiles.attributes]\nprofileOwner = \"{template}\"\n");
        std::fs::write(&file, text).expect("written");
        let api = Api::start_with(&[], Some(&file)).await;
        let ada = token(&api.world, &claims(&api.world, "ada", &[]));
        let (sub, other) = (sub_of("ada"), sub_of("mallory"));
        let own = template.replace("{sub}", &sub);
        for (owner, expected) in [
            (own, 200),
            (format!("{sub}::ada"), 200),
            (other.clone(), 404),
            (format!("{other}::mallory"), 404),
            ("mallory".to_owned(), 404),
        ] {
            let profile = [("id", sub.as_str()), ("profileOwner", owner.as_str())];
            let profile = profile.map(|(name, value)| (name.to_owned(), value.to_owned()));
            let written = api.world.sandbox.put_profile(TABLE, profile.into()).await;
            written.expect("a profile");
            let answer = api.ask_as(&ada, "GET", "/v1/me/profile").await;
            assert_eq!(answer.status, expected, "{template}: {owner}");
        }
    }
}
