//! `usher users show`: what a user lacks, why, and the command that repairs it.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use serde_json::{Value, json};
use usher::aws::{Outgoing, PoolOptions};

use crate::faults::Fault;
use crate::process::finished;
use crate::world::{TABLE, TestUser, World};

/// Rules by attribute and by app client.
const RULES: &str = r#"
    [[groups.rules]]
    groups = ["PRO"]
    attribute = "custom:plan"
    equals = "pro"

    [[groups.rules]]
    groups = ["BETA"]
    client_id = "beta-app"
"#;

type Shown = (Option<i32>, String, String);

impl World {
    /// A confirmed user who was never provisioned, with an attribute for [`RULES`].
    async fn missed_user(&self, name: &str) -> TestUser {
        self.missed_user_with(name, &format!("{name}@mail.example"))
            .await
    }

    async fn missed_user_with(&self, name: &str, email: &str) -> TestUser {
        let sub = format!("00000000-0000-4000-8000-{:012x}", fastrand::u64(..1 << 48));
        let attributes = [
            ("sub", sub.as_str()),
            ("email", email),
            ("custom:plan", "pro"),
        ];
        let attributes = attributes.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let attributes = BTreeMap::from(attributes);
        let (sandbox, pool) = (&self.sandbox, &self.pool.id);
        let created = sandbox.create_user(pool, name, &attributes);
        created.await.expect("a user");
        let confirmed = sandbox.set_password(pool, name, "A-passw0rd");
        confirmed.await.expect("confirmed");
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

    /// `usher users show`: exit status, standard output, standard error.
    async fn show(&self, arguments: &[&str]) -> Shown {
        self.show_with(arguments, &[]).await
    }

    async fn show_with(&self, arguments: &[&str], settings: &[(&str, &str)]) -> Shown {
        let mut command = self.usher(&[&["users", "show"], arguments].concat());
        command.env("USHER_POOLS__ALLOWED", &self.pool.id);
        command.envs(settings.iter().copied());
        finished(command).await
    }

    async fn show_json(&self, arguments: &[&str], settings: &[(&str, &str)]) -> Value {
        let arguments = [arguments, &["-o", "json"]].concat();
        let (_, stdout, errors) = self.show_with(&arguments, settings).await;
        serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("no object: {stdout}{errors}"))
    }

    async fn send_dead_letter(&self, user: &TestUser, reason: &str) {
        let attributes = [
            ("usher.reason", reason),
            ("usher.dead_lettered_at", "2026-08-01T09:05:00.000Z"),
        ];
        let attributes = attributes.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let message = Outgoing {
            body: user.event.to_string(),
            attributes: attributes.into(),
            ..Outgoing::default()
        };
        self.dead_letters.send(message).await.expect("sent");
    }

    /// A profile of the user under a random id, as Amplify's Data client writes it.
    async fn put_profile_elsewhere(&self, user: &TestUser) {
        let owner = format!("{}::{}", user.sub, user.name);
        let profile = [("id", "7c9e6679"), ("profileOwner", owner.as_str())];
        let profile = profile.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let written = self.sandbox.put_profile(TABLE, profile.into()).await;
        written.expect("written");
    }
}

/// Words of a text, so that widths of columns do not matter.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The configuration file with [`RULES`]; it lasts as long as the folder.
fn rules_file() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("usher.toml");
    std::fs::write(&path, RULES).expect("written");
    let path = path.to_str().expect("text").to_owned();
    (folder, path)
}

#[tokio::test]
async fn a_complete_user_lacks_nothing_by_name_or_sub() {
    let world = World::new().await;
    let user = world.missed_user("ada").await;
    world.send(user.event.to_string()).await;
    world.work(&[]).await;
    for asked in ["ada", user.sub.as_str(), "ada@mail.example"] {
        let (status, stdout, errors) = world.show(&[asked]).await;
        assert_eq!(status, Some(0), "{asked}: {stdout}{errors}");
        let text = words(&stdout);
        for part in [
            "user ada ",
            &user.sub,
            "status CONFIRMED, enabled",
            "groups EVERYONE member (groups.default)",
            "profile exists",
            "dead letters none",
        ] {
            assert!(text.contains(part), "{part} in {stdout}");
        }
        assert!(text.ends_with("nothing is missing"), "{stdout}");
    }
    assert_eq!(world.faults.calls("Scan"), 0, "no table is read");
}

#[tokio::test]
async fn fix_gives_what_is_missing_and_audits_it() {
    let world = World::new().await;
    let user = world.missed_user("ada").await;
    let (_folder, file) = rules_file();
    let settings = [("USHER_CONFIG", file.as_str())];
    let (status, stdout, errors) = world.show_with(&["ada"], &settings).await;
    assert_eq!(status, Some(1), "{errors}");
    let text = words(&stdout);
    for part in [
        "EVERYONE missing (groups.default)",
        "PRO missing (groups.rules 1: attribute custom:plan)",
        "BETA not evaluated (groups.rules 2: client_id)",
        "note: rules on client_id are not evaluated",
        "profile missing",
    ] {
        assert!(text.contains(part), "{part} in {stdout}");
    }
    let next = format!("next: usher users show {} --fix", user.sub);
    assert!(text.ends_with(&next), "{stdout}");
    world.assert_queue_empty().await;

    let (status, stdout, errors) = world.show_with(&["ada", "--fix"], &settings).await;
    assert_eq!(status, Some(0), "{stdout}{errors}");
    let queued = "queued: the worker adds EVERYONE, PRO, the profile";
    assert!(words(&stdout).ends_with(queued), "{stdout}");
    for part in [
        "EVERYONE missing, queued (groups.default)",
        "profile missing, queued",
    ] {
        assert!(words(&stdout).contains(part), "{part} in {stdout}");
    }
    let lines = errors.lines();
    let mut lines = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let audit = lines.find(|line| line["target"] == "usher::audit");
    let audit = audit.expect("an audit line");
    for (field, value) in [
        ("action", "users_show_fix"),
        ("user.sub", &user.sub),
        ("group.names", "EVERYONE,PRO"),
        ("result", "queued"),
    ] {
        assert_eq!(audit[field], value, "{audit}");
    }
    assert!(!errors.contains("ada@mail.example"), "{errors}");

    let mut worker = world.usher(&["worker", "--until-empty"]);
    worker.envs(settings);
    assert_eq!(finished(worker).await.0, Some(0));
    let (status, stdout, errors) = world.show_with(&["ada"], &settings).await;
    assert_eq!(status, Some(0), "{stdout}{errors}");
    assert!(stdout.ends_with("nothing is missing\n"), "{stdout}");
    // Nothing is queued for a user who lacks nothing.
    let (status, stdout, _) = world.show_with(&["ada", "--fix"], &settings).await;
    assert_eq!(status, Some(0), "{stdout}");
    world.assert_queue_empty().await;
}

#[tokio::test]
async fn fix_leaves_a_rule_group_of_a_finished_user_to_people() {
    let world = World::new().await;
    let user = world.missed_user("ada").await;
    world.send(user.event.to_string()).await;
    world.work(&[]).await;
    let left = world
        .sandbox
        .remove_from_group(&world.pool.id, "ada", "EVERYONE");
    left.await.expect("left");
    let (_folder, file) = rules_file();
    let settings = [("USHER_CONFIG", file.as_str())];
    let (status, stdout, errors) = world.show_with(&["ada", "--fix"], &settings).await;
    assert_eq!(status, Some(1), "{errors}");
    let next = format!("next: usher groups add --user {} --group PRO\n", user.sub);
    for part in [
        "note: the profile shows a finished sign-up",
        "queued: the worker adds EVERYONE\n",
        &next,
    ] {
        assert!(stdout.contains(part), "{part} in {stdout}");
    }
    world.work(&[]).await;
    assert_eq!(world.members("EVERYONE").await, ["ada"]);
    assert_eq!(world.members("PRO").await, [""; 0]);
}

#[tokio::test]
async fn a_dead_letter_is_shown_with_its_command_and_stays() {
    let world = World::new().await;
    let user = world.missed_user("ada").await;
    let other = world.missed_user("bob").await;
    world.send_dead_letter(&user, "throttled").await;
    world.send_dead_letter(&other, "timeout").await;
    let (status, stdout, errors) = world.show(&["ada"]).await;
    assert_eq!(status, Some(1), "{errors}");
    let shown = world.show_json(&["ada"], &[]).await;
    let id = shown["dead_letters"]["found"][0]["id"].as_str();
    let id = &id.expect("an id")[..8];
    let replay = format!("next: usher dead-letters replay {id}\n");
    let fix = format!("next: usher users show {} --fix\n", user.sub);
    assert!(stdout.ends_with(&format!("{replay}{fix}")), "{stdout}");
    assert!(
        stdout.contains("2026-08-01 09:05 UTC  throttled: "),
        "{stdout}"
    );
    assert!(!stdout.contains("timeout"), "{stdout}");
    let found = &shown["dead_letters"]["found"];
    assert_eq!(found.as_array().map(Vec::len), Some(1), "{found}");
    assert_eq!(found[0]["reason"], "throttled");
    let depth = world.dead_letters.attributes().await.expect("attributes");
    assert_eq!((depth.depth.visible, depth.depth.hidden), (2, 0));

    let replay = ["dead-letters", "replay", "--sub", &user.sub, "--yes"];
    assert_eq!(finished(world.usher(&replay)).await.0, Some(0));
    world.work(&[]).await;
    assert_eq!(world.show(&["ada"]).await.0, Some(0));
    let (_, stdout, _) = world.show(&["bob"]).await;
    assert!(stdout.contains("timeout: "), "{stdout}");
}

#[tokio::test]
async fn dead_letters_that_were_not_read_are_never_none() {
    let world = World::new().await;
    let user = world.missed_user("ada").await;
    world.send(user.event.to_string()).await;
    world.work(&[]).await;
    let unset = [("USHER_QUEUE__URL", "")];
    let (status, stdout, errors) = world.show_with(&["ada"], &unset).await;
    assert_eq!(status, Some(1), "{errors}");
    let cause = "dead letters  not read: queue.dead_letter_url and queue.url are not set\n";
    assert!(stdout.contains(cause), "{stdout}");
    assert!(!stdout.contains("nothing is missing"), "{stdout}");

    // A queue that cannot be read is a failure: it may have a dead letter of the user.
    world.faults.plan(|call| {
        let denied = Fault::Error(StatusCode::FORBIDDEN, "AccessDenied");
        (call.operation == "ReceiveMessage").then_some(denied)
    });
    let (status, stdout, errors) = world.show(&["ada"]).await;
    assert_eq!(status, Some(1), "{stdout}{errors}");
    assert!(stdout.contains("dead letters  not read: sqs"), "{stdout}");
    let shown = world.show_json(&["ada"], &[]).await;
    let cause = shown["dead_letters"]["not_read"].as_str();
    assert!(
        cause.is_some_and(|cause| cause.contains("AccessDenied")),
        "{shown}"
    );
}

#[tokio::test]
async fn an_unknown_user_is_an_error_that_names_the_pool() {
    let world = World::new().await;
    for asked in [
        "zoe",
        "zoe@mail.example",
        "00000000-0000-4000-8000-000000000000",
    ] {
        let (status, stdout, errors) = world.show(&[asked]).await;
        assert_eq!((status, stdout.as_str()), (Some(1), ""), "{asked}");
        let expected = format!("no user of {} has this user name", world.pool.id);
        assert!(errors.contains(&expected), "{errors}");
        assert!(!errors.contains(asked), "{errors}");
    }
}

#[tokio::test]
async fn an_address_of_several_users_lists_them() {
    let world = World::new().await;
    let ada = world.missed_user_with("ada", "team@mail.example").await;
    let bob = world.missed_user_with("bob", "team@mail.example").await;
    let (status, stdout, _) = world.show(&["team@mail.example"]).await;
    assert_eq!(status, Some(1));
    for user in [&ada, &bob] {
        let line = format!("  {}  {}\n", user.sub, user.name);
        assert!(stdout.contains(&line), "{stdout}");
    }
    let shown = world.show_json(&["team@mail.example"], &[]).await;
    assert_eq!(
        shown["matches"].as_array().map(Vec::len),
        Some(2),
        "{shown}"
    );
}

#[tokio::test]
async fn a_user_of_a_pool_with_addresses_is_found_by_theirs() {
    let by_address = PoolOptions {
        email_usernames: true,
        ..PoolOptions::default()
    };
    let world = World::new_in(&by_address).await;
    let attributes = [("email", "ada@mail.example"), ("email_verified", "true")];
    let attributes = attributes.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let attributes = BTreeMap::from(attributes);
    let (sandbox, pool) = (&world.sandbox, &world.pool.id);
    let created = sandbox.create_user(pool, "ada@mail.example", &attributes);
    created.await.expect("a user");
    let shown = world.show_json(&["ada@mail.example"], &[]).await;
    assert_eq!(shown["user"]["status"], "FORCE_CHANGE_PASSWORD", "{shown}");
    assert_eq!(shown["user"]["name"], shown["user"]["sub"], "{shown}");
}

#[tokio::test]
async fn fix_queues_no_one_who_has_not_chosen_a_password() {
    let world = World::new().await;
    world.create_user("ada").await;
    let (status, stdout, errors) = world.show(&["ada"]).await;
    assert_eq!(status, Some(1), "{errors}");
    assert!(
        stdout.contains("note: the user must first choose a password"),
        "{stdout}"
    );
    let (status, stdout, errors) = world.show(&["ada", "--fix"]).await;
    assert_eq!(status, Some(1), "{errors}");
    assert!(
        stdout.contains("not queued: the user must first choose a password"),
        "{stdout}"
    );
    world.assert_queue_empty().await;
}

#[tokio::test]
async fn fix_never_writes_a_second_profile() {
    let world = World::new().await;
    let user = world.missed_user("ada").await;
    world.put_profile_elsewhere(&user).await;

    // The user may have a profile that was not found.
    world.faults.plan(|call| {
        let denied = Fault::Error(StatusCode::BAD_REQUEST, "AccessDeniedException");
        (call.operation == "Scan").then_some(denied)
    });
    let (status, stdout, errors) = world.show(&["ada", "--fix"]).await;
    assert_eq!(status, Some(1), "{errors}");
    for part in [
        "not queued: the profile may be under another id",
        "not found under the sub; the search under other ids failed: dynamodb Scan on UserProfile: AccessDeniedException",
    ] {
        assert!(stdout.contains(part), "{part} in {stdout}");
    }
    let shown = world.show_json(&["ada"], &[]).await;
    assert_eq!(shown["profile"], "not_known");
    let cause = "dynamodb Scan on UserProfile: AccessDeniedException";
    assert_eq!(shown["profile_error"], cause);
    world.assert_queue_empty().await;
    world.faults.clear();

    // The group is given, as reconcile --groups gives it.
    let (status, stdout, errors) = world.show(&["ada", "--fix"]).await;
    assert_eq!(status, Some(1), "{errors}");
    assert!(
        stdout.contains("profile       under another id than the sub\n"),
        "{stdout}"
    );
    assert!(
        stdout.ends_with("queued: the worker adds EVERYONE\n"),
        "{stdout}"
    );
    world.work(&[]).await;
    assert_eq!(world.members("EVERYONE").await, ["ada"]);
    assert_eq!(world.profiles().await.len(), 1);

    let (status, stdout, errors) = world.show(&["ada", "--fix"]).await;
    assert_eq!(status, Some(1), "{errors}");
    assert!(
        stdout.contains("not queued: usher writes no second profile"),
        "{stdout}"
    );
    world.assert_queue_empty().await;
    let (_, stdout, _) = world.show(&["ada"]).await;
    assert!(
        stdout.contains("note: docs/guide/amplify-migration.md"),
        "{stdout}"
    );
}

#[tokio::test]
async fn json_has_the_facts_of_the_text() {
    let world = World::new().await;
    let user = world.missed_user("ada").await;
    let off = [("USHER_PROFILES__ENABLED", "false")];
    let (_folder, file) = rules_file();
    let settings = [("USHER_CONFIG", file.as_str())];
    let shown = world
        .show_json(&["ada", "--pool", &world.pool.id], &settings)
        .await;
    assert_eq!(shown["pool"], world.pool.id.as_str());
    assert_eq!(shown["user"]["name"], "ada");
    assert_eq!(shown["user"]["sub"], user.sub.as_str());
    assert_eq!(shown["user"]["enabled"], true);
    assert!(shown["user"]["created"].is_string(), "{shown}");
    let group = |name: &str, state: &str, source: &str| json!({"group": name, "state": state, "sources": [source]});
    let groups = json!([
        group("EVERYONE", "missing", "groups.default"),
        group("PRO", "missing", "groups.rules 1: attribute custom:plan"),
        group("BETA", "not_evaluated", "groups.rules 2: client_id"),
    ]);
    assert_eq!(shown["groups"], groups);
    assert_eq!(shown["profile"], "missing");
    assert_eq!(shown["profile_error"], Value::Null);
    assert_eq!(shown["is_missing"], true);
    assert_eq!(
        shown["dead_letters"],
        json!({"not_read": null, "found": []})
    );
    assert_eq!(shown["queued"], Value::Null);
    let next = format!("usher users show {} --fix", user.sub);
    assert_eq!(shown["next"], json!([next]));
    assert!(!shown.to_string().contains("mail.example"), "{shown}");

    let shown = world.show_json(&["ada"], &off).await;
    assert_eq!(shown["profile"], "off");
    let shown = world.show_json(&["ada", "--fix"], &off).await;
    let queued = json!({"groups": ["EVERYONE"], "profile": false});
    assert_eq!(shown["queued"], queued);
}
