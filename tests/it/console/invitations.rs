//! The view Invitations: the form, the list and the file.

mod file;
mod list;

use serde_json::json;

use super::Console;
use super::actions::{HOSTILE, escaped};
use super::people::offer_of;
use crate::api::client::Answer;
use crate::faults::Fault;
use crate::world::World;

const PATH: &str = "/console/invitations";
/// Parts of personal data, which no log line may hold.
const SECRETS: [&str; 3] = ["zebulon", "quagmire", "zebedee"];
const ADDRESS: &str = "zebulon@quagmire.example";
const RIGHT: [(&str, &str); 8] = [
    ("email", ADDRESS),
    ("given_name", "Zebedee"),
    ("custom:plan", "pro"),
    ("custom:seats", "500"),
    ("custom:trial", "true"),
    ("custom:renewal", "2026-12-31"),
    ("custom:notes", "one\r\ntwo"),
    ("group", "STAFF"),
];

async fn console() -> Console {
    let world = World::with_groups(&["STAFF", "TEAM-A", "ADMINS"]).await;
    Console::open_in_pool(world, &[]).await
}

/// `RIGHT` with another value for one field.
fn with_field<'a>(name: &'a str, value: &'a str) -> Vec<(&'a str, &'a str)> {
    let others = RIGHT.into_iter().filter(|(field, _)| *field != name);
    others.chain([(name, value)]).collect()
}

fn assert_no_personal_data(console: &Console) {
    let log = console.process.log().to_lowercase();
    for secret in SECRETS {
        assert!(!log.contains(secret), "{secret}: {log}");
    }
}

impl Console {
    /// With the pool of the world allowed.
    async fn open_in_pool(world: World, overrides: &[&str]) -> Self {
        let pool = format!("pools.allowed={}", world.pool.id);
        let overrides: Vec<&str> = [pool.as_str(), "quota.user_creation=1000"]
            .into_iter()
            .chain(overrides.iter().copied())
            .collect();
        Self::open_with(world, &overrides).await
    }

    async fn check(&self, fields: &[(&str, &str)]) -> Answer {
        self.post(&format!("{PATH}/new"), fields).await
    }

    /// Sends what a page has shown: the page that follows.
    async fn invite(&self, fields: &[(&str, &str)]) -> String {
        let offer = offer_of(&self.check(fields).await);
        let confirmed = [&[("action", offer.as_str())], fields].concat();
        let sent = self.check(&confirmed).await;
        assert_eq!(sent.status, 303, "{}", sent.text);
        let next = sent.header("location").expect("a page");
        let expected = format!("{PATH}?pool={}&result={offer}", self.world.pool.id);
        assert_eq!(next, expected);
        self.get(next).await.text
    }

    async fn check_list(&self, rows: &str) -> Answer {
        self.post(&format!("{PATH}/file"), &[("rows", rows)]).await
    }

    async fn send_list(&self, rows: &str, offer: &str, typed: &str) -> Answer {
        let fields = [("rows", rows), ("action", offer), ("typed", typed)];
        self.post(&format!("{PATH}/file"), &fields).await
    }

    async fn sub_of(&self, name: &str) -> String {
        let sub = self.world.get_user(name).await.sub.expect("a sub");
        sub.as_str().to_owned()
    }
}

#[tokio::test]
async fn the_form_has_the_fields_of_the_pool_and_its_groups() {
    let console = console().await;
    let page = console.get(&format!("{PATH}/new")).await;
    assert_eq!(page.status, 200, "{}", page.text);
    assert!(page.text.len() < 30_000, "{} bytes", page.text.len());
    let element = |id: &str| {
        let begin = page.text.find(&format!(" id=\"{id}\"")).expect(id);
        let rest = &page.text[begin..];
        rest[..rest.find('>').expect("an end")].to_owned()
    };
    for (id, parts) in [
        ("email", &["type=\"email\"", " required"][..]),
        ("username", &["maxlength=\"128\""]),
        (
            "given_name",
            &["maxlength=\"2048\"", "aria-describedby=\"given_name-hint\""],
        ),
        ("family_name", &["maxlength=\"2048\""]),
        ("custom:plan", &["maxlength=\"20\""]),
        (
            "custom:seats",
            &["type=\"number\"", "min=\"1\"", "max=\"500\""],
        ),
        ("custom:trial", &["name=\"custom:trial\""]),
        ("custom:renewal", &["type=\"date\""]),
        ("custom:notes", &["maxlength=\"2048\"", "rows=\"3\""]),
    ] {
        let element = element(id);
        for part in parts {
            assert!(element.contains(part), "{id}: {part}: {element}");
        }
        assert_eq!(element.contains(" required"), id == "email", "{element}");
        assert!(page.text.contains(&format!("<label for=\"{id}\">")), "{id}");
    }
    for part in [
        "value=\"STAFF\"",
        "value=\"TEAM-A\"",
        "Everyone gets EVERYONE.",
    ] {
        assert!(page.text.contains(part), "{part}: {}", page.text);
    }
    assert!(!page.text.contains("ADMINS"), "it is not grantable");
}

#[tokio::test]
async fn a_wrong_field_is_named_and_what_was_typed_stays() {
    let console = console().await;
    let long = "x".repeat(21);
    for (name, wrong, rule) in [
        ("email", "", "E-mail address: is required"),
        ("email", "zebulon", "must be an e-mail address"),
        ("username", "a b", "User name: a user name"),
        (
            "given_name",
            "Zebedee\u{200b}",
            "character 8 is invisible (U+200B)",
        ),
        ("custom:plan", &long, "must be at most 20 characters"),
        ("custom:seats", "501", "must be a number from 1 to 500"),
        ("custom:seats", "many", "must be a number from 1 to 500"),
        ("custom:trial", "perhaps", "must be yes or no"),
        ("custom:renewal", "soon", "must be a date such as"),
        (
            "group",
            "ADMINS",
            "group ADMINS is not in admin.grantable_groups",
        ),
        ("group", "NOWHERE", "group NOWHERE does not exist"),
        ("group", "A B", "a group name has 1 to 128"),
    ] {
        for offer in ["", "0123"] {
            let fields = [&with_field(name, wrong)[..], &[("action", offer)]].concat();
            let page = console.check(&fields).await;
            assert_eq!(page.status, 422, "{name} {wrong}: {}", page.text);
            assert!(page.text.contains(rule), "{rule}: {}", page.text);
            let id = if name == "group" { "groups" } else { name };
            let link = format!("<a href=\"#{id}\">");
            assert!(page.text.contains(&link), "{link}: {}", page.text);
            assert!(page.text.contains("value=\"2026-12-31\"") || name == "custom:renewal");
        }
    }
    let wrong = [("email", ""), ("custom:seats", "0"), ("custom:trial", "x")];
    let page = console.check(&wrong).await;
    assert_eq!(
        page.text.matches("aria-invalid").count(),
        3,
        "{}",
        page.text
    );
    assert_eq!(console.world.faults.calls("AdminCreateUser"), 0);
    assert!(console.audit().is_empty());
    assert_no_personal_data(&console);
}

#[tokio::test]
async fn a_required_attribute_of_the_pool_is_required_here() {
    let kind = usher::aws::PoolOptions {
        email_usernames: true,
        required_attributes: vec!["family_name".to_owned(), "phone_number".to_owned()],
        ..usher::aws::PoolOptions::default()
    };
    let console = Console::open_in_pool(World::new_in(&kind).await, &[]).await;
    let page = console.get(&format!("{PATH}/new")).await.text;
    assert!(!page.contains("id=\"username\""), "the pool makes the name");
    assert_eq!(page.matches(" required").count(), 3, "{page}");
    let page = console
        .check(&[("email", ADDRESS), ("phone_number", "5")])
        .await;
    assert_eq!(page.status, 422);
    for part in ["Family name: is required", "Phone number: must be +"] {
        assert!(page.text.contains(part), "{part}: {}", page.text);
    }
    let fields = [
        ("email", ADDRESS),
        ("family_name", "Zebedee"),
        ("phone_number", "+15550100"),
    ];
    assert_eq!(console.check(&fields).await.status, 200);
    let sent = console.invite(&fields).await;
    assert!(
        sent.contains("<strong>Invited:</strong> mail sent."),
        "{sent}"
    );
}

#[tokio::test]
async fn an_invitation_is_shown_before_it_is_sent() {
    let console = console().await;
    let asks = console.check(&RIGHT).await;
    assert_eq!(asks.status, 200, "{}", asks.text);
    for part in [
        "<dd class=\"typed\">zebulon@quagmire.example</dd>",
        "<dt>Trial</dt><dd class=\"typed\">true</dd>",
        "<dt>Groups</dt><dd>EVERYONE, STAFF</dd>",
        "at most 50 e-mails a day",
        "no second mail",
        "name=\"custom:renewal\" value=\"2026-12-31\"",
    ] {
        assert!(asks.text.contains(part), "{part}: {}", asks.text);
    }
    assert_eq!(console.world.faults.calls("AdminCreateUser"), 0);
    let changed = console
        .check(&[&RIGHT[..], &[("change", "1")]].concat())
        .await;
    assert_eq!(changed.status, 200);
    assert!(changed.text.contains("value=\"pro\"") && changed.text.contains(" checked"));

    let sent = console.invite(&RIGHT).await;
    let user = console.world.get_user(ADDRESS).await;
    let sub = console.sub_of(ADDRESS).await;
    let link = format!("href=\"/console/people/{}/{sub}\"", console.world.pool.id);
    for part in ["<strong>Invited:</strong> mail sent.", &link] {
        assert!(sent.contains(part), "{part}: {sent}");
    }
    for (name, value) in [
        ("custom:seats", "500"),
        ("custom:trial", "true"),
        ("custom:renewal", "2026-12-31T00:00:00Z"),
        ("custom:notes", "one\ntwo"),
    ] {
        assert_eq!(user.attributes.get(name), Some(value), "{name}");
    }
    assert_eq!(console.world.members("STAFF").await, [ADDRESS]);
    assert_eq!(console.world.profiles().await.len(), 1);

    let again = console.invite(&RIGHT).await;
    assert!(
        again.contains("The user existed already:</strong> no mail."),
        "{again}"
    );
    let audit = console.audit();
    let mails: Vec<_> = audit.iter().map(|line| &line["mail"]).collect();
    assert_eq!(mails, [&json!("sent"), &json!("not_sent")]);
    assert_eq!(audit[0]["user.sub"], json!(sub));
    assert_eq!(audit[0]["actor"], "arn:aws:iam::123456789012:user/local");
    assert_no_personal_data(&console);
}

#[tokio::test]
async fn only_what_was_shown_is_sent_and_only_once() {
    let console = console().await;
    let offer = offer_of(&console.check(&RIGHT).await);
    let confirmed = |name, value| {
        let fields = with_field(name, value);
        [&[("action", offer.as_str())], &fields[..]].concat()
    };
    // Other values, and an offer that was never made, are asked about.
    let changed = console.check(&confirmed("custom:plan", "basic")).await;
    assert_eq!(changed.status, 200);
    assert_ne!(offer_of(&changed), offer);
    let unknown = [&[("action", "0123")], &RIGHT[..]].concat();
    assert_eq!(console.check(&unknown).await.status, 200);
    assert_eq!(console.world.faults.calls("AdminCreateUser"), 0);
    let right = confirmed("group", "STAFF");
    let post = || console.check(&right);
    let (one, other) = tokio::join!(post(), post());
    assert_eq!((one.status, other.status), (303, 303));
    assert_eq!(post().await.status, 303);
    assert_eq!(console.world.faults.calls("AdminCreateUser"), 1);
    assert_eq!(console.audit().len(), 1);
}

#[tokio::test]
async fn a_refusal_says_why_in_words() {
    let console = console().await;
    for (code, label, part) in [
        (
            "AccessDeniedException",
            "Not finished",
            "deploy/admin-policy.json",
        ),
        ("InvalidParameterException", "Refused", "Cognito"),
        (
            "LimitExceededException",
            "Not finished",
            "its mails per day",
        ),
    ] {
        console.world.faults.plan(move |call| {
            let status = axum::http::StatusCode::BAD_REQUEST;
            (call.operation == "AdminCreateUser").then_some(Fault::Error(status, code))
        });
        let sent = console.invite(&RIGHT).await;
        let label = format!("<strong>{label}:</strong>");
        for part in [&label, part, "class=\"note bad\""] {
            assert!(sent.contains(part), "{code}: {part}: {sent}");
        }
    }
    assert_no_personal_data(&console);
}

#[tokio::test]
async fn hostile_text_is_escaped_or_refused_in_every_field() {
    let console = console().await;
    let long = "é<".repeat(5_000);
    let names = RIGHT.map(|(name, _)| name);
    for name in names.into_iter().chain(["username", "family_name"]) {
        for (value, may_pass) in [(HOSTILE, true), (long.as_str(), false)] {
            let page = console.check(&with_field(name, value)).await;
            assert!(
                page.status == 422 || may_pass && page.status == 200,
                "{name}"
            );
            for part in ["<script>", "<img", "é<"] {
                assert!(!page.text.contains(part), "{name}: {part}");
            }
        }
    }
    let every: Vec<(&str, &str)> = names
        .into_iter()
        .map(|name| (name, long.as_str()))
        .collect();
    let page = console.check(&every).await;
    assert_eq!(page.status, 422, "{}", page.text);
    let asks = console
        .check(&with_field("custom:notes", HOSTILE))
        .await
        .text;
    assert!(
        asks.contains(&format!("<dd class=\"typed\">{}</dd>", escaped(HOSTILE))),
        "{asks}"
    );
    assert_no_personal_data(&console);
}

#[tokio::test]
async fn without_pool_or_table_the_pages_say_what_is_missing() {
    let world = World::new().await;
    let pool = world.pool.id.clone();
    let console = Console::open(world).await;
    let page = console.get(PATH).await;
    assert_eq!(page.status, 422);
    assert!(page.text.contains("Set pools.allowed"), "{}", page.text);
    // It allows any.
    let page = console.get(&format!("{PATH}?pool={pool}")).await;
    assert_eq!(page.status, 200, "{}", page.text);
    let allowed = format!("pools.allowed={pool},us-east-1_other");
    let console = Console::open_with(console.world, &[&allowed, "profiles.table="]).await;
    let page = console.get(&format!("{PATH}?pool={pool}")).await;
    assert_eq!(page.status, 200, "{}", page.text);
    let other = ">us-east-1_other</option>";
    assert!(page.text.contains(other), "{}", page.text);
    let foreign = console.get(&format!("{PATH}?pool=us-east-1_third")).await;
    assert_eq!(foreign.status, 422, "{}", foreign.text);
    let page = console.get(&format!("{PATH}/new?pool={pool}")).await;
    assert_eq!(page.status, 409, "{}", page.text);
    assert!(page.text.contains("profiles.table"), "{}", page.text);
}
