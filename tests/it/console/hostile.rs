//! Texts and requests that nobody sends by accident.

use serde_json::{Value, json};
use usher::aws::Outgoing;

use super::Console;
use super::access::{ACTIONS, PAGES};
use crate::faults::Fault;
use crate::world::World;

const HOSTILE: &str = "<script>alert(1)</script><img src=x onerror=alert(2)>";

#[tokio::test]
async fn other_methods_are_refused_on_every_route() {
    let console = Console::open(World::new().await).await;
    let cookie = [("cookie", console.cookie.as_str())];
    for method in ["HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "get"] {
        for path in ACTIONS.into_iter().chain(PAGES) {
            for headers in [&cookie[..], &[]] {
                let answer = console.client.raw(method, path, b"", headers).await;
                assert_eq!(answer.status, 405, "{method} {path}");
                assert_eq!(answer.header("allow"), Some("GET, POST"), "{method} {path}");
            }
        }
    }
}

/// Every text that a dead letter has, outside its body.
fn trace(mut answer: Value) -> Value {
    for message in answer["Messages"].as_array_mut().into_iter().flatten() {
        message["Attributes"]["AWSTraceHeader"] = json!(HOSTILE);
    }
    answer
}

#[tokio::test]
async fn every_field_of_a_dead_letter_is_escaped() {
    let world = World::new().await;
    let fields = [
        "usher.reason",
        "usher.class",
        "usher.error",
        "usher.version",
        "usher.source_message_id",
        "usher.attempts",
        "usher.dead_lettered_at",
        "crm.customer",
    ];
    let body = json!({
        "triggerSource": "PostConfirmation_ConfirmSignUp", "userPoolId": HOSTILE,
        "userName": HOSTILE, "request": {"userAttributes": {"sub": HOSTILE}},
    });
    let dead_letter = Outgoing {
        body: body.to_string(),
        attributes: fields
            .map(|name| (name.to_owned(), format!("{name} {HOSTILE}")))
            .into(),
        ..Outgoing::default()
    };
    world.dead_letters.send(dead_letter).await.expect("sent");
    world
        .faults
        .plan(|call| (call.operation == "ReceiveMessage").then_some(Fault::Answer(trace)));
    let console = Console::open(world).await;
    let all = console.read(1).await;
    let list = console.get("/console/dead-letters").await.text;
    let links = list
        .split("href=\"")
        .filter_map(|rest| rest.split('"').next());
    let mut links = links.filter(|path| path.starts_with("/console/dead-letters/"));
    let path = links.find(|path| !path.contains('?')).expect("a link");
    let one = console.get(path).await.text;
    let body = console.post(&format!("{path}/body"), &[]).await.text;
    let asks = format!("/console/dead-letters/replay?snapshot={}", all[0].1);
    let asks = console.get(&asks).await.text;
    let predicted = console.predict(&all).await;
    for page in [&list, &one, &body, &asks, &predicted] {
        assert!(
            !page.contains("<script>") && !page.contains("<img"),
            "{page}"
        );
        assert!(page.contains("&#60;script&#62;"), "{page}");
    }
    for shown in [
        "usher.class &#60;",
        "usher.error &#60;",
        "<code>&#60;script",
    ] {
        assert!(one.contains(shown), "{shown} is missing in {one}");
    }
    assert!(body.contains("crm.customer &#60;script"), "{body}");
}

#[tokio::test]
async fn long_and_hostile_fields_of_a_query_are_answered() {
    let world = World::new().await;
    world.put_dead_letter("{", "throttled", "").await;
    let console = Console::open(world).await;
    let all = console.read(1).await;
    let long = "x".repeat(10_000);
    let hostile: String = form_urlencoded::byte_serialize(HOSTILE.as_bytes()).collect();
    let fields = [
        "reason",
        "id",
        "since",
        "before",
        "pool",
        "sub",
        "limit",
        "page",
        "snapshot",
        "count",
        "groups",
        "federated",
    ];
    let snapshot = &all[0].1;
    for field in fields {
        for value in [&long, &hostile] {
            for (path, statuses) in [
                (format!("/console/dead-letters?{field}={value}"), [200, 200]),
                (
                    format!("/console/dead-letters/drop?snapshot={snapshot}&{field}={value}"),
                    [200, 409],
                ),
                (
                    format!("/console/reconcile/run?{field}={value}"),
                    [200, 422],
                ),
                (format!("/console?{field}={value}"), [200, 200]),
            ] {
                let answer = console.get(&path).await;
                assert!(
                    statuses.contains(&answer.status),
                    "{path}: {}",
                    answer.status
                );
                assert!(!answer.text.contains("<script>"), "{path}");
                assert!(answer.text.len() < 100_000, "{path}");
            }
        }
    }
    let posted = console
        .act("drop", &super::with(&all, &[("note", &long)]))
        .await;
    assert_eq!(posted.status, 422);
    assert_eq!((console.visible().await, console.audit().len()), (1, 0));
}
