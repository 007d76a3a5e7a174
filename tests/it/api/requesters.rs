//! Commands on the queue, where `admin.verify_membership` asks who is an administrator now.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use serde_json::{Value, json};
use usher::aws::Received;

use super::Api;
use crate::faults::Fault;
use crate::world::eventually;

impl Api {
    /// Puts a command on the queue, past every door.
    async fn command(&self, id: &str, requested_by: &str) {
        let body = json!({
            "usher": 1, "command": "AddUserToGroup", "requestId": id,
            "requestedBy": {"sub": requested_by}, "userPoolId": self.world.pool.id,
            "username": "ada", "groupName": id,
        });
        self.make_group(id).await;
        self.world.send(body.to_string()).await;
    }

    /// The last line of each command's audit: result and reason.
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

fn reason(letter: &Received) -> (&str, &str) {
    (
        &letter.attributes["usher.reason"],
        &letter.attributes["usher.class"],
    )
}

#[tokio::test]
async fn a_command_whose_requester_is_no_administrator_is_refused() {
    let api = Api::start(&[("admin.verify_membership", "true")]).await;
    let admin = api.world.person("admin").await;
    let former = api.world.person("former").await;
    api.world.person("ada").await;
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
                .expect("facts")
                .depth
                .is_empty()
    })
    .await;
    assert_eq!(api.world.members("ByAdmin").await, ["ada"]);
    for group in ["ByFormer", "ByNobody", "ByOperator"] {
        assert!(api.world.members(group).await.is_empty(), "{group}");
    }
    let letters = api.world.letters().await;
    let mut reasons: Vec<_> = letters.iter().map(reason).collect();
    reasons.sort_unstable();
    let expected = [
        ("bad_command", "malformed"),
        ("not_administrator", "forbidden"),
        ("not_administrator", "forbidden"),
    ];
    assert_eq!(reasons, expected);

    // Once they are an administrator again, the same letter can be replayed.
    api.join("former", "ADMINS").await;
    api.world.send(letters_of(&letters, "ByFormer")).await;
    eventually("it is done", || async {
        api.world.members("ByFormer").await == ["ada"]
    })
    .await;
}

fn letters_of(letters: &[Received], id: &str) -> String {
    let found = letters.iter().find(|letter| letter.body.contains(id));
    found.expect("a letter").body.clone()
}

#[tokio::test]
async fn an_administrator_who_is_known_by_name_alone_is_found() {
    let api = Api::start(&[("admin.verify_membership", "true")]).await;
    let admin = api.world.person("idp_admin").await;
    api.world.person("ada").await;
    api.join("idp_admin", "ADMINS").await;
    // As Cognito answers for users of an external provider.
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
async fn a_user_named_by_the_sub_of_an_administrator_stands_for_no_one() {
    let api = Api::start(&[("admin.verify_membership", "true")]).await;
    let admin = api.world.person("admin").await;
    let former = api.world.person("former").await;
    api.world.person("ada").await;
    // Cognito takes a `sub` for a user name first.
    api.world.person(&admin.sub).await;
    api.world.person(&former.sub).await;
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
async fn who_asked_is_not_looked_up_unless_that_is_asked_for() {
    let api = Api::start(&[]).await;
    api.world.person("ada").await;
    api.command("ByNobody", "00000000-0000-4000-8000-ffffffffffff")
        .await;
    eventually("it is done", || async {
        api.ends() == BTreeMap::from([("ByNobody".to_owned(), done())])
    })
    .await;
    assert_eq!(api.world.faults.calls("AdminListGroupsForUser"), 0);
}

#[tokio::test]
async fn a_lookup_that_fails_refuses_nobody() {
    let api = Api::start(&[("admin.verify_membership", "true")]).await;
    let admin = api.world.person("admin").await;
    api.world.person("ada").await;
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
    api.world.faults.mend();
    eventually("it is done", || async {
        api.ends() == BTreeMap::from([("ByAdmin".to_owned(), done())])
    })
    .await;
}
