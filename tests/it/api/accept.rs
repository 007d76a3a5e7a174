//! The answers of `/accept` to its page.

mod failures;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use usher::aws::{PoolOptions, SandboxPool, SignInResult};

use super::client::{Answer, Client};
use crate::faults::Fault;
use crate::process::{Process, get};
use crate::world::{World, eventually};

const PASSWORD: &str = "A-new-passw0rd";

struct Page {
    world: World,
    pool: SandboxPool,
    process: Process,
    client: Client,
    mails: Arc<Mutex<Vec<String>>>,
}

impl Page {
    /// Creates a pool with these options and serves the page for its client.
    async fn open(kind: PoolOptions) -> Self {
        let world = World::new().await;
        let pool = world.sandbox.create_pool_with("staff", &kind).await;
        let pool = pool.expect("a pool");
        let mails: Arc<Mutex<Vec<String>>> = Arc::default();
        let mailbox = Arc::clone(&mails);
        world.endpoint.on_mail(Box::new(move |mail| {
            mailbox.lock().expect("no panic").push(mail.body);
        }));
        let mut command = world.usher(&["worker"]);
        let secret = pool.secret.clone().unwrap_or_default();
        for (key, value) in [
            ("pools.allowed", pool.id.as_str()),
            ("invitations.client_id", &pool.client),
            ("invitations.client_secret", &secret),
            ("invitations.brand", "Ada & <Charles>"),
            ("invitations.contact", "mailto:it@mail.example"),
            ("invitations.done_url", "https://app.mail.example/?a=1&b=2"),
        ] {
            command.arg("--set").arg(format!("{key}={value}"));
        }
        let process = Process::start(command);
        let client = Client::new(process.public_http().await);
        Self {
            world,
            pool,
            process,
            client,
            mails,
        }
    }

    /// Invites a user and returns the code from the mail.
    async fn invite(&self, name: &str, attributes: &[(&str, &str)]) -> String {
        let attributes: BTreeMap<String, String> = attributes
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let sandbox = &self.world.sandbox;
        let invited = sandbox
            .invite(&self.pool.id, name, &attributes, false)
            .await;
        invited.expect("invited");
        let mail = self.mails.lock().expect("no panic").pop().expect("a mail");
        let code = mail.split("password is ").nth(1).expect("a code");
        // Only one full stop: the code itself may end with one.
        code.strip_suffix('.').unwrap_or(code).to_owned()
    }

    async fn accept(&self, body: Value) -> Answer {
        self.client.ask("POST", "/accept", Some(body), &[]).await
    }

    /// Makes Cognito refuse each further call of this operation.
    fn refused_by(&self, operation: &'static str, code: &'static str, text: &'static str) {
        let plan = &self.world.faults;
        plan.plan(move |call| (call.operation == operation).then_some(Fault::Refused(code, text)));
    }

    fn errors(&self) -> Vec<Value> {
        let log = self.process.log();
        log.lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .filter(|line: &Value| line["level"] == "ERROR")
            .collect()
    }

    /// The count of acceptances with this result and this reason, as the metric shows it.
    async fn counted(&self, result: &str, reason: &str) -> Option<String> {
        let (_, metrics) = get(&self.process.http().await, "/metrics").await;
        let line = metrics.lines().find(|line| {
            line.starts_with("usher_invitations_accepted_total{")
                && line.contains(&format!("reason=\"{reason}\""))
                && line.contains(&format!("result=\"{result}\""))
        })?;
        line.rsplit(' ').next().map(str::to_owned)
    }
}

#[tokio::test]
async fn a_code_sets_one_password() {
    let page = Page::open(PoolOptions::default()).await;
    let code = page.invite("ada", &[("email", "ada@mail.example")]).await;
    let with =
        |code: &str, password: &str| json!({"username": "ada", "code": code, "password": password});
    for (body, status, answered) in [
        (with("wrong", PASSWORD), 403, "not_accepted"),
        (with(&code, "short"), 422, "password_refused"),
        (with("", PASSWORD), 422, "invalid"),
        (
            json!({"username": "nobody", "code": code, "password": PASSWORD}),
            403,
            "not_accepted",
        ),
        (json!({"username": "ada", "code": code}), 422, "invalid"),
        (
            json!({"username": "ada", "code": code, "password": PASSWORD, "x": 1}),
            422,
            "invalid",
        ),
    ] {
        let answer = page.accept(body).await;
        assert_eq!(
            (answer.status, answer.code()),
            (status, answered),
            "{answer:?}"
        );
        assert!(!answer.text.contains(&code) && !answer.text.contains(PASSWORD));
    }
    // Cognito accepts the code as the new password.
    let same = page.accept(with(&code, &code)).await;
    assert_eq!(same.body["lacks"], json!(["not_the_code"]), "{same:?}");
    let weak = page.accept(with(&code, "alllowercase1")).await;
    assert!(
        weak.body["lacks"]
            .as_array()
            .is_some_and(|lacks| !lacks.is_empty()),
        "{weak:?}"
    );

    assert_eq!(page.accept(with(&code, PASSWORD)).await.status, 200);
    let signed_in = page
        .world
        .sandbox
        .sign_in(&page.pool.client, "ada", PASSWORD)
        .await;
    assert!(matches!(signed_in, Ok(SignInResult::Tokens(_))));
    let again = page.accept(with(&code, PASSWORD)).await;
    assert_eq!((again.status, again.code()), (403, "not_accepted"));
    // A password does not work as a code.
    let again = page.accept(with(PASSWORD, "An-0ther-password")).await;
    assert_eq!((again.status, again.code()), (403, "not_accepted"));
}

#[tokio::test]
async fn password_with_outer_space_is_refused_before_any_call() {
    let page = Page::open(PoolOptions::default()).await;
    let code = page.invite("ada", &[("email", "ada@mail.example")]).await;
    let with = |password: &str| json!({"username": "ada", "code": code, "password": password});
    for password in [format!("{PASSWORD} "), format!(" {PASSWORD}")] {
        let answer = page.accept(with(&password)).await;
        assert_eq!((answer.status, answer.code()), (422, "password_refused"));
        assert_eq!(answer.body["lacks"], json!(["no_space_at_ends"]));
    }
    assert_eq!(page.world.faults.calls("InitiateAuth"), 0);
    assert_eq!(page.accept(with("A-new passw0rd")).await.status, 200);
}

#[tokio::test]
async fn a_client_secret_and_required_attributes_work() {
    let kind = PoolOptions {
        email_usernames: true,
        required_attributes: vec!["given_name".to_owned()],
        has_secret: true,
        ..PoolOptions::default()
    };
    let page = Page::open(kind).await;
    let code = page
        .invite("ada@mail.example", &[("email", "ada@mail.example")])
        .await;
    let mut body = json!({"username": "ada@mail.example", "code": code, "password": PASSWORD});
    let answer = page.accept(body.clone()).await;
    assert_eq!((answer.status, answer.code()), (409, "attributes_needed"));
    assert_eq!(answer.body["attributes"], json!(["given_name"]));
    // Only required attributes are passed on: users may not write others here.
    body["attributes"] = json!({"given_name": "Ada", "nickname": "boss"});
    assert_eq!(page.accept(body).await.status, 200);
}

#[tokio::test]
async fn an_expired_code_is_reported_and_can_be_renewed() {
    let page = Page::open(PoolOptions::default()).await;
    let code = page.invite("ada", &[("email", "ada@mail.example")]).await;
    page.world
        .endpoint
        .expire_temporary_password(&page.pool.id, "ada")
        .await;
    let body = json!({"username": "ada", "code": code, "password": PASSWORD});
    let answer = page.accept(body).await;
    assert_eq!((answer.status, answer.code()), (410, "expired"));
    let filters: Arc<Mutex<Vec<String>>> = Arc::default();
    let recorded = Arc::clone(&filters);
    page.world.faults.plan(move |call| {
        if call.operation == "ListUsers" {
            let filter = call.input["Filter"].as_str().unwrap_or_default();
            recorded.lock().expect("no panic").push(filter.to_owned());
        }
        None
    });
    for name in ["ada", "no\"body"] {
        let body = Some(json!({"username": name}));
        let answer = page.client.ask("POST", "/accept/renewal", body, &[]).await;
        assert_eq!(
            (answer.status, &answer.body["status"]),
            (202, &json!("asked"))
        );
    }
    let asked = |log: &str| {
        log.lines()
            .filter(|line| line.contains("AskForInvitation"))
            .count()
    };
    eventually("the audit line", || async {
        asked(&page.process.log()) == 1 && filters.lock().expect("no panic").len() == 2
    })
    .await;
    let filters = filters.lock().expect("no panic").clone();
    let expected = [r#"username = "ada""#, r#"username = "no\"body""#];
    assert!(
        expected
            .iter()
            .all(|filter| filters.iter().any(|one| one == filter)),
        "{filters:?}"
    );
    let lookups = page.world.faults.calls("AdminGetUser");
    assert_eq!(lookups, 0, "it would make them count as active this month");
    let log = page.process.log();
    assert!(!log.contains("mail.example") && !log.contains(&code) && !log.contains(PASSWORD));
}

#[tokio::test]
async fn a_renewal_finds_the_user_by_address_or_sub() {
    let kind = PoolOptions {
        email_usernames: true,
        ..PoolOptions::default()
    };
    let page = Page::open(kind).await;
    let address = "ada@mail.example";
    page.invite(address, &[("email", address)]).await;
    let asked = || {
        let log = page.process.log();
        let lines = log.lines().filter(|line| line.contains("AskForInvitation"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let client = &page.client;
    let ask = |name: String| async move {
        let body = Some(json!({"username": name}));
        let answer = client.ask("POST", "/accept/renewal", body, &[]).await;
        assert_eq!(answer.status, 202, "{answer:?}");
    };
    ask(address.to_owned()).await;
    eventually("the audit line", || async { asked().len() == 1 }).await;
    let line: Value = serde_json::from_str(&asked()[0]).expect("JSON");
    let sub = line["user.sub"].as_str().expect("a sub");
    assert_eq!(line["message"], "invited user asks for a new code");
    assert_eq!(
        line["remedy"],
        json!(format!("POST /v1/invitations/{sub}/resend"))
    );
    ask(sub.to_owned()).await;
    eventually("another", || async { asked().len() == 2 }).await;
}

#[tokio::test]
async fn the_page_comes_with_a_strict_policy_and_its_settings() {
    let page = Page::open(PoolOptions::default()).await;
    for (path, kind) in [
        ("/accept", "text/html; charset=utf-8"),
        ("/accept/accept.css", "text/css; charset=utf-8"),
        ("/accept/accept.js", "text/javascript; charset=utf-8"),
    ] {
        let answer = page.client.raw("GET", path, b"", &[]).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), Some(kind));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
        let over_tls = answer.header("strict-transport-security");
        assert_eq!(over_tls, Some("max-age=31536000"));
        let policy = answer.header("content-security-policy").expect("a policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"));
        assert!(!policy.contains("unsafe-"));
        assert!(!answer.text.contains("{{"), "{path}");
        if path == "/accept" {
            assert!(answer.text.contains("mailto:it@mail.example"));
            assert!(answer.text.contains(">Ada &#38; &#60;Charles&#62;</p>"));
            let rules = r#"data-min-length="8" data-required="uppercase lowercase number symbol""#;
            assert!(answer.text.contains(rules), "{}", answer.text);
            assert!(!answer.text.contains("told the administrators"));
            assert!(
                answer
                    .text
                    .contains("https://app.mail.example/?a=1&#38;b=2")
            );
        }
    }
    let form = [("content-type", "text/plain")];
    let refused = page.client.raw("POST", "/accept", b"{}", &form).await;
    assert_eq!(refused.status, 415);
    assert!(refused.header("strict-transport-security").is_some());
}
