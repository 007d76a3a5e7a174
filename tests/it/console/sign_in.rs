//! Sign-in to the console that a worker serves.

use std::sync::{Arc, Mutex};

use axum::http::StatusCode;
use serde_json::json;
use usher::aws::PoolOptions;
use usher::dev::MFA_CODE;

use super::hosted::{ACCESS, Browser, Hosted, PASSWORD, REFRESH, cookies, seen};
use crate::faults::Fault;
use crate::world::{World, eventually};

#[tokio::test]
async fn an_administrator_signs_in_with_a_password() {
    let kind = PoolOptions {
        has_secret: true,
        ..PoolOptions::default()
    };
    let hosted = Hosted::open_in(World::new_in(&kind).await, &[]).await;
    hosted.user("ada", &["ADMINS"]).await;
    let first = hosted.get("/console?a=1", &Browser::default()).await;
    assert_eq!((first.status, cookies(&first).len()), (401, 0));
    assert!(first.text.contains("name=\"next\" value=\"/console?a=1\""));
    let answer = hosted
        .step(
            "/console/sign-in",
            &[
                ("username", "ada"),
                ("password", PASSWORD),
                ("next", "/console?a=1"),
            ],
        )
        .await;
    assert_eq!(answer.header("location"), Some("/console?a=1"));
    let set: Vec<&str> = answer
        .headers
        .iter()
        .filter(|(name, _)| name == "set-cookie")
        .map(|(_, value)| value.as_str())
        .collect();
    assert_eq!(set.len(), 2);
    for (cookie, name) in set.iter().zip([ACCESS, REFRESH]) {
        let (pair, flags) = cookie.split_once("; ").expect("flags");
        assert!(pair.starts_with(&format!("{name}=ey")), "{pair}");
        let expected = "Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=3600";
        assert_eq!(flags, expected);
    }
    let browser = hosted.browser(&answer).await;
    let page = hosted.get("/console", &browser).await;
    for (part, is_shown) in [
        ("You are </span>ada</p>", true),
        (">Sign out</button>", true),
        ("ey", false),
        ("/console/dead-letters", false),
        ("<dt>Dead letters</dt>", false),
    ] {
        let found = page.text.contains(part);
        assert_eq!(found, is_shown, "{part}: {}", page.text);
    }
    for answer in [&first, &answer, &page] {
        let policy = answer.header("content-security-policy").expect("a policy");
        assert!(policy.starts_with("default-src 'none'; ") && !policy.contains("unsafe-"));
        for (name, value) in [
            ("strict-transport-security", "max-age=31536000"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            ("cross-origin-opener-policy", "same-origin"),
        ] {
            assert_eq!(answer.header(name), Some(value));
        }
    }
    // Reads the state because someone looks.
    eventually("a reading", || async {
        let page = hosted.get("/console", &browser).await.text;
        page.contains("All sign-ups are through.") && !page.contains("dead letters</th>")
    })
    .await;
    // They have no terminal for the commands that findings name.
    let page = hosted.get("/console", &browser).await.text;
    assert!(
        page.contains("WARN</span>") && !page.contains("usher trigger"),
        "{page}"
    );
    let audit = hosted.audit("SignIn");
    assert_eq!(audit.len(), 1);
    assert!(
        audit[0]["actor"]
            .as_str()
            .is_some_and(|sub| sub.len() == 36)
    );
    assert_eq!(audit[0]["pool.id"], json!(hosted.world.pool.id));
    assert!(!hosted.process.log().contains(PASSWORD));
}

#[tokio::test]
async fn a_second_factor_is_asked_for_without_a_session() {
    let hosted = Hosted::open().await;
    for (name, software_token, text_message, lead) in [
        ("ada", true, false, "your authenticator app shows now"),
        ("bob", false, true, "It was sent to your telephone"),
        ("cleo", true, true, "your authenticator app shows now"),
    ] {
        hosted.user(name, &["ADMINS"]).await;
        let sandbox = &hosted.world.sandbox;
        let pool = &hosted.world.pool.id;
        sandbox
            .set_factors(pool, name, software_token, text_message)
            .await
            .expect("factors");
        let asked = hosted.begin(name, PASSWORD).await;
        assert_eq!((asked.status, cookies(&asked).len()), (200, 0), "{name}");
        assert!(asked.text.contains(lead), "{}", asked.text);
        for wrong in ["000000", "12345x"] {
            let again = hosted.answer(&asked, wrong, "").await;
            assert_eq!((again.status, cookies(&again).len()), (403, 0));
            assert!(again.text.contains("role=\"alert\""), "{}", again.text);
        }
        let code = format!("{} {}", &MFA_CODE[..3], &MFA_CODE[3..]);
        let signed_in = hosted.answer(&asked, &code, "").await;
        hosted.browser(&signed_in).await;
        // A challenge is answered once.
        let late = hosted.answer(&asked, MFA_CODE, "").await;
        assert_eq!(late.status, 403);
        assert!(
            late.text.contains("The sign-in took too long"),
            "{}",
            late.text
        );
    }
    // Fields of no page of this console.
    for (challenge, session) in [("SMS_MFA", "short"), ("MFA_SETUP", "s"), ("", "")] {
        let calls = hosted.world.faults.calls("RespondToAuthChallenge");
        let fields = [
            ("challenge", challenge),
            ("session", session),
            ("username", "ada"),
            ("answer", MFA_CODE),
        ];
        let refused = hosted.step("/console/sign-in/answer", &fields).await;
        assert_eq!(refused.status, 403);
        assert_eq!(hosted.world.faults.calls("RespondToAuthChallenge"), calls);
    }
    assert!(!hosted.process.log().contains("\"ERROR\""));
}

#[tokio::test]
async fn a_temporary_password_is_replaced() {
    let world = World::new().await;
    let mails: Arc<Mutex<Vec<String>>> = Arc::default();
    let mailbox = Arc::clone(&mails);
    world.endpoint.on_mail(Box::new(move |mail| {
        mailbox.lock().expect("no panic").push(mail.body);
    }));
    let hosted = Hosted::open_in(world, &[]).await;
    let (sandbox, pool) = (&hosted.world.sandbox, &hosted.world.pool.id);
    let attributes = [("email".to_owned(), "ada@mail.example".to_owned())].into();
    let invited = sandbox.invite(pool, "ada", &attributes, false).await;
    invited.expect("invited");
    let added = sandbox.add_to_group(pool, "ada", "ADMINS").await;
    added.expect("a member");
    let mail = mails.lock().expect("no panic").pop().expect("a mail");
    let code = mail.split("password is ").nth(1).expect("a code");
    let code = code.strip_suffix('.').unwrap_or(code);
    let asked = hosted.begin("ada", code).await;
    assert!(
        asked.text.contains("Choose a new password"),
        "{}",
        asked.text
    );
    for (password, repeated, says) in [
        (PASSWORD, "another", "The two passwords differ"),
        ("short", "short", "it is too short"),
        (
            " A-l0ng-password",
            " A-l0ng-password",
            "begins or ends with a space",
        ),
        ("", "", "1 to 256 characters"),
        (code, code, "This is your temporary password"),
    ] {
        let again = hosted.answer(&asked, password, repeated).await;
        assert_eq!((again.status, cookies(&again).len()), (403, 0));
        assert!(again.text.contains(says), "{says}: {}", again.text);
        // The page after a refusal knows the temporary password too.
        let same = hosted.answer(&again, code, code).await;
        assert_eq!(same.status, 403, "{}", same.text);
        assert!(!again.text.contains(code), "{}", again.text);
    }
    let signed_in = hosted.answer(&asked, PASSWORD, PASSWORD).await;
    hosted.browser(&signed_in).await;
    hosted.sign_in("ada").await;
}

#[tokio::test]
async fn unknown_names_and_wrong_passwords_answer_the_same() {
    let hosted = Hosted::open().await;
    hosted.user("ada", &["ADMINS"]).await;
    let wrong = hosted.begin("ada", "Wr0ng-password").await;
    assert_eq!(wrong.status, 403);
    for (name, password) in [
        ("nobody", PASSWORD),
        ("nobody@mail.example", "Wr0ng-password"),
        ("two words", PASSWORD),
        ("ada", ""),
        ("", ""),
    ] {
        let answer = hosted.begin(name, password).await;
        assert_eq!(seen(&answer), seen(&wrong), "{name} {password}");
    }
    for (code, text) in [
        ("UserNotFoundException", "User does not exist."),
        ("NotAuthorizedException", "Password attempts exceeded"),
        ("NotAuthorizedException", "User is disabled."),
        ("UserNotConfirmedException", "User is not confirmed."),
        (
            "PasswordResetRequiredException",
            "Password reset required for the user",
        ),
    ] {
        hosted.world.faults.plan(move |call| {
            (call.operation == "InitiateAuth").then_some(Fault::Refused(code, text))
        });
        let answer = hosted.begin("ada", PASSWORD).await;
        assert_eq!(seen(&answer), seen(&wrong), "{text}");
    }
    assert!(!hosted.process.log().contains("nobody"));
}

#[tokio::test]
async fn a_failure_of_the_user_pool_says_whose_turn_it_is() {
    let hosted = Hosted::open().await;
    hosted.user("ada", &["ADMINS"]).await;
    for (fault, says) in [
        (
            Fault::Error(StatusCode::BAD_REQUEST, "TooManyRequestsException"),
            "Try again in a moment",
        ),
        (
            Fault::Error(StatusCode::INTERNAL_SERVER_ERROR, "InternalErrorException"),
            "Try again in a moment",
        ),
        (
            Fault::Refused(
                "InvalidParameterException",
                "USER_PASSWORD_AUTH flow not enabled",
            ),
            "An operator of usher has to fix it",
        ),
    ] {
        hosted
            .world
            .faults
            .plan(move |call| (call.operation == "InitiateAuth").then_some(fault.clone()));
        let answer = hosted.begin("ada", PASSWORD).await;
        assert_eq!((answer.status, cookies(&answer).len()), (503, 0), "{says}");
        assert!(answer.text.contains(says), "{says}: {}", answer.text);
    }
    let log = hosted.process.log();
    assert!(log.contains("\"reason\":\"client_flow\""), "{log}");
    hosted.world.faults.clear();
    hosted.sign_in("ada").await;
}

#[tokio::test]
async fn attempts_under_one_name_are_limited() {
    let hosted = Hosted::open().await;
    hosted.user("ada", &["ADMINS"]).await;
    let attempt = async |name: &str| {
        let fields = [("username", name), ("password", "Wr0ng-password")];
        let browser = Browser::default();
        hosted.post("/console/sign-in", &fields, &browser).await
    };
    eventually("a limit", || async { attempt("ada").await.status == 429 }).await;
    let limited = attempt("Ada").await;
    assert!(limited.text.contains("Wait a minute"), "{}", limited.text);
    let fields = [
        ("username", "ada"),
        ("challenge", "SMS_MFA"),
        ("session", "s-s-s-s-s-s-s-s-s-s-s"),
        ("answer", MFA_CODE),
    ];
    let path = "/console/sign-in/answer";
    let limited = hosted.post(path, &fields, &Browser::default()).await;
    assert_eq!(limited.status, 429);
    assert_eq!(hosted.begin("bob", "Wr0ng-password").await.status, 403);
    let calls = hosted.world.faults.calls("InitiateAuth");
    assert!((1..=30).contains(&calls), "{calls}");
}

/// Anyone may send this form, so it must not take a worker's memory.
#[tokio::test]
async fn a_large_sign_in_is_refused() {
    let hosted = Hosted::open().await;
    let password = "x".repeat(40_000);
    let answer = hosted.begin("ada", &password).await;
    assert_eq!(answer.status, 413, "{}", answer.text);
}
