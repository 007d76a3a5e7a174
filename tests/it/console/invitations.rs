//! The view Invitations: the form, the list and the file.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Value, json};

use super::Console;
use super::actions::{HOSTILE, escaped};
use super::people::offer_of;
use crate::api::client::Answer;
use crate::faults::Fault;
use crate::process::finished;
use crate::world::{World, eventually};

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
            "the mails of a day",
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
async fn the_list_hides_people_until_asked() {
    let console = console().await;
    let empty = console.get(PATH).await;
    assert!(
        empty.text.contains("No one has an open invitation."),
        "{}",
        empty.text
    );
    console.invite(&RIGHT).await;
    console.world.create_user("person").await;
    let sub = console.sub_of(ADDRESS).await;
    let list = console.get(PATH).await.text;
    let link = format!("/console/people/{}/{sub}", console.world.pool.id);
    for part in [link.as_str(), ">waiting</span>", "valid for 7 days"] {
        assert!(list.contains(part), "{part}: {list}");
    }
    for secret in SECRETS {
        assert!(!list.to_lowercase().contains(secret), "{secret}: {list}");
    }
    // The same action as on the page of the user.
    let resend = format!("action=\"{link}/resend-invitation\"");
    assert!(list.contains(&resend), "{list}");
    let before = console.audit().len();
    let shown = console.post(PATH, &[("names", "on")]).await.text;
    for part in [ADDRESS, ">Zebedee</td>"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let audit = console.audit();
    assert_eq!(audit.len(), before + 1);
    assert_eq!(audit[before]["action"], "invitations_shown");
    assert_eq!(audit[before]["results"], 2);
    // A link cannot ask for them.
    let linked = console.get(&format!("{PATH}?names=on")).await.text;
    assert!(!linked.contains(ADDRESS), "{linked}");
    assert_no_personal_data(&console);
}

#[tokio::test]
async fn the_list_has_states_and_pages() {
    let console = console().await;
    let user = |n: u64, created: i64, enabled: bool| {
        json!({
            "Username": format!("u{n}"), "UserStatus": "FORCE_CHANGE_PASSWORD",
            "Enabled": enabled, "UserCreateDate": created, "UserLastModifiedDate": created,
            "Attributes": [
                {"Name": "sub", "Value": format!("00000000-0000-4000-8000-{n:012}")},
                {"Name": "given_name", "Value": HOSTILE},
                {"Name": "email", "Value": HOSTILE},
            ],
        })
    };
    let now = jiff::Timestamp::now().as_second();
    console.world.faults.plan(move |call| {
        if call.operation != "ListUsers" {
            return None;
        }
        assert_eq!(
            call.input["Filter"],
            "cognito:user_status ^= \"FORCE_CHANGE_PASSWORD\""
        );
        assert_eq!(call.input["Limit"], 60);
        let answer = match call.input["PaginationToken"].as_str() {
            None => json!({"PaginationToken": "a+b/c==\"<", "Users": [
                user(1, now, true), user(2, now - 8 * 86_400, true), user(3, now, false),
            ]}),
            Some(token) => {
                assert_eq!(token, "a+b/c==\"<");
                json!({"Users": [user(4, now, true)]})
            }
        };
        Some(Fault::Pretended(answer))
    });
    let list = console.get(PATH).await.text;
    for (state, count) in [("waiting", 1), ("expired", 1), ("disabled", 1)] {
        assert_eq!(
            list.matches(&format!(">{state}</span>")).count(),
            count,
            "{list}"
        );
    }
    assert_eq!(
        list.matches("/resend-invitation\"").count(),
        2,
        "not to a disabled user"
    );
    assert!(!list.contains(&escaped(HOSTILE)), "{list}");
    let next = [("next", "a+b/c==\"<"), ("names", "on")];
    let page = console.post(PATH, &next).await.text;
    assert!(page.contains("-000000000004\""), "{page}");
    assert!(!page.contains("Next page"), "{page}");
    assert!(
        page.contains(&escaped(HOSTILE)) && !page.contains("<script>"),
        "{page}"
    );
    console.world.faults.plan(|call| {
        (call.operation == "ListUsers")
            .then_some(Fault::Refused("InvalidParameterException", "Invalid token"))
    });
    let failed = console.post(PATH, &next).await;
    assert_eq!(failed.status, 502, "{}", failed.text);
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

#[tokio::test]
async fn every_wrong_row_of_a_file_is_listed() {
    let console = console().await;
    let refused = async |rows: &str| {
        let page = console.check_list(rows).await;
        assert_eq!(page.status, 422, "{}", page.text);
        page.text
    };
    for (rows, part) in [
        ("", "There is no list yet."),
        ("email\nzebulon@quagmire.ex\u{fffd}mple\n", "is not UTF-8"),
        ("name\nZebedee\n", "must be a header with a column email"),
        ("email\n", "no rows: add one row per person"),
        (
            "email\n<script>alert(1)</script>",
            "must be an e-mail address",
        ),
    ] {
        let page = refused(rows).await;
        assert!(page.contains(part), "{part}: {page}");
        assert!(!page.contains("<script>alert"), "{page}");
    }
    let mut file = "email,groups,custom:seats,custom:other\n".to_owned();
    for n in 0..30 {
        let _ = writeln!(file, "zebulon-{n},,,");
    }
    let page = refused(&file).await;
    assert_eq!(page.matches("must be an e-mail address").count(), 30, "all");
    assert!(page.contains("30 errors. Nothing was sent."), "{page}");
    let file = format!(
        "email,custom:seats,custom:other,birthdate\n{ADDRESS},501,,\nb@quagmire.example,1,x,\n\
         zebulon,,,\n"
    );
    let page = refused(&file).await;
    for part in [
        "3 errors",
        "must be an e-mail address",
        "must be a number from 1 to 500",
        "does not exist in this user pool",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let many: String = (0..5001).fold("email\n".to_owned(), |mut text, n| {
        let _ = writeln!(text, "zebulon-{n}@quagmire.example");
        text
    });
    let page = refused(&many).await;
    assert!(
        page.contains("5001 rows, and this page takes 5000"),
        "{page}"
    );
    // Each character takes two bytes, and six in the request.
    let large = format!("email\n{}", "é".repeat(500_000));
    let page = refused(&large).await;
    assert!(
        page.contains("1000 kB, and this page takes 1 MB"),
        "too large"
    );
    let lines = refused(&format!("email\n{}", "a\n".repeat(30_000))).await;
    assert!(
        lines.contains("30001 lines, and this page takes 20000"),
        "{lines}"
    );
    let fields = vec![("group", "STAFF"); 3000];
    let many = console.check(&fields).await;
    assert_eq!(many.status, 413, "{}", many.text);
    let larger = console.check_list(&"x".repeat(4_000_000)).await;
    assert_eq!(larger.status, 413, "{}", larger.text);
    assert!(
        larger
            .text
            .contains("A list of invitations may have at most 1 MB"),
        "{}",
        larger.text
    );
    assert_eq!(console.world.faults.calls("AdminCreateUser"), 0);
    assert_no_personal_data(&console);
}

#[tokio::test]
async fn a_list_is_sent_after_a_look_and_keeps_its_results() {
    let console = console().await;
    let rows = format!(
        "email,given_name,groups\n{ADDRESS},Zebedee,STAFF\nb@quagmire.example,,NOWHERE\n\
         c@quagmire.example,,ADMINS\nd@quagmire.example,,\n"
    );
    let asks = console.check_list(&rows).await;
    for part in [
        "Send 4 invitations?",
        "2 of them will be refused",
        "group NOWHERE does not exist",
        "group ADMINS is not in admin.grantable_groups",
        ">Send 4 invitations</button>",
    ] {
        assert!(asks.text.contains(part), "{part}: {}", asks.text);
    }
    assert_eq!(
        console.world.faults.calls("GetGroup"),
        0,
        "the form has listed them"
    );
    let offer = offer_of(&asks);
    let other = console
        .send_list("email\ne@quagmire.example\n", &offer, "")
        .await;
    assert!(other.text.contains("Send 1 invitation?"), "{}", other.text);
    assert_eq!(console.world.faults.calls("AdminCreateUser"), 0);
    let started = console.send_list(&rows, &offer, "").await;
    let again = console.send_list(&rows, &offer, "").await;
    assert_eq!(again.header("location"), started.header("location"));
    let end = console.end_of(&started).await;
    for part in [
        "2 invited, 2 refused",
        "group NOWHERE does not exist (names are case-sensitive) (line 3)",
        "Download the result file",
    ] {
        assert!(end.contains(part), "{part}: {end}");
    }
    let job = started.header("location").expect("a page");
    let results = console.get(&format!("{job}/results")).await;
    let name = results.header("content-disposition").expect("a file");
    assert!(name.contains(".results.jsonl"), "{name}");
    let lines = results.text.lines().skip(1);
    let lines = lines.map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let statuses = lines.map(|line| {
        let status = line["status"].as_str().expect("text").to_owned();
        (line["line"].as_u64().expect("a line"), status)
    });
    let statuses: BTreeMap<u64, String> = statuses.collect();
    let statuses: Vec<&str> = statuses.values().map(String::as_str).collect();
    assert_eq!(statuses, ["invited", "refused", "refused", "invited"]);
    let audit = console.audit();
    assert_eq!(audit.len(), 5);
    assert_eq!(audit[4]["action"], "job_results_downloaded");
    assert_eq!(audit[4]["job.kind"], "invite");
    let pool = json!(console.world.pool.id);
    assert!(audit.iter().all(|line| line["pool.id"] == pool));
    let list = console.get(PATH).await.text;
    for part in [job, "Sending 4 invitations", "2 invited, 2 refused"] {
        assert!(list.contains(part), "{part}: {list}");
    }
    assert_no_personal_data(&console);
}

#[tokio::test]
async fn a_stopped_list_is_finished_by_the_command() {
    let world = World::with_groups(&["STAFF"]).await;
    let console = Console::open_in_pool(world, &["quota.user_creation=10"]).await;
    let rows: String = (0..120).fold("email,groups\n".to_owned(), |mut text, n| {
        let _ = writeln!(text, "zebulon-{n}@quagmire.example,STAFF");
        text
    });
    let asks = console.check_list(&rows).await;
    assert!(
        asks.text.contains("at most 50 e-mails a day"),
        "{}",
        asks.text
    );
    let offer = offer_of(&asks);
    for typed in ["", "119"] {
        let refused = console.send_list(&rows, &offer, typed).await;
        assert_eq!(refused.status, 422, "{}", refused.text);
        assert!(refused.text.contains("This is not the number."));
    }
    let started = console.send_list(&rows, &offer, "120").await;
    let job = started.header("location").expect("a page").to_owned();
    eventually("some are invited", || async {
        console.get(&job).await.text.contains(" invited")
    })
    .await;
    assert_eq!(console.get(&format!("{job}/results")).await.status, 404);
    // Another list has to wait, and is not lost.
    let other = offer_of(&console.check_list("email\ne@quagmire.example\n").await);
    let waits = console
        .send_list("email\ne@quagmire.example\n", &other, "")
        .await;
    assert_eq!(waits.status, 409, "{}", waits.text);
    let stopped = console.post(&format!("{job}/stop"), &[]).await;
    let end = console.end_of(&stopped).await;
    assert!(end.contains(" not tried"), "{end}");
    // What has ended cannot be stopped.
    console.post(&format!("{job}/stop"), &[]).await;
    let audit = console.audit();
    let stops = audit.iter().filter(|it| it["action"] == "job_stopped");
    let actors: Vec<_> = stops.map(|it| &it["actor"]).collect();
    assert_eq!(actors, ["arn:aws:iam::123456789012:user/local"]);

    let results = console.get(&format!("{job}/results")).await.text;
    let done = results.lines().count() - 1;
    let users = console.world.sandbox.users(&console.world.pool.id).await;
    assert_eq!(users.expect("users").len(), done);
    assert!((1..120).contains(&done), "{done}");
    let folder = tempfile::tempdir().expect("a folder");
    let list = folder.path().join("people.csv");
    std::fs::write(&list, rows).expect("written");
    std::fs::write(folder.path().join("people.csv.results.jsonl"), results).expect("written");
    let list = list.display().to_string();
    let mut command = console.world.usher(&["users", "invite", "--file", &list]);
    let pool = &console.world.pool.id;
    command.args(["--set", "quota.user_creation=1000", "--pool", pool]);
    let (status, out, err) = finished(command).await;
    assert_eq!(status, Some(0), "{err}");
    let rest = 120 - done;
    assert!(
        out.contains(&format!("{rest} rows: {rest} invited")),
        "{out}"
    );
    let known = format!("{done} of 120 rows done already");
    assert!(err.contains(&known), "{err}");
    assert_no_personal_data(&console);
}
