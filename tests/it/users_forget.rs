//! `usher users forget`: deletes all of one user, nothing of others, and reports what remains.

mod doubt;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::http::StatusCode;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use usher::aws::Outgoing;

use crate::faults::{Call, Fault};
use crate::process::{Process, finished};
use crate::world::{TABLE, TestUser, World, eventually};

const INDEXED: &str = "Indexed";
const INDEX: &str = "byOwner";
const NOBODY: &str = "00000000-0000-4000-8000-00000000000a";
const ADMINISTRATOR: &str = "00000000-0000-4000-8000-00000000000b";

type Ended = (Option<i32>, String, String);

impl World {
    /// A confirmed user with a verified address.
    async fn person(&self, name: &str) -> TestUser {
        let sub = format!("00000000-0000-4000-8000-{:012x}", fastrand::u64(..1 << 48));
        let email = format!("{name}@mail.example");
        let attributes = [
            ("sub", sub.as_str()),
            ("email", email.as_str()),
            ("email_verified", "true"),
        ];
        let attributes = attributes.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let attributes = BTreeMap::from(attributes);
        let (sandbox, pool) = (&self.sandbox, &self.pool.id);
        let created = sandbox.create_user(pool, name, &attributes).await;
        created.expect("a user");
        let confirmed = sandbox.set_password(pool, name, "A-passw0rd").await;
        confirmed.expect("confirmed");
        let event = json!({
            "triggerSource": "PostConfirmation_ConfirmSignUp", "userPoolId": pool,
            "userName": name, "request": {"userAttributes": attributes},
        });
        TestUser {
            name: name.to_owned(),
            sub,
            event,
        }
    }

    /// A user of whom there is something everywhere: groups, two profiles, two dead letters.
    async fn known_person(&self, name: &str) -> TestUser {
        let user = self.person(name).await;
        self.send(user.event.to_string()).await;
        self.work(&[]).await;
        let owner = format!("{}::{name}", user.sub);
        self.put_profile_under_another_id(&user, TABLE, &owner)
            .await;
        for reason in ["throttled", "user_not_found"] {
            self.send_dead_letter_of(&user.event, reason).await;
        }
        user
    }

    async fn put_profile_under_another_id(&self, user: &TestUser, table: &str, owner: &str) {
        let (id, email) = (
            format!("elsewhere-{}", user.name),
            format!("{}@mail.example", user.name),
        );
        let profile = [
            ("id", id.as_str()),
            ("profileOwner", owner),
            ("email", &email),
        ];
        let profile = profile.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let written = self.sandbox.put_profile(table, profile.into()).await;
        written.expect("written");
    }

    fn command(&self, name: &str, username: &str) -> Value {
        json!({
            "usher": 1, "command": name, "requestId": "r1", "requestedBy": {"sub": ADMINISTRATOR},
            "userPoolId": self.pool.id, "username": username, "groupName": "STAFF",
        })
    }

    async fn send_dead_letter_of(&self, body: &Value, reason: &str) {
        let reason = ("usher.reason".to_owned(), reason.to_owned());
        let message = Outgoing {
            body: body.to_string(),
            attributes: [reason].into(),
            ..Outgoing::default()
        };
        self.dead_letters.send(message).await.expect("sent");
    }

    fn forget_command(&self, arguments: &[&str]) -> tokio::process::Command {
        let mut command = self.usher(&[&["users", "forget"], arguments].concat());
        command.env("USHER_POOLS__ALLOWED", &self.pool.id);
        command
    }

    async fn forget(&self, sub: &str, more: &[&str]) -> Ended {
        let arguments = [&[sub, "--yes"], more].concat();
        finished(self.forget_command(&arguments)).await
    }

    /// All that is in pool, table and dead-letter queue, as text. Hides the dead letters.
    async fn everything(&self) -> String {
        let pool = &self.pool.id;
        let users = self.sandbox.users(pool).await.expect("users");
        let groups = self.sandbox.groups(pool).await.expect("groups");
        let profiles = self.profiles().await;
        let letters = self.read_dead_letters().await;
        let letters: Vec<_> = letters
            .iter()
            .map(|it| (&it.body, &it.attributes))
            .collect();
        format!("{users:?}{groups:?}{profiles:?}{letters:?}")
    }

    /// Asserts that nothing of the user is left, and everything of the other.
    async fn assert_forgotten(&self, user: &TestUser, other: &TestUser) {
        let users = self.sandbox.users(&self.pool.id).await.expect("users");
        assert_eq!(users.keys().collect::<Vec<_>>(), [&other.name]);
        let letters = self.dead_letters.attributes().await.expect("attributes");
        assert_eq!(letters.depth.total(), 2, "dead letters of the other");
        assert_eq!(self.profiles().await.len(), 2, "profiles of the other");
        assert_eq!(self.members("EVERYONE").await, [other.name.as_str()]);
        let everything = self.everything().await;
        // No name is all hexadecimal digits, which a random UUID could hold.
        for secret in [
            &user.name,
            &user.sub,
            &format!("{}@mail.example", user.name),
        ] {
            assert!(!everything.contains(secret), "{secret} in {everything}");
        }
    }
}

fn audited(errors: &str) -> Vec<Value> {
    let lines = errors.lines();
    let lines = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines
        .filter(|line| line["target"] == "usher::audit")
        .collect()
}

/// The calls that delete something.
const CHANGES: [&str; 3] = ["DeleteMessageBatch", "AdminDeleteUser", "DeleteItem"];

fn is_change(call: &Call) -> bool {
    CHANGES.contains(&call.operation.as_str())
}

fn has_arrived(stage: &AtomicU32) -> bool {
    stage.load(Ordering::SeqCst) > 0
}

#[tokio::test]
async fn all_of_one_user_goes_and_nothing_of_others() {
    let world = World::new().await;
    let zora = world.known_person("zora-lovelace").await;
    let bob = world.known_person("bob").await;
    let mut command = world.forget_command(&[&zora.sub, "--yes"]);
    command.env("RUST_LOG", "trace");
    let (status, stdout, errors) = finished(command).await;
    assert_eq!(status, Some(0), "{stdout}{errors}");
    assert!(
        stdout.starts_with("deleted: user, 2 profiles, 2 dead letters\n"),
        "{stdout}"
    );
    let end = format!("nothing of {} is left\n", zora.sub);
    assert!(stdout.ends_with(&end), "{stdout}");
    for secret in ["zora-lovelace", "mail.example"] {
        let logged = format!("{stdout}{errors}").to_lowercase();
        assert!(!logged.contains(secret), "{secret} in {logged}");
    }
    let audit = audited(&errors);
    let of = |what: &str| audit.iter().filter(|it| it["what"] == what).count();
    assert_eq!(
        (of("user"), of("profile"), audit.len()),
        (1, 2, 5),
        "{audit:?}"
    );
    for line in &audit {
        assert_eq!(line["action"], "users_forget");
        assert_eq!(line["result"], "deleted");
        assert!(
            line["actor"]
                .as_str()
                .is_some_and(|it| it.starts_with("arn:")),
            "{line}"
        );
    }
    world.assert_forgotten(&zora, &bob).await;
}

#[tokio::test]
async fn a_dry_run_shows_all_and_changes_nothing() {
    let world = World::new().await;
    let zora = world.known_person("zora").await;
    world.send(zora.event.to_string()).await;
    let changes = || CHANGES.map(|operation| world.faults.calls(operation));
    let before = changes();
    let (status, stdout, errors) = finished(world.forget_command(&[&zora.sub, "--dry-run"])).await;
    assert_eq!(status, Some(0), "{errors}");
    let lines: Vec<&str> = stdout.lines().collect();
    let plan = "dry run: would delete user, 2 profiles, 2 dead letters";
    assert_eq!(lines, ["on the queue: 1 message", plan]);
    assert_eq!(changes(), before);
    assert_eq!(world.queue.receive(10).await.expect("received").len(), 1);
    let json = [&zora.sub, "--dry-run", "-o", "json"];
    let (_, stdout, _) = finished(world.forget_command(&json)).await;
    let report: Value = serde_json::from_str(&stdout).expect("an object");
    assert_eq!(report["status"], "dry_run", "{report}");
    assert_eq!(report["left"]["dead_letters"], 2, "{report}");
    assert_eq!(report["deleted"]["user"], false, "{report}");
    assert!(audited(&errors).is_empty(), "{errors}");
    assert_eq!(world.read_dead_letters().await.len(), 2);
}

#[tokio::test]
async fn keep_user_leaves_only_the_user_in_the_pool() {
    let world = World::new().await;
    let zora = world.known_person("zora").await;
    let (status, stdout, errors) = world.forget(&zora.sub, &["--keep-user"]).await;
    assert_eq!(status, Some(0), "{stdout}{errors}");
    assert!(
        stdout.starts_with("deleted: 2 profiles, 2 dead letters\n"),
        "{stdout}"
    );
    let users = world.sandbox.users(&world.pool.id).await.expect("users");
    assert_eq!(users.get("zora"), Some(&zora.sub));
    assert_eq!(world.members("EVERYONE").await, ["zora"]);
    assert!(world.profiles().await.is_empty());
    assert!(world.read_dead_letters().await.is_empty());
}

/// The process is killed while each of its changes is on the way; the next run ends it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_is_killed_anywhere_is_run_again() {
    let mut runs = JoinSet::new();
    for kill_at in 0..5 {
        runs.spawn(killed_at(kill_at));
    }
    let killed = runs.join_all().await;
    assert!(killed.iter().filter(|it| **it).count() >= 4, "{killed:?}");
}

/// False if the run ended before that change.
async fn killed_at(kill_at: u32) -> bool {
    let world = World::new().await;
    let zora = world.known_person("zora").await;
    let bob = world.known_person("bob").await;
    let (mut changes, stage) = (0, Arc::new(AtomicU32::new(0)));
    let arrived = Arc::clone(&stage);
    world.faults.plan(move |call| {
        changes += u32::from(is_change(call));
        if !is_change(call) || changes <= kill_at {
            return None;
        }
        arrived.fetch_add(1, Ordering::SeqCst);
        Some(Fault::Hang(crate::world::PATIENCE))
    });
    let command = world.forget_command(&[&zora.sub, "--yes"]);
    let mut process = Process::start(command);
    let is_killed = tokio::select! {
        () = eventually("the change", || async { has_arrived(&stage) }) => true,
        status = process.exit() => {
            assert!(status.success());
            false
        }
    };
    if is_killed {
        process.signal(rustix::process::Signal::KILL);
        process.exit().await;
    }
    world.faults.clear();
    let (status, stdout, errors) = world.forget(&zora.sub, &[]).await;
    assert_eq!(status, Some(0), "{kill_at}: {stdout}{errors}");
    world.assert_forgotten(&zora, &bob).await;
    is_killed
}

#[tokio::test]
async fn a_dead_letter_that_comes_after_the_deletion_is_found() {
    let world = World::new().await;
    let zora = world.person("zora").await;
    world.send(zora.event.to_string()).await;
    let command = world.forget_command(&[&zora.sub, "--yes"]);
    let forget = tokio::spawn(finished(command));
    eventually("the user is deleted", || async {
        world.faults.calls("AdminDeleteUser") > 0
    })
    .await;
    world.work(&[("worker.max_attempts", "1")]).await;
    let (status, stdout, errors) = forget.await.expect("no panic");
    assert_eq!(status, Some(0), "{stdout}{errors}");
    assert!(
        stdout.starts_with("deleted: user, 1 dead letter\n"),
        "{stdout}"
    );
    world.assert_queue_empty().await;
    assert!(!world.everything().await.contains(&zora.sub));
}

#[tokio::test]
async fn a_stop_while_it_waits_for_the_queue_is_a_failure() {
    let world = World::new().await;
    let zora = world.person("zora").await;
    world.send(zora.event.to_string()).await;
    let mut process = Process::start(world.forget_command(&[&zora.sub, "--yes"]));
    eventually("the user is deleted", || async {
        world.faults.calls("AdminDeleteUser") > 0
    })
    .await;
    process.signal(rustix::process::Signal::TERM);
    assert_eq!(process.exit().await.code(), Some(1), "{}", process.log());
    let log = process.log();
    assert!(
        log.contains("usher: not finished; run the command again"),
        "{log}"
    );
}

#[tokio::test]
async fn a_profile_is_found_by_the_index() {
    let world = World::new().await;
    let index = Some((INDEX, "profileOwner"));
    let made = world.sandbox.create_table_with(INDEXED, "id", index).await;
    made.expect("a table");
    let (zora, bob) = (world.person("zora").await, world.person("bob").await);
    let settings = [
        "--set",
        "profiles.table=Indexed",
        "--set",
        "profiles.owner_index=byOwner",
    ];
    for (user, owner) in [
        (&zora, "zora".to_owned()),
        (&bob, format!("{}::bob", bob.sub)),
    ] {
        world
            .put_profile_under_another_id(user, INDEXED, &owner)
            .await;
    }
    let (status, stdout, errors) = world.forget(&zora.sub, &settings).await;
    assert_eq!(status, Some(0), "{stdout}{errors}");
    assert!(stdout.starts_with("deleted: user, 1 profile\n"), "{stdout}");
    assert_eq!(world.faults.calls("Scan"), 0, "the table is not read");
    // Without the user their name is not known, and an index cannot be asked.
    world.delete_user("bob").await;
    let (status, stdout, errors) = world.forget(&bob.sub, &settings).await;
    assert_eq!(status, Some(0), "{stdout}{errors}");
    assert!(stdout.starts_with("deleted: 1 profile\n"), "{stdout}");
    let left = world
        .sandbox
        .profiles(INDEXED, "id")
        .await
        .expect("profiles");
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn of_an_unknown_sub_nothing_is_found() {
    let world = World::new().await;
    let bob = world.known_person("bob").await;
    // As an operator may paste it.
    let upper = NOBODY.to_uppercase();
    let (status, stdout, errors) = world.forget(&upper, &[]).await;
    assert_eq!(status, Some(0), "{errors}");
    assert!(stdout.starts_with("deleted: nothing\n"), "{stdout}");
    let end = format!("nothing of {NOBODY} is left\n");
    assert!(stdout.ends_with(&end), "{stdout}");
    assert!(stdout.contains("note: no such user"), "{stdout}");
    assert!(audited(&errors).is_empty(), "{errors}");
    let everything = world.everything().await;
    assert!(everything.contains(&bob.sub) && everything.contains("bob@mail.example"));
}

#[tokio::test]
async fn only_a_sub_and_a_confirmation_are_accepted() {
    let world = World::new().await;
    for wrong in ["zora@mail.example", "zora", "00000000"] {
        let (status, stdout, errors) = finished(world.forget_command(&[wrong, "--yes"])).await;
        assert_eq!((status, stdout.as_str()), (Some(2), ""), "{errors}");
        assert!(errors.contains("usher users show"), "{errors}");
        assert!(!errors.contains(wrong), "{errors}");
    }
    let (status, _, errors) = finished(world.forget_command(&[NOBODY])).await;
    assert_eq!(status, Some(2), "{errors}");
    assert!(errors.contains("confirm with --yes"), "{errors}");
}

#[tokio::test]
async fn without_profiles_it_says_that_none_were_searched() {
    let world = World::new().await;
    let zora = world.person("zora").await;
    let off = ["--set", "profiles.enabled=false"];
    let (status, stdout, errors) = world.forget(&zora.sub, &off).await;
    assert_eq!(status, Some(0), "{stdout}{errors}");
    assert!(stdout.starts_with("deleted: user\n"), "{stdout}");
    let note = "note: profiles were not searched: profiles.enabled = false\n";
    assert!(stdout.contains(note), "{stdout}");
}

#[tokio::test]
async fn a_missing_permission_is_named_and_the_next_run_finishes() {
    let world = World::new().await;
    let zora = world.known_person("zora").await;
    let bob = world.known_person("bob").await;
    for operation in ["ReceiveMessage", "DeleteItem", "AdminDeleteUser"] {
        world.faults.plan(move |call| {
            let denied = Fault::Error(StatusCode::BAD_REQUEST, "AccessDeniedException");
            (call.operation == operation).then_some(denied)
        });
        let (status, stdout, errors) = world.forget(&zora.sub, &[]).await;
        assert_eq!((status, stdout.as_str()), (Some(1), ""), "{errors}");
        for part in [operation, "AccessDenied"] {
            assert!(errors.contains(part), "{part} in {errors}");
        }
        let remedy = if operation == "ReceiveMessage" {
            "usher: nothing was deleted: "
        } else {
            "usher: not finished; run the command again: "
        };
        assert!(errors.contains(remedy), "{errors}");
    }
    world.faults.clear();
    let (status, stdout, errors) = world.forget(&zora.sub, &[]).await;
    assert_eq!(status, Some(0), "{stdout}{errors}");
    world.assert_forgotten(&zora, &bob).await;
}
