//! The commands as an operator types them: exit status, output, errors.

use std::process::Output;

use serde_json::{Value, json};
use usher::aws::Outgoing;

use crate::process::{finished, usher};
use crate::world::World;

async fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    usher()
        .args(arguments)
        .envs(variables.iter().copied())
        .output()
        .await
        .expect("runs")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).expect("one JSON document on standard output")
}

fn objects(output: &Output) -> Vec<Value> {
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines()
        .map(|line| serde_json::from_str(line).expect("one JSON object a line"))
        .collect()
}

#[tokio::test]
async fn usage_errors_are_2_and_invalid_configuration_is_78() {
    for wrong in [
        &["dance"][..],
        &["worker", "--nonsense"],
        &[],
        &["dev", "--signups", "x"],
    ] {
        let output = run(wrong, &[]).await;
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
        // As usher's own errors; without a command it prints its help.
        let errors = stderr(&output);
        assert_eq!(errors.starts_with("usher: "), !wrong.is_empty(), "{errors}");
        assert!(!errors.contains("For more information"), "{errors}");
        assert!(output.stdout.is_empty());
    }
    let output = run(&["--version"], &[]).await;
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stdout.starts_with(b"usher ") && output.stderr.is_empty());
    let output = run(&["worker"], &[("USHER_WORKER__DRAIN", "1h")]).await;
    assert_eq!(output.status.code(), Some(78));
    let text = stderr(&output);
    for part in [
        "queue.url",
        "profiles.table",
        "worker.drain = \"1h\"",
        "USHER_WORKER__DRAIN",
    ] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
}

#[tokio::test]
async fn each_command_requires_only_the_settings_that_it_uses() {
    const NEITHER: &[&str] = &[];
    const QUEUE: &[&str] = &["queue.url"];
    const TABLE: &[&str] = &["profiles.table"];
    const BOTH: &[&str] = &["queue.url", "profiles.table"];
    let world = World::new().await;
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("letters"), "{\"body\":\"x\"}\n").expect("written");
    for (command, required) in [
        ("worker", BOTH),
        ("check", BOTH),
        ("config", BOTH),
        ("reconcile", BOTH),
        ("load run --count 1", BOTH),
        ("load clean 20261121-142249-k3f9", BOTH),
        ("load compare letters letters", NEITHER),
        ("users invite --email ada@example.com", TABLE),
        ("users show ada", TABLE),
        ("users show ada --fix", BOTH),
        (
            "users forget 42296c21-5207-4a93-8e3b-d3fc17fff32d --yes",
            BOTH,
        ),
        ("groups add --user ada --group STAFF --pool ada", NEITHER),
        ("health --set http.listen=127.0.0.1:1", NEITHER),
        ("status", QUEUE),
        ("dead-letters list", QUEUE),
        ("dead-letters show 12345678", QUEUE),
        ("dead-letters export new", QUEUE),
        ("dead-letters import letters", QUEUE),
        ("dead-letters drop --all --yes", QUEUE),
        ("dead-letters replay --all --yes", QUEUE),
        ("dead-letters replay --native --yes", QUEUE),
        ("dead-letters replay --direct --all --yes", BOTH),
        ("dead-letters replay --dry-run", BOTH),
    ] {
        let output = usher()
            .args(command.split(' '))
            .env("AWS_ENDPOINT_URL", &world.url)
            .current_dir(folder.path())
            .output()
            .await
            .expect("runs");
        let errors = stderr(&output);
        let is_missing =
            |key: &&&str| errors.contains(&format!("{key} = \"\" (default): required"));
        let missing: Vec<&str> = BOTH.iter().filter(is_missing).copied().collect();
        assert_eq!(missing, required, "{command}: {errors}");
        let is_invalid = output.status.code() == Some(78);
        assert_eq!(is_invalid, !required.is_empty(), "{command}: {errors}");
    }
}

#[tokio::test]
async fn dead_letters_need_no_table_and_their_own_queue_only() {
    let world = World::new().await;
    let queue = world.queue.url();
    let dead_letters = world.dead_letters.url();
    let dead_letter = Outgoing {
        body: "{".to_owned(),
        ..Outgoing::default()
    };
    world.dead_letters.send(dead_letter).await.expect("sent");
    for variable in [
        ("USHER_QUEUE__URL", queue),
        ("USHER_QUEUE__DEAD_LETTER_URL", dead_letters),
    ] {
        let mut list = world.usher(&["dead-letters", "list"]);
        list.env_remove("USHER_QUEUE__URL")
            .env_remove("USHER_PROFILES__TABLE")
            .envs([variable]);
        let (status, out, errors) = finished(list).await;
        assert_eq!(status, Some(0), "{variable:?}: {errors}");
        assert!(out.contains("1 dead letter"), "{variable:?}: {out}");
    }
}

#[tokio::test]
async fn config_shows_each_value_with_its_source() {
    let variables = [
        (
            "USHER_QUEUE__URL",
            "https://u:secret@sqs.eu-west-1.amazonaws.com/1/q",
        ),
        ("USHER_PROFILES__TABLE", "Profiles"),
    ];
    let output = run(
        &[
            "config",
            "--output",
            "json",
            "--set",
            "worker.concurrency=8",
        ],
        &variables,
    );
    let output = output.await;
    assert!(output.status.success());
    let lines = objects(&output);
    let find = |key: &str| {
        let line = lines.iter().find(|line| line["key"] == key);
        line.expect("there").clone()
    };
    assert_eq!(find("worker.concurrency")["value"], 8);
    assert_eq!(find("worker.concurrency")["source"], "flag --set");
    assert_eq!(
        find("profiles.table")["source"],
        "environment USHER_PROFILES__TABLE"
    );
    assert_eq!(find("queue.wait")["source"], "default");
    assert!(
        !find("queue.url")["value"]
            .as_str()
            .expect("text")
            .contains("secret")
    );
}

#[tokio::test]
async fn a_worker_without_region_or_dead_letter_queue_says_what_to_do() {
    let world = World::new().await;
    let mut command = world.usher(&["worker"]);
    let output = command
        .env_remove("AWS_REGION")
        .output()
        .await
        .expect("runs");
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("AWS_REGION"),
        "{}",
        stderr(&output)
    );

    let lone = format!("queue.url={}", world.dead_letters.url());
    let output = world
        .usher(&["worker", "--set", &lone])
        .output()
        .await
        .expect("runs");
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("queue.dead_letter_url"),
        "{}",
        stderr(&output)
    );
}

#[tokio::test]
async fn a_worker_needs_max_receive_count_above_max_attempts() {
    let world = World::new().await;
    for (attempts, flag, status) in [
        ("10", None, 1),
        ("9", None, 0),
        ("10", Some("--allow-unreasoned"), 0),
    ] {
        let attempts = format!("worker.max_attempts={attempts}");
        let output = world
            .usher(&["worker", "--until-empty", "--set", &attempts])
            .args(flag)
            .output()
            .await
            .expect("runs");
        let errors = stderr(&output);
        assert_eq!(output.status.code(), Some(status), "{attempts} {errors}");
        let says = errors.contains("maxReceiveCount") && errors.contains("is 10");
        assert_eq!(says, attempts.ends_with("10"), "{errors}");
    }
}

#[tokio::test]
async fn dev_signs_users_up_and_reads_them_back() {
    let arguments = [
        "dev",
        "--signups",
        "12",
        "--exit-when-done",
        "--output",
        "json",
        "--port",
        "0",
        "--set",
        "http.listen=127.0.0.1:0",
    ];
    // A proxy from the environment does not apply to calls on loopback.
    let output = run(&arguments, &[("HTTP_PROXY", "http://127.0.0.1:1")]).await;
    assert!(output.status.success(), "{}", stderr(&output));
    let summary = json(&output);
    for (key, value) in [
        ("signed_up", 12),
        ("provisioned", 12),
        ("already_done", 0),
        ("ignored", 0),
        ("rejected", 0),
        ("profiles", 12),
        ("dead_letters", 0),
    ] {
        assert_eq!(summary[key], value, "{key}");
    }
    assert_eq!(summary["groups"], serde_json::json!({"EVERYONE": 12}));
    assert_eq!(summary["events"], Value::Array(Vec::new()));
}

#[tokio::test]
async fn dev_gives_each_event_file_its_answer() {
    let folder = tempfile::tempdir().expect("a folder");
    let sign_up = r#"{"triggerSource":"PostConfirmation_ConfirmSignUp","userPoolId":"eu-west-1_X",
        "userName":"ada","request":{"userAttributes":{"sub":"s-1"}}}"#;
    let files = [
        ("1-signup.json", sign_up.to_owned(), "provisioned", ""),
        (
            "2-again.json",
            format!("\u{feff}{sign_up}"),
            "provisioned",
            "already_done",
        ),
        (
            "3-no-sub.json",
            sign_up.replace("\"sub\":\"s-1\"", "").replace("ada", "bob"),
            "provisioned",
            "",
        ),
        (
            "4-forgot.json",
            sign_up.replace("ConfirmSignUp", "ConfirmForgotPassword"),
            "ignored",
            "not_needed",
        ),
        (
            "5-test.json",
            r#"{"request":{"userAttributes":{}},"response":{}}"#.to_owned(),
            "passed_through",
            "no_trigger_source",
        ),
        (
            "6-cut.json",
            sign_up[..40].to_owned(),
            "rejected",
            "not_json",
        ),
        (
            "7-nameless.json",
            sign_up.replace("\"ada\"", "\"\""),
            "rejected",
            "no_user_name",
        ),
        ("8-empty.json", String::new(), "rejected", "empty_body"),
    ];
    for (name, text, _, _) in &files {
        std::fs::write(folder.path().join(name), text).expect("written");
    }
    let path = folder.path().to_str().expect("text");
    let arguments = [
        "dev",
        "--events",
        path,
        "--exit-when-done",
        "--output",
        "json",
        "--port",
        "0",
        "--set",
        "http.listen=127.0.0.1:0",
    ];
    std::fs::write(folder.path().join(".npmrc"), "audit=false").expect("written");
    let output = run(&arguments, &[]).await;
    assert!(stderr(&output).contains("/.npmrc: not *.json"));
    let summary = json(&output);
    assert!(output.status.success(), "{summary:#}");
    for (event, (name, _, outcome, reason)) in summary["events"]
        .as_array()
        .expect("a list")
        .iter()
        .zip(&files)
    {
        assert!(event["file"].as_str().expect("text").ends_with(name));
        assert_eq!(
            (&event["outcome"], &event["reason"]),
            (&Value::from(*outcome), &Value::from(*reason)),
            "{name}"
        );
    }
    assert_eq!(
        summary["events"].as_array().map(Vec::len),
        Some(files.len())
    );
    assert_eq!(summary["provisioned"], 2);
    assert_eq!(summary["already_done"], 1);
    assert_eq!(summary["passed_through"], 1);
    assert_eq!(summary["ignored"], 1);
    assert_eq!(summary["rejected"], 3);
    assert_eq!(summary["profiles"], 2);
    assert_eq!(summary["dead_letters"], 3);
}

#[tokio::test]
async fn dev_queues_only_the_sign_ins_that_the_trigger_queues() {
    let folder = tempfile::tempdir().expect("a folder");
    let event = |source: &str, n: u32, status: &str| {
        json!({"triggerSource": source, "userPoolId": "eu-west-1_X", "userName": format!("u-{n}"),
            "request": {"userAttributes": {
                "sub": format!("11111111-2222-3333-4444-{n:012}"), "cognito:user_status": status}}})
    };
    let sign_in = "TokenGeneration_HostedAuth";
    // A sign-in does not wait long for the queue, so a sign-up opens the connection.
    let sign_up = "PostConfirmation_ConfirmSignUp";
    for (name, event) in [
        ("0.json", event(sign_up, 0, "CONFIRMED")),
        ("1.json", event(sign_in, 1, "CONFIRMED")),
        ("2.json", event(sign_in, 2, "EXTERNAL_PROVIDER")),
        ("3.json", json!({"usher": 1, "command": "Reconcile"})),
    ] {
        std::fs::write(folder.path().join(name), event.to_string()).expect("written");
    }
    let path = folder.path().to_str().expect("text");
    let arguments = [
        "dev",
        "--exit-when-done",
        "-o",
        "json",
        "--port",
        "0",
        "--events",
        path,
    ];
    let output = run(&arguments, &[]).await;
    let summary = json(&output);
    assert!(output.status.success(), "{summary:#}");
    let outcomes = [0, 1, 2, 3].map(|event| &summary["events"][event]["outcome"]);
    let expected = [
        "provisioned",
        "passed_through",
        "provisioned",
        "passed_through",
    ];
    assert_eq!(outcomes, expected);
    assert_eq!(summary["passed_through"], 2);
    assert_eq!(summary["profiles"], 2);
}

#[tokio::test]
async fn dev_says_when_its_port_is_taken_or_a_file_is_missing() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let port = taken.local_addr().expect("an address").port().to_string();
    let output = run(&["dev", "--port", &port, "--exit-when-done"], &[]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("--port"), "{}", stderr(&output));
    let output = run(
        &["dev", "--events", "/nonexistent", "--exit-when-done"],
        &[],
    )
    .await;
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("/nonexistent"));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_error_that_cannot_be_printed_keeps_its_exit_status() {
    for (arguments, status) in [
        (&["no-such-command"][..], 2),
        (&["config", "--set", "no.such=1"], 78),
        (
            &["dev", "--exit-when-done", "--set", "http.public_listen="],
            78,
        ),
    ] {
        // Each write to it fails.
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
        let ended = usher()
            .args(arguments)
            .stderr(full.expect("a device"))
            .status();
        let ended = ended.await.expect("runs");
        assert_eq!(ended.code(), Some(status), "{arguments:?}");
    }
}

#[tokio::test]
async fn health_says_that_another_server_answered() {
    let world = World::new().await;
    let address = world.url.trim_start_matches("http://");
    let listen = format!("http.listen={address}");
    let output = run(&["health", "--set", &listen], &[]).await;
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        text.contains("answered with status") && text.contains("http.listen"),
        "{text}"
    );
}

#[tokio::test]
async fn dev_says_that_it_needs_the_public_server() {
    let arguments = ["dev", "--exit-when-done", "--set", "http.public_listen="];
    let output = run(&arguments, &[]).await;
    let error = stderr(&output);
    assert!(error.contains("http.public_listen is empty"), "{error}");
    assert!(!error.contains("client_id"), "{error}");
}
