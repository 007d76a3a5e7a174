//! `usher dev` as a newcomer meets it: the screen, and the commands for another terminal.

use std::net::TcpListener;
use std::process::Output;

use rustix::process::Signal;
use serde_json::Value;
use tokio::process::Command;

use crate::process::{Process, command, finished, get, usher};
use crate::world::eventually;

/// Any free port for each server, since tests run side by side.
const ANY_PORTS: [&str; 6] = [
    "--port",
    "0",
    "--set",
    "http.listen=127.0.0.1:0",
    "--set",
    "http.public_listen=127.0.0.1:0",
];

/// A running `usher dev`, with its standard output in a file.
struct RunningDev {
    process: Process,
    stdout: tempfile::NamedTempFile,
}

impl RunningDev {
    /// Waits for the last line of the output.
    async fn start(arguments: &[&str], variables: &[(&str, &str)], last: &str) -> Self {
        let stdout = tempfile::NamedTempFile::new().expect("a file");
        let mut command = usher();
        command
            .arg("dev")
            .args(arguments)
            .envs(variables.iter().copied());
        command.stdout(stdout.reopen().expect("a file"));
        let process = Process::with_output(command);
        let running = Self { process, stdout };
        eventually("the result", || async { running.stdout().contains(last) }).await;
        running
    }

    fn stdout(&self) -> String {
        std::fs::read_to_string(self.stdout.path()).expect("text")
    }

    /// The greeting, without log lines.
    fn greeting(&self) -> String {
        let log = self.process.log();
        let start = log.find("usher dev is ready").expect("a greeting");
        let lines = log[start..].lines();
        lines
            .filter(|line| !line.starts_with('{'))
            .collect::<Vec<_>>()
            .join("\n")
    }

    async fn stop(mut self) {
        self.process.signal(Signal::INT);
        assert!(self.process.exit().await.success());
    }
}

/// A shell in another terminal, in which `usher` is not in `PATH`.
fn shell(script: &str) -> Command {
    let mut shell = command("sh");
    shell.args(["-euc", script]).env("PATH", "/usr/bin:/bin");
    shell
}

async fn run(arguments: &[&str]) -> Output {
    usher().args(arguments).output().await.expect("runs")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn dev_greets_and_every_printed_command_works() {
    let arguments = [&ANY_PORTS[..], &["--signups", "7", "--demo-failures"]].concat();
    let dev = RunningDev::start(&arguments, &[], "6 dead letters").await;
    let greeting = dev.greeting();
    let screen = format!("{greeting}\n{}", dev.stdout());
    assert!(screen.lines().count() < 24, "{screen}");
    // The first command has the path of this build, which may be long.
    let is_wide = |line: &&str| line.chars().count() > 80 && !line.contains("eval");
    assert_eq!(screen.lines().find(is_wide), None);
    assert!(screen.contains("... and 2 more"), "{screen}");

    let commands = greeting.split_once("terminal:\n").expect("commands").1;
    let commands = commands.replace("--count 200", "--count 3");
    let commands: Vec<&str> = commands.lines().map(str::trim).collect();
    let (eval, commands) = commands.split_first().expect("eval");
    assert_eq!(commands.iter().filter(|text| !text.is_empty()).count(), 4);
    for line in commands.iter().filter(|line| line.starts_with("usher ")) {
        let (status, stdout, stderr) = finished(shell(&format!("{eval}; {line}"))).await;
        assert_eq!(status, Some(0), "{line}: {stdout}{stderr}");
        if line.contains("check") {
            assert!(stdout.contains(":function:usher-trigger"), "{stdout}");
        }
        if line.contains("dead-letters") {
            for reason in [
                "not_json",
                "user_not_found",
                "foreign_pool",
                "group_not_grantable",
            ] {
                assert!(stdout.contains(reason), "{reason} is missing in {stdout}");
            }
        }
    }
    let mail = dev.process.log();
    let mail = mail
        .split_once("mail to grace@example.com")
        .expect("a mail");
    let link = mail.1.lines().nth(1).expect("a link").trim();
    let (_, code) = link
        .split_once("#u=grace%40example.com&c=")
        .expect("a link");
    let is_safe = |c: char| c.is_ascii_alphanumeric() || "%._-".contains(c);
    assert!(code.chars().all(is_safe), "{link}");

    // The accounts are provisioned, so nobody is missed.
    let script = format!("{eval}; usher reconcile --dry-run; echo \"$API\"; usher dev token admin");
    let (status, stdout, stderr) = finished(shell(&script)).await;
    assert_eq!(status, Some(0), "{stderr}");
    let lines: Vec<&str> = stdout.lines().collect();
    assert_eq!(lines.len(), 3, "a user is missed: {stdout}");
    assert_eq!(lines[2].split('.').count(), 3, "a token");
    let api = lines[1].strip_prefix("http://").expect("a URL");
    let (status, page) = get(api, "/").await;
    assert_eq!(status, 200);
    assert!(page.contains("href=\"/accept\""), "{page}");
    let token_of = format!("{eval}; usher dev token user --output json");
    let (_, stdout, _) = finished(shell(&token_of)).await;
    let token: Value = serde_json::from_str(&stdout).expect("JSON");
    assert!(token["token"].is_string());
    dev.stop().await;
}

#[tokio::test]
async fn dev_describes_itself_in_json_and_at_its_endpoint() {
    let arguments = [&ANY_PORTS[..], &["--signups", "1", "--output", "json"]].concat();
    let off = [("USHER_PROFILES__ENABLED", "false")];
    let dev = RunningDev::start(&arguments, &off, "\n}\n").await;
    let printed: Value = serde_json::from_str(&dev.stdout()).expect("JSON");
    assert_eq!(printed["signed_up"], 1);
    assert_eq!(printed["table"], Value::Null);
    let endpoint = printed["endpoint"].as_str().expect("a URL");
    let port = endpoint.rsplit(':').next().expect("a port");
    let address = format!("127.0.0.1:{port}");
    let (status, described) = get(&address, "/dev").await;
    assert_eq!(status, 200);
    let described: Value = serde_json::from_str(&described).expect("JSON");
    for (key, value) in described.as_object().expect("an object") {
        assert_eq!(printed[key], *value, "{key}");
    }
    for key in [
        "region",
        "queue",
        "dead_letter_queue",
        "pool",
        "client",
        "api",
        "health",
    ] {
        assert!(described[key].is_string(), "{key}");
    }
    let health = described["health"].as_str().expect("a URL");
    let health = health.trim_start_matches("http://");
    let (status, page) = get(health, "/").await;
    assert_eq!((status, page.contains("/readyz")), (200, true), "{page}");
    assert!(dev.greeting().contains(&format!("--port {port}")));
    let output = run(&["dev", "env", "--port", port]).await;
    let exports = String::from_utf8(output.stdout).expect("text");
    for line in [
        "export USHER_PROFILES__ENABLED=false\n",
        "export AWS_DEFAULT_REGION=us-east-1\n",
        &format!("export AWS_ENDPOINT_URL={endpoint}\n"),
        &format!("export USHER_HTTP__LISTEN={health}\n"),
    ] {
        assert!(exports.contains(line), "{line} is missing in {exports}");
    }
    dev.stop().await;
}

#[tokio::test]
async fn dev_shows_switched_off_profiles_as_off() {
    let arguments = [
        &["dev", "--exit-when-done", "--signups", "1"],
        &ANY_PORTS[..],
    ]
    .concat();
    let output = usher()
        .args(arguments)
        .env("USHER_PROFILES__ENABLED", "false")
        .output();
    let output = output.await.expect("runs");
    assert!(output.status.success(), "{}", stderr(&output));
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(text.contains("  off      EVERYONE\n"), "{text}");
    assert!(
        text.ends_with("\n1 signed up, 1 provisioned; 1 in EVERYONE\n"),
        "{text}"
    );
}

#[tokio::test]
async fn dev_leaves_a_taken_default_port_and_keeps_a_configured_one() {
    let arguments = ["dev", "--exit-when-done", "--signups", "0", "--port", "0"];
    // Another program may have it: then it is taken, too.
    let _taken = TcpListener::bind("127.0.0.1:8080");
    let json = [&arguments[..], &["--output", "json"]].concat();
    let output = run(&json).await;
    assert!(output.status.success(), "{}", stderr(&output));
    let printed: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_ne!(printed["health"], "http://127.0.0.1:8080");

    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address");
    for key in ["http.listen", "http.public_listen"] {
        let set = format!("{key}={address}");
        let output = run(&[&arguments[..], &["--set", &set]].concat()).await;
        assert_eq!(output.status.code(), Some(1));
        let text = format!("cannot listen on {address} ({key})");
        assert!(stderr(&output).contains(&text), "{}", stderr(&output));
    }
    drop(taken);
    let set = format!("http.listen={address}");
    let output = run(&[&json[..], &["--set", &set]].concat()).await;
    let printed: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(printed["health"], format!("http://{address}"));
    let output = run(&[&arguments[..], &["--set", "http.listen=nowhere"]].concat()).await;
    assert_eq!(output.status.code(), Some(78), "{}", stderr(&output));
}

#[tokio::test]
async fn dev_env_says_what_to_do_without_a_running_dev() {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = free.local_addr().expect("an address").port().to_string();
    drop(free);
    for arguments in [&["env"][..], &["token", "admin"]] {
        let output = run(&[&["dev"], arguments, &["--port", &port]].concat()).await;
        assert_eq!(output.status.code(), Some(1));
        let text = stderr(&output);
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains("start one with \"usher dev\""), "{text}");
        assert!(output.stdout.is_empty(), "eval would run it");
    }
}
