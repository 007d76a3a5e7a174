//! `usher check`: its findings and its exit status.

mod failures;
mod sign_in;

use std::collections::BTreeMap;

use axum::http::StatusCode;
use serde_json::{Value, json};
use tokio::process::Command;
use usher::aws::Outgoing;
use usher::event::{IssuerType, PoolId};

use crate::faults::Fault;
use crate::process::finished;
use crate::world::World;

/// State and detail of each finding by name. With several pools, the last one counts.
type Findings = BTreeMap<String, (String, String)>;

/// Runs `usher check` on the world's pool: exit status and findings.
async fn check(world: &World, arguments: &[&str]) -> (Option<i32>, Findings) {
    let mut command = world.usher(&["check", "--pool", &world.pool.id]);
    command.args(arguments);
    run(command).await
}

async fn run(mut command: Command) -> (Option<i32>, Findings) {
    let output = command.args(["--output", "json"]).output().await;
    let output = output.expect("runs");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let text = |finding: &Value, name: &str| finding[name].as_str().expect("text").to_owned();
    let findings: Findings = report["findings"]
        .as_array()
        .expect("a list")
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

fn state<'a>(findings: &'a Findings, what: &str) -> &'a str {
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
        "dead-letter retention",
        "sqs:DeleteMessage",
        "sqs:ChangeMessageVisibility",
        "profile table",
        "dynamodb:PutItem",
        "dynamodb:BatchGetItem",
        "dynamodb:Scan",
        "cognito-idp:ListUsers",
        "cognito-idp:ListUsersInGroup",
        "group EVERYONE",
        "cognito-idp:AdminGetUser",
        "cognito-idp:AdminAddUserToGroup",
        "cognito-idp:CreateGroup",
        "issuer",
    ] {
        assert_eq!(state(&findings, what), "ok", "{what} in {findings:?}");
    }
    assert_eq!(state(&findings, "sqs:ReceiveMessage"), "skipped");
    // The embedded pool has no trigger.
    for what in ["pools.allowed", "trigger"] {
        assert_eq!(state(&findings, what), "warn", "{what} in {findings:?}");
    }
    assert_eq!(check(&world, &["--strict"]).await.0, Some(1));
    assert_eq!(world.profiles().await, before);
    world.assert_all_provisioned(&users).await;
}

#[tokio::test]
async fn a_table_of_requests_is_checked_where_there_is_one() {
    let world = World::new().await;
    let sandbox = &world.sandbox;
    sandbox.create_request_table("Good").await.expect("a table");
    sandbox
        .create_table("Lasting", "id")
        .await
        .expect("a table");
    for (table, code, update, time_to_live) in [
        ("Good", 0, "ok", "ok"),
        ("Lasting", 0, "ok", "warn"),
        ("Nosuch", 1, "missing", "missing"),
    ] {
        let setting = format!("admin.requests_table={table}");
        let (found, findings) = check(&world, &["--set", &setting]).await;
        assert_eq!(found, Some(code), "{table}: {findings:?}");
        assert_eq!(state(&findings, "dynamodb:UpdateItem"), update, "{table}");
        assert_eq!(state(&findings, "time to live"), time_to_live, "{table}");
    }
    let (_, findings) = check(&world, &[]).await;
    assert_eq!(state(&findings, "time to live"), "missing");
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
    assert_eq!(state(&findings, "redrive policy"), "fail");
    assert_eq!(state(&findings, "profile table"), "fail");

    let (code, findings) = check(&world, &["--set", "profiles.table=Nobody"]).await;
    assert_eq!(code, Some(1));
    let missing = "there is no such table";
    assert_eq!(findings["profile table"].0, "fail");
    assert!(findings["profile table"].1.starts_with(missing));
    assert_eq!(state(&findings, "dynamodb:"), "missing");
    let skipped = ("skipped".to_owned(), missing.to_owned());
    assert_eq!(findings["all other checks"], skipped);

    for (pool, detail) in [
        ("us-east-1_Nobody001", "does not exist"),
        (
            "nonsense",
            "is not a user pool id, such as eu-west-1_AbCdEf123",
        ),
    ] {
        let (code, findings) = check(&world, &["--pool", pool]).await;
        assert_eq!(code, Some(1));
        let expected = ("fail".to_owned(), detail.to_owned());
        assert_eq!(findings["user pool"], expected, "{pool}");
    }

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
    assert_eq!(state(&findings, "cognito-idp:AdminAddUserToGroup"), "fail");
    assert_eq!(state(&findings, "sqs:DeleteMessage"), "fail");
    assert_eq!(state(&findings, "sqs:ChangeMessageVisibility"), "ok");
}

#[tokio::test]
async fn the_owner_index_is_queried() {
    let world = World::new().await;
    let index = ["--set", "profiles.owner_index=byOwner"];
    for (text, expected) in [
        (
            "The table does not have the specified index: byOwner",
            "fail",
        ),
        ("Query condition missed key schema element: owner", "fail"),
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
    let what = "issuer";
    for issuer in IssuerType::ALL {
        let set = world
            .sandbox
            .set_issuer_and_trigger(&world.pool.id, issuer, None)
            .await;
        set.expect("a setting");
        let (_, findings) = check(&world, &[]).await;
        let pool = PoolId::new(&world.pool.id).expect("an id");
        let url = issuer.issuer_of(&pool).expect("a pool of AWS");
        let (state, detail) = &findings[what];
        let named = format!("{url} ({})", issuer.name());
        assert!(state == "ok" && detail.starts_with(&named), "{detail}");
    }
    let emulator = "--set=admin.issuer=http://127.0.0.1:1/{pool}";
    let (_, findings) = check(&world, &[emulator]).await;
    assert!(findings[what].1.starts_with("http://127.0.0.1:1/"));
    world.faults.plan(|call| {
        (call.operation == "DescribeUserPool").then_some(Fault::Error(
            StatusCode::BAD_REQUEST,
            "AccessDeniedException",
        ))
    });
    let (_, findings) = check(&world, &[]).await;
    assert_eq!(state(&findings, what), "skipped");
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
            ["ok", "ok"],
        ),
        (
            json!({"USHER_QUEUE__URL": url, "USHER_ADMN__GROUPS": "OWNERS"}),
            None,
            ["fail", "ok"],
        ),
        (
            json!({"USHER_GROUPS__DEFAULT": "A B"}),
            None,
            ["fail", "fail"],
        ),
        (
            json!({"USHER_QUEUE__URL": url, "USHER_CONFIG": "/var/task/usher.toml"}),
            None,
            ["skipped", "skipped"],
        ),
        (
            json!({"USHER_QUEUE__URL": url, "USHER_CONFIG": "/var/task/usher.toml"}),
            Some("[worker]\nconcurrency = 3"),
            ["ok", "ok"],
        ),
        (
            json!({"USHER_QUEUE__URL": url, "USHER_CONFIG_TOML": "[admin]\ngroups = 5"}),
            None,
            ["fail", "ok"],
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
            Some(i32::from(states.contains(&"fail"))),
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
async fn what_needs_attention_is_a_warning() {
    let world = World::new().await;
    let letter = || Outgoing {
        body: "{".to_owned(),
        ..Outgoing::default()
    };
    world.dead_letters.send(letter()).await.expect("sent");
    world.send("{").await;
    let page = format!("--set=invitations.client_id={}", world.pool.client);
    let allowed = format!("--set=pools.allowed={}", world.pool.id);
    let (code, findings) = check(&world, &[&page, &allowed]).await;
    assert_eq!(code, Some(0), "{findings:?}");
    for (what, words) in [
        ("queue", "1 waiting, 0 in flight: no worker receives"),
        ("dead-letter queue", "1 dead letter"),
        ("invitations.contact", "empty"),
        ("invitations.done_url", "empty"),
    ] {
        let (state, detail) = &findings[what];
        assert_eq!(state, "warn", "{what}: {detail}");
        assert!(detail.starts_with(words), "{what}: {detail}");
    }
    assert_eq!(state(&findings, "pools.allowed"), "missing");

    for _ in 0..95 {
        world.send("{").await;
    }
    assert_eq!(world.queue.receive(1).await.expect("a message").len(), 1);
    for (rate, expected) in [("20", "ok"), ("0.1", "warn")] {
        let rate = format!("--set=quota.user_update={rate}");
        let (_, findings) = check(&world, &[&rate]).await;
        assert_eq!(state(&findings, "queue"), expected, "{findings:?}");
    }
}

#[tokio::test]
async fn the_trigger_is_compared_with_the_function() {
    let world = World::new().await;
    let arn = |name: &str| format!("arn:aws:lambda:us-east-1:123456789012:function:{name}");
    let (ours, other) = (arn("usher-trigger:live"), arn("welcome"));
    for (function, expected, state) in [
        (&ours, None, "ok"),
        (&ours, Some(&ours), "ok"),
        (&ours, Some(&other), "warn"),
        (&other, None, "warn"),
        (&other, Some(&other), "ok"),
    ] {
        let arguments = ["trigger", "attach", "--yes", "--replace", "--pool"];
        let mut attach = world.usher(&arguments);
        let folder = tempfile::tempdir().expect("a folder");
        attach.current_dir(folder.path());
        attach.args([&world.pool.id, "--function-arn", function]);
        let (code, stdout, errors) = finished(attach).await;
        assert_eq!(code, Some(0), "{stdout}{errors}");
        let mut arguments = Vec::new();
        if let Some(arn) = expected {
            arguments.extend(["--function-arn", arn]);
        }
        let (_, findings) = check(&world, &arguments).await;
        let (found, detail) = &findings["trigger"];
        assert_eq!(found, state, "{function}, {expected:?}: {detail}");
        let calls = format!("PostConfirmation of {} calls {function}", world.pool.id);
        assert!(detail.starts_with(&calls), "{detail}");
    }
}

/// The ids that differ from run to run, replaced.
fn with_fixed_ids(text: &str, world: &World) -> String {
    text.replace(&world.pool.id, "us-east-1_AbCdEf123")
}

#[tokio::test]
async fn text_and_json_of_a_small_deployment() {
    let world = World::new().await;
    let missing_group = "--set=groups.default=EVERYONE,STAFF";
    let arguments = ["check", "--pool", &world.pool.id, missing_group];
    let (code, text, _) = finished(world.usher(&arguments)).await;
    assert_eq!(code, Some(0));
    assert_eq!(with_fixed_ids(&text, &world), TEXT);

    let mut json_output = world.usher(&arguments);
    json_output.args(["--output", "json"]);
    let (_, json_text, _) = finished(json_output).await;
    let report: Value = serde_json::from_str(&with_fixed_ids(&json_text, &world)).expect("JSON");
    assert_eq!(report["warnings"], 2);
    assert_eq!(report["failures"], 0);
    let findings = report["findings"].as_array().expect("a list");
    let marks = ["ok  ", "WARN", "skip"];
    let of = |mark| TEXT.matches(&format!("\n  {mark}  ")).count();
    assert_eq!(findings.len(), marks.map(of).iter().sum::<usize>());
    assert_eq!(
        findings[3],
        json!({
            "section": "Queue usher",
            "what": "redrive policy",
            "state": "ok",
            "detail": "maxReceiveCount 10, above worker.max_attempts 8",
        })
    );
}

const TEXT: &str = r"Configuration
  ok    configuration  valid, Region us-east-1
  WARN  pools.allowed  empty: messages of every pool are accepted

Queue usher
  ok    queue                        0 waiting, 0 in flight
  ok    redrive policy               maxReceiveCount 10, above worker.max_attempts 8
  ok    dead-letter queue            0 dead letters
  ok    dead-letter retention        2 weeks; the queue's is 4 days
  ok    sqs:DeleteMessage            allowed
  ok    sqs:ChangeMessageVisibility  allowed
  skip  sqs:ReceiveMessage           cannot be tested without raising a message's receive count
  skip  sqs:SendMessage              cannot be tested without sending a message

Table UserProfile
  ok    profile table          key id (String)
  ok    dynamodb:PutItem       allowed
  ok    dynamodb:BatchGetItem  allowed
  ok    dynamodb:Scan          allowed

User pool us-east-1_AbCdEf123
  ok    cognito-idp:AdminGetUser         allowed
  ok    group EVERYONE                   will be created with its first member
  ok    group STAFF                      will be created with its first member
  ok    cognito-idp:AdminAddUserToGroup  allowed
  skip  cognito-idp:CreateGroup          would create a group
  ok    issuer                           https://cognito-idp.us-east-1.amazonaws.com/us-east-1_AbCdEf123 (ORIGINAL); tokens of its other issuer are accepted as well
  ok    cognito-idp:ListUsers            allowed
  ok    cognito-idp:ListUsersInGroup     allowed

Trigger
  WARN  trigger  us-east-1_AbCdEf123 has no PostConfirmation trigger: sign-ups do not reach usher
          note: attach usher-trigger: usher trigger attach --pool us-east-1_AbCdEf123 --function-arn ARN

2 warnings, 0 failures
";
