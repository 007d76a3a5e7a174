//! The wait for the source queue, by a paused clock.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::app::Services;
use crate::aws::cognito::fake::fake_aws;
use crate::config::{Config, Layers};

const SUB: &str = "42296c21-5207-4a93-8e3b-d3fc17fff32d";
const SOURCE: &str = "https://sqs.us-east-1.amazonaws.com/1/usher";

/// When the user was deleted, and how often the depth of the source queue was read.
#[derive(Default)]
struct Seen {
    deleted_at: Option<Instant>,
    reads: u64,
}

/// Forgets a user, while the source queue holds what `depth` says for each read after the deletion.
/// Returns the report and the time from the deletion to the end.
async fn forget(depth: impl Fn(u64) -> u64 + Send + Sync + 'static) -> (ForgetReport, Duration) {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let shared = Arc::clone(&seen);
    let respond = move |operation: &str, input: &Value| {
        let mut seen = shared.lock().expect("no panic");
        let (status, body) = match operation {
            "AdminDeleteUser" => {
                seen.deleted_at = Some(Instant::now());
                (200, json!({}))
            }
            "GetQueueAttributes" if input["QueueUrl"] == SOURCE => {
                seen.reads += u64::from(seen.deleted_at.is_some());
                let messages = depth(seen.reads).to_string();
                (
                    200,
                    json!({"Attributes": {"ApproximateNumberOfMessages": messages}}),
                )
            }
            "ListUsers" => (200, json!({"Users": []})),
            "AdminGetUser" if seen.deleted_at.is_none() => {
                let sub = json!([{"Name": "sub", "Value": SUB}]);
                (200, json!({"Username": "ada", "UserAttributes": sub}))
            }
            "AdminGetUser" => (400, json!({"__type": "UserNotFoundException"})),
            _ => (200, json!({})),
        };
        (Duration::ZERO, status, body)
    };
    let flags = [
        "pools.allowed=us-east-1_x",
        "profiles.enabled=false",
        &format!("queue.url={SOURCE}"),
        "queue.dead_letter_url=https://sqs.us-east-1.amazonaws.com/1/dead",
    ];
    let flags = flags.map(str::to_owned);
    let config = Config::for_command(&Layers::defaults().flags(&flags), &[]).expect("valid");
    let services = Services::new(config, fake_aws(respond).await);
    let user = (
        PoolId::new("us-east-1_x").expect("an id"),
        Sub::new(SUB).expect("a sub"),
    );
    let stop = CancellationToken::new();
    let forget = Forget::new(&services, user, false, &stop, &|_, _| {}).await;
    let mut forget = forget.expect("found");
    let found = forget.look().await.expect("read");
    let report = forget.delete(found, &|_, _| {}).await.expect("deleted");
    let deleted_at = seen.lock().expect("no panic").deleted_at;
    (report, deleted_at.expect("deleted").elapsed())
}

#[tokio::test(start_paused = true)]
async fn an_empty_queue_is_not_waited_for() {
    let (report, time) = forget(|_| 0).await;
    assert_eq!(report.status, ForgetStatus::Forgotten);
    assert!(time < Duration::from_secs(30), "{time:?}");
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_is_empty_only_for_a_moment_is_not() {
    let (report, time) = forget(|read| read % 3).await;
    assert_eq!(report.status, ForgetStatus::Left);
    assert!(report.left.messages > 0);
    assert!(time >= MAX_QUEUE_WAIT, "{time:?}");
    let note = report.notes.last().expect("a note");
    assert!(note.contains("when the queue is empty"), "{note}");
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_empties_in_time_is_waited_for() {
    let (report, time) = forget(|read| u64::from(read < 200)).await;
    assert_eq!(report.status, ForgetStatus::Forgotten);
    assert!(time >= QUEUE_POLL_PAUSE * 200, "{time:?}");
}
