//! Traces from the sender of a message to the worker.

mod collector;
mod export;

use std::collections::BTreeMap;

use axum::http::StatusCode;
use serde_json::{Value, json};
use usher::aws::{Outgoing, Received};
use usher::worker::Until;

use crate::api::Api;
use crate::faults::Fault;
use crate::process::{Process, finished};
use crate::trigger::{Lambda, SIGN_UP};
use crate::world::{World, eventually};

pub(crate) const ID: &str = "5759e988bd862e3fe1be46a994272793";
pub(crate) const PARENT: &str = "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01";
const XRAY: &str = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1;Lineage=1:a87bd80c:0";

/// A message with both forms of the trace, as the trigger sends it.
pub(crate) fn traced(body: impl Into<String>) -> Outgoing {
    Outgoing {
        body: body.into(),
        attributes: BTreeMap::from([("traceparent".to_owned(), PARENT.to_owned())]),
        trace_header: Some(XRAY.to_owned()),
        ..Outgoing::default()
    }
}

fn forms(message: &Received) -> (Option<&str>, Option<&str>) {
    let parent = message.attributes.get("traceparent");
    (parent.map(String::as_str), message.trace_header.as_deref())
}

/// The forms in a dead letter, without a producer's additions to the header.
const PLAIN: (Option<&str>, Option<&str>) = (
    BOTH.0,
    Some("Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"),
);
const BOTH: (Option<&str>, Option<&str>) = (Some(PARENT), Some(XRAY));

/// The log line with the outcome of a message and these fields.
pub(crate) fn settled(log: &str, what: &Value) -> Option<Value> {
    let mut lines = log
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    lines.find(|line: &Value| {
        let what = what.as_object().expect("an object");
        line["outcome"].is_string() && what.iter().all(|(name, value)| line[name] == *value)
    })
}

#[tokio::test]
async fn the_lambda_sends_its_trace_with_each_message() {
    let world = World::new().await;
    let mut lambda = Lambda::of(&world).await;
    assert_eq!(lambda.invoke_in(SIGN_UP, Some(XRAY)).await, SIGN_UP);
    let messages = world.queue.receive(10).await.expect("received");
    assert_eq!(forms(&messages[0]), BOTH);
    let log = lambda.process.log();
    assert!(log.contains(&format!("\"trace.id\":\"{ID}\"")), "{log}");

    let event = crate::trigger::mutation(
        "addUserToGroup",
        &json!({"userId": "ada", "groupName": "STAFF"}),
        "ADMINS",
    );
    lambda.invoke_in(&event, Some(XRAY)).await;
    let messages = world.queue.receive(10).await.expect("received");
    assert_eq!(forms(&messages[0]), BOTH);

    for malformed in ["Root=1-5759e988;Parent=53995c3f42cd8ad8", "?", "Sampled=0"] {
        assert_eq!(lambda.invoke_in(SIGN_UP, Some(malformed)).await, SIGN_UP);
        let messages = world.queue.receive(10).await.expect("received");
        assert_eq!(forms(&messages[0]), (None, None), "{malformed}");
    }
}

#[tokio::test]
async fn a_renewed_message_stays_in_its_trace() {
    let world = World::new().await;
    let denied = Fault::Error(StatusCode::BAD_REQUEST, "AccessDeniedException");
    world
        .faults
        .plan(move |call| (call.operation == "AdminAddUserToGroup").then(|| denied.clone()));
    let user = world.create_user("ada").await;
    let message = traced(user.event.to_string());
    world.queue.send(message).await.expect("sent");
    let running = world.worker(&world.config(&[]), Until::Stopped).await;
    eventually("tried", || async {
        world.faults.calls("AdminAddUserToGroup") > 0
    })
    .await;
    running.stop().await;
    let renewed = world.queue.receive(10).await.expect("received").remove(0);
    assert!(renewed.attributes.contains_key("usher.first_received_at"));
    assert_eq!(forms(&renewed), BOTH);
}

#[tokio::test]
async fn a_dead_letter_keeps_its_trace_through_export_and_replay() {
    let world = World::new().await;
    world.queue.send(traced("{")).await.expect("sent");
    let (status, _, log) = finished(world.usher(&["worker", "--until-empty"])).await;
    assert_eq!(status, Some(0), "{log}");
    let line = settled(&log, &json!({"outcome": "rejected"})).expect("a line");
    assert_eq!(line["trace.id"], ID);
    let dead_letters = world.read_dead_letters().await;
    assert_eq!(forms(&dead_letters[0]), PLAIN);
    let shown = [(
        dead_letters[0].receipt_handle.as_str(),
        std::time::Duration::ZERO,
    )];
    world
        .dead_letters
        .change_visibility(&shown)
        .await
        .expect("visible again");

    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("letters");
    let file = file.to_str().expect("text");
    for arguments in [
        &["dead-letters", "export", file, "--delete"][..],
        &["dead-letters", "import", file],
        &["dead-letters", "replay", "--all", "--yes"],
    ] {
        let (status, _, errors) = finished(world.usher(arguments)).await;
        assert_eq!(status, Some(0), "{arguments:?}: {errors}");
    }
    let replayed = world.queue.receive(10).await.expect("received").remove(0);
    assert_eq!(replayed.attributes["usher.replays"], "1");
    assert_eq!(forms(&replayed), PLAIN);
}

#[tokio::test]
async fn log_lines_name_the_trace_and_prefer_the_w3c_form() {
    let world = World::new().await;
    let other = PARENT.replace(ID, "00000000000000000000000000000abc");
    let mut expected = Vec::new();
    for (parent, header, id) in [
        (Some(PARENT), None, Some(ID)),
        (None, Some(XRAY), Some(ID)),
        (Some("malformed"), Some(XRAY), Some(ID)),
        (Some(other.as_str()), Some(XRAY), Some(&other[3..35])),
        (Some("malformed"), None, None),
        (None, None, None),
    ] {
        let user = world
            .create_user(&format!("person-{}", expected.len()))
            .await;
        let mut message = traced(user.event.to_string());
        message.trace_header = header.map(str::to_owned);
        message.attributes.clear();
        if let Some(parent) = parent {
            message
                .attributes
                .insert("traceparent".to_owned(), parent.to_owned());
        }
        world.queue.send(message).await.expect("sent");
        expected.push((user.sub, id));
    }
    let (status, _, log) = finished(world.usher(&["worker", "--until-empty"])).await;
    assert_eq!(status, Some(0), "{log}");
    for (sub, id) in expected {
        let line = settled(&log, &json!({"user.sub": sub})).expect("a line");
        assert_eq!(line["trace.id"].as_str(), id);
    }
}

#[tokio::test]
async fn a_queued_command_keeps_its_callers_trace() {
    let api = Api::start(&[]).await;
    api.world.create_user("ada").await;
    api.make_group("STAFF").await;
    api.world.faults.plan(|call| {
        let throttled = "TooManyRequestsException";
        (call.operation == "AdminAddUserToGroup")
            .then_some(Fault::Error(StatusCode::BAD_REQUEST, throttled))
    });
    let path = "/v1/groups/STAFF/members";
    let command = Some(json!({"username": "ada"}));
    let headers = [("traceparent", PARENT)];
    let answer = api.ask_with("POST", path, command, &headers).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    api.world.faults.clear();
    let what = json!({"request.id": answer.body["requestId"], "outcome": "done"});
    eventually("done", || async {
        settled(&api.process.log(), &what).is_some()
    })
    .await;
    let line = settled(&api.process.log(), &what).expect("just seen");
    assert_eq!(line["trace.id"], ID);
}

#[tokio::test]
async fn a_worker_runs_despite_a_bad_collector_address() {
    let world = World::new().await;
    let users = world.create_users(3).await;
    world.send_all(&users).await;
    let mut command = world.usher(&["worker", "--until-empty"]);
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", "not a URL");
    let mut process = Process::start(command);
    let status = process.exit().await;
    let log = process.log();
    assert!(status.success(), "{log}");
    assert_eq!(log.matches("traces ").count(), 1, "one warning: {log}");
    world.assert_all_provisioned(&users).await;
}
