//! Dead letters in files: export and import.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::{audited, dead_letter};
use crate::faults::Fault;
use crate::world::World;

#[tokio::test]
async fn an_interrupted_import_prints_the_line_to_resume_at() {
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
    let (status, _, errors) = world.run_dead_letters(&["import", path]).await;
    assert_eq!(status, Some(1));
    assert!(errors.contains("continue with --from-line 11"), "{errors}");
    world.faults.clear();
    let (status, _, errors) = world
        .run_dead_letters(&["import", path, "--from-line", "11"])
        .await;
    assert_eq!(status, Some(0), "{errors}");
    assert_eq!(world.visible_dead_letters().await, 30);
}

#[tokio::test]
async fn dead_letters_are_exported_edited_and_imported() {
    let world = World::new().await;
    let users = world.create_users(2).await;
    let body = users[0].event.to_string().replace("person-0", "persom-0");
    world
        .send_dead_letters(&[
            dead_letter(body, "user_not_found"),
            dead_letter("keep", "not_json"),
        ])
        .await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("letters.jsonl");
    let path = file.to_str().expect("text");

    let export = ["export", path, "--reason", "user_not_found", "--delete"];
    let (status, stdout, errors) = world.run_dead_letters(&export).await;
    assert_eq!(status, Some(0), "{errors}");
    let exported =
        format!("1 dead letter exported to {path} and deleted from the dead-letter queue\n");
    assert_eq!(stdout, exported);
    assert_eq!(audited(&errors)[0]["result"], "deleted");
    assert_eq!(world.visible_dead_letters().await, 1, "the other one");

    let (status, _, errors) = world.run_dead_letters(&export).await;
    assert_eq!(status, Some(1));
    assert!(errors.contains("already exists"), "{errors}");

    let text = std::fs::read_to_string(&file).expect("written");
    std::fs::write(&file, text.replace("persom-0", "person-0")).expect("edited");
    let (status, stdout, errors) = world.run_dead_letters(&["import", path]).await;
    assert_eq!(status, Some(0), "{errors}");
    assert_eq!(stdout, "1 dead letter imported\n");

    let replay = ["replay", "--reason", "user_not_found", "--yes"];
    let (status, _, errors) = world.run_dead_letters(&replay).await;
    assert_eq!(status, Some(0), "{errors}");
    world.work(&[]).await;
    assert_eq!(world.members("EVERYONE").await, ["person-0"]);
    let dead_letters = world.read_dead_letters().await;
    assert_eq!(dead_letters.len(), 1);
    assert_eq!(dead_letters[0].body, "keep");
}

#[tokio::test]
async fn an_import_with_an_invalid_line_sends_nothing() {
    let world = World::new().await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("letters.jsonl");
    std::fs::write(&file, "{\"body\":\"a\"}\n\n{\"body\":\"secret\"").expect("written");
    let path = file.to_str().expect("text");
    let (status, _, errors) = world.run_dead_letters(&["import", path]).await;
    assert_eq!(status, Some(1));
    assert!(errors.contains("line 3 is cut off"), "{errors}");
    assert!(!errors.contains("secret"), "{errors}");
    assert_eq!(world.visible_dead_letters().await, 0);
    let append = ["export", path, "--append"];
    let (status, _, errors) = world.run_dead_letters(&append).await;
    assert_eq!(status, Some(1));
    assert!(errors.contains("correct or delete it first"), "{errors}");
}

#[tokio::test]
async fn two_exports_do_not_write_to_one_file() {
    let world = World::new().await;
    let dead_letters: Vec<_> = (0..60)
        .map(|n| dead_letter(n.to_string(), "throttled"))
        .collect();
    world.send_dead_letters(&dead_letters).await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("letters.jsonl");
    let path = file.to_str().expect("text");
    let export = ["export", path, "--append", "--delete"];
    let (one, other) = tokio::join!(
        world.run_dead_letters(&export),
        world.run_dead_letters(&export)
    );
    let mut statuses = [one.0, other.0];
    statuses.sort_unstable();
    // Both succeed if the second starts after the first is finished.
    assert!(
        statuses == [Some(0), Some(1)] || statuses == [Some(0), Some(0)],
        "{one:?} {other:?}"
    );
    if statuses[1] == Some(1) {
        let errors = one.2 + &other.2;
        assert!(
            errors.contains("another export is writing to it"),
            "{errors}"
        );
    }
    let (status, stdout, errors) = world.run_dead_letters(&["import", path]).await;
    assert_eq!(status, Some(0), "{errors}");
    assert_eq!(stdout, "60 dead letters imported\n");
}

#[tokio::test]
async fn an_import_that_continues_does_not_skip_for_earlier_lines() {
    let world = World::new().await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("letters.jsonl");
    std::fs::write(&file, "{\"body\":\"same\"}\n".repeat(2)).expect("written");
    world
        .send_dead_letters(&[dead_letter("same", "timeout")])
        .await;
    let import = ["import", file.to_str().expect("text"), "--from-line", "2"];
    let (status, out, errors) = world.run_dead_letters(&import).await;
    assert_eq!(status, Some(0), "{errors}");
    assert_eq!(out, "1 dead letter imported\n");
}

#[tokio::test]
async fn an_import_skips_what_is_in_the_queue_and_writes_audit_lines() {
    let world = World::new().await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("letters.jsonl");
    let lines = ["same", "same", "other"].map(|body| {
        format!("{{\"body\":\"{body}\",\"attributes\":{{\"usher.reason\":\"throttled\"}}}}\n")
    });
    std::fs::write(&file, lines.concat()).expect("written");
    let path = file.to_str().expect("text");
    world
        .send_dead_letters(&[dead_letter("same", "timeout")])
        .await;
    let import = ["import", path];
    let (status, out, errors) = world.run_dead_letters(&import).await;
    assert_eq!(status, Some(0), "{errors}");
    assert_eq!(
        out,
        "2 dead letters imported, 1 already there (--allow-duplicates imports it anyway)\n"
    );
    let lines = audited(&errors);
    let actions: Vec<(&Value, &Value)> = lines
        .iter()
        .map(|line| (&line["action"], &line["dead_letter.reason"]))
        .collect();
    assert_eq!(actions, vec![(&json!("import"), &json!("throttled")); 2]);
    assert!(lines[0]["dead_letter.id"].is_string(), "{errors}");

    let (_, out, _) = world.run_dead_letters(&import).await;
    assert_eq!(
        out,
        "0 dead letters imported, 3 already there (--allow-duplicates imports them anyway)\n"
    );
    assert_eq!(world.visible_dead_letters().await, 3);
    let again = [&import[..], &["--allow-duplicates"]].concat();
    let (_, out, _) = world.run_dead_letters(&again).await;
    assert_eq!(out, "3 dead letters imported\n");
    assert_eq!(world.visible_dead_letters().await, 6);
    std::fs::write(&file, "\n").expect("written");
    let (status, _, errors) = world.run_dead_letters(&import).await;
    assert_eq!(status, Some(1));
    assert!(errors.contains("contains no dead letters"), "{errors}");
}
