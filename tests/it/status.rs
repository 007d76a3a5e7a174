//! `usher status`: what is wrong, its next commands and its exit status.

use std::process::Stdio;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use rustix::process::Signal;
use serde_json::{Value, json};
use usher::aws::Outgoing;

use crate::faults::Fault;
use crate::process::{Process, finished, get};
use crate::world::{World, eventually};

const FUNCTION: &str = "arn:aws:lambda:us-east-1:123456789012:function:usher-trigger";

impl World {
    /// Runs `usher status` on the world's pool: exit status and standard output.
    async fn status(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let mut command = self.usher(&["status"]);
        command
            .env("USHER_POOLS__ALLOWED", &self.pool.id)
            .args(arguments);
        let (code, stdout, errors) = finished(command).await;
        assert!(stdout.ends_with('\n'), "{stdout}{errors}");
        (code, stdout.replace(&self.pool.id, "us-east-1_AbCdEf123"))
    }

    async fn attach_trigger(&self) {
        let folder = tempfile::tempdir().expect("a folder");
        let mut attach = self.usher(&["trigger", "attach", "--yes", "--pool", &self.pool.id]);
        attach.args(["--function-arn", FUNCTION]);
        attach.current_dir(folder.path());
        let (code, stdout, errors) = finished(attach).await;
        assert_eq!(code, Some(0), "{stdout}{errors}");
    }

    async fn send_dead_letters_with(&self, reasons: &[&str]) {
        for reason in reasons {
            let attributes = [
                ("usher.reason", *reason),
                ("usher.dead_lettered_at", "2026-08-01T09:05:00.000Z"),
            ];
            let dead_letter = Outgoing {
                body: "{".to_owned(),
                attributes: attributes
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .into(),
                ..Outgoing::default()
            };
            self.dead_letters.send(dead_letter).await.expect("sent");
        }
    }
}

/// A worker, and the argument that names it.
async fn worker(world: &World, settings: &[(&str, &str)]) -> (Process, String) {
    let mut command = world.usher(&["worker"]);
    command.envs(settings.iter().copied());
    let process = Process::start(command);
    let url = format!("--worker=http://{}", process.http().await);
    (process, url)
}

#[tokio::test]
async fn nothing_is_wrong_in_a_quiet_deployment() {
    let world = World::new().await;
    world.attach_trigger().await;
    let (code, text) = world.status(&[]).await;
    let expected = format!(
        "  ok    queue         0 waiting, 0 in flight
  ok    dead letters  none
  skip  workers       http.listen has port 0: there is no fixed address to ask; name a worker with --worker URL
  skip  limited by    no worker to ask; name one with --worker URL
  ok    trigger       PostConfirmation of us-east-1_AbCdEf123 calls {FUNCTION}

0 warnings, 0 failures
"
    );
    assert_eq!((code, text), (Some(0), expected));

    let (process, url) = worker(&world, &[]).await;
    let address = process.http().await;
    eventually("ready", || async {
        get(&address, "/readyz").await.0 == 200
    })
    .await;
    let (code, text) = world.status(&[&url]).await;
    assert_eq!(code, Some(0), "{text}");
    for line in [
        "ok    workers       1 ready\n",
        "ok    limited by    nothing\n",
    ] {
        assert!(text.contains(line), "{text}");
    }
    // The worker that the configuration names needs no option.
    let listen = format!("--set=http.listen={address}");
    let (_, text) = world.status(&[&listen]).await;
    assert!(text.contains("workers       1 ready\n"), "{text}");
}

#[tokio::test]
async fn dead_letters_are_counted_by_reason_and_stay_visible() {
    let world = World::new().await;
    world.attach_trigger().await;
    let reasons = ["throttled", "not_json", "throttled", "throttled"];
    world.send_dead_letters_with(&reasons).await;
    let (code, text) = world.status(&[]).await;
    let expected = "
  FAIL  dead letters  4 (oldest 2026-08-01 09:05 UTC): throttled 3, not_json 1
          next: usher dead-letters list
";
    assert_eq!(code, Some(1));
    assert!(text.contains(expected), "{text}");
    let attributes = world.dead_letters.attributes().await.expect("attributes");
    assert_eq!((attributes.depth.visible, attributes.depth.hidden), (4, 0));

    let other = world.dead_letters.receive(1).await.expect("a dead letter");
    assert_eq!(other.len(), 1);
    let started = Instant::now();
    let (_, text) = world.status(&["-o", "json"]).await;
    assert!(started.elapsed() < Duration::from_mins(1), "it waited");
    let status: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(
        (&status["warnings"], &status["failures"]),
        (&json!(0), &json!(1))
    );
    let finding = &status["findings"][1];
    assert_eq!(finding["what"], "dead letters");
    assert_eq!(finding["state"], "fail");
    assert_eq!(finding["next"], "usher dead-letters list");
    let detail = finding["detail"].as_str().expect("text");
    let start = "about 4, 1 in flight; 3 read (oldest 2026-08-01 09:05 UTC): throttled";
    assert!(detail.starts_with(start), "{detail}");
}

#[tokio::test]
async fn a_pool_without_trigger_and_a_queue_without_worker_warn() {
    let world = World::new().await;
    world.send("{").await;
    let (code, text) = world.status(&[]).await;
    let trigger = "
  WARN  trigger       us-east-1_AbCdEf123 has no PostConfirmation trigger: sign-ups do not reach usher
          note: attach usher-trigger: usher trigger attach --pool us-east-1_AbCdEf123 --function-arn ARN

2 warnings, 0 failures
";
    assert_eq!(code, Some(0));
    assert!(text.ends_with(trigger), "{text}");
    let queue =
        "  WARN  queue         1 waiting, 0 in flight: no worker receives, or its breaker is open
          next: usher check
";
    assert!(text.starts_with(queue), "{text}");
    let known = format!("--function-arn={FUNCTION}");
    let (_, text) = world.status(&[&known]).await;
    let next = format!(
        "next: usher trigger attach --pool us-east-1_AbCdEf123 --function-arn {FUNCTION}\n"
    );
    assert!(text.contains(&next), "{text}");
    assert_eq!(world.status(&["--strict"]).await.0, Some(1));

    world.attach_trigger().await;
    let other = format!("--function-arn={FUNCTION}:live");
    let (_, text) = world.status(&[&other]).await;
    let differs = format!("calls {FUNCTION}, and not {FUNCTION}:live\n");
    assert!(text.contains(&differs), "{text}");
}

#[tokio::test]
async fn a_worker_without_answer_fails_if_it_was_named() {
    let world = World::new().await;
    world.attach_trigger().await;
    let limit = "  skip  limited by    no metrics from the workers\n";
    for (argument, code, line) in [
        (
            "--worker=http://127.0.0.1:1",
            1,
            "  FAIL  workers       no answer from 127.0.0.1:1: ",
        ),
        (
            "--set=http.listen=127.0.0.1:1",
            0,
            "  skip  workers       no answer from 127.0.0.1:1: ",
        ),
    ] {
        let (found, text) = world.status(&[argument]).await;
        assert_eq!(found, Some(code), "{text}");
        assert!(text.contains(line) && text.contains(limit), "{text}");
    }
}

#[tokio::test]
async fn an_endpoint_without_answer_is_one_line() {
    let world = World::new().await;
    let mut command = world.usher(&["status"]);
    command
        .env("USHER_POOLS__ALLOWED", &world.pool.id)
        .env("AWS_ENDPOINT_URL", "http://127.0.0.1:1");
    let (code, text, _) = finished(command).await;
    let expected = [
        "  FAIL  queue         cannot reach http://127.0.0.1:1 (AWS_ENDPOINT_URL): connection refused\n",
        "  skip  dead letters  the queue cannot be read\n",
        "  skip  trigger       see the failure above\n",
        "\n0 warnings, 1 failure\n",
    ];
    assert_eq!(code, Some(1));
    for line in expected {
        assert!(text.contains(line), "{text}");
    }
}

#[tokio::test]
async fn the_budget_that_limits_sign_ups_is_named() {
    let world = World::new().await;
    world.attach_trigger().await;
    let users = world.create_users(80).await;
    world.send_all(&users).await;
    let (process, url) = worker(&world, &[("USHER_QUOTA__USER_UPDATE", "5")]).await;
    let address = process.http().await;
    eventually("sign-ups wait for permits", || async {
        let (_, metrics) = get(&address, "/metrics").await;
        let waiting = r#"usher_quota_waiting{category="user_update"} "#;
        let waiting = metrics.lines().find_map(|line| line.strip_prefix(waiting));
        waiting.is_some_and(|calls| calls.parse().is_ok_and(|calls: u32| calls > 9))
    })
    .await;
    let (code, text) = world.status(&[&url, "--set=quota.user_update=5"]).await;
    assert_eq!(code, Some(0), "a backlog alone is not wrong: {text}");
    assert!(
        text.contains("ok    limited by    quota.user_update 5/s\n"),
        "{text}"
    );
    assert!(text.contains("of work at quota.user_update 5/s"), "{text}");
}

#[tokio::test]
async fn an_open_breaker_is_named_once_with_its_reason() {
    let world = World::new().await;
    world.attach_trigger().await;
    world.faults.plan(|call| {
        let denied = Fault::Error(StatusCode::BAD_REQUEST, "AccessDeniedException");
        (call.operation == "PutItem").then_some(denied)
    });
    let users = world.create_users(1).await;
    world.send_all(&users).await;
    let (process, url) = worker(&world, &[]).await;
    let address = process.http().await;
    eventually("the breaker is open", || async {
        get(&address, "/readyz").await.1.contains("PutItem")
    })
    .await;
    let (code, text) = world.status(&[&url]).await;
    assert_eq!(code, Some(1));
    let reason = "is not ready: blocked: dynamodb PutItem on UserProfile: AccessDeniedException\n";
    for part in [
        reason,
        "next: usher check\n",
        "  FAIL  limited by    circuit breaker open\n",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert_eq!(text.matches("PutItem").count(), 1, "{text}");
}

#[tokio::test]
async fn watch_refreshes_until_sigint_and_reads_reasons_once() {
    let world = World::new().await;
    world.send_dead_letters_with(&["throttled"]).await;
    let folder = tempfile::tempdir().expect("a folder");
    for (format, block) in [
        (
            "text",
            "FAIL  dead letters  1 (oldest 2026-08-01 09:05 UTC): throttled 1",
        ),
        ("json", "{\"time\":"),
    ] {
        let path = folder.path().join(format);
        let file = std::fs::File::create(&path).expect("a file");
        let receives = world.faults.calls("ReceiveMessage");
        let mut command = world.usher(&["status", "--watch", "1", "-o", format]);
        command.stdout(Stdio::from(file));
        let mut process = Process::with_output(command);
        let output = || std::fs::read_to_string(&path).unwrap_or_default();
        eventually("the first block", || async { output().contains(block) }).await;
        let first = world.faults.calls("ReceiveMessage");
        assert!(first > receives, "no reason was read");
        eventually("three blocks", || async {
            output().matches(block).count() > 2
        })
        .await;
        assert_eq!(
            world.faults.calls("ReceiveMessage"),
            first,
            "it scanned again"
        );
        let signalled = Instant::now();
        process.signal(Signal::INT);
        assert!(process.exit().await.success(), "{}", process.log());
        assert!(signalled.elapsed() < Duration::from_secs(5));
    }
    let text = std::fs::read_to_string(folder.path().join("text")).expect("text");
    let blocks = text.split("1 failure\n").count() - 1;
    let starts = text.matches(" UTC\n  ok    queue ").count();
    assert_eq!(blocks, starts, "{text}");
    let lines = std::fs::read_to_string(folder.path().join("json")).expect("text");
    for line in lines.lines() {
        let status: Value = serde_json::from_str(line).expect("an object a line");
        assert_eq!(status["findings"][0]["what"], "queue");
    }
}
