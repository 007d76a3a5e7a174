//! How many messages a second the injector of `usher load run` sustains on one core.
//!
//! The real injector on a runtime of one thread, over HTTP, against a server in
//! another thread. The server takes 10 ms for each `SendMessageBatch`, as SQS does,
//! and stores nothing. Prints figures and asserts none.
//!
//!     cargo bench --bench load

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::response::IntoResponse;
use serde_json::{Value, json};
use tokio::time::Instant;
use usher::aws::{Aws, Outgoing, Queue};
use usher::event::{PoolId, Sub, Username, escape_for_sqs};
use usher::load::{
    InjectionProgress, LoadMessage, LoadPlan, RunId, SignUpTemplate, Stages, Tag, TestUser, inject,
};

const RESPONSE_TIME: Duration = Duration::from_millis(10);
const SECONDS: u32 = 20;

/// Accepts all entries of a batch.
async fn accept_batch(accepted: Arc<AtomicU64>, body: Bytes) -> impl IntoResponse {
    let input: Value = serde_json::from_slice(&body).expect("JSON");
    tokio::time::sleep(RESPONSE_TIME).await;
    let entries = match input["Entries"].as_array() {
        Some(entries) => entries.clone(),
        None => Vec::new(),
    };
    accepted.fetch_add(entries.len() as u64, Ordering::Relaxed);
    let sent: Vec<Value> = entries
        .iter()
        .map(|entry| json!({"Id": entry["Id"], "MessageId": "m", "MD5OfMessageBody": ""}))
        .collect();
    json!({"Successful": sent, "Failed": []}).to_string()
}

/// Starts the server on its own thread and runtime. Returns its URL.
fn server(accepted: Arc<AtomicU64>) -> String {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
                .await
                .expect("a port");
            sender
                .send(listener.local_addr().expect("an address"))
                .expect("heard");
            let routes =
                Router::new().fallback(move |body| accept_batch(Arc::clone(&accepted), body));
            axum::serve(listener, routes).await.expect("serves");
        });
    });
    format!("http://{}", receiver.recv().expect("an address"))
}

/// Processor time of this thread so far, in seconds.
fn thread_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").expect("a stat");
    let (_, rest) = stat.rsplit_once(')').expect("a name");
    let ticks = rest.split_whitespace().skip(11).take(2);
    // Linux always reports a hundred ticks a second.
    ticks
        .map(|ticks| ticks.parse::<f64>().expect("ticks"))
        .sum::<f64>()
        / 100.0
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(measure());
}

async fn measure() {
    let accepted = Arc::new(AtomicU64::new(0));
    let url = server(Arc::clone(&accepted));
    let aws = Aws::at_endpoint(&url).await;
    let queue = Queue::new(
        &aws,
        &format!("{url}/1/usher"),
        RESPONSE_TIME,
        RESPONSE_TIME,
    );
    let run: RunId = "20261121-000000-load".parse().expect("an id");
    let pool = PoolId::new("eu-west-1_load").expect("an id");
    let sign_ups = SignUpTemplate::Generated {
        client_id: None,
        attributes: Vec::new(),
    };
    let message = |kind| {
        let (LoadMessage::SignUp(n) | LoadMessage::Duplicate(n) | LoadMessage::Poison(n)) = kind;
        let name = run.name(Tag::SignUp(n));
        let user = TestUser {
            number: n,
            username: Username::new(&name).expect("not empty"),
            sub: Sub::new("00000000-0000-4000-8000-000000000000").expect("not empty"),
            email: format!("{name}@example.com"),
        };
        // As `usher load run` builds it.
        Outgoing {
            body: escape_for_sqs(&sign_ups.body(&run, &pool, &user)),
            attributes: BTreeMap::from([
                ("usher.kind".to_owned(), "PostConfirmation".to_owned()),
                (
                    "usher.forwarded_at".to_owned(),
                    jiff::Timestamp::now().to_string(),
                ),
            ]),
            message_group: Some(pool.as_str().to_owned()),
            ..Outgoing::default()
        }
    };
    println!("  asked    held  late p50       p99       max  answer p99  of a core");
    for rate in [1000_u32, 2000, 5000, 10_000] {
        let stages = Stages::steady(rate * SECONDS, f64::from(rate)).expect("stages");
        let plan = LoadPlan::new(&stages, 0.0, 0.0, 1);
        let (before, began) = (thread_seconds(), Instant::now());
        let sent = InjectionProgress::default();
        let stop = tokio_util::sync::CancellationToken::new();
        let sends = inject(&queue, &plan.messages, message, began, &sent, &stop).await;
        let seconds = sends.duration.as_secs_f64();
        let share = 100.0 * (thread_seconds() - before) / seconds;
        assert_eq!(sends.accepted, accepted.swap(0, Ordering::Relaxed));
        #[expect(clippy::cast_precision_loss, reason = "some thousands")]
        let held = sends.accepted as f64 / seconds;
        let late = sends.lateness.quantiles().expect("sent");
        let answer = sends.send_latency.quantiles().expect("sent");
        println!(
            "{rate:>7} {held:>7.0} {:>6.1} ms {:>6.1} ms {:>6.1} ms {:>8.1} ms {share:>8.0} %",
            late.p50, late.p99, late.max, answer.p99
        );
    }
}
