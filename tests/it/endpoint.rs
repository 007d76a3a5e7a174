//! What the embedded endpoint has to have in common with the services.

use std::collections::BTreeMap;

use serde_json::json;
use tokio::task::JoinSet;
use usher::aws::{Profiles, Put};

use crate::api::client::Client;
use crate::policies::operations;
use crate::world::{TABLE, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_conditional_puts_at_once_one_writes() {
    let world = World::new().await;
    let profiles = Profiles::new(&world.aws, TABLE, "id");
    for user in 0..100 {
        let mut puts = JoinSet::new();
        for _ in 0..8 {
            let profiles = profiles.clone();
            let id = user.to_string();
            puts.spawn(async move { profiles.put_if_absent(&id, BTreeMap::new()).await });
        }
        let created = puts
            .join_all()
            .await
            .into_iter()
            .filter(|put| matches!(put, Ok(Put::Created)))
            .count();
        assert_eq!(created, 1, "of user {user}");
    }
}

const COGNITO: &str = "AWSCognitoIdentityProviderService";
const DYNAMODB: &str = "DynamoDB_20120810";
const SQS: &str = "AmazonSQS";

/// Who calls what.
const CALLERS: [(&str, &str); 14] = [
    ("src/aws/batch_get.rs", DYNAMODB),
    ("src/aws/directory.rs", COGNITO),
    ("src/aws/listing.rs", COGNITO),
    ("src/aws/mailing.rs", COGNITO),
    ("src/aws/moves.rs", SQS),
    ("src/aws/people.rs", COGNITO),
    ("src/aws/pool_settings.rs", COGNITO),
    ("src/aws/profiles.rs", DYNAMODB),
    ("src/aws/queue.rs", SQS),
    ("src/aws/records.rs", DYNAMODB),
    ("src/aws/sandbox/people.rs", COGNITO),
    ("src/aws/send.rs", SQS),
    ("src/aws/sign_in.rs", COGNITO),
    ("src/aws/users.rs", COGNITO),
];
/// What the sandbox calls in a file for all services.
const OF_THE_SANDBOX: [(&str, &str); 6] = [
    ("ConfirmSignUp", COGNITO),
    ("CreateQueue", SQS),
    ("CreateTable", DYNAMODB),
    ("ListGroups", COGNITO),
    ("Scan", DYNAMODB),
    ("SignUp", COGNITO),
];
/// Words of these files that are no operations.
const OTHERS: [&str; 5] = [
    "Message",
    "MfaConfiguration",
    "UserPool",
    "UserPoolClient",
    "UserPoolId",
];

#[tokio::test]
async fn every_call_that_usher_makes_is_held_to_its_services_model() {
    let world = World::new().await;
    let client = Client::new(world.endpoint.url().replace("http://", ""));
    let mut calls: Vec<(String, &str)> = CALLERS
        .iter()
        .flat_map(|(file, service)| operations(file).into_iter().map(|name| (name, *service)))
        .filter(|(name, _)| !OTHERS.contains(&name.as_str()))
        .collect();
    calls.extend(OF_THE_SANDBOX.map(|(name, service)| (name.to_owned(), service)));
    for (operation, service) in calls {
        let target = format!("{service}.{operation}");
        let headers = [("x-amz-target", target.as_str())];
        let request = json!({"Quantum": 1}).to_string();
        let answer = client.raw("POST", "/", request.as_bytes(), &headers).await;
        assert_eq!(answer.status, 400, "{target}");
        let is_held = ["There is no such member", "must contain the parameter"]
            .iter()
            .any(|words| answer.text.contains(words));
        assert!(
            is_held,
            "{target} is not in the table; tests/model/run --write adds it: {}",
            answer.text
        );
    }
}

#[tokio::test]
async fn the_sdk_understands_a_refusal() {
    let world = World::new().await;
    let none = BTreeMap::new();
    for name in ["a".repeat(129), "a\0b".to_owned(), "two words".to_owned()] {
        let made = world.sandbox.create_user(&world.pool.id, &name, &none);
        let failure = made.await.expect_err("refused");
        assert_eq!(failure.code, "InvalidParameterException");
    }
    let nowhere = Profiles::new(&world.aws, &"a".repeat(1025), "id");
    let failure = nowhere.put_if_absent("1", none).await.expect_err("refused");
    assert_eq!(failure.code, "ValidationException");
}
