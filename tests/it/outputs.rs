//! What each command prints on a small deployment, as text. `tests/it/outputs.txt` holds it all,
//! to be read as a person would read it on a screen. The help texts are in
//! `docs/reference/commands.md`, which a unit test compares with the program.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use regex::{Captures, Regex};
use serde_json::{Value, json};

use crate::faults::Fault;
use crate::process::finished;
use crate::world::World;

/// Each list runs in a deployment of its own, beside the others.
const USERS: &str = "\
check
status
groups list
groups list --config rules.toml
groups create --group STAFF
groups create --group STAFF --group TEAM-A
groups add --user ada --group STAFF --group TEAM-A
groups add --user ada --group STAFF -o json
groups add --user ada --group ADMINS
groups add --user ada --group NOWHERE
groups create --group ADMINS
groups add --user ada --group ADMINS
groups remove --user ada --group STAFF
users show ada
users show bob
users show bob --fix
users show nobody
users invite --file people.csv --dry-run
users invite --file people.csv --dry-run -o json
users invite --file people.csv
users invite --file people.csv
users invite --email eve@mail.example --resend
users invite --email not-an-address
";
const QUEUES: &str = "\
dead-letters list
dead-letters list --count
dead-letters list --reason throttled
dead-letters list --reason throtled
dead-letters show LETTER
dead-letters show ffffffff
dead-letters export letters.jsonl --reason not_json
dead-letters import letters.jsonl
dead-letters import letters.jsonl --allow-duplicates
dead-letters replay --all --dry-run
dead-letters replay --reason user_not_found --direct --yes
dead-letters replay --reason user_not_found --direct --yes -o json
dead-letters replay --all --yes
worker --until-empty --set worker.max_attempts=1 --set admin.requests_table=Requests
requests show r1 --set admin.requests_table=Requests
requests show r1 --set admin.requests_table=Requests -o json
requests show r2 --set admin.requests_table=Requests
requests show r1
dead-letters drop
dead-letters drop --all
dead-letters drop --all --yes
dead-letters list
reconcile --dry-run
reconcile --groups --dry-run -o json
reconcile
worker --until-empty
reconcile
status
users forget bob@mail.example --yes
users forget SUB
users forget SUB --dry-run
users forget SUB --dry-run -o json
users forget SUB --yes
users forget SUB --yes
";
const SETTINGS: &str = "\
trigger attach --function-arn ARN --pool POOL --dry-run
trigger attach --function-arn ARN --pool POOL --yes
trigger attach --function-arn ARN --pool POOL --yes
trigger detach --function-arn ARN --pool POOL --yes --backup before.json
trigger detach --function-arn ARN --pool POOL --yes
trigger restore before.json --pool POOL --yes
trigger restore before.json --pool POOL --yes
trigger detach --function-arn ARN --pool POOL --yes -o json
trigger attach --pool POOL
load run --count 3
load run --count 3 --require p98<2s
load run --count 3 --require finished=100
load compare a.json b.json
load compare a.json b.json -o json
load compare a.json people.csv
load compare a.json nowhere.json
config --changed
config --changed -o json
health
";
const ARN: &str = "arn:aws:lambda:us-east-1:123456789012:function:usher-trigger";

const PEOPLE: &str = "\
email,given_name,groups
eve@mail.example,Eve,STAFF
sam@mail.example,Sam,NOWHERE
";

const RULES: &str = "\
[[groups.rules]]
attribute = \"custom:plan\"
equals = \"pro\"
groups = [\"STAFF\"]
";

/// A report as `load run -o json` prints it, without what may be absent.
const REPORT: &str = r#"{
"run": "20261121-150344-aaaa", "pool": "us-east-1_AbCdEf123", "seed": 1,
"began": "2026-11-21T15:03:44Z", "seconds": 9.5,
"planned": {"sign_ups": 300, "duplicates": 0, "poison": 0, "bystanders": 0, "seconds": 3.0},
"injected": {"messages": 300, "not_sent": 0, "seconds": 3.1, "per_second": 96.8},
"finished": {"sign_ups": 300, "seconds": 4.0, "per_second": 75.0},
"latency_ms": {"count": 300, "p50": 58.0, "p90": 174.0, "p99": 290.0, "p99.9": 800.0, "max": 809.0},
"timeline": [], "latency_over_time": [], "histogram": [], "verified": true, "differences": []
}"#;

/// SQS answers a receive at once, also an empty one: nothing else comes that it could wait for.
fn without_wait(mut input: Value) -> Value {
    input["WaitTimeSeconds"] = json!(0);
    input
}

/// A pool with Ada, who has everything, and Bob, who was missed; three dead letters.
async fn small_deployment() -> World {
    let world = World::new().await;
    let created = world.sandbox.create_request_table("Requests").await;
    created.expect("a table");
    world
        .faults
        .plan(|call| (call.operation == "ReceiveMessage").then_some(Fault::Altered(without_wait)));
    let ada = world.create_user("ada").await;
    world.send_all(&[ada]).await;
    world.send("{").await;
    let mut ghost = world.create_user("ghost").await.event;
    world.delete_user("ghost").await;
    ghost["userName"] = json!("ghost");
    world.send(ghost.to_string()).await;
    let command = json!({
        "usher": 1, "command": "AddUserToGroup", "requestId": "r1",
        "requestedBy": {"sub": "00000000-0000-4000-8000-00000000aaaa", "username": "root",
            "groups": ["ADMINS"]},
        "userPoolId": world.pool.id, "username": "ada", "groupName": "ADMINS",
    });
    world.send(command.to_string()).await;
    world.work(&[("worker.max_attempts", "1")]).await;
    world.create_user("bob").await;
    for name in ["ada", "bob"] {
        let set = world
            .sandbox
            .set_password(&world.pool.id, name, "A-passw0rd");
        set.await.expect("confirmed");
    }
    world
}

/// What one command printed, with the line of its list.
struct Printed {
    line: &'static str,
    status: i32,
    text: String,
}

/// Runs the commands one after the other.
async fn run(world: &World, commands: &'static str, letter: &str) -> Vec<Printed> {
    let folder = tempfile::tempdir().expect("a folder");
    let slower = REPORT
        .replace("150344-aaaa", "160344-bbbb")
        .replace("75.0", "60.0")
        .replace("290.0", "348.0");
    for (name, text) in [
        ("people.csv", PEOPLE),
        ("rules.toml", RULES),
        ("a.json", REPORT),
        ("b.json", slower.as_str()),
    ] {
        std::fs::write(folder.path().join(name), text).expect("written");
    }
    let users = world.sandbox.users(&world.pool.id).await.expect("users");
    let mut all = Vec::new();
    for line in commands.lines() {
        let arguments = line
            .replace("SUB", users.get("bob").map_or("", String::as_str))
            .replace("LETTER", letter)
            .replace("POOL", &world.pool.id)
            .replace("ARN", ARN);
        let arguments: Vec<&str> = arguments.split(' ').collect();
        let mut command = world.usher(&arguments);
        command
            .current_dir(folder.path())
            .env("USHER_POOLS__ALLOWED", &world.pool.id);
        let (status, out, err) = finished(command).await;
        let err = err.lines().filter(|line| !line.starts_with('{'));
        let err: Vec<String> = err.map(|line| format!("! {line}\n")).collect();
        all.push(Printed {
            line,
            status: status.expect("a status"),
            text: format!("{}{}", in_order(&out), err.concat()),
        });
    }
    all
}

/// Rows of a file are sent at the same time, and printed as they end.
fn in_order(out: &str) -> String {
    let row = |line: &str| {
        let (_, rest) = line.split_once("  line ")?;
        rest.split(' ').next()?.parse::<u32>().ok()
    };
    let mut lines: Vec<&str> = out.split_inclusive('\n').collect();
    for group in lines.chunk_by_mut(|a, b| row(a).is_some() && row(b).is_some()) {
        group.sort_by_key(|line| row(line));
    }
    lines.concat()
}

/// The id of the dead letter whose body is not JSON.
async fn malformed_letter(world: &World) -> String {
    let letters = world.usher(&["dead-letters", "list", "-o", "json"]);
    let (_, letters, _) = finished(letters).await;
    let letter = letters.lines().find(|line| line.contains("not_json"));
    let letter: Value = serde_json::from_str(letter.expect("a dead letter")).expect("JSON");
    letter["id"].as_str().expect("an id").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_prints_what_the_file_says() {
    let users = async {
        let world = small_deployment().await;
        let printed = run(&world, USERS, "").await;
        (world, printed)
    };
    let queues = async {
        let world = small_deployment().await;
        let letter = malformed_letter(&world).await;
        let printed = run(&world, QUEUES, &letter).await;
        (world, printed)
    };
    let settings = async {
        let world = World::new().await;
        let printed = run(&world, SETTINGS, "").await;
        (world, printed)
    };
    let (users, queues, settings) = tokio::join!(users, queues, settings);
    let mut all = String::new();
    let mut fixed = Fixed::default();
    for (world, printed) in [users, queues, settings] {
        for Printed { line, status, text } in printed {
            let text = fixed.fix(&world, &text);
            let _ = writeln!(all, "$ usher {line}\n{text}[{status}]\n");
        }
    }
    compare(&all);
}

/// Replaces what differs from run to run by something of the same width.
#[derive(Default)]
struct Fixed {
    ids: BTreeMap<String, usize>,
}

impl Fixed {
    fn fix(&mut self, world: &World, text: &str) -> String {
        let mut text = text
            .replace(&world.pool.id, "us-east-1_AbCdEf123")
            .replace(&world.pool.client, "client")
            .replace(&world.url, "http://127.0.0.1:4566");
        let numbered = r"\b([0-9a-f]{8})(-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})?\b";
        text = self.number(numbered, &text);
        text = text.replace(ARN, "ARN");
        for (pattern, fixed) in [
            (r"\d{8}T\d{6}\.\d+Z", "20260801T090000.000Z"),
            (
                r"\d{4}-\d\d-\d\d([ T])\d\d:\d\d(:\d\d(\.\d+)?)?",
                "2026-08-01${1}09:00",
            ),
            (r"\b\d{8}-\d{6}-[a-z0-9]{4}\b", "20260801-090000-aaaa"),
            (r"\b[\d,]+(\.\d+)? (ms|s|min)\b", "N $2"),
            (r"\b\d+(\.\d+)?/s\b", "N/s"),
        ] {
            let pattern = Regex::new(pattern).expect("a pattern");
            text = pattern.replace_all(&text, fixed).into_owned();
        }
        text
    }

    /// The first id becomes 1, and so on. Eight digits are the beginning of an id, if one has it.
    fn number(&mut self, pattern: &str, text: &str) -> String {
        let pattern = Regex::new(pattern).expect("a pattern");
        let replace = |id: &Captures<'_>| {
            // It was only typed.
            if &id[0] == "ffffffff" {
                return id[0].to_owned();
            }
            let next = self.ids.len() + 1;
            let known = self
                .ids
                .iter()
                .find(|(known, _)| known.starts_with(&id[0]) || id[0].starts_with(*known));
            let number = known.map_or(next, |(_, number)| *number);
            if id.get(2).is_some() || number == next {
                self.ids.entry(id[0].to_owned()).or_insert(number);
            }
            let rest = id.get(2).map(|_| "-0000-4000-8000-000000000000");
            format!("{number:08}{}", rest.unwrap_or_default())
        };
        pattern.replace_all(text, replace).into_owned()
    }
}

fn compare(printed: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let expected = std::fs::read_to_string(root.join("tests/it/outputs.txt")).unwrap_or_default();
    if printed == expected {
        return;
    }
    let written = root.join("target/outputs.txt");
    std::fs::create_dir_all(root.join("target")).expect("a folder");
    std::fs::write(&written, printed).expect("written");
    let differs = |(line, (printed, expected)): (usize, (&str, &str))| {
        (printed != expected).then(|| format!("line {}: {printed}", line + 1))
    };
    let lines = printed.lines().zip(expected.lines()).enumerate();
    panic!(
        "the output has changed, first in {}. Read it, then: cp target/outputs.txt tests/it/",
        lines
            .into_iter()
            .find_map(differs)
            .unwrap_or_else(|| "its length".to_owned()),
    );
}
