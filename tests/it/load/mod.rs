//! The load test: its verdict on a worker, and the data that it leaves.

mod clean;
mod faulty_worker;

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use usher::worker::Until;

use crate::faults::Fault;
use crate::process::{finished, finished_within};
use crate::world::World;

/// Thousands of users take minutes on a busy machine.
const LIMIT: Duration = Duration::from_mins(8);
/// High rates: the embedded endpoint has no quota.
const FAST: [&str; 4] = [
    "quota.user_creation=1000",
    "quota.user_resource_read=1000",
    "quota.user_update=1000",
    "quota.user_list=1000",
];

/// The arguments of a load test; `allowed` is the setting that allows its pool.
fn load_arguments<'a>(allowed: &'a str, arguments: &[&'a str]) -> Vec<&'a str> {
    let mut all = vec!["load", "run", "--output", "json", "--set", allowed];
    // The counters of the embedded queue are exact.
    if !arguments.contains(&"--quiet-period") {
        all.extend(["--quiet-period", "3s"]);
    }
    all.extend(FAST.iter().flat_map(|setting| ["--set", setting]));
    all.extend(arguments);
    all
}

impl World {
    fn allowed(&self) -> String {
        format!("load.allowed_pools={}", self.pool.id)
    }

    /// `usher load run`: exit status, the report, standard error.
    async fn load(&self, arguments: &[&str]) -> (Option<i32>, Value, String) {
        let allowed = self.allowed();
        let command = self.usher(&load_arguments(&allowed, arguments));
        let (status, out, err) = finished_within(LIMIT, command).await;
        (status, serde_json::from_str(&out).unwrap_or_default(), err)
    }

    fn with_pool(&self) -> String {
        format!("pools.allowed={}", self.pool.id)
    }

    /// Asserts that the run left nothing in the pool, the table and the queues.
    async fn assert_untouched(&self) {
        let users = self.sandbox.users(&self.pool.id).await.expect("users");
        assert!(users.is_empty(), "{users:?}");
        assert!(self.profiles().await.is_empty());
        self.assert_queue_empty().await;
        assert_eq!(self.read_dead_letters().await.len(), 0, "letters");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_sign_ups_verify_clean_and_leave_nothing() {
    // A debug build takes minutes for more. `.ci/run load` uses 2000.
    let count = std::env::var("USHER_SIGN_UPS");
    let count: u32 = count.map_or(500, |count| count.parse().expect("a number"));
    let (duplicates, poison) = (count / 20, count / 100);
    let world = World::new().await;
    let (pool, folder) = (world.with_pool(), tempfile::tempdir().expect("a folder"));
    let page = folder.path().join("report.html");
    let config = world.config(&[("pools.allowed", &world.pool.id)]);
    let worker = world.worker(&config, Until::Stopped).await;
    let (status, report, err) = world
        .load(&[
            "--set",
            &pool,
            "--count",
            &count.to_string(),
            "--rate",
            "100",
            "--duplicates",
            "5%",
            "--poison",
            "1%",
            "--report",
            page.to_str().expect("text"),
        ])
        .await;
    worker.stop().await;
    assert_eq!(status, Some(0), "{err}\n{}", report["differences"]);
    assert_eq!(report["verified"], json!(true));
    assert_eq!(report["planned"]["sign_ups"], json!(count));
    assert_eq!(
        report["injected"]["messages"],
        json!(count + duplicates + poison)
    );
    assert_eq!(report["finished"]["sign_ups"], json!(count));
    assert_eq!(report["latency_ms"]["count"], json!(count));
    // A third is malformed, a third of unknown users, and a third of a foreign pool.
    let cleaned = json!({
        "messages": 0, "dead_letters": poison, "profiles": count,
        "users": count + poison, "complete": true,
    });
    assert_eq!(report["cleaned"], cleaned);
    let timeline = report["timeline"].as_array().expect("a timeline");
    let last = timeline.last().expect("moments");
    assert_eq!(last["planned"], json!(count + duplicates + poison));
    assert_eq!(last["finished"], json!(count));
    let page = std::fs::read_to_string(page).expect("a page");
    assert!(page.contains(report["run"].as_str().expect("a run")));
    let last = err.lines().last().expect("a line");
    assert!(
        last.starts_with("report: ") && last.ends_with("/report.html"),
        "{err}"
    );
    world.assert_untouched().await;
}

#[tokio::test]
async fn a_pool_that_is_not_allowed_is_refused_before_any_call() {
    let world = World::new().await;
    let pool = world.pool.id.as_str();
    let (allowed, other) = (world.allowed(), "load.allowed_pools=us-east-1_other");
    for (arguments, part) in [
        (
            vec!["--set", other, "--pool", pool, "--count", "1"],
            "is not in load.allowed_pools",
        ),
        (
            vec![
                "--set",
                &allowed,
                "--set",
                "pools.allowed=us-east-1_other",
                "--count",
                "1",
            ],
            "is not in pools.allowed: the worker would make dead letters of its sign-ups",
        ),
        (vec!["--set", &allowed], "set --count, --stages or --events"),
        (
            vec!["--set", &allowed, "--stages", "hold 5m"],
            "no rate before it",
        ),
        (
            vec![
                "--set",
                &allowed,
                "--count",
                "1",
                "--require",
                "throttled=0",
            ],
            "--require throttled=0: only the workers know it; name them with --worker",
        ),
        (
            vec![
                "--set",
                &allowed,
                "--set",
                "profiles.enabled=false",
                "--count",
                "1",
                "--require",
                "p99<2s",
            ],
            "--require p99<2s: only profiles show it, and profiles.enabled is false",
        ),
        (vec!["--duplicates", "5"], "must have a percent sign"),
        (vec!["--worker", "localhost"], "http://HOST:PORT"),
        (vec!["--attribute", "sub=1"], "each user's own"),
        (
            vec!["--count", "1", "--stages", "burst 1"],
            "cannot be used with",
        ),
    ] {
        let mut all = vec!["load", "run"];
        all.extend(&arguments);
        let (status, out, err) = finished(world.usher(&all)).await;
        assert_eq!(status, Some(2), "{arguments:?}: {err}");
        assert!(err.contains(part), "{arguments:?}: {err}");
        assert_eq!(out, "");
    }
    for (arguments, status, part) in [
        (
            &["load", "run", "--count", "1"][..],
            78,
            "load.allowed_pools is empty",
        ),
        (
            &["load", "clean", "20261121-142249-k3f9"],
            78,
            "load.allowed_pools is empty",
        ),
        (&["load", "clean", "2026"], 2, "not the id of a run"),
    ] {
        let (ended, _, err) = finished(world.usher(arguments)).await;
        assert_eq!(ended, Some(status), "{arguments:?}: {err}");
        assert!(err.contains(part), "{arguments:?}: {err}");
    }
    let nowhere = ["--set", &allowed, "--count", "1", "--report", "/nowhere/x"];
    let mut all = vec!["load", "run"];
    all.extend(nowhere);
    let (status, _, err) = finished(world.usher(&all)).await;
    assert_eq!(status, Some(1));
    assert!(err.contains("--report /nowhere/x"), "{err}");
    let folder = tempfile::tempdir().expect("a folder");
    let earlier = folder.path().join("report.html");
    std::fs::write(&earlier, "an earlier report").expect("written");
    all.pop();
    all.push(earlier.to_str().expect("text"));
    let (status, _, err) = finished(world.usher(&all)).await;
    assert_eq!(status, Some(2));
    assert!(err.contains("already exists; use another name"), "{err}");
    let kept = std::fs::read_to_string(&earlier).expect("text");
    assert_eq!(kept, "an earlier report");
    world.assert_untouched().await;
}

#[tokio::test]
async fn a_requirement_that_is_not_met_fails_the_run() {
    let world = World::new().await;
    let (pool, folder) = (world.with_pool(), tempfile::tempdir().expect("a folder"));
    let file = folder.path().join("load.xml");
    std::fs::write(&file, "an earlier run").expect("written");
    let config = world.config(&[("pools.allowed", &world.pool.id)]);
    let worker = world.worker(&config, Until::Stopped).await;
    let (status, report, err) = world
        .load(&[
            "--set",
            &pool,
            "--count",
            "3",
            "--quiet-period",
            "1s",
            "--require",
            "finished=100%,p50<1us",
            "--junit",
            file.to_str().expect("text"),
        ])
        .await;
    worker.stop().await;
    assert_eq!(status, Some(1), "{err}");
    assert_eq!(report["verified"], json!(true), "{err}");
    assert_eq!(report["requirements"][0]["met"], json!(true));
    assert_eq!(report["requirements"][1]["met"], json!(false));
    let unmet = "Required p50<1us: not met, measured ";
    assert!(err.lines().any(|line| line.starts_with(unmet)), "{err}");
    assert!(!err.contains("finished=100%"), "{err}");
    let file = std::fs::read_to_string(file).expect("a file");
    assert!(file.starts_with("<?xml"), "{file}");
    assert!(file.contains("tests=\"4\" failures=\"1\""), "{file}");
}

fn event(folder: &Path, file: &str, event: &Value) {
    std::fs::write(folder.join(file), event.to_string()).expect("written");
}

#[tokio::test]
async fn real_events_are_sent_under_generated_names() {
    let world = World::new().await;
    let folder = tempfile::tempdir().expect("a folder");
    let source = "PostConfirmation_ConfirmSignUp";
    event(
        folder.path(),
        "1.json",
        &json!({
            "triggerSource": source, "userPoolId": "eu-west-1_Real", "userName": "ada",
            "callerContext": {"clientId": "web"},
            "request": {"userAttributes": {"sub": "real", "email": "ada@mail.example", "custom:plan": "pro"}},
        }),
    );
    event(
        folder.path(),
        "2.json",
        &json!({
            "triggerSource": source, "userPoolId": "eu-west-1_Real", "userName": "+15550100",
            "request": {"userAttributes": {"phone_number": "+15550100"}},
        }),
    );
    event(
        folder.path(),
        "3.json",
        &json!({
            "triggerSource": "PostConfirmation_ConfirmForgotPassword",
            "userPoolId": "eu-west-1_Real", "userName": "ada",
        }),
    );
    let config = folder.path().join("usher.toml");
    std::fs::write(
        &config,
        "[[groups.rules]]\ngroups = [\"PRO\"]\nattribute = \"custom:plan\"\nequals = \"pro\"\n",
    )
    .expect("written");
    let path = config.to_str().expect("text");
    let worker = crate::process::Process::start(world.usher(&["worker", "--config", path]));
    let events = folder.path().to_str().expect("text");
    let (status, report, err) = world
        .load(&[
            "--config",
            path,
            "--events",
            events,
            "--count",
            "6",
            "--no-cleanup",
        ])
        .await;
    drop(worker);
    assert_eq!(status, Some(0), "{err}\n{}", report["differences"]);
    for (file, why) in [
        ("3.json", "not a confirmed sign-up"),
        ("usher.toml", "not JSON"),
    ] {
        let line = err.lines().find(|line| line.contains(file));
        assert!(line.is_some_and(|line| line.contains(why)), "{err}");
    }
    assert_eq!(world.members("PRO").await.len(), 3);
    assert_eq!(world.members("EVERYONE").await.len(), 6);
    let profiles = world.profiles().await;
    assert_eq!(profiles.len(), 6, "kept");
    assert!(!format!("{profiles:?}").contains("ada@"), "{profiles:?}");
    let addressed = profiles
        .values()
        .filter(|profile| profile.contains_key("email"));
    assert_eq!(
        addressed.count(),
        3,
        "an event without an address stays without one"
    );
}

/// The counters of SQS may be old: one that is zero does not prove an empty queue.
#[tokio::test]
async fn a_momentarily_empty_queue_does_not_end_the_run() {
    let world = World::new().await;
    let begun = std::sync::Arc::new(std::sync::OnceLock::new());
    world
        .faults
        .plan(move |call| match call.operation.as_str() {
            // For six seconds after the first message.
            "SendMessageBatch" => {
                begun.get_or_init(std::time::Instant::now);
                None
            }
            "GetQueueAttributes" => {
                let is_old = begun.get().is_some_and(|at| at.elapsed().as_secs() < 6);
                is_old.then_some(Fault::Answer(|mut answer| {
                    for name in ["", "NotVisible", "Delayed"] {
                        let name = format!("ApproximateNumberOfMessages{name}");
                        answer["Attributes"][name] = json!("0");
                    }
                    answer
                }))
            }
            _ => None,
        });
    // Eight seconds of work.
    let config = world.config(&[
        ("pools.allowed", &world.pool.id),
        ("quota.user_update", "10"),
    ]);
    let worker = world.worker(&config, Until::Stopped).await;
    let pool = world.with_pool();
    let (status, report, err) = world
        .load(&[
            "--set",
            &pool,
            "--count",
            "80",
            "--rate",
            "80",
            "--quiet-period",
            "8s",
        ])
        .await;
    worker.stop().await;
    assert_eq!(status, Some(0), "{err}\n{}", report["differences"]);
    // Without a terminal the progress is a line now and then.
    let is_progress = |line: &str| line.starts_with("finished: ") && line.contains(" of 80, ");
    assert!(err.lines().any(is_progress), "{err}");
    world.assert_untouched().await;
}
