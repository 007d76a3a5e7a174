//! A faulty worker: the load test names every affected user.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use usher::worker::Until;

use crate::faults::{Call, Fault};
use crate::world::World;

/// Users who are not added to their group.
const LEFT_OUT: [&str; 2] = ["-3", "-17"];
/// Marks the poison message whose dead letter is lost. It is malformed, so it needs one.
const LOST_DEAD_LETTER: &str = "-p0\"";
/// The load test reads a profile twice a second until it exists. A profile that was read
/// after its put took effect, and not since, has been seen.
const EFFECT: Duration = Duration::from_millis(50);
const MIN_UNREAD_TIME: Duration = Duration::from_millis(1500);

/// The errors that the plan injected.
#[derive(Default)]
struct InjectedErrors {
    put: HashMap<String, Instant>,
    read_at: HashMap<String, Instant>,
    overwritten: BTreeSet<String>,
}

impl InjectedErrors {
    /// Lets a second put overwrite a profile that the load test has seen.
    fn put(&mut self, sub: &str) -> Option<Fault> {
        let times = self.put.get(sub).zip(self.read_at.get(sub));
        if times.is_some_and(|(put, read_at)| {
            // A read after the put found the profile, because there was none since.
            *read_at > *put + EFFECT && read_at.elapsed() > MIN_UNREAD_TIME
        }) {
            self.overwritten.insert(sub.to_owned());
            return Some(Fault::Altered(unconditional));
        }
        self.put.entry(sub.to_owned()).or_insert_with(Instant::now);
        None
    }

    fn read(&mut self, tables: &Value) {
        let tables = tables.as_object().expect("tables").values();
        for key in tables.flat_map(|table| table["Keys"].as_array().expect("keys")) {
            let sub = key["id"]["S"].as_str().expect("a key");
            self.read_at.insert(sub.to_owned(), Instant::now());
        }
    }
}

fn unconditional(mut put: Value) -> Value {
    let input = put.as_object_mut().expect("an input");
    for part in ["ConditionExpression", "ExpressionAttributeNames"] {
        input.remove(part);
    }
    put
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_error_of_a_faulty_worker_is_reported() {
    let world = World::new().await;
    let injected = Arc::new(Mutex::new(InjectedErrors::default()));
    let dead_letter_url = world.dead_letters.url().to_owned();
    let seen = Arc::clone(&injected);
    world.faults.plan(move |call: &Call| {
        let input = &call.input;
        let mut injected = seen.lock().expect("not poisoned");
        match call.operation.as_str() {
            "AdminAddUserToGroup" => {
                let name = input["Username"].as_str().expect("a name");
                let left_out = LEFT_OUT.iter().any(|end| name.ends_with(end));
                left_out.then(|| Fault::Pretended(json!({})))
            }
            "PutItem" => injected.put(input["Item"]["id"]["S"].as_str().expect("a key")),
            "BatchGetItem" => {
                injected.read(&input["RequestItems"]);
                None
            }
            "SendMessage" if input["QueueUrl"] == json!(dead_letter_url) => {
                let body = input["MessageBody"].as_str().expect("a body");
                let sent = json!({"MessageId": "swallowed", "MD5OfMessageBody": ""});
                // The first malformed body is text, in which a blank follows the name.
                let swallowed = body.contains(LOST_DEAD_LETTER) || body.contains("-p0 ");
                swallowed.then_some(Fault::Pretended(sent))
            }
            _ => None,
        }
    });
    // Two workers: one remembers its users, the other writes their profiles again.
    let config = world.config(&[("pools.allowed", &world.pool.id)]);
    let workers = [
        world.worker(&config, Until::Stopped).await,
        world.worker(&config, Until::Stopped).await,
    ];
    let pool = world.with_pool();
    let (status, report, err) = world
        .load(&[
            "--set",
            &pool,
            "--count",
            "40",
            "--rate",
            "6",
            "--duplicates",
            "100%",
            "--poison",
            "10%",
            "--seed",
            "1",
        ])
        .await;
    for worker in workers {
        worker.stop().await;
    }
    world.faults.clear();
    assert_eq!(status, Some(1), "{err}");
    assert_eq!(report["verified"], json!(false));

    let run = report["run"].as_str().expect("a run");
    let found = |kind: &str, part: &str| -> BTreeSet<String> {
        let differences = report["differences"].as_array().expect("a list").iter();
        let of_kind = differences.filter(|difference| difference["kind"] == json!(kind));
        of_kind
            .map(|difference| difference[part].as_str().unwrap_or_default().to_owned())
            .collect()
    };
    let named = |ends: &[&str]| -> BTreeSet<String> {
        ends.iter()
            .map(|end| format!("usher-load-{run}{end}"))
            .collect()
    };
    assert_eq!(found("missing_group", "who"), named(&LEFT_OUT), "{err}");
    assert_eq!(found("missing_letter", "who"), named(&["-p0"]));
    let overwritten = injected.lock().expect("not poisoned").overwritten.clone();
    assert!(
        !overwritten.is_empty(),
        "nothing was overwritten: this showed nothing"
    );
    assert_eq!(found("changed_profile", "sub"), overwritten);
    let all = report["differences"].as_array().expect("a list").len();
    assert_eq!(
        all,
        LEFT_OUT.len() + 1 + overwritten.len(),
        "{}",
        report["differences"]
    );
    // The clean-up covers the failed sign-ups, too.
    world.assert_untouched().await;
}
