//! The export of spans to a collector.

use std::time::{Duration, Instant};

use axum::http::StatusCode;
use rustix::process::Signal;
use serde_json::json;
use tokio::net::{TcpListener, TcpSocket};

use super::collector::Collector;
use super::{ID, settled, traced};
use crate::faults::Fault;
use crate::process::{Process, finished};
use crate::world::{World, eventually};

#[tokio::test]
async fn an_attempt_and_its_calls_join_the_trace_of_the_message() {
    let world = World::new().await;
    let collector = Collector::start().await;
    let ada = world.create_user("ada").await;
    let bob = world.create_user("bob").await;
    let message = traced(ada.event.to_string());
    world.queue.send(message).await.expect("sent");
    world.send(bob.event.to_string()).await;
    let mut command = world.usher(&["worker", "--until-empty"]);
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url);
    // The log filter does not affect spans.
    command.env("RUST_LOG", "error,usher::worker=info");
    let (status, _, log) = finished(command).await;
    assert_eq!(status, Some(0), "{log}");

    let spans = collector.spans();
    let queue = world.queue.url().rsplit('/').next().expect("a name");
    let process = format!("process {queue}");
    let of = |sub: &str| {
        let mut spans = spans.iter();
        let span = spans.find(|it| it.name == process && it.attributes.contains(sub));
        span.expect("a span")
    };
    let (adas, bobs) = (of(&ada.sub), of(&bob.sub));
    assert_eq!(
        (adas.trace.as_str(), adas.parent.as_str()),
        (ID, "53995c3f42cd8ad8")
    );
    assert_eq!(bobs.parent, "", "a trace that begins here");
    for span in [adas, bobs] {
        for call in ["cognito.AdminAddUserToGroup", "dynamodb.PutItem"] {
            let mut spans = spans.iter();
            let call = spans.find(|it| it.name == call && it.parent == span.id);
            assert_eq!(call.expect("a call").trace, span.trace);
        }
        assert!(span.attributes.contains("done") && span.attributes.contains(&world.pool.id));
        for (name, value) in [
            ("messaging.system", "aws_sqs"),
            ("messaging.operation.name", "process"),
            ("messaging.operation.type", "process"),
            ("messaging.destination.name", queue),
        ] {
            assert!(span.has(name, value), "{name} {span:?}");
        }
        assert!(span.attributes.contains("messaging.message.id"));
        assert!(!span.attributes.contains("error.type"), "{span:?}");
    }
    assert!(
        spans
            .iter()
            .all(|it| it.trace == adas.trace || it.trace == bobs.trace)
    );
    for (user, span) in [(&ada, adas), (&bob, bobs)] {
        let line = settled(&log, &json!({"user.sub": user.sub})).expect("a line");
        assert_eq!(line["trace.id"], span.trace);
        assert!(line["spans"].is_null() && line["span"].is_null(), "{line}");
    }
    let text = collector.text();
    assert!(
        text.contains("service.name\u{12}\u{7}\n\u{5}usher"),
        "{text:?}"
    );
}

#[tokio::test]
async fn spans_hold_no_personal_data() {
    let world = World::new().await;
    // A message of an unknown pool may be released for ten minutes before a valid one succeeds.
    world.faults.time_lapse();
    let collector = Collector::start().await;
    for n in 0..24 {
        let mut user = world
            .create_user(&format!("Zebulon-{n}@Quagmire.example"))
            .await;
        let attributes = &mut user.event["request"]["userAttributes"];
        attributes["phone_number"] = json!(format!("+1555010{n:04}"));
        attributes["given_name"] = json!(format!("Zebedee{n}"));
        match n % 6 {
            0 => user.event["userName"] = json!(format!("Vanished-{n}@Quagmire.example")),
            1 => user.event["triggerSource"] = json!("UserMigration_Authentication"),
            2 => user.event["userPoolId"] = json!("us-east-1_Strange01"),
            3 => attributes["sub"] = json!("sub-of-Zebulon@Quagmire.example"),
            _ => {}
        }
        let body = user.event.to_string();
        let cut = if n % 6 == 4 {
            body.len() - 5
        } else {
            body.len()
        };
        let mut message = traced(&body[..cut]);
        let state = "vendor=Zebulon".to_owned();
        message.attributes.insert("tracestate".to_owned(), state);
        world.queue.send(message).await.expect("sent");
    }
    let mut calls = 0;
    world.faults.plan(move |call| {
        calls += 1;
        let refused = Fault::Error(StatusCode::BAD_REQUEST, "InvalidParameterException");
        (call.operation == "AdminAddUserToGroup" && calls % 7 == 0).then_some(refused)
    });
    let mut command = world.usher(&["worker", "--until-empty"]);
    command
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url)
        .env("USHER_WORKER__MAX_ATTEMPTS", "2")
        .env("RUST_LOG", "trace");
    let (status, _, log) = finished(command).await;
    assert_eq!(status, Some(0), "{log}");
    let text = collector.text().to_lowercase();
    for there in [
        "error.type",
        "rejected",
        "user_not_found",
        "invalidparameterexception",
    ] {
        assert!(text.contains(there), "{there}");
    }
    for secret in ["zebulon", "zebedee", "quagmire", "vanished", "+1555"] {
        assert!(!text.contains(secret), "{secret}");
        assert!(!log.to_lowercase().contains(secret), "{secret} in the log");
    }
}

/// One collector accepts connections and never answers; at the other address none listens.
#[tokio::test]
async fn a_collector_that_is_down_or_hangs_disturbs_nothing() {
    let hanging = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let never_answers = hanging.local_addr().expect("an address").to_string();
    // Bound but not listening: the port stays reserved, and connections are refused.
    let silent = TcpSocket::new_v4().expect("a socket");
    silent
        .bind(([127, 0, 0, 1], 0).into())
        .expect("a free port");
    let refuses = silent.local_addr().expect("an address").to_string();
    for (address, hangs) in [(never_answers, true), (refuses, false)] {
        let world = World::new().await;
        let users = world.create_users(40).await;
        world.send_all(&users).await;
        let mut command = world.usher(&["worker"]);
        command
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{address}"))
            .env("OTEL_BSP_SCHEDULE_DELAY", "50");
        let mut process = Process::start(command);
        eventually("all done", || async {
            process.log().matches("\"outcome\":\"done\"").count() == users.len()
        })
        .await;
        // The first export is in progress.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let signalled = Instant::now();
        process.signal(Signal::TERM);
        assert!(process.exit().await.success(), "{}", process.log());
        let took = signalled.elapsed();
        println!("SIGTERM to exit: {took:?}");
        // A long poll of one second, and one second for the spans.
        assert!(took < Duration::from_secs(4), "{took:?}");
        let log = process.log();
        let count = |words: &str| log.matches(words).count();
        let failed = count("traces cannot be exported");
        let late = count("the last traces were not");
        if hangs {
            // On a slow machine the first request may fail, too.
            assert!(late == 1 && failed <= 1, "{log}");
        } else {
            // The spans that are left at the end are refused, too.
            assert!(failed + late > 0 && failed <= 1 && late <= 1, "{log}");
        }
        world.assert_all_provisioned(&users).await;
    }
    drop((hanging, silent));
}
