//! Messages that never succeed.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use usher::worker::Until;

use crate::faults::Fault;
use crate::world::{PATIENCE, World, eventually};

const MIGRATION: &str = r#"{"version":"1","triggerSource":"UserMigration_Authentication",
    "userName":"somebody","userPoolId":"us-east-1_x","request":{"password":"hunter2!"}}"#;
const SNS: &str = r#"{"Type":"Notification","MessageId":"1","TopicArn":"arn:aws:sns:x:1:t",
    "Message":"{\"triggerSource\":\"PostConfirmation_ConfirmSignUp\"}"}"#;
/// Replaces an empty body in the send. SQS accepts none, but another producer's queue may
/// hold one.
const EMPTY: &str = "EMPTY";

fn emptied(mut answer: Value) -> Value {
    for message in answer["Messages"].as_array_mut().into_iter().flatten() {
        if message["Body"] == EMPTY {
            message["Body"] = json!("");
        }
    }
    answer
}

#[tokio::test]
async fn poison_is_dead_lettered_at_once_and_delays_no_sign_up() {
    let world = World::new().await;
    let users = world.create_users(6).await;
    let poison = [
        ("not_json", "{\"triggerSource\": \"PostConf"),
        ("not_json", "hello"),
        ("other_trigger", MIGRATION),
        ("sns_envelope", SNS),
        ("empty_body", EMPTY),
        (
            "unsupported_command",
            r#"{"usher":9,"command":"Dance","requestId":"r"}"#,
        ),
        (
            "no_user_name",
            r#"{"triggerSource":"PostConfirmation_ConfirmSignUp","userPoolId":"p_1"}"#,
        ),
    ];
    let mut sent = BTreeMap::new();
    for (n, (reason, body)) in poison.iter().enumerate() {
        world.send(users[n % users.len()].event.to_string()).await;
        sent.insert(world.send(*body).await, (*reason, *body));
    }
    world
        .faults
        .plan(|call| (call.operation == "ReceiveMessage").then_some(Fault::Answer(emptied)));
    world.work(&[]).await;

    let dead_letters = world.read_dead_letters().await;
    assert_eq!(dead_letters.len(), poison.len());
    for dead_letter in dead_letters {
        let (reason, body) = sent[&dead_letter.attributes["usher.source_message_id"]];
        assert_eq!(dead_letter.attributes["usher.reason"], reason);
        assert_eq!(
            dead_letter.attributes["usher.attempts"], "1",
            "within one receive"
        );
        assert_eq!(dead_letter.attributes["usher.class"], "malformed");
        let kept = if body == EMPTY { " " } else { body };
        assert_eq!(dead_letter.body, kept, "as it came");
        let attributes = format!("{:?}", dead_letter.attributes);
        assert!(!attributes.contains("hunter2") && !attributes.contains("somebody"));
    }
    assert_eq!(world.members("EVERYONE").await.len(), 6);
    assert_eq!(world.profiles().await.len(), 6);
    world.assert_queue_empty().await;
}

#[tokio::test]
async fn a_refusal_is_permanent_once_other_messages_succeed() {
    let world = World::new().await;
    let users = world.create_users(2).await;
    let refused = users[0].name.clone();
    world.faults.plan(move |call| {
        (call.operation == "AdminAddUserToGroup" && call.input["Username"] == refused.as_str())
            .then_some(Fault::Error(
                axum::http::StatusCode::BAD_REQUEST,
                "InvalidParameterException",
            ))
    });
    world.send_all(&users[..1]).await;
    let running = world.worker(&world.config(&[]), Until::Empty).await;
    eventually("it is tried again", || async {
        world.faults.count("AdminAddUserToGroup") > 2
    })
    .await;
    assert!(
        world.read_dead_letters().await.is_empty(),
        "it is not known whose fault it is"
    );
    assert!(
        running.health.unready_reasons().is_empty(),
        "one message stops nothing"
    );
    world.send_all(&users[1..]).await;
    running.end(PATIENCE).await;
    let dead_letters = world.read_dead_letters().await;
    assert_eq!(dead_letters.len(), 1);
    assert_eq!(dead_letters[0].body, users[0].event.to_string());
    assert_eq!(
        dead_letters[0].attributes["usher.reason"],
        "invalid_parameter"
    );
    assert_eq!(dead_letters[0].attributes["usher.class"], "permanent");
    assert_eq!(dead_letters[0].attributes["usher.attempts"], "1");
    assert_eq!(world.members("EVERYONE").await, [users[1].name.clone()]);
}

#[tokio::test]
async fn a_dead_letter_is_sent_before_its_message_is_deleted() {
    let world = World::new().await;
    world.send("hello").await;
    let mut refusals = 6;
    world.faults.plan(move |call| {
        let dead_letter = call.operation == "SendMessage"
            && call.input["QueueUrl"]
                .as_str()
                .is_some_and(|url| url.ends_with("-dead-letters"));
        if !dead_letter || refusals == 0 {
            return None;
        }
        refusals -= 1;
        Some(Fault::Error(
            axum::http::StatusCode::INTERNAL_SERVER_ERROR,
            "InternalError",
        ))
    });
    world.work(&[]).await;
    let dead_letters = world.read_dead_letters().await;
    assert_eq!(dead_letters.len(), 1, "sent in the end, once");
    assert_eq!(dead_letters[0].attributes["usher.attempts"], "2");
    world.assert_queue_empty().await;
}
