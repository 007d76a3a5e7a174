//! What administrators do with users in `/console` of a worker, and what they may not do.

use axum::http::StatusCode;
use usher::aws::SignInResult;

use super::hosted::{Browser, Hosted, PASSWORD};
use super::people::offer_of;
use crate::api::client::Answer;
use crate::world::{World, eventually};

struct Session {
    hosted: Hosted,
    browser: Browser,
    /// The administrator.
    sub: String,
}

impl Session {
    async fn open() -> Self {
        Self::open_with(&[]).await
    }

    async fn open_with(overrides: &[&str]) -> Self {
        let hosted = Hosted::open_in(World::new().await, overrides).await;
        let sub = hosted.user("ada", &["ADMINS"]).await;
        let browser = hosted.sign_in("ada").await;
        Self {
            hosted,
            browser,
            sub,
        }
    }

    fn path(&self, sub: &str) -> String {
        format!("/console/people/{}/{sub}", self.hosted.world.pool.id)
    }

    async fn get(&self, path: &str) -> Answer {
        self.hosted.get(path, &self.browser).await
    }

    async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.hosted.post(path, fields, &self.browser).await
    }

    async fn ask(&self, sub: &str, action: &str, fields: &[(&str, &str)]) -> Answer {
        self.post(&format!("{}/{action}", self.path(sub)), fields)
            .await
    }

    /// Confirms the action; returns the page that follows.
    async fn perform(&self, sub: &str, action: &str, fields: &[(&str, &str)]) -> String {
        let asks = self.ask(sub, action, fields).await;
        let offer = offer_of(&asks);
        let fields = [&[("action", offer.as_str())], fields].concat();
        let done = self.ask(sub, action, &fields).await;
        assert_eq!(done.status, 303, "{action}: {}", done.text);
        self.get(done.header("location").expect("a page"))
            .await
            .text
    }

    async fn can_sign_in(&self, name: &str) -> bool {
        let world = &self.hosted.world;
        let result = world
            .sandbox
            .sign_in(&world.pool.client, name, PASSWORD)
            .await;
        matches!(result, Ok(SignInResult::Tokens(_)))
    }
}

#[tokio::test]
async fn an_administrator_finds_and_changes_a_user() {
    let session = Session::open().await;
    let eve = session.hosted.user("eve", &["STAFF"]).await;
    session.hosted.user("bob", &["BETA"]).await;
    let found = session
        .post("/console/people/look-up", &[("user", "eve")])
        .await;
    assert_eq!(
        found.header("location"),
        Some(&*session.path(&eve)),
        "{}",
        found.text
    );
    let page = session.get(&session.path(&eve)).await.text;
    // They have no terminal with AWS credentials, and no view of dead letters.
    for hidden in ["usher users show", "Dead letters", "eve@mail.example"] {
        assert!(!page.contains(hidden), "{hidden}: {page}");
    }
    let done = session
        .perform(&eve, "add-to-group", &[("group", "BETA")])
        .await;
    assert!(done.contains("the user is a member of BETA"), "{done}");
    let done = session
        .perform(&eve, "remove-from-group", &[("group", "STAFF")])
        .await;
    assert!(done.contains("no longer a member of STAFF"), "{done}");
    let mut members = session.hosted.world.members("BETA").await;
    members.sort();
    assert_eq!(members, ["bob", "eve"]);
    assert!(session.hosted.world.members("STAFF").await.is_empty());
    session.perform(&eve, "disable", &[]).await;
    assert!(!session.can_sign_in("eve").await);
    session.perform(&eve, "enable", &[]).await;
    assert!(session.can_sign_in("eve").await);
    let shown = session
        .post(&format!("{}/personal-data", session.path(&eve)), &[])
        .await;
    assert!(shown.text.contains("eve@mail.example"), "{}", shown.text);
    for (action, subject) in [
        ("people_look_up", &eve),
        ("AddUserToGroup", &eve),
        ("RemoveUserFromGroup", &eve),
        ("DisableUser", &eve),
        ("EnableUser", &eve),
        ("person_shown", &eve),
    ] {
        let lines = session.hosted.audit(action);
        let [line] = lines.as_slice() else {
            panic!("{action}: {lines:?}")
        };
        assert_eq!(line["actor"], *session.sub, "{action}");
        assert_eq!(line["user.sub"], **subject, "{action}");
    }
    assert!(!session.hosted.process.log().contains("mail.example"));
}

#[tokio::test]
async fn an_administrator_keeps_to_what_they_may_give() {
    let session = Session::open().await;
    let other = session.hosted.user("bea", &["ADMINS"]).await;
    let eve = session.hosted.user("eve", &[]).await;
    let admins = [("group", "ADMINS"), ("privileged", "yes")];
    for (sub, action, fields, why) in [
        (
            &session.sub,
            "disable",
            &[][..],
            "you cannot disable or enable yourself",
        ),
        (
            &session.sub,
            "remove-from-group",
            &admins,
            "you cannot remove yourself from the administrators",
        ),
        (
            &other,
            "remove-from-group",
            &admins,
            "may not give or take this group",
        ),
        (
            &other,
            "disable",
            &[],
            "in a group that administrators may not give or take",
        ),
        (
            &eve,
            "add-to-group",
            &admins,
            "may not give or take this group",
        ),
    ] {
        for confirmed in ["", "forged"] {
            let fields = [&[("action", confirmed)], fields].concat();
            let refused = session.ask(sub, action, &fields).await;
            assert_eq!(refused.status, 409, "{action}: {}", refused.text);
            assert!(refused.text.contains(why), "{action}: {}", refused.text);
        }
    }
    // The page offers none of it.
    let page = session.get(&session.path(&session.sub)).await.text;
    assert!(!page.contains("/disable"), "{page}");
    assert!(!page.contains("Remove<span"), "{page}");
    let mut members = session.hosted.world.members("ADMINS").await;
    members.sort();
    assert_eq!(members, ["ada", "bea"]);
    for name in ["ada", "bea"] {
        assert!(session.can_sign_in(name).await, "{name}");
    }
    for action in ["AddUserToGroup", "RemoveUserFromGroup", "DisableUser"] {
        assert!(session.hosted.audit(action).is_empty(), "{action}");
    }
}

#[tokio::test]
async fn an_administrator_sends_a_list_and_is_told_what_they_can_do() {
    let session = Session::open().await;
    let rows = "email,groups\nzoe@mail.example,ADMINS\n";
    let path = "/console/invitations/file";
    let asks = session.post(path, &[("rows", rows)]).await;
    let ask = "ask an operator of usher to give it";
    assert!(asks.text.contains(ask), "{}", asks.text);
    let offer = offer_of(&asks);
    let fields = [("rows", rows), ("action", offer.as_str())];
    let started = session.post(path, &fields).await;
    let job = started.header("location").expect("a page").to_owned();
    let end = async || {
        let page = session.get(&job).await.text;
        page.contains("Download the result file").then_some(page)
    };
    eventually("an end", || async { end().await.is_some() }).await;
    let end = end().await.expect("just seen");
    for (part, is_shown) in [
        (ask, true),
        ("an operator of usher can send the rest", true),
        ("usher users invite", false),
        ("--privileged", false),
    ] {
        assert_eq!(end.contains(part), is_shown, "{part}: {end}");
    }
    for number in ["99", "none", "99999999999999999999999"] {
        let missing = session.get(&format!("/console/jobs/{number}")).await;
        assert_eq!(missing.status, 404);
        assert!(missing.text.contains("no such job"), "{}", missing.text);
        assert!(!missing.text.contains("dead-letters"), "{}", missing.text);
    }
}

#[tokio::test]
async fn an_administrator_sees_no_other_pool() {
    let world = World::new().await;
    let (sandbox, own) = (&world.sandbox, world.pool.id.clone());
    let other = sandbox.create_pool("other").await.expect("a pool").id;
    let allowed = format!("pools.allowed={own},{other}");
    let hosted = Hosted::open_in(world, &[&allowed]).await;
    let eve = hosted.user("eve", &[]).await;
    hosted.user("ada", &["ADMINS"]).await;
    let browser = hosted.sign_in("ada").await;
    let people = hosted.get("/console/people", &browser).await;
    assert!(!people.text.contains(&other), "{}", people.text);
    let seen = hosted
        .get(&format!("/console/people/{own}/{eve}"), &browser)
        .await;
    assert_eq!(seen.status, StatusCode::OK, "{}", seen.text);
    // The endpoint has the user in both pools or in one: the path decides, before any call.
    let before = hosted.world.faults.calls("AdminGetUser");
    let refused = hosted
        .get(&format!("/console/people/{other}/{eve}"), &browser)
        .await;
    assert_eq!(refused.status, StatusCode::NOT_FOUND);
    assert_eq!(hosted.world.faults.calls("AdminGetUser"), before);
    // A field of the form chooses no other pool.
    let fields = [("user", "nobody"), ("pool", other.as_str())];
    let looked = hosted
        .post("/console/people/look-up", &fields, &browser)
        .await;
    assert!(
        looked.text.contains(&format!("No user of {own}")),
        "{}",
        looked.text
    );
}

#[tokio::test]
async fn a_disabled_administrator_has_no_power() {
    for verifies in ["false", "true"] {
        let verify = format!("admin.verify_membership={verifies}");
        let session = Session::open_with(&["admin.grantable_groups=*,ADMINS", &verify]).await;
        let bea = session.hosted.user("bea", &["ADMINS"]).await;
        let browser = session.hosted.sign_in("bea").await;
        session.perform(&bea, "disable", &[]).await;
        let path = format!("{}/enable", session.path(&bea));
        let answer = session.hosted.post(&path, &[], &browser).await;
        // The token of before is good, but not for this.
        let (status, why) = match verifies {
            "true" => (403, "This console is for administrators"),
            _ => (409, "you cannot disable or enable yourself"),
        };
        assert_eq!(answer.status, status, "{}", answer.text);
        assert!(answer.text.contains(why), "{}", answer.text);
    }
}
