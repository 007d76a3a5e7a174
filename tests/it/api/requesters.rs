//! Queued commands with `admin.verify_membership`: the worker checks the requester's groups.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use serde_json::{Value, json};
use usher::aws::Received;

use super::Api;
use crate::faults::Fault;
use crate::world::eventually;

impl Api {
    /// Sends a command directly to the queue, without authorisation.
    async fn command(&self, id: &str, requested_by: &str) {
        let body = json!({
            "usher": 1, "command": "AddUserToGroup", "requestId": id,
            "requestedBy": {"sub": requested_by}, "userPoolId": self.world.pool.id,
            "username": "ada", "groupName": id,
        });
        self.make_group(id).await;
        self.world.send(body.to_string()).await;
    }

    /// Result and reason of each command's last audit line.
    fn ends(&self) -> BTreeMap<String, (String, String)> {
        let text = |line: &Value, name: &str| line[name].as_str().unwrap_or_default().to_owned();
        let last = |lines: Vec<Value>| lines.last().cloned().unwrap_or_default();
        self.audit()
            .into_iter()
            .map(|(id, lines)| (id, last(lines)))
            .map(|(id, line)| (id, (text(&line, "result"), text(&line, "reason"))))
            .collect()
    }

    async fn join(&self, name: &str, group: &str) {
        let joined = self
            .world
            .sandbox
            .add_to_group(&self.world.pool.id, name, group);
        joined.await.expect("joined");
    }
}

fn done() -> (String, String) {
    ("done".to_owned(), String::new())
}

fn refused() -> (String, String) {
    ("rejected".to_owned(), "not_administrator".to_owned())
}

fn reason(dead_letter: &Received) -> (&str, &str) {
    (
        &dead_letter.attributes["usher.reason"],
        &dead_letter.attributes["usher.class"],
    )
}

#[tokio::test]
async fn a_command_whose_requester_is_no_administrator_is_refused() {
    let api = Api::start(&[("admin.verify_membership", "true")]).await;
    let admin = api.world.create_user("admin").await;
    let former = api.world.create_user("former").await;
    api.world.create_user("ada").await;
    api.join("admin", "ADMINS").await;
    api.join("former", "STAFF").await;
    api.command("ByAdmin", &admin.sub).await;
    api.command("ByFormer", &former.sub).await;
    api.command("ByNobody", "00000000-0000-4000-8000-ffffffffffff")
        .await;
    api.command("ByOperator", "arn:aws:iam::123456789012:user/ops")
        .await;
    let ends = BTreeMap::from([
        ("ByAdmin".to_owned(), done()),
        ("ByFormer".to_owned(), refused()),
        ("ByNobody".to_owned(), refused()),
    ]);
    eventually("every command ends", || async {
        api.ends() == ends
            && api
                .world
                .queue
                .attributes()
                .await
                .expect("attributes")
                .depth
                .is_empty()
    })
    .await;
    assert_eq!(api.world.members("ByAdmin").await, ["ada"]);
    for group in ["ByFormer", "ByNobody", "ByOperator"] {
        assert!(api.world.members(group).await.is_empty(), "{group}");
    }
    let dead_letters = api.world.read_dead_letters().await;
    let mut reasons: Vec<_> = dead_letters.iter().map(reason).collect();
    reasons.sort_unstable();
    let expected = [
        ("bad_command", "malformed"),
        ("not_administrator", "forbidden"),
        ("not_administrator", "forbidden"),
    ];
    assert_eq!(reasons, expected);

    // When the user is an administrator again, a replay of the same dead letter succeeds.
    api.join("former", "ADMINS").await;
    api.world.send(body_of(&dead_letters, "ByFormer")).await;
    eventually("it is done", || async {
        api.world.members("ByFormer").await == ["ada"]
    })
    .await;
}

fn body_of(dead_letters: &[Received], id: &str) -> String {
    let found = dead_letters
        .iter()
        .find(|dead_letter| dead_letter.body.contains(id));
    found.expect("a dead letter").body.clone()
}

#[tokio::test]
async fn an_administrator_known_only_by_name_is_found() {
    let api = Api::start(&[("admin.verify_membership", "true")]).await;
    let admin = api.world.create_user("idp_admin").await;
    api.world.create_user("ada").await;
    api.join("idp_admin", "ADMINS").await;
    // The answer of Cognito for users of an external provider.
    let sub = admin.sub.clone();
    api.world.faults.plan(move |call| {
        let is_by_sub = call.operation == "AdminListGroupsForUser" && call.input["Username"] == sub;
        is_by_sub.then_some(Fault::Error(
            StatusCode::BAD_REQUEST,
            "UserNotFoundException",
        ))
    });
    api.command("ByFederated", &admin.sub).await;
    eventually("it is done", || async {
        api.ends() == BTreeMap::from([("ByFederated".to_owned(), done())])
    })
    .await;
}

#[tokio::test]
async fn a_user_named_by_another_users_sub_has_no_rights_of_theirs() {
    let api = Api::start(&[("admin.verify_membership", "true")]).await;
    let admin = api.world.create_user("admin").await;
    let former = api.world.create_user("former").await;
    api.world.create_user("ada").await;
    // Cognito matches an identifier with user names before it matches a `sub`.
    api.world.create_user(&admin.sub).await;
    api.world.create_user(&former.sub).await;
    api.join("admin", "ADMINS").await;
    api.join(&former.sub, "ADMINS").await;
    api.command("ByAdmin", &admin.sub).await;
    api.command("ByFormer", &former.sub).await;
    eventually("both end", || async {
        api.ends()
            == BTreeMap::from([
                ("ByAdmin".to_owned(), done()),
                ("ByFormer".to_owned(), refused()),
            ])
    })
    .await;
}

#[tokio::test]
async fn membership_is_not_verified_by_default() {
    let api = Api::start(&[]).await;
    api.world.create_user("ada").await;
    api.command("ByNobody", "00000000-0000-4000-8000-ffffffffffff")
        .await;
    eventually("it is done", || async {
        api.ends() == BTreeMap::from([("ByNobody".to_owned(), done())])
    })
    .await;
    assert_eq!(api.world.faults.calls("AdminListGroupsForUser"), 0);
}

#[tokio::test]
async fn a_failed_membership_lookup_is_retried() {
    let api = Api::start(&[("admin.verify_membership", "true")]).await;
    let admin = api.world.create_user("admin").await;
    api.world.create_user("ada").await;
    api.join("admin", "ADMINS").await;
    api.world.faults.time_lapse();
    api.world.faults.plan(|call| {
        (call.operation == "AdminListGroupsForUser").then_some(Fault::Error(
            StatusCode::BAD_REQUEST,
            "TooManyRequestsException",
        ))
    });
    api.command("ByAdmin", &admin.sub).await;
    eventually("it was looked up", || async {
        api.world.faults.calls("AdminListGroupsForUser") > 0
    })
    .await;
    assert!(api.world.members("ByAdmin").await.is_empty());
    api.world.faults.clear();
    eventually("it is done", || async {
        api.ends() == BTreeMap::from([("ByAdmin".to_owned(), done())])
    })
    .await;
}
