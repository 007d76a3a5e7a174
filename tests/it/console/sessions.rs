//! The session of an administrator: who has one, what it is good for, and its end.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::hosted::{ACCESS, Browser, Hosted, PASSWORD, REFRESH, cookies, seen};
use super::{FORM, encoded};
use crate::api::{claims, token};
use crate::faults::Fault;
use crate::world::World;

#[tokio::test]
async fn an_ordinary_user_gets_no_session() {
    let hosted = Hosted::open().await;
    hosted.user("eve", &["STAFF"]).await;
    let refused = hosted.begin("eve", PASSWORD).await;
    assert_eq!((refused.status, cookies(&refused).len()), (403, 0));
    let says = "This console is for administrators";
    assert!(refused.text.contains(says), "{}", refused.text);
    assert_eq!(hosted.world.faults.calls("RevokeToken"), 1);
    assert!(hosted.audit("SignIn").is_empty());
}

#[tokio::test]
async fn only_a_good_token_of_an_administrator_is_a_session() {
    let hosted = Hosted::open().await;
    let world = &hosted.world;
    let good = claims(world, "ada", &["ADMINS"]);
    let signed = |change: &dyn Fn(&mut Value)| {
        let mut claims = good.clone();
        change(&mut claims);
        token(world, &claims)
    };
    let whole = signed(&|_| {});
    let (head, signature) = whole.rsplit_once('.').expect("a signature");
    let other = signed(&|claims| claims["sub"] = json!("00000000-0000-4000-8000-00000000000e"));
    let (other_head, _) = other.rsplit_once('.').expect("a signature");
    let now = jiff::Timestamp::now().as_second();
    for (what, cookie, status) in [
        ("good", whole.clone(), 200),
        (
            "ordinary",
            token(world, &claims(world, "eve", &["STAFF"])),
            403,
        ),
        (
            "expired",
            signed(&|claims| claims["exp"] = json!(now - 60)),
            401,
        ),
        (
            "id",
            signed(&|claims| claims["token_use"] = json!("id")),
            401,
        ),
        (
            "client",
            signed(&|claims| claims["client_id"] = json!("other")),
            401,
        ),
        (
            "pool",
            signed(&|claims| claims["iss"] = json!("http://127.0.0.1:1/p")),
            401,
        ),
        ("another's", format!("{other_head}.{signature}"), 401),
        ("changed", format!("{head}A.{signature}"), 401),
        ("cut", head.to_owned(), 401),
        ("empty", String::new(), 401),
        ("nonsense", "nonsense".to_owned(), 401),
    ] {
        let browser = Browser {
            cookies: format!("other=1; {ACCESS}={cookie}; {REFRESH}=of-a-stranger"),
            token: String::new(),
        };
        let calls = hosted.world.faults.calls("RevokeToken");
        let answer = hosted.get("/console", &browser).await;
        assert_eq!(answer.status, status, "{what}");
        // No one but an administrator, or a former one, causes a call.
        assert_eq!(hosted.world.faults.calls("RevokeToken"), calls, "{what}");
        // What is no session is removed.
        let removed = cookies(&answer);
        let expected = [format!("{ACCESS}="), format!("{REFRESH}=")];
        assert_eq!(removed == expected, status != 200, "{what}: {removed:?}");
    }
    let none = hosted.get("/console", &Browser::default()).await;
    assert_eq!((none.status, cookies(&none).len()), (401, 0));
}

#[tokio::test]
async fn a_link_of_another_site_keeps_the_session() {
    let hosted = Hosted::open().await;
    let headers = [("sec-fetch-site", "cross-site")];
    let path = "/console?a=1&b=2";
    let answer = hosted.client.raw("GET", path, b"", &headers).await;
    assert_eq!((answer.status, cookies(&answer).len()), (200, 0));
    let refresh = "content=\"0; url='/console?a=1&#38;b=2'\"";
    assert!(answer.text.contains(refresh), "{}", answer.text);
}

#[tokio::test]
async fn a_post_of_another_page_or_session_is_refused() {
    let hosted = Hosted::open().await;
    for name in ["ada", "bob"] {
        hosted.user(name, &["ADMINS"]).await;
    }
    let (ada, bob) = (hosted.sign_in("ada").await, hosted.sign_in("bob").await);
    assert_ne!(ada.token, bob.token);
    let out = "/console/sign-out";
    let (cookies, own) = (ada.cookies.as_str(), ada.token.as_str());
    for (origin, site, token, cookies, status) in [
        ("https://evil.example", "cross-site", own, cookies, 403),
        ("null", "cross-site", own, cookies, 403),
        ("null", "same-site", own, cookies, 403),
        ("null", "none", own, cookies, 403),
        ("https://evil.example", "same-origin", own, cookies, 403),
        ("", "same-origin", own, cookies, 403),
        ("null", "", own, cookies, 403),
        ("null", "same-origin", bob.token.as_str(), cookies, 403),
        ("null", "same-origin", "", cookies, 403),
        ("null", "same-origin", own, bob.cookies.as_str(), 403),
        ("null", "same-origin", own, "", 401),
    ] {
        let headers = [
            ("origin", origin),
            ("sec-fetch-site", site),
            ("cookie", cookies),
            FORM,
        ];
        let headers: Vec<_> = headers
            .into_iter()
            .filter(|(_, it)| !it.is_empty())
            .collect();
        let fields = [
            ("token", token),
            ("username", "ada"),
            ("password", PASSWORD),
        ];
        let body = encoded(&fields);
        let answer = hosted
            .client
            .raw("POST", out, body.as_bytes(), &headers)
            .await;
        assert_eq!(answer.status, status, "{headers:?}");
        // A sign-in needs no token, but a page of this console.
        let path = "/console/sign-in";
        if status == 403 && (origin, site) != ("null", "same-origin") {
            let answer = hosted
                .client
                .raw("POST", path, body.as_bytes(), &headers)
                .await;
            assert_eq!(answer.status, 403, "{headers:?}");
            assert!(answer.text.contains("does not come from a page"));
        }
    }
    for path in [out, "/console/sign-in", "/console/sign-in/answer"] {
        let answer = hosted.get(&format!("{path}?token={own}"), &ada).await;
        let expected = if path == out { 405 } else { 303 };
        assert_eq!(answer.status, expected, "a GET changes nothing");
    }
    assert_eq!(hosted.world.faults.calls("RevokeToken"), 0);
    assert_eq!(hosted.get("/console", &ada).await.status, 200);
}

#[tokio::test]
async fn a_sign_out_removes_the_cookies_and_revokes() {
    let hosted = Hosted::open().await;
    hosted.user("ada", &["ADMINS"]).await;
    let browser = hosted.sign_in("ada").await;
    let refresh = browser.cookies.rsplit('=').next().expect("a token");
    let sandbox = &hosted.world.sandbox;
    let client = &hosted.world.pool.client;
    let refreshed = sandbox.refresh(client, refresh).await;
    refreshed.expect("good before the sign-out");
    let answer = hosted.post("/console/sign-out", &[], &browser).await;
    assert_eq!(answer.status, 200);
    assert!(
        answer.text.contains("You are signed out"),
        "{}",
        answer.text
    );
    let set = answer
        .headers
        .iter()
        .filter(|(name, _)| name == "set-cookie");
    let set: Vec<&str> = set.map(|(_, value)| value.as_str()).collect();
    let flags = "Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0";
    let expected = [ACCESS, REFRESH].map(|name| format!("{name}=; {flags}"));
    assert_eq!(set, expected);
    let refused = sandbox.refresh(client, refresh).await;
    assert_eq!(refused.expect_err("revoked").code, "NotAuthorizedException");
    assert_eq!(hosted.audit("SignOut").len(), 1);
}

#[tokio::test]
async fn a_former_administrator_is_signed_out() {
    let hosted = Hosted::open_in(World::new().await, &["admin.verify_membership=true"]).await;
    hosted.user("ada", &["ADMINS"]).await;
    let browser = hosted.sign_in("ada").await;
    let (sandbox, pool) = (&hosted.world.sandbox, &hosted.world.pool.id);
    let removed = sandbox.remove_from_group(pool, "ada", "ADMINS").await;
    removed.expect("no member");
    let refused = hosted.get("/console", &browser).await;
    assert_eq!((refused.status, cookies(&refused).len()), (403, 2));
    let says = "This console is for administrators";
    assert!(refused.text.contains(says), "{}", refused.text);
    assert_eq!(hosted.world.faults.calls("RevokeToken"), 1);
    let refused = hosted.post("/console/sign-out", &[], &browser).await;
    assert_eq!(refused.status, 403);
    // Without an answer of Cognito the session stays.
    hosted.world.faults.plan(|call| {
        let error = Fault::Error(StatusCode::BAD_REQUEST, "InternalErrorException");
        (call.operation == "AdminListGroupsForUser").then_some(error)
    });
    let busy = hosted.get("/console", &browser).await;
    assert_eq!((busy.status, cookies(&busy).len()), (503, 0));
}

#[tokio::test]
async fn paths_outside_the_role_are_not_found() {
    let hosted = Hosted::open().await;
    hosted.user("ada", &["ADMINS"]).await;
    let browser = hosted.sign_in("ada").await;
    let nothing = hosted.get("/console/nothing", &browser).await;
    assert_eq!(nothing.status, 404);
    for path in [
        "/console/dead-letters",
        "/console/dead-letters/91e29d26",
        "/console/dead-letters/replay",
        "/console/jobs/1/other",
        "/console/dead%2Dletters",
    ] {
        let answer = hosted.get(path, &browser).await;
        assert_eq!(seen(&answer), seen(&nothing), "{path}");
    }
    for path in [
        "/console/dead-letters/read",
        "/console/dead-letters/drop",
        "/console/dead-letters/91e29d26/body",
        "/console/jobs/1/stop",
    ] {
        let answer = hosted.post(path, &[], &browser).await;
        assert_eq!(answer.status, 404, "{path}");
        let stranger = hosted.post(path, &[], &Browser::default()).await;
        assert_eq!(stranger.status, 401, "{path}");
    }
    for path in ["/console/console.css", "/console/console.js"] {
        assert_eq!(hosted.get(path, &Browser::default()).await.status, 200);
    }
    for browser in [&browser, &Browser::default()] {
        let answer = hosted.get("/console/", browser).await;
        assert_eq!(
            (answer.status, answer.header("location")),
            (303, Some("/console"))
        );
    }
}

#[tokio::test]
async fn nothing_is_served_that_is_not_switched_on() {
    let hosted = Hosted::open_in(
        World::new().await,
        &[
            "console.client_id=",
            "console.client_secret=",
            "admin.client_ids=app",
        ],
    )
    .await;
    for path in ["/console", "/console/sign-in", "/console/console.css"] {
        let answer = hosted.get(path, &Browser::default()).await;
        assert_eq!(answer.status, 404, "{path}");
    }
    let index = hosted.get("/", &Browser::default()).await;
    assert!(!index.text.contains("/console"), "{}", index.text);
}
