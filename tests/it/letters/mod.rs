//! Dead letters: listed, shown, replayed, kept in a file, dropped.

mod files;
mod replay;

use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use usher::aws::Outgoing;
use usher::dead_letter::{Filter, Selection, SelectionEnd, Unseen};

use crate::process::finished;
use crate::world::{Person, World};

const FIRST: &str = "2026-08-01T09:00:00.000Z";

/// A letter as a worker would have written it.
fn letter(body: impl Into<String>, reason: &str) -> Outgoing {
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
    async fn put_letters(&self, letters: &[Outgoing]) {
        for sent in self.dead_letters.send_all(letters).await {
            sent.expect("sent");
        }
    }

    async fn letters_of(&self, people: &[Person], reason: &str) {
        let letters: Vec<Outgoing> = people
            .iter()
            .map(|person| letter(person.event.to_string(), reason))
            .collect();
        self.put_letters(&letters).await;
    }

    /// Runs `usher dead-letters …`: exit status, standard output, standard error.
    async fn dead_letters(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let mut all = vec!["dead-letters"];
        all.extend(arguments);
        finished(self.usher(&all)).await
    }

    async fn visible_letters(&self) -> u64 {
        let depth = self.dead_letters.attributes().await.expect("facts").depth;
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

/// Log lines; what is said to people is passed over.
fn objects_of(stderr: &str) -> Vec<Value> {
    let lines = stderr.lines();
    lines
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

#[tokio::test]
async fn dropping_needs_a_filter_and_a_yes_and_leaves_a_line() {
    let world = World::new().await;
    world
        .put_letters(&[letter("a", "not_json"), letter("b", "throttled")])
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
        let (status, _, errors) = world.dead_letters(arguments).await;
        assert_eq!(status, Some(2), "{arguments:?}");
        assert!(errors.contains(says), "{errors}");
    }
    let (status, said, errors) = world
        .dead_letters(&["drop", "--reason", "not_json", "--yes"])
        .await;
    assert_eq!(
        (status, said.as_str()),
        (Some(0), "1 letter dropped\n"),
        "{errors}"
    );
    let lines = audited(&errors);
    assert_eq!(lines.len(), 1);
    assert_eq!(
        (&lines[0]["audit.action"], &lines[0]["outcome"]),
        (&json!("drop"), &json!("dropped"))
    );
    let letters = world.letters().await;
    assert_eq!((letters.len(), letters[0].body.as_str()), (1, "b"));
}

#[tokio::test]
async fn show_keeps_the_body_to_itself_unless_it_is_asked_for() {
    let world = World::new().await;
    let people = world.people(1).await;
    world.letters_of(&people, "throttled").await;
    let (status, shown, errors) = world.dead_letters(&["show", "source-1"]).await;
    assert_eq!(status, Some(0), "{errors}");
    assert!(
        shown.contains(&people[0].sub) && shown.contains("throttled"),
        "{shown}"
    );
    assert!(!shown.contains("mail.example"), "{shown}");
    let (_, shown, _) = world.dead_letters(&["show", "source-1", "--body"]).await;
    assert!(shown.contains("mail.example"), "{shown}");
    let (_, shown, _) = world
        .dead_letters(&["--output", "json", "show", "source-1"])
        .await;
    let shown: Value = serde_json::from_str(&shown).expect("an object");
    assert_eq!(
        shown["state"],
        "not finished: the profile is written after the groups; a replay gives what is missing"
    );
    let (status, _, errors) = world.dead_letters(&["show", "source-2"]).await;
    assert_eq!(status, Some(1));
    assert!(errors.contains("no letter has the id source-2"), "{errors}");
    assert_eq!(world.visible_letters().await, 1);
}

#[tokio::test]
async fn a_letter_with_an_endless_attribute_is_listed() {
    let world = World::new().await;
    let mut endless = letter("{}", &"x".repeat(70_000));
    endless
        .attributes
        .insert("usher.error".to_owned(), "y".repeat(70_000));
    world.put_letters(&[endless]).await;
    let (status, listed, errors) = world.dead_letters(&["list"]).await;
    assert_eq!(status, Some(0), "{errors}");
    assert!(
        listed.contains("1 letter") && listed.len() < 2_000,
        "{listed}"
    );
    let (status, shown, _) = world.dead_letters(&["show", "source-1"]).await;
    assert_eq!((status, shown.len() < 5_000), (Some(0), true));
}

#[tokio::test]
async fn a_letter_whose_time_ran_out_is_neither_shown_twice_nor_missed() {
    let world = World::new().await;
    let letters: Vec<Outgoing> = (0..35)
        .map(|n| letter(n.to_string(), "throttled"))
        .collect();
    world.put_letters(&letters).await;
    let queue = &world.dead_letters;
    let stop = CancellationToken::new();
    let mut selection = Selection::new(queue, 1, Filter::default(), stop);
    let mut bodies = Vec::new();
    while let Some(found) = selection.next(|_| true, |_| {}).await.expect("letters") {
        if bodies.len() < 30 {
            // As if it had run out.
            let receipts: Vec<(&str, Duration)> = found
                .iter()
                .map(|letter| (letter.message.receipt_handle.as_str(), Duration::ZERO))
                .collect();
            queue
                .change_visibility(&receipts)
                .await
                .expect("visible again");
        }
        bodies.extend(found.into_iter().map(|letter| letter.message.body));
    }
    assert_eq!(
        selection.finish().await,
        SelectionEnd::Exhausted(Unseen::default())
    );
    bodies.sort_by_key(|body| body.parse::<u32>().expect("a number"));
    let expected: Vec<String> = (0..35).map(|n| n.to_string()).collect();
    assert_eq!(bodies, expected);
    assert_eq!(world.visible_letters().await, 35);
}
