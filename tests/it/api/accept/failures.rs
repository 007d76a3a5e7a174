//! `/accept` when Cognito refuses, the deployment is wrong, or the request is not one of the page.

use axum::http::StatusCode;
use serde_json::{Value, json};
use usher::aws::PoolOptions;

use super::{PASSWORD, Page};
use crate::faults::{Damaged, Fault};

/// Operation, error code and message of Cognito, and the reason that usher derives.
const FAULTS: [(&str, &str, &str, &str); 8] = [
    (
        "InitiateAuth",
        "InvalidParameterException",
        "1 validation error detected: Value at 'clientId' failed to satisfy constraint: \
         Member must satisfy regular expression pattern: [\\w+]+",
        "client",
    ),
    (
        "RespondToAuthChallenge",
        "InvalidParameterException",
        "Invalid attributes given, family_name is missing",
        "required_attribute",
    ),
    (
        "InitiateAuth",
        "NotAuthorizedException",
        "Unable to login because of security reasons.",
        "threat_protection",
    ),
    (
        "InitiateAuth",
        "ForbiddenException",
        "Request not allowed due to WAF block.",
        "firewall",
    ),
    (
        "InitiateAuth",
        "UserLambdaValidationException",
        "PreAuthentication failed with error not today.",
        "trigger",
    ),
    (
        "RespondToAuthChallenge",
        "NotAuthorizedException",
        "Request not allowed due to security reasons.",
        "threat_protection",
    ),
    (
        "RespondToAuthChallenge",
        "ForbiddenException",
        "Request not allowed due to WAF block.",
        "firewall",
    ),
    (
        "InitiateAuth",
        "NotAuthorizedException",
        "What Cognito has never said before.",
        "unknown",
    ),
];

#[tokio::test]
async fn a_broken_deployment_answers_misconfigured_and_is_logged() {
    let page = Page::open(PoolOptions::default()).await;
    let code = page.invite("ada", &[("email", "ada@mail.example")]).await;
    let body = json!({"username": "ada", "code": code, "password": PASSWORD});
    for (operation, code, text, _) in FAULTS {
        page.refused_by(operation, code, text);
        let answer = page.accept(body.clone()).await;
        assert_eq!(
            (answer.status, answer.code()),
            (503, "misconfigured"),
            "{operation} {text}: {answer:?}"
        );
        assert_eq!(answer.header("retry-after"), Some("60"));
    }
    let errors = page.errors();
    let reasons: Vec<&str> = errors
        .iter()
        .filter_map(|line| line["reason"].as_str())
        .collect();
    assert_eq!(reasons, FAULTS.map(|(.., reason)| reason));
    assert!(errors.iter().all(|line| line["remedy"].is_string()));
    for (reason, count) in [
        ("threat_protection", "2"),
        ("firewall", "2"),
        ("trigger", "1"),
        ("client", "1"),
        ("required_attribute", "1"),
    ] {
        let counted = page.counted("misconfigured", reason).await;
        assert_eq!(counted.as_deref(), Some(count), "{reason}");
    }
    page.world.faults.clear();
    assert_eq!(page.accept(body).await.status, 200, "the code was good");
}

#[tokio::test]
async fn a_firewall_page_answers_misconfigured() {
    let page = Page::open(PoolOptions::default()).await;
    page.world.faults.plan(|call| {
        let blocked = Fault::Before(Damaged::Page(StatusCode::FORBIDDEN));
        (call.operation == "InitiateAuth").then_some(blocked)
    });
    let body = json!({"username": "ada", "code": "c", "password": PASSWORD});
    let answer = page.accept(body).await;
    assert_eq!((answer.status, answer.code()), (503, "misconfigured"));
    let errors = page.errors();
    let reasons: Vec<&Value> = errors.iter().map(|line| &line["reason"]).collect();
    assert_eq!(reasons, ["firewall"]);
}

#[tokio::test]
async fn answers_do_not_reveal_which_users_exist() {
    let page = Page::open(PoolOptions::default()).await;
    let body = json!({"username": "ada", "code": "c", "password": PASSWORD});
    let unknown = page.accept(body.clone()).await;
    assert_eq!((unknown.status, unknown.code()), (403, "not_accepted"));
    for (code, text) in [
        ("NotAuthorizedException", "User is disabled."),
        (
            "PasswordResetRequiredException",
            "Password reset required for the user",
        ),
        ("UserNotConfirmedException", "User is not confirmed."),
    ] {
        page.refused_by("InitiateAuth", code, text);
        let answer = page.accept(body.clone()).await;
        assert_eq!(
            (answer.status, &answer.text),
            (403, &unknown.text),
            "{text}"
        );
    }
    for (result, count) in [
        ("not_accepted", "2"),
        ("disabled", "1"),
        ("reset_needed", "1"),
    ] {
        let counted = page.counted(result, "").await;
        assert_eq!(counted.as_deref(), Some(count), "{result}");
    }
}

#[tokio::test]
async fn pool_throttling_differs_from_too_many_attempts() {
    let page = Page::open(PoolOptions::default()).await;
    let body = json!({"username": "ada", "code": "c", "password": PASSWORD});
    for (code, text, status, answered, again) in [
        (
            "TooManyRequestsException",
            "Rate exceeded",
            503,
            "busy",
            "5",
        ),
        (
            "LimitExceededException",
            "Attempt limit exceeded, please try after some time.",
            429,
            "too_many_requests",
            "30",
        ),
        (
            "NotAuthorizedException",
            "Password attempts exceeded",
            429,
            "too_many_requests",
            "30",
        ),
    ] {
        page.refused_by("InitiateAuth", code, text);
        let answer = page.accept(body.clone()).await;
        assert_eq!((answer.status, answer.code()), (status, answered), "{text}");
        assert_eq!(answer.header("retry-after"), Some(again), "{text}");
    }
}

#[tokio::test]
async fn an_address_of_another_user_is_a_conflict() {
    let page = Page::open(PoolOptions::default()).await;
    let code = page.invite("ada", &[("email", "ada@mail.example")]).await;
    page.refused_by(
        "RespondToAuthChallenge",
        "AliasExistsException",
        "An account with the email already exists.",
    );
    let body = json!({"username": "ada", "code": code, "password": PASSWORD});
    let answer = page.accept(body).await;
    assert_eq!((answer.status, answer.code()), (409, "alias_exists"));
}

#[tokio::test]
async fn oversized_attributes_are_refused() {
    let page = Page::open(PoolOptions::default()).await;
    let with = |attributes: Value| {
        page.accept(json!({
            "username": "ada", "code": "c", "password": PASSWORD, "attributes": attributes,
        }))
    };
    for attributes in [
        json!({"address": "x".repeat(2049)}),
        json!({"x".repeat(33): "x"}),
        (0..68).map(|n| (n.to_string(), json!("x"))).collect(),
    ] {
        let answer = with(attributes).await;
        assert_eq!((answer.status, answer.code()), (422, "invalid"));
        assert_eq!(answer.body["field"], "attributes");
    }
    assert_eq!(with(json!({"address": "x".repeat(2048)})).await.status, 403);
    let large = (0..60).map(|n| (n.to_string(), json!("x".repeat(1000))));
    assert_eq!(with(large.collect()).await.status, 413);
    assert_eq!(page.world.faults.calls("InitiateAuth"), 1);
}

#[tokio::test]
async fn slow_bodies_do_not_block_the_page() {
    let page = Page::open(PoolOptions::default()).await;
    let code = page.invite("ada", &[("email", "ada@mail.example")]).await;
    let mut late = Vec::new();
    for _ in 0..500 {
        late.push(page.client.begin("/accept", &[]).await);
    }
    assert_eq!(
        page.client.raw("GET", "/accept", b"", &[]).await.status,
        200
    );
    let body = json!({"username": "ada", "code": code, "password": PASSWORD});
    assert_eq!(page.accept(body).await.status, 200);
    drop(late);
}
