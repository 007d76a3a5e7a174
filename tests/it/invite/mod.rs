//! `usher users invite` and `usher groups add`: their effects and their output.

mod failures;
mod grant;
mod pools;
mod resume;
mod texts;

use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use usher::aws::{Cognito, PoolUser};
use usher::config::GroupName;
use usher::event::{PoolId, Username};

use crate::process::finished;
use crate::world::World;

/// A high rate: the embedded endpoint has no quota.
const FAST: &str = "quota.user_creation=1000";
/// Parts of personal data that occur nowhere else in these tests.
const SECRETS: [&str; 4] = ["zebulon", "quagmire", "zebedee", "vanished"];

fn address(n: usize) -> String {
    format!("zebulon-{n}@quagmire.example")
}

/// A CSV file of invitations in a folder of its own.
struct File {
    path: PathBuf,
    _folder: tempfile::TempDir,
}

impl File {
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = Self {
            path: folder.path().join("people.csv"),
            _folder: folder,
        };
        file.write(text);
        file
    }

    /// `count` rows with the groups STAFF and TEAM-A, in the format of a spreadsheet.
    fn of(count: usize) -> Self {
        let mut text = "\u{feff}email,given_name,family_name,groups,custom:plan\r\n".to_owned();
        for n in 0..count {
            let _ = writeln!(
                text,
                "{},\"Zebedee, {n}\",Vanished,STAFF;TEAM-A,pro\r",
                address(n)
            );
        }
        Self::new(&text)
    }

    fn write(&self, text: &str) {
        std::fs::write(&self.path, text).expect("written");
    }

    fn path(&self) -> &str {
        self.path.to_str().expect("text")
    }

    fn results(&self) -> PathBuf {
        Path::new(&format!("{}.results.jsonl", self.path())).to_owned()
    }

    /// The result lines, without the first, which has the key.
    fn answers(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.results()).expect("results");
        let mut lines = objects(&text);
        assert_eq!(lines.remove(0)["key"].as_str().map(str::len), Some(64));
        lines
    }
}

impl World {
    /// A world whose pool has these groups.
    pub(crate) async fn with_groups(names: &[&str]) -> Self {
        let world = Self::new().await;
        let pool = PoolId::new(&world.pool.id).expect("a pool");
        for name in names {
            let group = GroupName::new(name).expect("a name");
            let created = world.cognito().create_group(&pool, &group).await;
            created.expect("a group");
        }
        world
    }

    fn cognito(&self) -> Cognito {
        self.services(&self.config(&[])).cognito()
    }

    pub(crate) async fn get_user(&self, name: &str) -> PoolUser {
        let pool = PoolId::new(&self.pool.id).expect("a pool");
        let name = Username::new(name).expect("a name");
        let user = self.cognito().get_user(&pool, &name).await;
        user.expect("there")
    }

    /// Runs `usher` on this world's pool: exit status, objects on standard output, standard
    /// error. Asserts that the output holds no personal data.
    async fn run_command(&self, arguments: &[&str]) -> (Option<i32>, Vec<Value>, String) {
        let mut all = vec!["--output", "json", "--set", FAST];
        all.extend(arguments);
        let mut command = self.usher(&all);
        command.env("USHER_POOLS__ALLOWED", &self.pool.id);
        command.env("RUST_LOG", "trace");
        let (status, out, err) = finished(command).await;
        for secret in SECRETS {
            assert!(!out.to_lowercase().contains(secret), "{secret}: {out}");
            assert!(!err.to_lowercase().contains(secret), "{secret}: {err}");
        }
        (status, objects(&out), err)
    }

    async fn invite(&self, file: &File, arguments: &[&str]) -> (Option<i32>, Vec<Value>, String) {
        let mut all = vec!["users", "invite", "--file", file.path()];
        all.extend(arguments);
        self.run_command(&all).await
    }

    /// Asserts that each user was invited once, with groups and a profile.
    async fn assert_invited(&self, count: usize) {
        let users = self.sandbox.users(&self.pool.id).await.expect("users");
        assert_eq!(users.len(), count, "users");
        let profiles = self.profiles().await;
        assert_eq!(profiles.len(), count, "profiles");
        let mut addresses: Vec<String> = (0..count).map(address).collect();
        addresses.sort();
        for group in ["EVERYONE", "STAFF", "TEAM-A"] {
            assert_eq!(self.members(group).await, addresses, "{group}");
        }
        for (name, sub) in &users {
            assert_eq!(profiles[sub]["email"], *name);
        }
    }
}

/// Parses one JSON object from each line.
fn objects(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

/// The number of lines with this status.
fn count(lines: &[Value], status: &str) -> usize {
    lines.iter().filter(|line| line["status"] == status).count()
}

#[tokio::test]
async fn one_user_is_invited_with_groups_and_profile() {
    let world = World::with_groups(&["STAFF"]).await;
    let arguments = [
        "users",
        "invite",
        "--email",
        "zebulon@quagmire.example",
        "--username",
        "zebulon",
        "--given-name",
        "Zebedee",
        "--attribute",
        "custom:plan=pro",
        "--group",
        "STAFF",
    ];
    let (status, lines, err) = world.run_command(&arguments).await;
    assert_eq!(status, Some(0), "{err}");
    let user = world.get_user("zebulon").await;
    assert_eq!(user.status, "FORCE_CHANGE_PASSWORD");
    for (name, value) in [
        ("email", "zebulon@quagmire.example"),
        ("email_verified", "true"),
        ("given_name", "Zebedee"),
        ("custom:plan", "pro"),
    ] {
        assert_eq!(user.attributes.get(name), Some(value), "{name}");
    }
    let sub = user.sub.expect("a sub");
    let expected = json!({
        "line": null, "status": "invited", "sub": sub.as_str(), "created": true,
        "mail": "sent", "reason": null, "group": null,
    });
    assert_eq!(lines, [expected]);
    for group in ["EVERYONE", "STAFF"] {
        assert_eq!(world.members(group).await, ["zebulon"], "{group}");
    }
    assert_eq!(world.profiles().await.len(), 1);
    let audit = err.lines().filter(|line| line.contains("usher::audit"));
    let audit: Vec<&str> = audit.collect();
    assert_eq!(audit.len(), 1, "{err}");
    for part in [
        "InviteUser",
        "arn:aws:iam",
        sub.as_str(),
        "\"mail\":\"sent\"",
        "STAFF",
    ] {
        assert!(audit[0].contains(part), "{part}: {}", audit[0]);
    }

    let (status, lines, err) = world.run_command(&arguments).await;
    assert_eq!((status, count(&lines, "exists")), (Some(0), 1), "{err}");
    assert_eq!(lines[0]["mail"], json!("not_sent"));

    let mut text = world.usher(&["users", "invite", "--pool", &world.pool.id]);
    text.args([
        "--email",
        "zebulon@quagmire.example",
        "--username",
        "zebulon",
    ]);
    let (status, out, err) = finished(text).await;
    assert_eq!(status, Some(0), "{err}");
    let expected = format!(
        "exists  zebulon@quagmire.example  {}  no mail\n",
        sub.as_str()
    );
    assert_eq!(out, expected);
    assert!(!err.contains("zebulon"), "{err}");

    let other = [
        "users",
        "invite",
        "--email",
        "vanished@quagmire.example",
        "--username",
        "zebulon",
    ];
    let (status, lines, _) = world.run_command(&other).await;
    assert_eq!(status, Some(1));
    assert_eq!(lines[0]["reason"], json!("username_taken"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_invited_and_a_second_run_does_nothing() {
    let world = World::with_groups(&["STAFF", "TEAM-A"]).await;
    let file = File::of(30);
    let (status, preview, err) = {
        let mut command = world.usher(&["users", "invite", "--file", file.path(), "--dry-run"]);
        command.args(["--pool", &world.pool.id]);
        finished(command).await
    };
    assert_eq!(status, Some(0), "{err}");
    let expected = "EVERYONE  30 rows\nSTAFF     30 rows\nTEAM-A    30 rows\n\
                    dry run: 30 would be invited, 0 would be refused, 0 already done\n";
    assert_eq!(preview, expected);
    assert_eq!(world.faults.calls("AdminCreateUser"), 0);
    assert!(!file.results().exists());

    let (status, lines, err) = world.invite(&file, &[]).await;
    assert_eq!(status, Some(0), "{err}");
    assert_eq!(count(&lines, "invited"), 30);
    assert!(err.contains("30 rows: 30 invited"), "{err}");
    world.assert_invited(30).await;
    let one = world.get_user(&address(7)).await;
    assert_eq!(one.status, "FORCE_CHANGE_PASSWORD");
    assert_eq!(one.attributes.get("given_name"), Some("Zebedee, 7"));
    assert_eq!(one.attributes.get("custom:plan"), Some("pro"));
    let sub = one.sub.expect("a sub");
    let line = lines.iter().find(|line| line["line"] == json!(9));
    assert_eq!(line.expect("line 9")["sub"], json!(sub.as_str()));

    let results = std::fs::read_to_string(file.results()).expect("results");
    assert_eq!(file.answers().len(), 30);
    for secret in SECRETS {
        assert!(!results.to_lowercase().contains(secret), "{secret}");
    }
    let before = world.faults.calls("AdminCreateUser");
    let (status, lines, err) = world.invite(&file, &[]).await;
    assert_eq!((status, lines.len()), (Some(0), 0), "{err}");
    assert!(err.contains("30 of 30 rows done already"), "{err}");
    assert_eq!(world.faults.calls("AdminCreateUser"), before);
    let (status, lines, _) = world.invite(&file, &["--force"]).await;
    assert_eq!((status, count(&lines, "exists")), (Some(0), 30));
    world.assert_invited(30).await;
}

#[tokio::test]
async fn a_refused_row_is_named_and_the_others_are_done() {
    let world = World::with_groups(&["STAFF", "ADMINS"]).await;
    let file = File::new(&format!(
        "email,groups\n{},STAFF\n{},NOWHERE\n{},ADMINS\n{},\n",
        address(0),
        address(1),
        address(2),
        address(3)
    ));
    let (status, out, err) = {
        let mut command = world.usher(&["users", "invite", "--file", file.path(), "--dry-run"]);
        command.args(["--pool", &world.pool.id]);
        finished(command).await
    };
    assert_eq!(status, Some(0), "a plan was made: {err}");
    for refusal in [
        "ADMINS    1 row   group ADMINS is not in admin.grantable_groups: leave it out here and give it \
         with usher groups add --privileged\n",
        "NOWHERE   1 row   group NOWHERE does not exist (names are case-sensitive)\n",
        "dry run: 2 would be invited, 2 would be refused, 0 already done\n",
    ] {
        assert!(out.contains(refusal), "{refusal}: {out}");
    }

    let (status, mut lines, err) = world.invite(&file, &[]).await;
    assert_eq!(status, Some(1), "{err}");
    lines.sort_by_key(|line| line["line"].as_u64());
    let ends: Vec<(&str, &str, &str)> = lines
        .iter()
        .map(|line| {
            let text = |key: &str| line[key].as_str().unwrap_or_default();
            (text("status"), text("reason"), text("group"))
        })
        .collect();
    let expected = [
        ("invited", "", ""),
        ("refused", "group_not_found", "NOWHERE"),
        ("refused", "group_not_grantable", "ADMINS"),
        ("invited", "", ""),
    ];
    assert_eq!(ends, expected);
    assert!(err.contains("4 rows: 2 invited, 2 refused"), "{err}");
    // As text, rows and summary are one stream.
    let mut command = world.usher(&["users", "invite", "--file", file.path()]);
    command.args(["--pool", &world.pool.id]);
    let (_, out, err) = finished(command).await;
    assert!(
        out.contains("refused  line 3  zebulon-1@quagmire.example  -  -  group"),
        "{out}"
    );
    assert!(out.ends_with("\n2 rows: 2 refused\n"), "{out}");
    assert!(!err.contains("rows: "), "{err}");
    assert!(
        err.contains("note: 2 rows were refused: fix the cause in their lines and run"),
        "{err}"
    );
    assert!(!err.contains("to retry"), "{err}");
    let users = world.sandbox.users(&world.pool.id).await.expect("users");
    assert_eq!(users.len(), 2);
}

#[tokio::test]
async fn an_invalid_file_or_argument_is_a_usage_error() {
    let world = World::new().await;
    let file = File::new("email,groups\nzebulon,STAFF\nzebulon@quagmire.example,A B\n");
    let (status, lines, err) = world.invite(&file, &[]).await;
    assert_eq!((status, lines.len()), (Some(2), 0), "{err}");
    for part in [
        "2 errors; nothing was sent",
        "line 2, column email",
        "line 3, column groups",
    ] {
        assert!(err.contains(part), "{part}: {err}");
    }
    assert!(!file.results().exists());
    let path = file.path();
    let one = ["--email", "zebulon@quagmire.example"];
    for (arguments, part) in [
        (vec![], "--email"),
        (
            vec!["--email", "zebulon"],
            "--email: must be an e-mail address",
        ),
        (vec!["--email", "a@b.example", "--file", path], "--file"),
        (vec!["--file", path, "--group", "STAFF"], "--group"),
        (vec!["--file", "/nonexistent"], "--file /nonexistent"),
        ([&one[..], &["--results", "x"]].concat(), "--file"),
        (
            [&one[..], &["--attribute", "zebulon"]].concat(),
            "NAME=VALUE",
        ),
        (
            [&one[..], &["--attribute", "sub=zebulon"]].concat(),
            "NAME=VALUE",
        ),
        (
            [&one[..], &["--group", "A B"]].concat(),
            "--group: a group name",
        ),
        (
            [&one[..], &["--pool", "us-east-1_other"]].concat(),
            "pools.allowed",
        ),
        (
            [&one[..], &["--give-up-after", "0s"]].concat(),
            "--give-up-after",
        ),
        (
            [&one[..], &["--set", "pools.allowed=a_1,b_1"]].concat(),
            "--pool",
        ),
    ] {
        let mut all = vec!["users", "invite"];
        all.extend(&arguments);
        let mut command = world.usher(&all);
        command.env("USHER_POOLS__ALLOWED", &world.pool.id);
        let (status, _, err) = finished(command).await;
        assert_eq!(status, Some(2), "{arguments:?}: {err}");
        assert!(err.contains(part), "{part}: {err}");
    }
    let mut command = world.usher(&["users", "invite", "--email", "zebulon@quagmire.example"]);
    command.env("USHER_POOLS__ALLOWED", "");
    let (status, _, err) = finished(command).await;
    assert_eq!(status, Some(78), "a setting is missing: {err}");
    assert!(err.contains("--pool"), "{err}");
    for operation in ["AdminCreateUser", "AdminAddUserToGroup", "PutItem"] {
        assert_eq!(world.faults.calls(operation), 0, "{operation}");
    }
}
