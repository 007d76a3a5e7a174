//! The view People: look-up, search, the page of a user, and the actions on them.

mod actions;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use usher::aws::SignInResult;

use self::actions::ACTIONS;
use super::Console;
use super::actions::{HOSTILE, escaped};
use crate::api::client::Answer;
use crate::faults::Fault;
use crate::world::World;

const PASSWORD: &str = "A-passw0rd";

/// A confirmed user who was never provisioned: their `sub`.
async fn confirmed_user(world: &World, name: &str, more: &[(&str, &str)]) -> String {
    let sub = new_user(world, name, more).await;
    let confirmed = world.sandbox.set_password(&world.pool.id, name, PASSWORD);
    confirmed.await.expect("confirmed");
    sub
}

/// A user who has no password of their own.
async fn new_user(world: &World, name: &str, more: &[(&str, &str)]) -> String {
    let sub = format!("00000000-0000-4000-8000-{:012x}", fastrand::u64(..1 << 48));
    let email = format!("{name}@mail.example");
    let own = [("sub", sub.as_str()), ("email", email.as_str())];
    let all = own.iter().chain(more);
    let attributes = all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let attributes: BTreeMap<String, String> = attributes.collect();
    let created = world.sandbox.create_user(&world.pool.id, name, &attributes);
    created.await.expect("a user");
    sub
}

/// The console of a deployment with this pool.
async fn open(world: World) -> Console {
    let allowed = format!("pools.allowed={}", world.pool.id);
    Console::open_with(world, &[&allowed]).await
}

impl Console {
    fn person(&self, sub: &str) -> String {
        format!("/console/people/{}/{sub}", self.world.pool.id)
    }

    async fn look_up(&self, user: &str) -> Answer {
        self.post("/console/people/look-up", &[("user", user)])
            .await
    }

    async fn search(&self, attribute: &str, prefix: &str, next: &str) -> Answer {
        let fields = [("attribute", attribute), ("prefix", prefix), ("next", next)];
        self.post("/console/people/search", &fields).await
    }

    /// The page that asks before the action.
    async fn ask(&self, sub: &str, action: &str, fields: &[(&str, &str)]) -> Answer {
        let path = format!("{}/{action}", self.person(sub));
        self.post(&path, fields).await
    }

    /// Does the action; returns the page that follows.
    async fn perform(&self, sub: &str, action: &str, fields: &[(&str, &str)]) -> String {
        let asks = self.ask(sub, action, fields).await;
        let offer = offer_of(&asks);
        let fields = [&[("action", offer.as_str())], fields].concat();
        let answer = self.ask(sub, action, &fields).await;
        assert_eq!(answer.status, 303, "{action}: {}", answer.text);
        let path = answer.header("location").expect("a page");
        assert_eq!(path, format!("{}?result={offer}", self.person(sub)));
        self.get(path).await.text
    }

    async fn members(&self, group: &str) -> Vec<String> {
        let mut members = self.world.members(group).await;
        members.sort();
        members
    }

    async fn user_sign_in(&self, name: &str) -> Option<String> {
        let client = &self.world.pool.client;
        match self.world.sandbox.sign_in(client, name, PASSWORD).await {
            Ok(SignInResult::Tokens(tokens)) => Some(tokens.refresh),
            _ => None,
        }
    }

    /// The audit lines with this action.
    fn audited(&self, action: &str) -> Vec<Value> {
        let mut lines = self.audit();
        lines.retain(|line| line["action"] == action);
        for line in &lines {
            assert_eq!(line["actor"], "arn:aws:iam::123456789012:user/local");
            assert_eq!(line["pool.id"], self.world.pool.id);
        }
        lines
    }
}

/// The id of the action that the page offers.
pub(super) fn offer_of(page: &Answer) -> String {
    let offer = page.text.split_once("name=\"action\" value=\"");
    let (_, rest) = offer.unwrap_or_else(|| panic!("no offer: {}", page.text));
    rest.split('"').next().expect("an end").to_owned()
}

/// The value of the hidden field `next`.
fn next_of(page: &str) -> Option<&str> {
    let rest = page.split("name=\"next\" value=\"").nth(1)?;
    rest.split('"').next()
}

#[tokio::test]
async fn a_look_up_leads_to_the_page_of_the_user() {
    let world = World::new().await;
    let sub = confirmed_user(&world, "zoltan", &[("given_name", "Zoltan")]).await;
    let console = open(world).await;
    let start = console.get("/console/people").await.text;
    assert!(
        !start.contains("User pool"),
        "one pool is no choice: {start}"
    );
    for asked in ["zoltan", "zoltan@mail.example", &sub] {
        let answer = console.look_up(asked).await;
        assert_eq!(answer.status, 303, "{}", answer.text);
        assert_eq!(answer.header("location"), Some(&*console.person(&sub)));
    }
    let page = console.get(&console.person(&sub)).await;
    assert_eq!(page.status, 200);
    for part in [
        sub.as_str(),
        "CONFIRMED, ",
        "A group or the profile is missing.",
        "<span class=\"mark fail\">missing</span>",
        "groups.default",
        "has not been read yet",
        &format!("<code>usher users show {sub}</code>"),
    ] {
        assert!(page.text.contains(part), "{part} in {}", page.text);
    }
    let shown = page.text.to_lowercase();
    assert!(
        !shown.contains("zoltan") && !shown.contains("mail.example"),
        "{shown}"
    );
    let lines = console.audited("people_look_up");
    assert_eq!(lines.len(), 3);
    for line in lines {
        assert_eq!(
            (&line["user.sub"], &line["results"]),
            (&json!(sub), &json!(1))
        );
    }
    let log = console.process.log().to_lowercase();
    assert!(!log.contains("zoltan"), "{log}");
}

#[tokio::test]
async fn a_look_up_that_finds_nobody_says_what_to_try() {
    let console = open(World::new().await).await;
    let hostile = HOSTILE.replace(' ', "/");
    for (typed, status, says) in [
        ("nobody@mail.example", 404, "Case matters."),
        (&*hostile, 404, "No user of"),
        (&"<x>".repeat(3334), 422, "1 to 128 visible characters"),
        ("", 422, "1 to 128 visible characters"),
        ("two words", 422, "no white space"),
    ] {
        let answer = console.look_up(typed).await;
        assert_eq!(answer.status, status, "{typed}: {}", answer.text);
        assert!(answer.text.contains(says), "{says}: {}", answer.text);
        let value = format!("value=\"{}\"", escaped(typed));
        assert!(answer.text.contains(&value), "{typed} in {}", answer.text);
        assert!(!answer.text.contains("<script>") && !answer.text.contains("<x>"));
    }
    let lines = console.audited("people_look_up");
    assert_eq!(lines.len(), 2, "what was not searched for is no look-up");
    for line in lines {
        assert_eq!(
            (&line["user.sub"], &line["results"]),
            (&Value::Null, &json!(0))
        );
    }
    assert!(!console.process.log().contains("mail.example"));
}

#[tokio::test]
async fn a_search_shows_60_users_and_then_the_next_page() {
    let world = World::new().await;
    let users = world.create_users(63).await;
    let more = [("given_name", HOSTILE), ("family_name", "Okafor")];
    let other = confirmed_user(&world, "other", &more).await;
    let console = open(world).await;
    let first = console.search("email", "person-", "").await.text;
    assert_eq!(first.matches("<th scope=\"row\">").count(), 60);
    let next = next_of(&first).expect("a next page").to_owned();
    let second = console.search("email", "person-", &next).await.text;
    assert_eq!(second.matches("<th scope=\"row\">").count(), 3);
    assert_eq!(next_of(&second), None);
    for user in &users {
        let link = format!("href=\"{}\"", console.person(&user.sub));
        let pages = [&first, &second]
            .iter()
            .filter(|page| page.contains(&link))
            .count();
        assert_eq!(pages, 1, "{}", user.name);
    }
    for (attribute, prefix) in [
        ("family_name", "Oka"),
        ("username", "oth"),
        ("given_name", "<script>"),
        ("sub", &other),
    ] {
        let found = console.search(attribute, prefix, "").await.text;
        for part in [
            format!("href=\"{}\"", console.person(&other)),
            format!("{} Okafor", escaped(HOSTILE)),
            "other@mail.example".to_owned(),
            "<td data-label=\"Status\">CONFIRMED</td>".to_owned(),
            "<td data-label=\"Enabled\">yes</td>".to_owned(),
        ] {
            assert!(found.contains(&part), "{attribute}: {part} in {found}");
        }
        assert!(!found.contains("<script>"), "{found}");
    }
    let results = console.audited("people_search");
    let results: Vec<&Value> = results.iter().map(|line| &line["results"]).collect();
    assert_eq!(results, [60, 3, 1, 1, 1, 1]);
    assert!(!console.process.log().contains("person-"));
}

#[tokio::test]
async fn a_search_without_result_says_so() {
    let console = open(World::new().await).await;
    let long = "x".repeat(10_000);
    for (attribute, prefix, next, status, says) in [
        (
            "email",
            "ada",
            "",
            200,
            "No user of this pool has an attribute that begins with this.",
        ),
        ("email", &*long, "", 200, "No user of this pool"),
        ("email", "a\" or \"b", "", 200, "No user of this pool"),
        (
            "custom:plan",
            "pro",
            "",
            422,
            "Choose an attribute of the list.",
        ),
        ("", "", "", 422, "Choose an attribute of the list."),
        (
            "email",
            "ada",
            "stale",
            422,
            "The next page of a search expires: search again.",
        ),
    ] {
        let answer = console.search(attribute, prefix, next).await;
        assert_eq!(answer.status, status, "{attribute}: {}", answer.text);
        assert!(answer.text.contains(says), "{says}: {}", answer.text);
    }
}

#[tokio::test]
async fn personal_data_is_hidden_until_it_is_shown() {
    let world = World::new().await;
    // Cognito takes 2,048 characters in one attribute.
    let hostile = HOSTILE.repeat(30);
    let names = [
        "given_name",
        "middle_name",
        "nickname",
        "profile",
        "website",
        "locale",
    ];
    let mut more = names.map(|name| (name, hostile.as_str())).to_vec();
    more.push(("family_name", "Quagmire"));
    let sub = confirmed_user(&world, "zoltan", &more).await;
    let console = open(world).await;
    let path = console.person(&sub);
    let hidden = console.get(&path).await.text;
    assert!(
        !hidden.contains("Quagmire") && !hidden.contains("zoltan"),
        "{hidden}"
    );
    assert!(console.audit().is_empty());
    let shown = console
        .post(&format!("{path}/personal-data"), &[])
        .await
        .text;
    for part in ["zoltan@mail.example", "Quagmire", "user name"] {
        assert!(shown.contains(part), "{part}");
    }
    assert_eq!(shown.matches(&escaped(&hostile)).count(), names.len());
    assert!(!shown.contains("<script>") && !shown.contains("<img"));
    let lines = console.audited("person_shown");
    assert_eq!((lines.len(), &lines[0]["user.sub"]), (1, &json!(sub)));
    let log = console.process.log();
    assert!(
        !log.contains("Quagmire") && !log.contains("zoltan"),
        "{log}"
    );
}

#[tokio::test]
async fn a_wrong_pool_or_sub_is_not_found() {
    let world = World::new().await;
    let sub = confirmed_user(&world, "ada", &[]).await;
    let other = world.sandbox.create_pool("other").await.expect("a pool");
    let console = open(world).await;
    let pool = &console.world.pool.id;
    let unknown = "00000000-0000-4000-8000-000000000000";
    for path in [
        format!("/console/people/{}/{sub}", other.id),
        format!("/console/people/%3Cb%3E/{sub}"),
        format!("/console/people/{pool}/{unknown}"),
        format!("/console/people/{pool}/ada"),
        format!("/console/people/{pool}/ada@mail.example"),
    ] {
        let page = console.get(&path).await;
        assert_eq!(page.status, 404, "{path}: {}", page.text);
        assert!(page.text.contains("No user of an allowed user pool"));
        for action in ACTIONS.iter().chain(&["personal-data"]) {
            let path = format!("{path}/{action}");
            let answer = console.post(&path, &[("action", "0")]).await;
            assert_eq!(answer.status, 404, "{path}");
        }
    }
    let answer = console.ask(&sub, "delete", &[("action", "0")]).await;
    assert_eq!(answer.status, 404, "{}", answer.text);
    assert!(console.audit().is_empty());
}

#[tokio::test]
async fn several_pools_are_a_choice() {
    let world = World::new().await;
    let sub = confirmed_user(&world, "ada", &[]).await;
    let other = world.sandbox.create_pool("other").await.expect("a pool");
    let allowed = format!("pools.allowed={},{}", world.pool.id, other.id);
    let console = Console::open_with(world, &[&allowed]).await;
    let start = console.get("/console/people").await.text;
    assert_eq!(start.matches("<select").count(), 3, "{start}");
    let pool = console.world.pool.id.clone();
    for (pool, status) in [
        (&*pool, 303),
        (&*other.id, 404),
        ("", 422),
        ("us-east-1_x", 422),
    ] {
        let fields = [("user", "ada"), ("pool", pool)];
        let answer = console.post("/console/people/look-up", &fields).await;
        assert_eq!(answer.status, status, "{pool}: {}", answer.text);
        let fields = [("attribute", "username"), ("prefix", "a"), ("pool", pool)];
        let answer = console.post("/console/people/search", &fields).await;
        assert_eq!(
            answer.status,
            if status == 422 { 422 } else { 200 },
            "{pool}"
        );
        assert_eq!(answer.text.contains(&sub), status == 303, "{pool}");
    }
    let page = console.get(&console.person(&sub)).await.text;
    let command = format!("usher users show {sub} --pool {pool}</code>");
    assert!(page.contains(&command), "{page}");
}

#[tokio::test]
async fn dead_letters_come_from_the_last_reading() {
    let world = World::new().await;
    let user = world.create_user("ada").await;
    for reason in ["throttled", "timeout"] {
        let body = user.event.to_string();
        world.put_dead_letter(&body, reason, "").await;
    }
    let console = open(world).await;
    let page = console.get(&console.person(&user.sub)).await.text;
    assert!(page.contains("has not been read yet"), "{page}");
    console.read(2).await;
    let page = console.get(&console.person(&user.sub)).await.text;
    for part in [
        "throttled: the service accepts no more calls at the moment",
        "timeout: ",
        "2 dead letters</a> when the queue was read",
        &format!(
            "/console/dead-letters?pool={}&#38;sub={}#list",
            console.world.pool.id, user.sub
        ),
    ] {
        assert!(page.contains(part), "{part} in {page}");
    }
    let mut links = page.split("href=\"").filter_map(|it| it.split('"').next());
    let one = links.find(|path| path.starts_with("/console/dead-letters/"));
    let one = console.get(one.expect("a dead letter")).await.text;
    let link = format!("href=\"{}\"", console.person(&user.sub));
    assert!(one.contains(&link), "{one}");
    assert_eq!(console.visible().await, 2);
}

#[tokio::test]
async fn a_page_does_not_wait_for_a_long_search_of_the_profile() {
    let world = World::new().await;
    let sub = confirmed_user(&world, "ada", &[]).await;
    let never = CancellationToken::new();
    world
        .faults
        .plan(move |call| (call.operation == "Scan").then(|| Fault::Until(never.clone())));
    let console = open(world).await;
    let page = console.get(&console.person(&sub)).await.text;
    for part in [
        "not found under the sub; the search under other ids failed: stopped",
        "This page searches for 5 s",
        "Note: the profile may be under another id, and usher writes no second one.",
    ] {
        assert!(page.contains(part), "{part} in {page}");
    }
    assert!(!page.contains("Provision now"), "{page}");
}
