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
        assert_eq!(depth.hidden, 0, "hidden letters");
        depth.visible
    }
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
async fn drop_needs_a_filter_and_yes_and_writes_an_audit_line() {
    let world = World::new().await;
    world
        .send_dead_letters(&[dead_letter("a", "not_json"), dead_letter("b", "throttled")])
        .await;
    for (arguments, says) in [
        (&["drop"][..], "give a filter"),
        (&["drop", "--limit", "1"], "give a filter"),
        (&["drop", "--all"], "say --yes"),
        (
            &["drop", "--all", "--reason", "x", "--yes"],
            "takes no filter",
        ),
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
        (Some(0), "1 letter dropped\n"),
        "{errors}"
    );
    let lines = audited(&errors);
    assert_eq!(lines.len(), 1);
    assert_eq!(
        (&lines[0]["audit.action"], &lines[0]["outcome"]),
        (&json!("drop"), &json!("dropped"))
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
        "not finished: the profile is written after the groups; a replay gives what is missing"
    );
    let (status, _, errors) = world.run_dead_letters(&["show", "source-2"]).await;
    assert_eq!(status, Some(1));
    assert!(errors.contains("no letter has the id source-2"), "{errors}");
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
        listed.contains("1 letter") && listed.len() < 2_000,
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
