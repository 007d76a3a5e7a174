//! What reconcile gives: only what was found lacking, and no privileged group.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::json;

use crate::faults::Fault;
use crate::process::finished;
use crate::world::{Person, World};

/// A rule gives ADMINS by an attribute that only administrators write.
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

    /// A user whom the rule is about.
    async fn person(&self, name: &str) -> Person {
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
        Person {
            name: name.to_owned(),
            sub,
            event,
        }
    }

    /// `usher` with the rule: what it said.
    async fn usher(&self, arguments: &[&str]) -> String {
        let mut command = self.world.usher(arguments);
        command
            .env("USHER_CONFIG", &self.file)
            .current_dir(self.folder.path());
        let (status, said, errors) = finished(command).await;
        assert_eq!(status, Some(0), "{arguments:?}: {errors}");
        said
    }

    async fn reconcile(&self, arguments: &[&str]) -> String {
        let all = [&["reconcile", "--pool", &self.world.pool.id], arguments].concat();
        self.usher(&all).await
    }

    async fn work(&self) {
        let once = ["worker", "--until-empty", "--set", "worker.max_attempts=1"];
        self.usher(&once).await;
    }

    /// The groups of the rule, of everyone, and whether there is a record.
    async fn has(&self, person: &Person) -> (Vec<&'static str>, bool) {
        let mut groups = Vec::new();
        for group in ["EVERYONE", "PRO", "ADMINS"] {
            if self.world.members(group).await.contains(&person.name) {
                groups.push(group);
            }
        }
        let records = self.world.records().await;
        (groups, records.contains_key(&person.sub))
    }

    async fn leave(&self, person: &Person, group: &str) {
        let (pool, name) = (&self.world.pool.id, &person.name);
        let left = self
            .world
            .sandbox
            .remove_from_group(pool, name, group)
            .await;
        left.expect("left");
    }
}

#[tokio::test]
async fn a_user_without_a_record_gets_all_but_privileged_groups() {
    let setup = Setup::new().await;
    let person = setup.person("missed").await;
    let said = setup.reconcile(&[]).await;
    assert!(said.ends_with("1 lack a profile; 1 queued\n"), "{said}");
    setup.work().await;
    assert_eq!(setup.has(&person).await, (vec!["EVERYONE", "PRO"], true));
}

#[tokio::test]
async fn a_group_that_was_taken_away_stays_away() {
    let setup = Setup::new().await;
    let person = setup.person("demoted").await;
    setup.world.send(person.event.to_string()).await;
    setup.work().await;
    let all = vec!["EVERYONE", "PRO", "ADMINS"];
    assert_eq!(setup.has(&person).await, (all.clone(), true));

    for group in all {
        setup.leave(&person, group).await;
    }
    setup.reconcile(&[]).await;
    setup.work().await;
    assert_eq!(setup.has(&person).await, (vec![], true));

    // Asked to compare memberships, it gives default groups and no other.
    let said = setup.reconcile(&["--groups"]).await;
    assert!(
        said.ends_with("0 lack a profile, 1 lack a group; 1 queued\n"),
        "{said}"
    );
    setup.work().await;
    assert_eq!(setup.has(&person).await, (vec!["EVERYONE"], true));
}

#[tokio::test]
async fn without_profiles_only_the_group_that_is_lacking_is_given() {
    let setup = Setup::new().await;
    let person = setup.person("plain").await;
    let off = ["--set", "profiles.enabled=false"];
    let said = setup.reconcile(&off).await;
    assert!(said.ends_with("1 lack a group; 1 queued\n"), "{said}");
    setup
        .usher(&[&["worker", "--until-empty"][..], &off].concat())
        .await;
    assert_eq!(setup.has(&person).await, (vec!["EVERYONE"], false));
}

#[tokio::test]
async fn a_replayed_dead_letter_of_reconcile_gives_no_more() {
    let setup = Setup::new().await;
    let person = setup.person("refused").await;
    setup.reconcile(&[]).await;
    setup.world.faults.plan(|call| {
        let refused = axum::http::StatusCode::BAD_REQUEST;
        (call.operation == "AdminAddUserToGroup")
            .then_some(Fault::Error(refused, "UserNotFoundException"))
    });
    setup.work().await;
    assert_eq!(setup.has(&person).await, (vec![], false));
    setup.world.faults.mend();

    // By way of a file, as an operator keeps it.
    let file = setup.folder.path().join("letters.jsonl");
    let file = file.to_str().expect("text");
    setup
        .usher(&["dead-letters", "export", file, "--remove"])
        .await;
    setup.usher(&["dead-letters", "import", file]).await;
    setup.usher(&["dead-letters", "replay"]).await;
    setup.work().await;
    assert_eq!(setup.has(&person).await, (vec!["EVERYONE", "PRO"], true));
}

#[tokio::test]
async fn without_groups_the_user_is_looked_up_before_the_record() {
    let setup = Setup::new().await;
    let groups = ["--set", "groups.default="];
    let work = [&["worker", "--until-empty"][..], &groups].concat();
    let person = setup.person("groupless").await;
    let mut known = person.event.clone();
    // What the pool says of the user counts, and not what the event says.
    known["request"]["userAttributes"] = json!({"sub": "somebody-else"});
    let mut unknown = person.event.clone();
    unknown["userName"] = json!("nobody");
    unknown["request"]["userAttributes"] = json!({"sub": "nobody"});
    setup.world.send(known.to_string()).await;
    setup.world.send(unknown.to_string()).await;
    let attempts = ["--set", "worker.max_attempts=1"];
    setup.usher(&[&work[..], &attempts].concat()).await;
    let records = setup.world.records().await;
    assert_eq!(records.keys().collect::<Vec<_>>(), [&person.sub]);
    let letters = setup.world.letters().await;
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].attributes["usher.reason"], "user_not_found");

    // Whom reconcile finds is looked up in a list, which makes nobody count as active.
    let looked_up = setup.world.faults.calls("AdminGetUser");
    let missed = setup.person("missed").await;
    let deleted = setup.person("deleted").await;
    setup.reconcile(&groups).await;
    setup.world.delete_user(&deleted.name).await;
    setup.usher(&[&work[..], &attempts].concat()).await;
    let records = setup.world.records().await;
    assert!(records.contains_key(&missed.sub) && !records.contains_key(&deleted.sub));
    assert_eq!(setup.world.faults.calls("AdminGetUser"), looked_up);
}
