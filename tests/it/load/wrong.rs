//! A worker that is wrong on purpose: the load test names everybody concerned.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use usher::worker::Until;

use crate::faults::{Call, Fault};
use crate::world::World;

/// Users whose group is left out.
const LEFT_OUT: [&str; 2] = ["-3", "-17"];
/// Poison whose letter is swallowed: malformed, so that it is one.
const SWALLOWED: &str = "-p0\"";
/// A record is looked for twice a second until it is seen. One that was looked for
/// after its put took effect, and not since, has been seen.
const EFFECT: Duration = Duration::from_millis(50);
const NOT_LOOKED_FOR: Duration = Duration::from_millis(1500);

/// What really went wrong, as the plan did it.
#[derive(Default)]
struct Wrongs {
    put: HashMap<String, Instant>,
    looked_for: HashMap<String, Instant>,
    overwritten: BTreeSet<String>,
}

impl Wrongs {
    /// A second put of a record that the load test has seen goes over the first.
    fn put(&mut self, sub: &str) -> Option<Fault> {
        let times = self.put.get(sub).zip(self.looked_for.get(sub));
        if times.is_some_and(|(put, looked_for)| {
            // By a look after the put, which found it: there was none since.
            *looked_for > *put + EFFECT && looked_for.elapsed() > NOT_LOOKED_FOR
        }) {
            self.overwritten.insert(sub.to_owned());
            return Some(Fault::Altered(unconditional));
        }
        self.put.entry(sub.to_owned()).or_insert_with(Instant::now);
        None
    }

    fn look(&mut self, tables: &Value) {
        let tables = tables.as_object().expect("tables").values();
        for key in tables.flat_map(|table| table["Keys"].as_array().expect("keys")) {
            let sub = key["id"]["S"].as_str().expect("a key");
            self.looked_for.insert(sub.to_owned(), Instant::now());
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
async fn a_worker_that_is_wrong_is_found_out_user_by_user() {
    let world = World::new().await;
    let wrongs = Arc::new(Mutex::new(Wrongs::default()));
    let dead = world.dead_letters.url().to_owned();
    let seen = Arc::clone(&wrongs);
    world.faults.plan(move |call: &Call| {
        let input = &call.input;
        let mut wrongs = seen.lock().expect("not poisoned");
        match call.operation.as_str() {
            "AdminAddUserToGroup" => {
                let name = input["Username"].as_str().expect("a name");
                let left_out = LEFT_OUT.iter().any(|end| name.ends_with(end));
                left_out.then(|| Fault::Pretended(json!({})))
            }
            "PutItem" => wrongs.put(input["Item"]["id"]["S"].as_str().expect("a key")),
            "BatchGetItem" => {
                wrongs.look(&input["RequestItems"]);
                None
            }
            "SendMessage" if input["QueueUrl"] == json!(dead) => {
                let body = input["MessageBody"].as_str().expect("a body");
                let sent = json!({"MessageId": "swallowed", "MD5OfMessageBody": ""});
                // The first of the malformed is text, and ends its name with a blank.
                let swallowed = body.contains(SWALLOWED) || body.contains("-p0 ");
                swallowed.then_some(Fault::Pretended(sent))
            }
            _ => None,
        }
    });
    // Two of them: one remembers whom it has done, the other writes again.
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
            "--create-users",
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
    world.faults.mend();
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
    let overwritten = wrongs.lock().expect("not poisoned").overwritten.clone();
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
    // What was wrong is cleaned up like what was right.
    world.assert_untouched().await;
}
