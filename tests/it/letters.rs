//! Dead letters: listed, shown, replayed, kept in a file, dropped.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use axum::http::StatusCode;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use usher::aws::Outgoing;
use usher::dead_letter::{Ended, Filter, Selection, Unseen};
use usher::worker::Until;

use crate::faults::Fault;
use crate::process::Process;
use crate::world::{PATIENCE, Person, World, eventually};

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
        let run = self.usher(&all).output();
        let output = tokio::time::timeout(PATIENCE, run)
            .await
            .expect("ends in time")
            .expect("runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        (
            output.status.code(),
            text(output.stdout),
            text(output.stderr),
        )
    }

    async fn visible_letters(&self) -> u64 {
        let depth = self.dead_letters.facts().await.expect("facts").depth;
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
async fn five_thousand_letters_are_listed_and_a_killed_replay_goes_on() {
    let world = World::new().await;
    let people = world.people(300).await;
    let mut letters: Vec<Outgoing> = people
        .iter()
        .map(|person| letter(person.event.to_string(), "user_not_found"))
        .collect();
    for (reason, count) in [("throttled", 2000), ("not_json", 1500), ("timeout", 800)] {
        letters.extend((0..count).map(|n| letter(format!("{reason} {n}"), reason)));
    }
    // As SQS moves them.
    letters.extend((0..400).map(|n| Outgoing {
        body: format!("unknown {n}"),
        ..Outgoing::default()
    }));
    fastrand::shuffle(&mut letters);
    world.put_letters(&letters).await;

    let (status, listed, errors) = world.dead_letters(&["list", "--output", "json"]).await;
    assert_eq!(status, Some(0), "{errors}");
    let listed = objects(&listed);
    let ids: BTreeSet<&str> = listed.iter().filter_map(|one| one["id"].as_str()).collect();
    assert_eq!((listed.len(), ids.len()), (5000, 5000), "each once");
    let mut reasons: BTreeMap<&str, u64> = BTreeMap::new();
    for one in &listed {
        *reasons
            .entry(one["reason"].as_str().expect("a reason"))
            .or_default() += 1;
    }
    let expected = [
        ("not_json", 1500),
        ("throttled", 2000),
        ("timeout", 800),
        ("unknown", 400),
        ("user_not_found", 300),
    ];
    assert_eq!(reasons, BTreeMap::from(expected));
    assert_eq!(world.visible_letters().await, 5000, "all are shown again");

    let worker = world.worker(&world.config(&[]), Until::Stopped).await;
    let replay = [
        "dead-letters",
        "replay",
        "--reason",
        "user_not_found",
        "--rate",
        "50",
    ];
    let mut killed = Process::start(world.usher(&replay));
    eventually("half of them", || async {
        world.members("EVERYONE").await.len() > 100
    })
    .await;
    killed.signal(Signal::SIGKILL);
    killed.exit().await;
    let left = world.dead_letters.facts().await.expect("facts").depth;
    assert!(
        left.visible + left.hidden > 4700,
        "killed half-way: {left:?}"
    );

    let (status, tally, errors) = world
        .dead_letters(&[&replay[1..], &["--output", "json"]].concat())
        .await;
    assert_eq!(status, Some(0), "{errors}");
    let tally: Value = serde_json::from_str(&tally).expect("JSON");
    assert!(tally["queued"].as_u64() < Some(250), "{tally}");
    let lines = audited(&errors);
    assert_eq!(
        Some(lines.len() as u64),
        tally["queued"].as_u64(),
        "a line for each"
    );
    let who = "arn:aws:iam::123456789012:user/local";
    assert_eq!(lines[0]["audit.who"], who, "{errors}");

    eventually("everybody", || async {
        world.members("EVERYONE").await.len() == people.len()
    })
    .await;
    worker.stop().await;
    world.work(&[]).await;
    let records = world.records().await;
    assert_eq!(records.len(), people.len(), "one profile each");
    world.assert_queue_empty().await;

    let mut rest: BTreeMap<String, BTreeMap<String, String>> = letters
        .into_iter()
        .filter(|letter| {
            letter
                .attributes
                .get("usher.reason")
                .is_none_or(|r| r != "user_not_found")
        })
        .map(|letter| (letter.body, letter.attributes))
        .collect();
    for letter in world.letters().await {
        let sent = rest.remove(&letter.body);
        assert_eq!(sent, Some(letter.attributes), "untouched");
    }
    assert!(rest.is_empty(), "lost: {}", rest.len());
}

#[tokio::test]
async fn a_letter_that_sqs_moved_is_unknown_and_can_be_replayed() {
    let world = World::new().await;
    let people = world.people(1).await;
    world.send_all(&people).await;
    // Nobody works on it until SQS has had enough.
    while let Some(message) = world.queue.receive(1).await.expect("received").pop() {
        let receipt = [(message.receipt.as_str(), Duration::ZERO)];
        world.queue.hide(&receipt).await.expect("visible again");
    }
    let (status, listed, _) = world.dead_letters(&["list"]).await;
    assert_eq!(status, Some(0));
    assert!(
        listed.contains("unknown") && listed.contains("1 letters"),
        "{listed}"
    );

    let (status, replayed, errors) = world.dead_letters(&["replay", "--reason", "unknown"]).await;
    assert_eq!(status, Some(0), "{errors}");
    assert!(replayed.contains("1  queued"), "{replayed}");
    world.work(&[]).await;
    world.assert_all_provisioned(&people).await;
}

#[tokio::test]
async fn what_fails_again_comes_back_with_its_replays_counted_and_its_first_date() {
    let world = World::new().await;
    world.put_letters(&[letter("{", "throttled")]).await;
    for replays in ["1", "2"] {
        let (status, _, errors) = world.dead_letters(&["replay"]).await;
        assert_eq!(status, Some(0), "{errors}");
        world.work(&[]).await;
        let letters = world.letters().await;
        assert_eq!(letters.len(), 1);
        let attributes = &letters[0].attributes;
        assert_eq!(attributes["usher.reason"], "not_json");
        assert_eq!(attributes["usher.replays"], replays);
        assert_eq!(attributes["usher.first_received_at"], FIRST);
        assert_eq!(attributes["usher.attempts"], "1", "attempts begin anew");
        let receipt = [(letters[0].receipt.as_str(), Duration::ZERO)];
        world
            .dead_letters
            .hide(&receipt)
            .await
            .expect("visible again");
    }
}

#[tokio::test]
async fn a_replay_ends_although_its_letters_keep_coming_back() {
    let world = World::new().await;
    let worker = world.worker(&world.config(&[]), Until::Stopped).await;
    let letters: Vec<Outgoing> = (0..25)
        .map(|n| letter(format!("{{{n}"), "throttled"))
        .collect();
    world.put_letters(&letters).await;
    let (status, tally, errors) = world.dead_letters(&["replay", "--output", "json"]).await;
    assert_eq!(status, Some(0), "{errors}");
    assert_eq!(tally.trim(), "{\n  \"queued\": 25\n}");
    eventually("all back", || async { world.visible_letters().await == 25 }).await;
    worker.stop().await;

    let (status, tally, _) = world
        .dead_letters(&["replay", "--direct", "--output", "json"])
        .await;
    assert_eq!(status, Some(1), "they failed again");
    assert_eq!(tally.trim(), "{\n  \"failed again: not_json\": 25\n}");
    let letters = world.letters().await;
    assert_eq!(letters.len(), 25);
    for letter in letters {
        assert_eq!(letter.attributes["usher.replays"], "2");
        assert_eq!(letter.attributes["usher.first_received_at"], FIRST);
    }
}

#[tokio::test]
async fn a_replay_that_may_not_delete_stops_and_says_so() {
    let world = World::new().await;
    let people = world.people(30).await;
    world.letters_of(&people, "throttled").await;
    world.faults.plan(|call| {
        (call.operation == "DeleteMessageBatch").then_some(Fault::Error(
            StatusCode::BAD_REQUEST,
            "AccessDeniedException",
        ))
    });
    let (status, tally, errors) = world.dead_letters(&["replay"]).await;
    assert_eq!(status, Some(1));
    assert_eq!(tally, "      10  not deleted\n", "one batch and no more");
    assert!(
        errors.contains("DeleteMessageBatch") && errors.contains("AccessDenied"),
        "{errors}"
    );
    assert_eq!(world.visible_letters().await, 30);
}

#[tokio::test]
async fn an_import_that_is_cut_off_says_where_to_go_on() {
    let world = World::new().await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("letters.jsonl");
    let lines: Vec<String> = (0..30).map(|n| format!("{{\"body\":\"{n}\"}}")).collect();
    std::fs::write(&file, lines.join("\n")).expect("written");
    let path = file.to_str().expect("text");
    let mut calls = 0;
    world.faults.plan(move |call| {
        calls += u32::from(call.operation.starts_with("SendMessage"));
        (calls > 1).then_some(Fault::Error(
            StatusCode::SERVICE_UNAVAILABLE,
            "ServiceUnavailable",
        ))
    });
    let (status, _, errors) = world.dead_letters(&["import", path]).await;
    assert_eq!(status, Some(1));
    assert!(errors.contains("go on with --from-line 11"), "{errors}");
    world.faults.mend();
    let (status, _, errors) = world
        .dead_letters(&["import", path, "--from-line", "11"])
        .await;
    assert_eq!(status, Some(0), "{errors}");
    assert_eq!(world.visible_letters().await, 30);
}

#[tokio::test]
async fn a_direct_replay_provisions_in_its_own_process() {
    let world = World::new().await;
    let people = world.people(12).await;
    world.letters_of(&people, "timeout").await;
    let (status, tally, errors) = world
        .dead_letters(&["replay", "--direct", "--reason", "timeout"])
        .await;
    assert_eq!(status, Some(0), "{errors}");
    assert!(tally.contains("12  done"), "{tally}");
    world.assert_all_provisioned(&people).await;
}

#[tokio::test]
async fn a_dry_run_says_what_would_be_and_changes_nothing() {
    let world = World::new().await;
    let people = world.people(3).await;
    world.send_all(&people[..1]).await;
    world.work(&[]).await;
    let mut gone = people[2].event.clone();
    gone["userName"] = json!("nobody");
    world
        .put_letters(&[
            letter(people[0].event.to_string(), "throttled"),
            letter(people[1].event.to_string(), "throttled"),
            letter(gone.to_string(), "throttled"),
            letter("?", "throttled"),
        ])
        .await;
    let writes = [
        "AdminAddUserToGroup",
        "PutItem",
        "CreateGroup",
        "AdminGetUser",
    ];
    let before = writes.map(|operation| world.faults.calls(operation));
    let (status, verdicts, errors) = world
        .dead_letters(&["replay", "--dry-run", "--output", "json"])
        .await;
    assert_eq!(status, Some(0), "{errors}");
    let mut verdicts: Vec<(String, String, Value)> = objects(&verdicts)
        .into_iter()
        .map(|one| {
            let text = |name: &str| one["would"][name].as_str().expect("text").to_owned();
            (
                text("outcome"),
                text("reason"),
                one["would"]["lacks"].clone(),
            )
        })
        .collect();
    verdicts.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
    let none = || json!([]);
    let expected = [
        ("already_done", "", none()),
        ("done", "", json!(["EVERYONE", "profile"])),
        ("rejected", "not_json", none()),
        ("rejected", "user_not_found", none()),
    ];
    let expected = expected.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c));
    assert_eq!(verdicts, expected);
    assert_eq!(
        before,
        writes.map(|operation| world.faults.calls(operation))
    );
    assert_eq!(world.visible_letters().await, 4);
    assert!(audited(&errors).is_empty());
}

#[tokio::test]
async fn the_native_move_takes_all_and_counts_as_a_replay() {
    let world = World::new().await;
    let people = world.people(8).await;
    world.letters_of(&people, "throttled").await;
    world.put_letters(&[letter("?", "throttled")]).await;
    let (status, moved, errors) = world
        .dead_letters(&["replay", "--native", "--rate", "5"])
        .await;
    assert_eq!(status, Some(0), "{errors}");
    assert_eq!(moved, "completed: 9 letters moved\n");
    assert_eq!(audited(&errors)[0]["audit.action"], "native replay");
    world.work(&[]).await;
    assert_eq!(world.records().await.len(), people.len());
    let letters = world.letters().await;
    assert_eq!(letters.len(), 1, "the malformed one");
    assert_eq!(letters[0].attributes["usher.replays"], "1");
    assert_eq!(letters[0].attributes["usher.attempts"], "1");
    assert_eq!(letters[0].attributes["usher.first_received_at"], FIRST);
}

#[tokio::test]
async fn letters_are_exported_edited_and_imported() {
    let world = World::new().await;
    let people = world.people(2).await;
    let body = people[0].event.to_string().replace("person-0", "persom-0");
    world
        .put_letters(&[letter(body, "user_not_found"), letter("keep", "not_json")])
        .await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("letters.jsonl");
    let path = file.to_str().expect("text");

    let export = ["export", path, "--reason", "user_not_found", "--remove"];
    let (status, said, errors) = world.dead_letters(&export).await;
    assert_eq!(status, Some(0), "{errors}");
    assert_eq!(
        said,
        "1 letters written, 1 of them removed from the queue\n"
    );
    assert_eq!(audited(&errors)[0]["outcome"], "removed");
    assert_eq!(world.visible_letters().await, 1, "the other one");

    let (status, _, errors) = world.dead_letters(&export).await;
    assert_eq!(status, Some(1));
    assert!(errors.contains("exists already"), "{errors}");

    let text = std::fs::read_to_string(&file).expect("written");
    std::fs::write(&file, text.replace("persom-0", "person-0")).expect("edited");
    let (status, said, errors) = world.dead_letters(&["import", path]).await;
    assert_eq!(status, Some(0), "{errors}");
    assert_eq!(said, "1 letters sent to the dead-letter queue\n");

    let replay = ["replay", "--reason", "user_not_found"];
    let (status, _, errors) = world.dead_letters(&replay).await;
    assert_eq!(status, Some(0), "{errors}");
    world.work(&[]).await;
    assert_eq!(world.members("EVERYONE").await, ["person-0"]);
    let letters = world.letters().await;
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].body, "keep");
}

#[tokio::test]
async fn an_import_with_a_wrong_line_sends_nothing_and_names_it() {
    let world = World::new().await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("letters.jsonl");
    std::fs::write(&file, "{\"body\":\"a\"}\n\n{\"body\":\"secret\"").expect("written");
    let path = file.to_str().expect("text");
    let (status, _, errors) = world.dead_letters(&["import", path]).await;
    assert_eq!(status, Some(1));
    assert!(errors.contains("line 3 is cut off"), "{errors}");
    assert!(!errors.contains("secret"), "{errors}");
    assert_eq!(world.visible_letters().await, 0);
    let append = ["export", path, "--append"];
    let (status, _, errors) = world.dead_letters(&append).await;
    assert_eq!(status, Some(1));
    assert!(errors.contains("mend or remove it first"), "{errors}");
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
        (Some(0), "1 letters dropped\n"),
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
    let (status, _, errors) = world.dead_letters(&["show", "source-2"]).await;
    assert_eq!(status, Some(1));
    assert!(errors.contains("no letter has the id source-2"), "{errors}");
    assert_eq!(world.visible_letters().await, 1);
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
                .map(|letter| (letter.message.receipt.as_str(), Duration::ZERO))
                .collect();
            queue.hide(&receipts).await.expect("visible again");
        }
        bodies.extend(found.into_iter().map(|letter| letter.message.body));
    }
    assert_eq!(selection.finish().await, Ended::All(Unseen::default()));
    bodies.sort_by_key(|body| body.parse::<u32>().expect("a number"));
    let expected: Vec<String> = (0..35).map(|n| n.to_string()).collect();
    assert_eq!(bodies, expected);
    assert_eq!(world.visible_letters().await, 35);
}
