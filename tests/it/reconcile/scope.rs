//! Reconcile gives only missing groups and profiles, and no privileged group.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::json;

use crate::faults::Fault;
use crate::process::finished;
use crate::world::{TestUser, World};

/// A rule that gives ADMINS by an attribute that only administrators write.
const RULES: &str = r#"
    [[groups.rules]]
    groups = ["PRO", "ADMINS"]
    attribute = "custom:plan"
    equals = "pro"
    trusted = true
"#;

struct Setup {
    world: World,
    file: PathBuf,
    folder: tempfile::TempDir,
}

impl Setup {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("usher.toml");
        std::fs::write(&file, RULES).expect("written");
        let world = World::new().await;
        Self {
            world,
            file,
            folder,
        }
    }

    /// Creates a confirmed user who matches the rule.
    async fn create_user(&self, name: &str) -> TestUser {
        let sub = format!("00000000-0000-4000-8000-{:012x}", fastrand::u64(..1 << 48));
        let attributes = BTreeMap::from([
            ("sub".to_owned(), sub.clone()),
            ("custom:plan".to_owned(), "pro".to_owned()),
        ]);
        let world = &self.world;
        let created = world.sandbox.create_user(&world.pool.id, name, &attributes);
        created.await.expect("a user");
        let confirmed = world
            .sandbox
            .set_password(&world.pool.id, name, "A-passw0rd");
        confirmed.await.expect("confirmed");
        let event = json!({
            "triggerSource": "PostConfirmation_ConfirmSignUp",
            "userPoolId": world.pool.id, "userName": name,
            "request": {"userAttributes": attributes},
        });
        TestUser {
            name: name.to_owned(),
            sub,
            event,
        }
    }

    /// Runs `usher` with the rule and returns its standard output.
    async fn usher(&self, arguments: &[&str]) -> String {
        let mut command = self.world.usher(arguments);
        command
            .env("USHER_CONFIG", &self.file)
            .current_dir(self.folder.path());
        let (status, stdout, errors) = finished(command).await;
        assert_eq!(status, Some(0), "{arguments:?}: {errors}");
        stdout
    }

    async fn reconcile(&self, arguments: &[&str]) -> String {
        let all = [&["reconcile", "--pool", &self.world.pool.id], arguments].concat();
        self.usher(&all).await
    }

    async fn work(&self) {
        let once = ["worker", "--until-empty", "--set", "worker.max_attempts=1"];
        self.usher(&once).await;
    }

    /// The user's groups, and whether the user has a profile.
    async fn has(&self, user: &TestUser) -> (Vec<&'static str>, bool) {
        let mut groups = Vec::new();
        for group in ["EVERYONE", "PRO", "ADMINS"] {
            if self.world.members(group).await.contains(&user.name) {
                groups.push(group);
            }
        }
        let profiles = self.world.profiles().await;
        (groups, profiles.contains_key(&user.sub))
    }

    async fn leave(&self, user: &TestUser, group: &str) {
        let (pool, name) = (&self.world.pool.id, &user.name);
        let left = self
            .world
            .sandbox
            .remove_from_group(pool, name, group)
            .await;
        left.expect("left");
    }
}

#[tokio::test]
async fn a_user_without_a_profile_gets_all_but_privileged_groups() {
    let setup = Setup::new().await;
    let user = setup.create_user("missed").await;
    let stdout = setup.reconcile(&[]).await;
    assert!(
        stdout.ends_with("1 missing a profile, groups not compared (--groups); 1 queued\n"),
        "{stdout}"
    );
    setup.work().await;
    assert_eq!(setup.has(&user).await, (vec!["EVERYONE", "PRO"], true));
}

#[tokio::test]
async fn a_removed_group_is_not_given_again() {
    let setup = Setup::new().await;
    let user = setup.create_user("demoted").await;
    setup.world.send(user.event.to_string()).await;
    setup.work().await;
    let all = vec!["EVERYONE", "PRO", "ADMINS"];
    assert_eq!(setup.has(&user).await, (all.clone(), true));

    for group in all {
        setup.leave(&user, group).await;
    }
    setup.reconcile(&[]).await;
    setup.work().await;
    assert_eq!(setup.has(&user).await, (vec![], true));

    // With `--groups` it compares memberships, and gives only default groups.
    let stdout = setup.reconcile(&["--groups"]).await;
    assert!(
        stdout.ends_with("0 missing a profile, 1 missing a group; 1 queued\n"),
        "{stdout}"
    );
    setup.work().await;
    assert_eq!(setup.has(&user).await, (vec!["EVERYONE"], true));
}

#[tokio::test]
async fn without_profiles_only_missing_default_groups_are_given() {
    let setup = Setup::new().await;
    let user = setup.create_user("plain").await;
    let off = ["--set", "profiles.enabled=false"];
    let stdout = setup.reconcile(&off).await;
    assert!(
        stdout.ends_with("1 missing a group; 1 queued\n"),
        "{stdout}"
    );
    setup
        .usher(&[&["worker", "--until-empty"][..], &off].concat())
        .await;
    assert_eq!(setup.has(&user).await, (vec!["EVERYONE"], false));
}

#[tokio::test]
async fn a_replayed_reconcile_dead_letter_gives_no_privileged_group() {
    let setup = Setup::new().await;
    let user = setup.create_user("refused").await;
    setup.reconcile(&[]).await;
    setup.world.faults.plan(|call| {
        let refused = axum::http::StatusCode::BAD_REQUEST;
        (call.operation == "AdminAddUserToGroup")
            .then_some(Fault::Error(refused, "UserNotFoundException"))
    });
    setup.work().await;
    assert_eq!(setup.has(&user).await, (vec![], false));
    setup.world.faults.clear();

    // Exported to a file and imported, as an operator may do.
    let file = setup.folder.path().join("letters.jsonl");
    let file = file.to_str().expect("text");
    setup
        .usher(&["dead-letters", "export", file, "--delete"])
        .await;
    setup.usher(&["dead-letters", "import", file]).await;
    setup
        .usher(&["dead-letters", "replay", "--all", "--yes"])
        .await;
    setup.work().await;
    assert_eq!(setup.has(&user).await, (vec!["EVERYONE", "PRO"], true));
}

#[tokio::test]
async fn without_groups_the_user_is_verified_before_the_profile() {
    let setup = Setup::new().await;
    let groups = ["--set", "groups.default="];
    let work = [&["worker", "--until-empty"][..], &groups].concat();
    let user = setup.create_user("groupless").await;
    let mut known = user.event.clone();
    // The data of the pool counts, not the data of the event.
    known["request"]["userAttributes"] = json!({"sub": "deadbeef-0000-4000-8000-000000000000"});
    let mut unknown = user.event.clone();
    unknown["userName"] = json!("nobody");
    unknown["request"]["userAttributes"] = json!({"sub": "deadbeef-0000-4000-8000-000000000000"});
    setup.world.send(known.to_string()).await;
    setup.world.send(unknown.to_string()).await;
    let attempts = ["--set", "worker.max_attempts=1"];
    setup.usher(&[&work[..], &attempts].concat()).await;
    let profiles = setup.world.profiles().await;
    assert_eq!(profiles.keys().collect::<Vec<_>>(), [&user.sub]);
    let dead_letters = setup.world.read_dead_letters().await;
    assert_eq!(dead_letters.len(), 1);
    assert_eq!(dead_letters[0].attributes["usher.reason"], "user_not_found");

    // For reconcile the lookup is a list call, after which no user counts as active.
    let looked_up = setup.world.faults.calls("AdminGetUser");
    let missed = setup.create_user("missed").await;
    let deleted = setup.create_user("deleted").await;
    setup.reconcile(&groups).await;
    setup.world.delete_user(&deleted.name).await;
    setup.usher(&[&work[..], &attempts].concat()).await;
    let profiles = setup.world.profiles().await;
    assert!(profiles.contains_key(&missed.sub) && !profiles.contains_key(&deleted.sub));
    assert_eq!(setup.world.faults.calls("AdminGetUser"), looked_up);
}
