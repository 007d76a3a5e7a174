//! Admin commands over the API.

use serde_json::{Value, json};

use super::{Api, claims, sub_of, token};
use crate::faults::Fault;

#[tokio::test]
async fn a_user_is_added_to_a_group_and_removed() {
    let api = Api::start(&[]).await;
    let ada = api.world.create_user("ada").await;
    api.make_group("STAFF").await;
    let answer = api.add("STAFF", "ada").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.body["user"]["sub"], ada.sub);
    assert_eq!(api.world.members("STAFF").await, ["ada"]);
    // A repetition succeeds.
    assert_eq!(api.add("STAFF", "ada").await.status, 200);

    let answer = api
        .ask("DELETE", "/v1/groups/STAFF/members/ada", None)
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(api.world.members("STAFF").await.is_empty());

    for (group, user, code) in [
        ("STAFF", "nobody", "user_not_found"),
        ("NONE", "ada", "group_not_found"),
    ] {
        let answer = api.add(group, user).await;
        assert_eq!((answer.status, answer.code()), (404, code));
        let path = format!("/v1/groups/{group}/members/{user}");
        let answer = api.ask("DELETE", &path, None).await;
        assert_eq!((answer.status, answer.code()), (404, code));
    }
    let answer = api.add("ADMINS", "ada").await;
    assert_eq!((answer.status, answer.code()), (403, "group_not_grantable"));

    let audit = api.audit();
    let line = &audit[answer.body["requestId"].as_str().expect("an id")][0];
    assert_eq!(line["actor"], sub_of("admin"));
    assert_eq!(
        (&line["result"], &line["action"]),
        (&json!("rejected"), &json!("AddUserToGroup"))
    );
    let done = audit
        .values()
        .flatten()
        .filter(|line| line["result"] == "done");
    assert!(done.clone().count() == 3 && done.clone().all(|line| line["user.sub"] == ada.sub));
    assert_eq!(
        api.world
            .queue
            .attributes()
            .await
            .expect("attributes")
            .depth
            .visible,
        0
    );
}

#[tokio::test]
async fn an_invitation_sets_groups_attributes_and_profile() {
    let api = Api::start(&[]).await;
    api.make_group("STAFF").await;
    let invitation = json!({
        "email": "ada@mail.example", "username": "ada", "givenName": "Ada",
        "familyName": "Lovelace", "attributes": {"nickname": "A"}, "groups": ["STAFF"],
    });
    let answer = api
        .ask("POST", "/v1/invitations", Some(invitation.clone()))
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.body["created"], true);
    assert_eq!(answer.body["mail"], "sent");
    assert_eq!(answer.body["groups"], json!(["EVERYONE", "STAFF"]));
    assert_eq!(answer.body["user"]["status"], "FORCE_CHANGE_PASSWORD");
    let sub = answer.body["user"]["sub"]
        .as_str()
        .expect("a sub")
        .to_owned();
    for group in ["EVERYONE", "STAFF"] {
        assert_eq!(api.world.members(group).await, ["ada"]);
    }
    let profiles = api.world.profiles().await;
    assert_eq!(profiles[&sub]["profileOwner"], format!("{sub}::ada"));
    assert_eq!(profiles[&sub]["email"], "ada@mail.example");

    let again = api
        .ask("POST", "/v1/invitations", Some(invitation.clone()))
        .await;
    assert_eq!((again.status, &again.body["created"]), (200, &json!(false)));
    assert_eq!(again.body["mail"], "not_sent");
    let mut resend = invitation.clone();
    resend["resend"] = json!(true);
    let again = api
        .ask("POST", "/v1/invitations", Some(resend.clone()))
        .await;
    assert_eq!((again.status, &again.body["mail"]), (200, &json!("sent")));
    let again = api.ask("POST", "/v1/invitations/ada/resend", None).await;
    assert_eq!((again.status, &again.body["mail"]), (200, &json!("sent")));

    // A user who has a password.
    let (pool, password) = (&api.world.pool.id, "A-new-passw0rd");
    let set = api.world.sandbox.set_password(pool, "ada", password).await;
    set.expect("a password");
    let again = api.ask("POST", "/v1/invitations/ada/resend", None).await;
    assert_eq!((again.status, again.code()), (409, "already_accepted"));
    let again = api.ask("POST", "/v1/invitations", Some(resend)).await;
    assert_eq!(
        (again.status, &again.body["mail"]),
        (200, &json!("not_sent"))
    );
    let again = api
        .ask("POST", "/v1/invitations", Some(invitation.clone()))
        .await;
    assert_eq!((again.status, &again.body["created"]), (200, &json!(false)));

    let mut other = invitation;
    other["email"] = json!("grace@mail.example");
    let refused = api
        .ask("POST", "/v1/invitations", Some(other.clone()))
        .await;
    assert_eq!((refused.status, refused.code()), (409, "username_taken"));
    other["username"] = json!("grace");
    for (groups, status) in [(json!(["NONE"]), 404), (json!(["ADMINS"]), 403)] {
        other["groups"] = groups;
        let refused = api
            .ask("POST", "/v1/invitations", Some(other.clone()))
            .await;
        assert_eq!(refused.status, status, "{refused:?}");
    }
    let missing = api.ask("GET", "/v1/users/grace", None).await;
    assert_eq!(missing.status, 404, "nobody was made");
}

#[tokio::test]
async fn a_user_created_despite_an_error_is_looked_up() {
    let api = Api::start(&[]).await;
    // The first creation answers with an error, but creates the user.
    let mut failed = false;
    api.world.faults.plan(move |call| {
        let first = call.operation == "AdminCreateUser" && !std::mem::replace(&mut failed, true);
        first.then_some(Fault::ResetAfter)
    });
    let invitation = json!({"email": "ada@mail.example", "username": "ada"});
    let answer = api.ask("POST", "/v1/invitations", Some(invitation)).await;
    assert_eq!(
        (answer.status, &answer.body["mail"]),
        (200, &json!("unknown"))
    );
    assert_eq!(api.world.members("EVERYONE").await, ["ada"]);
}

#[tokio::test]
async fn the_same_key_gets_the_same_answer() {
    let api = Api::start(&[]).await;
    api.world.create_user("ada").await;
    api.make_group("STAFF").await;
    let key = [("idempotency-key", "k-1")];
    let body = || Some(json!({"username": "ada"}));
    let path = "/v1/groups/STAFF/members";
    let first = api.ask_with("POST", path, body(), &key).await;
    let calls = api.world.faults.calls("AdminAddUserToGroup");
    let second = api.ask_with("POST", path, body(), &key).await;
    assert_eq!((second.status, &second.body), (first.status, &first.body));
    assert_eq!(second.header("idempotency-replayed"), Some("true"));
    assert_eq!(api.world.faults.calls("AdminAddUserToGroup"), calls);
    let other = api
        .ask_with("POST", path, Some(json!({"username": "x"})), &key)
        .await;
    assert_eq!(
        (other.status, other.code()),
        (422, "idempotency_key_reused")
    );
    let empty = [("idempotency-key", "")];
    assert_eq!(api.ask_with("POST", path, body(), &empty).await.status, 400);
    // The same key of another administrator is independent.
    let grace = token(&api.world, &claims(&api.world, "grace", &["ADMINS"]));
    let bearer = format!("Bearer {grace}");
    let headers = [("authorization", bearer.as_str()), key[0]];
    let theirs = api.client.ask("POST", path, body(), &headers).await;
    assert_eq!(theirs.header("idempotency-replayed"), None);
    assert_ne!(theirs.body["requestId"], first.body["requestId"]);
}

#[tokio::test]
async fn a_rule_gives_no_privileged_group_to_invited_users() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("usher.toml");
    let rules = "[[groups.rules]]\ngroups = [\"ADMINS\", \"STAFF\"]\nattribute = \"nickname\"\n\
                 equals = \"boss\"\ntrusted = true\n";
    std::fs::write(&file, rules).expect("written");
    let api = Api::start_with(&[], Some(&file)).await;
    let invitation = json!({
        "email": "ada@mail.example", "username": "ada", "attributes": {"nickname": "boss"},
    });
    let answer = api.ask("POST", "/v1/invitations", Some(invitation)).await;
    assert_eq!(
        answer.body["groups"],
        json!(["EVERYONE", "STAFF"]),
        "{answer:?}"
    );
    assert!(api.world.members("ADMINS").await.is_empty());
}

#[tokio::test]
async fn an_unverified_user_with_the_address_gets_nothing() {
    let api = Api::start(&[]).await;
    api.make_group("STAFF").await;
    // The address of this user was never verified.
    api.world.create_user("ada").await;
    let invitation = json!({
        "email": "ada@mail.example", "username": "ada", "groups": ["STAFF"],
    });
    let answer = api.ask("POST", "/v1/invitations", Some(invitation)).await;
    assert_eq!((answer.status, answer.code()), (409, "username_taken"));
    assert!(api.world.members("STAFF").await.is_empty());
}

#[tokio::test]
async fn a_disabled_user_gets_no_new_code() {
    let api = Api::start(&[]).await;
    let mails = super::mails::counted(&api);
    let mut invitation = json!({"email": "ada@mail.example", "username": "ada"});
    let answer = api
        .ask("POST", "/v1/invitations", Some(invitation.clone()))
        .await;
    assert_eq!((answer.status, mails()), (200, 1), "{answer:?}");
    api.world.faults.plan(|call| {
        let disabled = |mut user: Value| {
            user["Enabled"] = json!(false);
            user
        };
        (call.operation == "AdminGetUser").then_some(Fault::Answer(disabled))
    });
    invitation["resend"] = json!(true);
    for (path, body) in [
        ("/v1/invitations/ada/resend", None),
        ("/v1/invitations", Some(invitation)),
    ] {
        let refused = api.ask("POST", path, body).await;
        assert_eq!((refused.status, refused.code()), (409, "user_disabled"));
    }
    assert_eq!(mails(), 1);
}

#[tokio::test]
async fn a_value_that_ends_in_user_not_found_is_refused_at_once() {
    let api = Api::start(&[]).await;
    api.world.faults.plan(|call| {
        (call.operation == "AdminCreateUser")
            .then_some(Fault::Refused("UserNotFoundException", "User not found."))
    });
    let invitation = json!({"email": "ada@mail.example", "username": "ada"});
    let refused = api.ask("POST", "/v1/invitations", Some(invitation)).await;
    assert_eq!((refused.status, refused.code()), (422, "invalid_parameter"));
    assert_eq!(api.world.faults.calls("AdminCreateUser"), 1);
}
