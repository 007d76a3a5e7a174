//! `usher check`: its findings and its exit status.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use usher::aws::PoolOptions;
use usher::event::{IssuerType, PoolId};

use crate::faults::Fault;
use crate::process::finished;
use crate::world::World;

/// Runs `usher check`: exit status, and state and detail of each finding by name.
async fn check(
    world: &World,
    arguments: &[&str],
) -> (Option<i32>, BTreeMap<String, (String, String)>) {
    let mut command = world.usher(&["check", "--output", "json", "--pool", &world.pool.id]);
    let output = command.args(arguments).output().await.expect("runs");
    let findings: Vec<Value> = serde_json::from_slice(&output.stdout).expect("JSON");
    let text = |finding: &Value, name: &str| finding[name].as_str().expect("text").to_owned();
    let findings = findings
        .iter()
        .map(|finding| {
            (
                text(finding, "what"),
                (text(finding, "state"), text(finding, "detail")),
            )
        })
        .collect();
    (output.status.code(), findings)
}

fn state<'a>(findings: &'a BTreeMap<String, (String, String)>, what: &str) -> &'a str {
    let found = findings.iter().find(|(name, _)| name.starts_with(what));
    found.map_or("missing", |(_, (state, _))| state)
}

#[tokio::test]
async fn a_correct_deployment_passes_and_is_not_changed() {
    let world = World::new().await;
    let users = world.create_users(1).await;
    world.send_all(&users).await;
    world.work(&[]).await;
    let before = world.profiles().await;
    let (code, findings) = check(&world, &[]).await;
    assert_eq!(code, Some(0), "{findings:?}");
    for what in [
        "configuration",
        "queue",
        "redrive policy",
        "dead-letter queue",
        "sqs:DeleteMessage",
        "sqs:ChangeMessageVisibility",
        "profile table",
        "dynamodb:PutItem",
        "dynamodb:BatchGetItem",
        "dynamodb:Scan",
        "cognito-idp:ListUsers on",
        "cognito-idp:ListUsersInGroup",
        "group EVERYONE",
        "cognito-idp:AdminGetUser",
        "cognito-idp:AdminAddUserToGroup",
        "cognito-idp:CreateGroup",
        "issuer of",
    ] {
        assert_eq!(state(&findings, what), "right", "{what} in {findings:?}");
    }
    assert_eq!(state(&findings, "sqs:ReceiveMessage"), "not_tested");
    assert_eq!(world.profiles().await, before);
    world.assert_all_provisioned(&users).await;
}

#[tokio::test]
async fn wrong_settings_are_named() {
    let world = World::new().await;
    let (code, findings) = check(
        &world,
        &[
            "--set",
            "worker.max_attempts=10",
            "--set",
            "profiles.key=pk",
        ],
    )
    .await;
    assert_eq!(code, Some(1));
    assert_eq!(state(&findings, "redrive policy"), "wrong");
    assert_eq!(state(&findings, "profile table"), "wrong");

    let (code, findings) = check(&world, &["--set", "profiles.table=Nobody"]).await;
    assert_eq!(code, Some(1));
    assert!(
        findings["profile table"]
            .1
            .contains("ResourceNotFoundException")
    );

    let (code, findings) = check(&world, &["--pool", "us-east-1_Nobody001"]).await;
    assert_eq!(code, Some(1));
    assert_eq!(state(&findings, "user pool us-east-1_Nobody001"), "wrong");

    world.faults.plan(|call| {
        let denied = Fault::Error(StatusCode::BAD_REQUEST, "AccessDeniedException");
        matches!(
            call.operation.as_str(),
            "AdminAddUserToGroup" | "DeleteMessageBatch"
        )
        .then_some(denied)
    });
    let (code, findings) = check(&world, &[]).await;
    assert_eq!(code, Some(1));
    assert_eq!(state(&findings, "cognito-idp:AdminAddUserToGroup"), "wrong");
    assert_eq!(state(&findings, "sqs:DeleteMessage"), "wrong");
    assert_eq!(state(&findings, "sqs:ChangeMessageVisibility"), "right");
}

#[tokio::test]
async fn the_owner_index_is_queried() {
    let world = World::new().await;
    let index = ["--set", "profiles.owner_index=byOwner"];
    for (text, expected) in [
        (
            "The table does not have the specified index: byOwner",
            "wrong",
        ),
        ("Query condition missed key schema element: owner", "wrong"),
    ] {
        world.faults.plan(move |call| {
            (call.operation == "Query").then_some(Fault::Refused("ValidationException", text))
        });
        let (code, findings) = check(&world, &index).await;
        assert_eq!(code, Some(1));
        let what = "dynamodb:Query on byOwner, key profileOwner";
        assert_eq!(state(&findings, what), expected, "{text}");
    }
    assert_eq!(world.faults.calls("Scan"), 0);
}

#[tokio::test]
async fn the_issuer_of_new_tokens_is_reported() {
    let world = World::new().await;
    let what = format!("issuer of {}", world.pool.id);
    for issuer in IssuerType::ALL {
        let set = world.sandbox.set_issuer(&world.pool.id, issuer).await;
        set.expect("a setting");
        let (_, findings) = check(&world, &[]).await;
        let pool = PoolId::new(&world.pool.id).expect("an id");
        let url = issuer.issuer_of(&pool).expect("a pool of AWS");
        let (state, detail) = &findings[&what];
        let named = format!("{url} ({})", issuer.name());
        assert!(state == "right" && detail.starts_with(&named), "{detail}");
    }
    let emulator = "--set=admin.issuer=http://127.0.0.1:1/{pool}";
    let (_, findings) = check(&world, &[emulator]).await;
    assert!(findings[&what].1.starts_with("http://127.0.0.1:1/"));
    world.faults.plan(|call| {
        (call.operation == "DescribeUserPool").then_some(Fault::Error(
            StatusCode::BAD_REQUEST,
            "AccessDeniedException",
        ))
    });
    let (_, findings) = check(&world, &[]).await;
    assert_eq!(state(&findings, &what), "not_tested");
}

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
        assert_eq!(state(&findings, "cognito-idp:AdminCreateUser"), "right");
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
    let what = "invitations in";
    let (code, findings) = check(&world, &arguments).await;
    assert_eq!((code, state(&findings, what)), (Some(1), "wrong"));
    let (code, findings) = check(&world, &arguments[..3]).await;
    assert_eq!((code, state(&findings, what)), (Some(0), "right"));
    let (_, findings) = check(&World::new().await, &[]).await;
    assert_eq!(state(&findings, what), "missing");
}

#[tokio::test]
async fn api_and_page_are_checked_only_when_enabled() {
    let world = World::new().await;
    let arguments = with_api_and_page(&world);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let all = [
        "keys of",
        "cognito-idp:AdminRemoveUserFromGroup",
        "cognito-idp:AdminCreateUser",
        "cognito-idp:AdminListGroupsForUser",
        "app client of /accept",
    ];
    let (code, findings) = check(&world, &arguments).await;
    for what in all {
        assert_eq!(state(&findings, what), "right", "{what}: {findings:?}");
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
        assert_eq!(state(&findings, what), "wrong", "{what}: {findings:?}");
    }
    assert_eq!(code, Some(1));
    let lists = "cognito-idp:AdminListGroupsForUser";
    let (_, findings) = check(&world, &[]).await;
    assert_eq!(state(&findings, "keys of"), "missing");
    assert_eq!(state(&findings, lists), "missing");
    // A worker needs the permission for commands from AppSync, too.
    let (_, findings) = check(&world, &["--set=admin.verify_membership=true"]).await;
    assert_eq!(state(&findings, "keys of"), "missing");
    assert_eq!(state(&findings, lists), "wrong");
}

#[tokio::test]
async fn a_client_that_refuses_every_sign_in_is_named() {
    let world = World::new().await;
    let arguments = [
        format!("--set=pools.allowed={}", world.pool.id),
        format!("--set=invitations.client_id={}", world.pool.client),
    ];
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let what = "app client of /accept";
    for (code, text, expected, words) in [
        (
            "NotAuthorizedException",
            "Unable to login because of security reasons.",
            "wrong",
            "threat protection",
        ),
        (
            "ForbiddenException",
            "Request not allowed due to WAF block.",
            "wrong",
            "web ACL",
        ),
        // The check signs in as a user who does not exist.
        (
            "UserLambdaValidationException",
            "UserMigration failed with error no such user.",
            "right",
            "takes passwords",
        ),
        (
            "TooManyRequestsException",
            "Rate exceeded",
            "not_tested",
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

#[tokio::test]
async fn lambda_variables_that_disable_features_are_named() {
    let world = World::new().await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        path.to_str().expect("text").to_owned()
    };
    let (access, queue) = ("access settings of the Lambda", "queue.url of the Lambda");
    let url = world.queue.url();
    for (variables, settings, states) in [
        (
            json!({"USHER_QUEUE__URL": url, "TZ": "UTC"}),
            None,
            ["right", "right"],
        ),
        (
            json!({"USHER_QUEUE__URL": url, "USHER_ADMN__GROUPS": "OWNERS"}),
            None,
            ["wrong", "right"],
        ),
        (
            json!({"USHER_GROUPS__DEFAULT": "A B"}),
            None,
            ["wrong", "wrong"],
        ),
        (
            json!({"USHER_QUEUE__URL": url, "USHER_CONFIG": "/var/task/usher.toml"}),
            None,
            ["not_tested", "not_tested"],
        ),
        (
            json!({"USHER_QUEUE__URL": url, "USHER_CONFIG": "/var/task/usher.toml"}),
            Some("[worker]\nconcurrency = 3"),
            ["right", "right"],
        ),
    ] {
        let named = file("variables.json", &variables.to_string());
        let mut arguments = vec!["--trigger-variables", &named];
        let settings = settings.map(|text| file("usher.toml", text));
        if let Some(settings) = &settings {
            arguments.extend(["--config", settings]);
        }
        let (code, findings) = check(&world, &arguments).await;
        let found = [state(&findings, access), state(&findings, queue)];
        assert_eq!(found, states, "{variables}: {findings:?}");
        assert_eq!(
            code,
            Some(i32::from(states.contains(&"wrong"))),
            "{variables}"
        );
        if let Some(key) = variables["USHER_ADMN__GROUPS"]
            .as_str()
            .map(|_| "admn.groups")
        {
            assert!(findings[access].1.contains(key), "{findings:?}");
        }
    }
    let named = file("variables.json", "[\"secret\"]");
    let arguments = ["check", "--trigger-variables", &named];
    let output = world.usher(&arguments).output().await.expect("runs");
    assert_eq!(output.status.code(), Some(2));
    let errors = String::from_utf8(output.stderr).expect("text");
    assert!(
        errors.contains("JSON object") && !errors.contains("secret"),
        "{errors}"
    );
}

#[tokio::test]
async fn a_hanging_credentials_endpoint_is_named() {
    let world = World::new().await;
    let hanging = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = hanging.local_addr().expect("an address");
    let mut command = world.usher(&["check", "--output", "json"]);
    command
        .env_remove("AWS_ACCESS_KEY_ID")
        .env_remove("AWS_SECRET_ACCESS_KEY")
        .env("USHER_PROFILES__ENABLED", "false")
        .env(
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            format!("http://{address}/credentials"),
        );
    let (code, stdout, errors) = finished(command).await;
    assert_eq!(code, Some(1), "{stdout}{errors}");
    assert!(
        stdout.contains("GetQueueAttributes on usher: credentials"),
        "{stdout}"
    );
    assert!(!stdout.contains("timeout"), "{stdout}");
}
