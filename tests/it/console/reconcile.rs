//! Reconcile: a dry run, and a run that queues what it has found.

use axum::http::StatusCode;

use super::{Console, with};
use crate::faults::Fault;
use crate::large_pool::{PoolContents, sub};
use crate::world::{World, eventually};

const PATH: &str = "/console/reconcile";

/// A console on a large pool, in which the first `missed` of 300 users lack the profile.
async fn console(missed: usize, overrides: &[&str]) -> (Console, Vec<(&'static str, String)>) {
    let world = World::new().await;
    let mut contents = PoolContents {
        federated: 5,
        ..PoolContents::whole(300)
    };
    for n in 0..missed {
        contents.profiles.remove(&sub(n));
    }
    world.large_pool.fill(contents);
    let pool = world.pool.id.clone();
    let allowed = format!("pools.allowed={pool}");
    let mut all = vec![allowed.as_str(), "quota.user_list=1000"];
    all.extend(overrides);
    (Console::open_with(world, &all).await, vec![("pool", pool)])
}

impl Console {
    async fn reconcile(&self, action: &str, fields: &[(&'static str, String)]) -> super::Answer {
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, it)| (*name, it.as_str()))
            .collect();
        self.post(&format!("{PATH}/{action}"), &fields).await
    }

    async fn predict_reconcile(&self, fields: &[(&'static str, String)]) -> String {
        let started = self.reconcile("dry-run", fields).await;
        self.end_of(&started).await
    }

    async fn queued(&self) -> u64 {
        let attributes = self.world.queue.attributes().await;
        attributes.expect("attributes").depth.visible
    }
}

#[tokio::test]
async fn a_run_queues_what_its_dry_run_has_found() {
    let (console, options) = console(120, &[]).await;
    let page = console.get(PATH).await.text;
    for part in [
        "finds confirmed users without a profile",
        "<code>usher reconcile --dry-run</code>",
        "This console has run none",
    ] {
        assert!(page.contains(part), "{part} is missing in {page}");
    }
    let count = |number: &str| with(&options, &[("count", number)]);
    let refused = console.reconcile("run", &count("120")).await;
    assert_eq!(refused.status, 409);
    for part in ["Do a dry run of exactly this first", "/run?pool="] {
        assert!(refused.text.contains(part), "{}", refused.text);
    }

    let end = console.predict_reconcile(&options).await;
    for part in [
        "300 confirmed users checked: 120 missing a profile",
        "dry run: 120 would be queued",
        "<th scope=\"row\">missing profile</th>",
        &sub(0),
        "Go on to the run",
    ] {
        assert!(end.contains(part), "{part} is missing in {end}");
    }
    assert_eq!((console.queued().await, console.audit().len()), (0, 0));

    let asks = console
        .get(&format!("{PATH}/run?pool={}", options[0].1))
        .await;
    for part in [
        "<h1>Queue 120 sign-ups</h1>",
        "Type the number of sign-ups: 120",
        &format!(
            "usher reconcile --restart --pool {} --limit 120",
            options[0].1
        ),
    ] {
        assert!(asks.text.contains(part), "{part}: {}", asks.text);
    }
    let seen = count("120");
    for (fields, status) in [
        (with(&seen, &[("typed", "12")]), 422),
        (with(&seen, &[]), 422),
        (with(&count("12"), &[("typed", "120")]), 409),
        (with(&options, &[("typed", "120")]), 409),
        (with(&seen, &[("typed", "120"), ("groups", "on")]), 409),
    ] {
        let refused = console.reconcile("run", &fields).await;
        assert_eq!(refused.status, status, "{fields:?}");
    }
    assert_eq!(console.queued().await, 0);

    let typed = with(&seen, &[("typed", "120")]);
    let started = console.reconcile("run", &typed).await;
    let end = console.end_of(&started).await;
    assert!(end.contains("; 120 queued"), "{end}");
    assert_eq!(console.queued().await, 120);
    let audit = console.audit();
    assert_eq!(audit.len(), 2);
    assert_eq!(audit[0]["result"], "started");
    assert_eq!(audit[1]["action"], "reconcile");
    assert_eq!(audit[1]["users.queued"], 120);
    assert_eq!(audit[1]["pool.id"], options[0].1.as_str());
    assert_eq!(audit[1]["actor"], "arn:aws:iam::123456789012:user/local");
    // The dry run was about the users of then.
    assert_eq!(console.reconcile("run", &typed).await.status, 409);

    let page = console.get(PATH).await.text;
    assert!(page.contains("120 queued") && page.contains("120 would be queued"));
    let now = console.get("/console").await.text;
    assert!(now.contains("reconcile</a> of this console"), "{now}");
    console.world.work(&[]).await;
    console
        .world
        .large_pool
        .read(|contents| assert_eq!(contents.profiles.len(), 300));
}

#[tokio::test]
async fn a_stopped_run_loses_nobody() {
    let (console, options) = console(300, &["quota.user_update=100"]).await;
    console.predict_reconcile(&options).await;
    let typed = with(&options, &[("count", "300"), ("typed", "300")]);
    let started = console.reconcile("run", &typed).await;
    let path = started.header("location").expect("a page").to_owned();
    eventually("a page of users is queued", || async {
        console.queued().await >= 60
    })
    .await;
    let stopped = console.post(&format!("{path}/stop"), &[]).await;
    let end = console.end_of(&stopped).await;
    assert!(
        end.contains("stopped: what is queued stays queued"),
        "{end}"
    );
    let queued = console.queued().await;
    assert!((60..300).contains(&queued), "{queued}");
    console.world.work(&[]).await;

    let end = console.predict_reconcile(&options).await;
    let left = 300 - queued;
    assert!(end.contains(&format!("{left} would be queued")), "{end}");
    let left = left.to_string();
    let rest = with(&options, &[("count", &left), ("typed", &left)]);
    let started = console.reconcile("run", &rest).await;
    console.end_of(&started).await;
    console.world.work(&[]).await;
    console
        .world
        .large_pool
        .read(|contents| assert_eq!(contents.profiles.len(), 300));
    // Two lines for each run, and one for the stop.
    assert_eq!(console.audit().len(), 5);
}

#[tokio::test]
async fn options_choose_the_users() {
    let (console, options) = console(20, &[]).await;
    for (more, expected) in [
        (("limit", "7"), "dry run: 7 would be queued"),
        (("federated", "on"), "25 missing a profile"),
        (("groups", "on"), "20 missing a profile, 0 missing a group"),
        // Each user is a second younger than the one before.
        (("since", "2026-08-01T00:00:15Z"), "5 missing a profile"),
    ] {
        let end = console.predict_reconcile(&with(&options, &[more])).await;
        assert!(end.contains(expected), "{more:?}: {end}");
    }
    let seven = with(&options, &[("limit", "7"), ("count", "7")]);
    let started = console.reconcile("run", &seven).await;
    console.end_of(&started).await;
    assert_eq!(console.queued().await, 7);

    let hostile = "<script>alert(1)</script>";
    let wrong = with(
        &[],
        &[("pool", hostile), ("since", hostile), ("limit", "0")],
    );
    let refused = console.reconcile("dry-run", &wrong).await;
    assert_eq!(refused.status, 422);
    for part in [
        "This must be a time",
        "This must be a whole number",
        "&#60;script&#62;",
    ] {
        assert!(refused.text.contains(part), "{part}: {}", refused.text);
    }
    assert!(!refused.text.contains("<script>"));
    let query = "pool=%3Cscript%3E&since=%3Cscript%3E";
    let refused = console.get(&format!("{PATH}/run?{query}")).await;
    assert_eq!(refused.status, 422);
    assert!(!refused.text.contains("<script>"));
}

#[tokio::test]
async fn a_run_that_fails_says_why_and_is_audited() {
    let (console, options) = console(20, &[]).await;
    console.predict_reconcile(&options).await;
    console.world.faults.plan(|call| {
        (call.operation == "ListUsers").then_some(Fault::Error(
            StatusCode::BAD_REQUEST,
            "AccessDeniedException",
        ))
    });
    let seen = with(&options, &[("count", "20")]);
    let started = console.reconcile("run", &seen).await;
    let end = console.end_of(&started).await;
    for part in ["stopped after 0 users", "AccessDeniedException"] {
        assert!(end.contains(part), "{end}");
    }
    let audit = console.audit();
    assert_eq!((audit.len(), &audit[1]["users.queued"]), (2, &0.into()));
    assert_eq!(console.queued().await, 0);
}
