//! `usher dead-letters`: list, show, replay, export, import and drop.

mod files;
mod replay;

use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use usher::aws::Outgoing;
use usher::dead_letter::{Filter, Selection, SelectionEnd, Unseen};

use crate::process::finished;
use crate::world::{TestUser, World};

const FIRST: &str = "2026-08-01T09:00:00.000Z";

/// A dead letter with the attributes that a worker writes.
fn dead_letter(body: impl Into<String>, reason: &str) -> Outgoing {
    let attributes = [
        ("usher.reason", reason),
        ("usher.class", "not_yet"),
        ("usher.error", "as the test has it"),
        ("usher.attempts", "8"),
        ("usher.first_received_at", FIRST),
        ("usher.dead_lettered_at", "2026-08-01T09:05:00.000Z"),
        ("usher.source_message_id", "source-1"),
        ("usher.version", "0.1.0"),
    ];
    Outgoing {
        body: body.into(),
        attributes: attributes
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        ..Outgoing::default()
    }
}

impl World {
    async fn send_dead_letters(&self, dead_letters: &[Outgoing]) {
        for sent in self.dead_letters.send_all(dead_letters).await {
            sent.expect("sent");
        }
    }

    async fn send_dead_letters_of(&self, users: &[TestUser], reason: &str) {
        let dead_letters: Vec<Outgoing> = users
            .iter()
            .map(|user| dead_letter(user.event.to_string(), reason))
            .collect();
        self.send_dead_letters(&dead_letters).await;
    }

    /// Runs `usher dead-letters …`: exit status, standard output, standard error.
    async fn run_dead_letters(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let mut all = vec!["dead-letters"];
        all.extend(arguments);
        finished(self.usher(&all)).await
    }

    async fn visible_dead_letters(&self) -> u64 {
        let depth = self
            .dead_letters
            .attributes()
            .await
            .expect("attributes")
            .depth;
        assert_eq!(depth.hidden, 0, "hidden dead letters");
        depth.visible
    }
}

#[tokio::test]
async fn the_times_of_a_filter_are_shown_in_utc() {
    let world = World::new().await;
    let times = ["--since", "yesterday", "--before", "2026-08-07"];
    let (status, out, errors) = world
        .run_dead_letters(&[&["list"], &times[..]].concat())
        .await;
    assert_eq!((status, &*out), (Some(0), "no dead letters found\n"));
    let is_since = |line: &str| line.starts_with("since 20") && line.ends_with(" 00:00 UTC");
    assert!(errors.lines().any(is_since), "{errors}");
    let before = "before 2026-08-07 00:00 UTC\n";
    assert!(errors.contains(before), "{errors}");
}

fn objects(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).expect("an object a line"))
        .collect()
}

fn audited(stderr: &str) -> Vec<Value> {
    objects_of(stderr)
        .into_iter()
        .filter(|line| line["target"] == "usher::audit")
        .collect()
}

/// The log lines in JSON; other text on standard error is skipped.
fn objects_of(stderr: &str) -> Vec<Value> {
    let lines = stderr.lines();
    lines
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

#[tokio::test]
async fn changes_need_a_filter_and_yes_and_drop_writes_an_audit_line() {
    let world = World::new().await;
    world
        .send_dead_letters(&[dead_letter("a", "not_json"), dead_letter("b", "throttled")])
        .await;
    for (arguments, says) in [
        (&["drop"][..], "choose dead letters"),
        (&["drop", "--limit", "1"], "choose dead letters"),
        (&["drop", "--all"], "confirm with --yes"),
        (&["drop", "12345678", "--all"], "cannot be used with"),
        (
            &["drop", "--all", "--reason", "x", "--yes"],
            "cannot be used with",
        ),
        (&["replay"], "choose dead letters"),
        (&["replay", "--reason", "throttled"], "confirm with --yes"),
        (&["replay", "--native"], "confirm with --yes"),
        (&["list", "--reason", "throtled"], "did you mean throttled?"),
        (&["list", "--sub", "ada@example.com"], "give the sub"),
        (&["show", "1234567"], "8 characters"),
    ] {
        let (status, _, errors) = world.run_dead_letters(arguments).await;
        assert_eq!(status, Some(2), "{arguments:?}");
        assert!(errors.contains(says), "{errors}");
    }
    let (status, stdout, errors) = world
        .run_dead_letters(&["drop", "--reason", "not_json", "--yes"])
        .await;
    assert_eq!(
        (status, stdout.as_str()),
        (Some(0), "1 dead letter deleted\n"),
        "{errors}"
    );
    let lines = audited(&errors);
    assert_eq!(lines.len(), 1);
    assert_eq!(
        (&lines[0]["action"], &lines[0]["message"]),
        (&json!("drop"), &json!("drop of a dead letter: deleted"))
    );
    let dead_letters = world.read_dead_letters().await;
    assert_eq!(
        (dead_letters.len(), dead_letters[0].body.as_str()),
        (1, "b")
    );
}

#[tokio::test]
async fn show_prints_the_body_only_with_the_flag() {
    let world = World::new().await;
    let users = world.create_users(1).await;
    world.send_dead_letters_of(&users, "throttled").await;
    let (status, shown, errors) = world.run_dead_letters(&["show", "source-1"]).await;
    assert_eq!(status, Some(0), "{errors}");
    assert!(
        shown.contains(&users[0].sub) && shown.contains("throttled"),
        "{shown}"
    );
    assert!(!shown.contains("mail.example"), "{shown}");
    let names = shown.lines().filter_map(|line| line.split("  ").next());
    let names: Vec<&str> = names.collect();
    assert_eq!(names[..2], ["id", "reason"], "{shown}");
    for name in ["state", "sub", "dead-lettered", "first received", "sent"] {
        assert!(names.contains(&name), "{name}: {shown}");
    }
    assert!(!shown.contains("receives"), "{shown}");
    let meaning = "throttled: the service accepts no more calls at the moment";
    assert!(shown.contains(meaning), "{shown}");
    let id = shown.split_whitespace().nth(1).expect("an id");
    let id = &id[..8];
    let next = format!("next: usher dead-letters replay {id}\n");
    assert!(shown.ends_with(&next), "{shown}");
    let (_, shown, _) = world
        .run_dead_letters(&["show", "source-1", "--body"])
        .await;
    assert!(shown.contains("mail.example"), "{shown}");
    let (_, shown, _) = world
        .run_dead_letters(&["--output", "json", "show", "source-1"])
        .await;
    let shown: Value = serde_json::from_str(&shown).expect("an object");
    assert_eq!(
        shown["state"],
        "not finished: the profile is written after the groups; a replay writes it"
    );
    let (status, _, errors) = world.run_dead_letters(&["show", "source-2"]).await;
    assert_eq!(status, Some(1));
    assert!(
        errors.contains("no dead letter has the id source-2 (1 read)"),
        "{errors}"
    );
    assert_eq!(world.visible_dead_letters().await, 1);
}

#[tokio::test]
async fn a_dead_letter_with_a_long_attribute_is_listed() {
    let world = World::new().await;
    let mut endless = dead_letter("{}", &"x".repeat(70_000));
    endless
        .attributes
        .insert("usher.error".to_owned(), "y".repeat(70_000));
    world.send_dead_letters(&[endless]).await;
    let (status, listed, errors) = world.run_dead_letters(&["list"]).await;
    assert_eq!(status, Some(0), "{errors}");
    assert!(
        listed.contains("1 dead letter") && listed.len() < 2_000,
        "{listed}"
    );
    let (status, shown, _) = world.run_dead_letters(&["show", "source-1"]).await;
    assert_eq!((status, shown.len() < 5_000), (Some(0), true));
}

#[tokio::test]
async fn a_dead_letter_visible_early_is_neither_repeated_nor_missed() {
    let world = World::new().await;
    let dead_letters: Vec<Outgoing> = (0..35)
        .map(|n| dead_letter(n.to_string(), "throttled"))
        .collect();
    world.send_dead_letters(&dead_letters).await;
    let queue = &world.dead_letters;
    let stop = CancellationToken::new();
    let mut selection = Selection::new(queue, 1, Filter::default(), stop);
    let mut bodies = Vec::new();
    while let Some(found) = selection
        .next(|_| true, |_| {})
        .await
        .expect("dead letters")
    {
        if bodies.len() < 30 {
            // As if the visibility timeout had expired.
            let receipts: Vec<(&str, Duration)> = found
                .iter()
                .map(|dead_letter| (dead_letter.message.receipt_handle.as_str(), Duration::ZERO))
                .collect();
            queue
                .change_visibility(&receipts)
                .await
                .expect("visible again");
        }
        bodies.extend(
            found
                .into_iter()
                .map(|dead_letter| dead_letter.message.body),
        );
    }
    assert_eq!(
        selection.finish().await,
        SelectionEnd::Exhausted(Unseen::default())
    );
    bodies.sort_by_key(|body| body.parse::<u32>().expect("a number"));
    let expected: Vec<String> = (0..35).map(|n| n.to_string()).collect();
    assert_eq!(bodies, expected);
    assert_eq!(world.visible_dead_letters().await, 35);
}

#[tokio::test]
async fn a_filter_that_matches_nothing_says_what_is_there() {
    let world = World::new().await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("none.jsonl");
    let path = file.to_str().expect("text");
    let filter = ["--reason", "kms"];
    let (_, listed, _) = world.run_dead_letters(&["list"]).await;
    assert_eq!(listed, "no dead letters found\n");
    let reasons = ["throttled", "not_json", "throttled"];
    let dead_letters: Vec<Outgoing> = reasons.map(|reason| dead_letter("{", reason)).into();
    world.send_dead_letters(&dead_letters).await;
    for command in [
        &["list"][..],
        &["replay", "--yes"],
        &["replay", "--direct", "--yes"],
        &["replay", "--dry-run"],
        &["export", path],
        &["drop", "--yes"],
    ] {
        let (status, out, errors) = world.run_dead_letters(&[command, &filter].concat()).await;
        assert_eq!(status, Some(0), "{command:?} {errors}");
        assert_eq!(
            out, "no dead letter matches the filter (3 others: throttled 2, not_json 1)\n",
            "{command:?}"
        );
    }
    assert!(!file.exists(), "an export of nothing makes no file");
    let (_, listed, _) = world.run_dead_letters(&["list", "--limit", "2"]).await;
    assert!(listed.ends_with("\n2 of 3 dead letters\n"), "{listed}");
    let longest = listed.lines().map(str::len).max();
    assert!(longest <= Some(80), "{listed}");
}

#[tokio::test]
async fn list_prints_the_approximate_count_only_where_asked() {
    let world = World::new().await;
    let dead_letters: Vec<Outgoing> = ["a", "b"].map(|body| dead_letter(body, "timeout")).into();
    world.send_dead_letters(&dead_letters).await;
    let (_, listed, errors) = world.run_dead_letters(&["list"]).await;
    assert!(!errors.contains("about"), "{errors}");
    assert!(listed.ends_with("\n2 dead letters\n"), "{listed}");
    let calls = || ["ReceiveMessage", "GetQueueAttributes"].map(|it| world.faults.calls(it));
    let before = calls();
    world.dead_letters.receive(1).await.expect("received");
    let (_, counted, _) = world.run_dead_letters(&["list", "--count"]).await;
    assert_eq!(counted, "about 2 dead letters, 1 of them in flight\n");
    let (_, counted, _) = world
        .run_dead_letters(&["list", "--count", "--output", "json"])
        .await;
    let counted: Value = serde_json::from_str(&counted).expect("an object");
    assert_eq!(counted, json!({"dead_letters": 2, "in_flight": 1}));
    // For each run one look for the queue and one count.
    assert_eq!(calls(), [before[0], before[1] + 4]);
}

#[tokio::test]
async fn commands_take_the_beginning_of_an_id() {
    let world = World::new().await;
    let with_source = |body: &str, source: &str| {
        let mut dead_letter = dead_letter(body, "throttled");
        let name = "usher.source_message_id".to_owned();
        dead_letter.attributes.insert(name, source.to_owned());
        dead_letter
    };
    world
        .send_dead_letters(&[
            with_source("one", "aaaaaaaa-1"),
            with_source("two", "aaaaaaaa-2"),
            with_source("three", "bbbbbbbb-3"),
        ])
        .await;
    for command in [
        &["show"][..],
        &["drop", "--yes"],
        &["replay", "--yes"],
        &["replay", "--dry-run"],
    ] {
        let (status, _, errors) = world
            .run_dead_letters(&[command, &["aaaaaaaa"]].concat())
            .await;
        assert_eq!(status, Some(1), "{command:?}");
        assert!(
            errors.contains("aaaaaaaa is ambiguous: it means "),
            "{errors}"
        );
        let (status, _, errors) = world
            .run_dead_letters(&[command, &["cccccccc"]].concat())
            .await;
        assert_eq!(status, Some(1), "{command:?}");
        let says = "no dead letter has the id cccccccc (3 read)";
        assert!(errors.contains(says), "{errors}");
    }
    let (status, dropped, errors) = world.run_dead_letters(&["drop", "bbbbbbbb", "--yes"]).await;
    assert_eq!(
        (status, dropped.as_str()),
        (Some(0), "1 dead letter deleted\n"),
        "{errors}"
    );
    let (status, replayed, errors) = world
        .run_dead_letters(&["replay", "aaaaaaaa-1", "--yes"])
        .await;
    assert_eq!(status, Some(0), "{errors}");
    assert_eq!(replayed, "1 dead letter sent to the source queue\n");
    let dead_letters = world.read_dead_letters().await;
    assert_eq!(dead_letters.len(), 1);
    assert_eq!(dead_letters[0].body, "two");
    let id = &dead_letters[0].id;
    let receipt = [(dead_letters[0].receipt_handle.as_str(), Duration::ZERO)];
    let visible = world.dead_letters.change_visibility(&receipt).await;
    visible.expect("visible again");
    for asked in [id.as_str(), &id[..8]] {
        let (status, shown, errors) = world.run_dead_letters(&["show", asked]).await;
        assert_eq!(status, Some(0), "{errors}");
        assert!(shown.contains(id), "{shown}");
    }
}
