//! Properties that the embedded endpoint shares with the services.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tokio::task::JoinSet;
use usher::aws::{Operation, ProfileTable, PutResult, Service};

use crate::api::client::Client;
use crate::policies::text;
use crate::world::{TABLE, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_concurrent_conditional_puts_writes() {
    let world = World::new().await;
    let profiles = ProfileTable::new(&world.aws, TABLE, "id");
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
            .filter(|put| matches!(put, Ok(PutResult::Created)))
            .count();
        assert_eq!(created, 1, "of user {user}");
    }
}

/// The services: name in the table, and prefix of `x-amz-target`.
const SERVICES: [(&str, &str); 3] = [
    ("cognito-idp", "AWSCognitoIdentityProviderService"),
    ("dynamodb", "DynamoDB_20120810"),
    ("sqs", "AmazonSQS"),
];

#[tokio::test]
async fn every_call_is_checked_against_its_service_model() {
    let world = World::new().await;
    let client = Client::new(world.endpoint.url().replace("http://", ""));
    let table: Value = serde_json::from_str(&text("src/dev/constraints/table.json")).expect("JSON");
    // STS has another protocol.
    let product = Operation::all().filter(|called| called.service() != Service::Sts);
    let sandbox = text("src/aws/sandbox.rs") + &text("src/aws/sandbox/users.rs");
    let mut called: BTreeSet<String> = product.map(|one| one.name().to_owned()).collect();
    let sandboxed = sandbox.split("&(Service::").skip(1);
    called.extend(sandboxed.filter_map(|call| call.split('"').nth(1).map(str::to_owned)));
    for operation in ["CreateUserPool", "SignUp", "CreateQueue", "Query"] {
        assert!(called.contains(operation), "{operation}");
    }
    for operation in called {
        let has_it = |name: &str| table["services"][name]["operations"][&operation].is_string();
        let service = SERVICES.into_iter().find(|(name, _)| has_it(name));
        let (_, service) = service.unwrap_or_else(|| {
            panic!("{operation} is not in the table; tests/model/run --write adds it")
        });
        let target = format!("{service}.{operation}");
        let headers = [("x-amz-target", target.as_str())];
        let request = json!({"Quantum": 1}).to_string();
        let answer = client.raw("POST", "/", request.as_bytes(), &headers).await;
        assert_eq!(answer.status, 400, "{target}");
        let is_held = ["There is no such member", "must contain the parameter"]
            .iter()
            .any(|words| answer.text.contains(words));
        assert!(is_held, "{target}: {}", answer.text);
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
    let nowhere = ProfileTable::new(&world.aws, &"a".repeat(1025), "id");
    let failure = nowhere.put_if_absent("1", none).await.expect_err("refused");
    assert_eq!(failure.code, "ValidationException");
}
