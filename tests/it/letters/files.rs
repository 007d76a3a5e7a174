//! Letters in files.

use axum::http::StatusCode;

use super::{audited, letter};
use crate::faults::Fault;
use crate::world::World;

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
    assert_eq!(said, "1 letter written, 1 of them removed from the queue\n");
    assert_eq!(audited(&errors)[0]["outcome"], "removed");
    assert_eq!(world.visible_letters().await, 1, "the other one");

    let (status, _, errors) = world.dead_letters(&export).await;
    assert_eq!(status, Some(1));
    assert!(errors.contains("exists already"), "{errors}");

    let text = std::fs::read_to_string(&file).expect("written");
    std::fs::write(&file, text.replace("persom-0", "person-0")).expect("edited");
    let (status, said, errors) = world.dead_letters(&["import", path]).await;
    assert_eq!(status, Some(0), "{errors}");
    assert_eq!(said, "1 letter sent to the dead-letter queue\n");

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
async fn two_exports_do_not_write_to_one_file() {
    let world = World::new().await;
    let letters: Vec<_> = (0..60)
        .map(|n| letter(n.to_string(), "throttled"))
        .collect();
    world.put_letters(&letters).await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("letters.jsonl");
    let path = file.to_str().expect("text");
    let export = ["export", path, "--append", "--remove"];
    let (one, other) = tokio::join!(world.dead_letters(&export), world.dead_letters(&export));
    let mut statuses = [one.0, other.0];
    statuses.sort_unstable();
    // Both, if one came after the other was through.
    assert!(
        statuses == [Some(0), Some(1)] || statuses == [Some(0), Some(0)],
        "{one:?} {other:?}"
    );
    if statuses[1] == Some(1) {
        let said = one.2 + &other.2;
        assert!(said.contains("another export is writing to it"), "{said}");
    }
    let (status, said, errors) = world.dead_letters(&["import", path]).await;
    assert_eq!(status, Some(0), "{errors}");
    assert_eq!(said, "60 letters sent to the dead-letter queue\n");
}
