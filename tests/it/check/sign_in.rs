//! The checks of what users sign in with: app clients, pools, API and `/accept`.

use axum::http::StatusCode;
use usher::aws::PoolOptions;

use super::{check, state};
use crate::faults::Fault;
use crate::world::World;

/// The arguments that enable the API and the page.
fn with_api_and_page(world: &World) -> [String; 4] {
    let set = |key: &str, value: &str| format!("--set={key}={value}");
    [
        set("pools.allowed", &world.pool.id),
        set("admin.client_ids", &world.pool.client),
        set("admin.issuer", &world.endpoint.issuer_templates().join(",")),
        set("invitations.client_id", &world.pool.client),
    ]
}

#[tokio::test]
async fn a_pool_passes_with_any_kind_of_user_name() {
    let named_by = |email_usernames, phone_usernames| PoolOptions {
        email_usernames,
        phone_usernames,
        ..PoolOptions::default()
    };
    let aliases = PoolOptions {
        aliases: vec!["email".to_owned(), "phone_number".to_owned()],
        ..PoolOptions::default()
    };
    for kind in [
        named_by(true, false),
        named_by(false, true),
        named_by(true, true),
        aliases,
    ] {
        let world = World::new_in(&kind).await;
        let arguments = with_api_and_page(&world);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let (code, findings) = check(&world, &arguments).await;
        assert_eq!(code, Some(0), "{kind:?}: {findings:?}");
        assert_eq!(state(&findings, "cognito-idp:AdminCreateUser"), "ok");
        let users = world.sandbox.users(&world.pool.id).await.expect("users");
        assert!(users.is_empty(), "nobody was made");
    }
}

#[tokio::test]
async fn a_pool_without_codes_for_the_page_is_named() {
    let kind = PoolOptions {
        first_factors: vec!["PASSWORD".to_owned(), "EMAIL_OTP".to_owned()],
        ..PoolOptions::default()
    };
    let world = World::new_in(&kind).await;
    let arguments = with_api_and_page(&world);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let what = "invitations";
    let (code, findings) = check(&world, &arguments).await;
    assert_eq!((code, state(&findings, what)), (Some(1), "fail"));
    let (code, findings) = check(&world, &arguments[..3]).await;
    assert_eq!((code, state(&findings, what)), (Some(0), "ok"));
    let (_, findings) = check(&World::new().await, &[]).await;
    assert_eq!(state(&findings, what), "missing");
}

#[tokio::test]
async fn api_and_page_are_checked_only_when_enabled() {
    let world = World::new().await;
    let arguments = with_api_and_page(&world);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let all = [
        "keys",
        "cognito-idp:AdminRemoveUserFromGroup",
        "cognito-idp:AdminCreateUser",
        "cognito-idp:AdminListGroupsForUser",
        "app client",
    ];
    let (code, findings) = check(&world, &arguments).await;
    for what in all {
        assert_eq!(state(&findings, what), "ok", "{what}: {findings:?}");
    }
    assert_eq!(code, Some(0));
    let users = world.sandbox.users(&world.pool.id).await.expect("users");
    assert!(users.is_empty(), "nobody was made");

    world.faults.plan(|call| {
        let denied = [
            "AdminRemoveUserFromGroup",
            "AdminCreateUser",
            "AdminListGroupsForUser",
        ];
        denied
            .contains(&call.operation.as_str())
            .then_some(Fault::Error(
                StatusCode::BAD_REQUEST,
                "AccessDeniedException",
            ))
    });
    let mut wrong = arguments.clone();
    wrong.extend([
        "--set=admin.issuer=http://127.0.0.1:1/{pool}",
        "--set=invitations.client_id=nosuchclient",
    ]);
    let (code, findings) = check(&world, &wrong).await;
    for what in all {
        assert_eq!(state(&findings, what), "fail", "{what}: {findings:?}");
    }
    assert_eq!(code, Some(1));
    let lists = "cognito-idp:AdminListGroupsForUser";
    let (_, findings) = check(&world, &[]).await;
    assert_eq!(state(&findings, "keys"), "missing");
    assert_eq!(state(&findings, lists), "missing");
    // A worker needs the permission for commands from AppSync, too.
    let (_, findings) = check(&world, &["--set=admin.verify_membership=true"]).await;
    assert_eq!(state(&findings, "keys"), "missing");
    assert_eq!(state(&findings, lists), "fail");
}

#[tokio::test]
async fn a_client_that_refuses_every_sign_in_is_named() {
    let world = World::new().await;
    let arguments = [
        format!("--set=pools.allowed={}", world.pool.id),
        format!("--set=invitations.client_id={}", world.pool.client),
    ];
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let what = "app client";
    for (code, text, expected, words) in [
        (
            "NotAuthorizedException",
            "Unable to login because of security reasons.",
            "fail",
            "threat protection",
        ),
        (
            "ForbiddenException",
            "Request not allowed due to WAF block.",
            "fail",
            "web ACL",
        ),
        // The check signs in as a user who does not exist.
        (
            "UserLambdaValidationException",
            "UserMigration failed with error no such user.",
            "ok",
            "takes passwords",
        ),
        (
            "TooManyRequestsException",
            "Rate exceeded",
            "skipped",
            "throttles",
        ),
    ] {
        world.faults.plan(move |call| {
            (call.operation == "InitiateAuth").then_some(Fault::Refused(code, text))
        });
        let (_, findings) = check(&world, &arguments).await;
        let (state, detail) = &findings[what];
        assert_eq!(state, expected, "{code}: {detail}");
        assert!(detail.contains(words), "{code}: {detail}");
    }
}
