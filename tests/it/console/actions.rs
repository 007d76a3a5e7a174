//! The views of dead letters, and the actions on them.

use rustix::process::Signal;
use serde_json::json;

use super::{Console, with};
use crate::process::finished;
use crate::world::{World, eventually};

pub(super) const HOSTILE: &str = "<script>alert(1)</script>\"'&<img src=x onerror=alert(2)>";

/// A text in HTML, as the template engine escapes it.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&#38;")
        .replace('<', "&#60;")
        .replace('>', "&#62;")
        .replace('"', "&#34;")
        .replace('\'', "&#39;")
}

#[tokio::test]
async fn a_replay_sends_what_was_seen_and_nothing_else() {
    let world = World::new().await;
    let users = world.create_users(3).await;
    for user in &users {
        world
            .put_dead_letter(&user.event.to_string(), "throttled", "slow")
            .await;
    }
    world.put_dead_letter("{", "not_json", "").await;
    let console = Console::open(world).await;
    let empty = console.get("/console/dead-letters").await.text;
    assert!(empty.contains("Read the dead letters"), "{empty}");
    let all = console.read(4).await;
    let list = console.get("/console/dead-letters").await.text;
    assert!(list.contains("4 dead letters, read"), "{list}");
    // One that arrives later is not part of "all".
    console
        .world
        .put_dead_letter(&users[0].event.to_string(), "throttled", "")
        .await;

    let throttled = with(&all[..1], &[("count", "3"), ("reason", "throttled")]);
    let query = format!("snapshot={}&reason=throttled", all[0].1);
    let asks = console
        .get(&format!("/console/dead-letters/replay?{query}"))
        .await
        .text;
    for part in [
        "<h1>Replay 3 dead letters: throttled</h1>",
        "They need about 3 calls of AdminAddUserToGroup",
        "<code>usher dead-letters replay --reason throttled</code>",
        ">Dry run of 3 dead letters: throttled</button>",
    ] {
        assert!(asks.contains(part), "{part} is missing in {asks}");
    }
    assert!(!asks.contains("action=\"/console/dead-letters/replay\""));
    let dry_run = console.predict(&throttled).await;
    assert!(dry_run.contains("3 would succeed"), "{dry_run}");
    let asks = console
        .get(&format!("/console/dead-letters/replay?{query}"))
        .await
        .text;
    assert!(asks.contains("3 would succeed"), "{asks}");
    assert!(asks.contains("action=\"/console/dead-letters/replay\""));

    let limited = console.get("/console/dead-letters?limit=2").await.text;
    let differs = "where --limit takes the first that SQS delivers";
    assert!(limited.contains(differs) && !asks.contains(differs));

    for count in ["4", ""] {
        let wrong_count = with(&all[..1], &[("count", count), ("reason", "throttled")]);
        assert_eq!(console.act("replay", &wrong_count).await.status, 409);
    }
    let replayed = console.act("replay", &throttled).await;
    let replayed = console.end_of(&replayed).await;
    assert!(
        replayed.contains("3 dead letters sent to the source queue"),
        "{replayed}"
    );
    let audit = console.audit();
    assert_eq!(audit.len(), 3);
    assert_eq!(audit[0]["action"], "replay");
    assert_eq!(audit[0]["actor"], "arn:aws:iam::123456789012:user/local");
    assert_eq!(console.visible().await, 2);
    // The reading is stale now, and so is its page after the next reading.
    for action in ["replay", "drop", "export", "dry-run"] {
        let refused = console.act(action, &throttled).await;
        assert_eq!(refused.status, 409, "{action}");
        assert!(
            refused.text.contains("Read it again first"),
            "{}",
            refused.text
        );
    }
    console.read(2).await;
    let refused = console.act("replay", &throttled).await;
    assert!(
        refused.text.contains("older than the last reading"),
        "{}",
        refused.text
    );
    console.world.work(&[]).await;
    assert_eq!(console.world.members("EVERYONE").await.len(), 3);
}

#[tokio::test]
async fn a_replay_needs_a_dry_run_of_the_same_dead_letters() {
    let world = World::new().await;
    for reason in ["throttled", "throttled", "not_json"] {
        world.put_dead_letter("{", reason, "").await;
    }
    let console = Console::open(world).await;
    let all = console.read(3).await;
    let throttled = with(&all[..1], &[("count", "2"), ("reason", "throttled")]);
    let refused = async |fields: &[(&'static str, String)]| {
        let refused = console.act("replay", fields).await;
        assert_eq!(refused.status, 409);
        for part in ["Do a dry run of exactly this first", "/replay?snapshot="] {
            assert!(refused.text.contains(part), "{part}: {}", refused.text);
        }
    };
    refused(&throttled).await;
    console.predict(&all).await;
    // One that covers more is not the same.
    refused(&throttled).await;
    console.predict(&throttled).await;
    let replayed = console.act("replay", &throttled).await;
    console.end_of(&replayed).await;
    assert_eq!(console.visible().await, 1);
}

#[tokio::test]
async fn a_drop_needs_number_and_reason_which_the_audit_keeps() {
    let world = World::new().await;
    for body in ["a", "b", "c"] {
        world.put_dead_letter(body, "not_json", "").await;
    }
    let console = Console::open(world).await;
    let all = console.read(3).await;
    for (typed, note, says) in [
        ("", "wrong sender", "This is not the number."),
        ("2", "wrong sender", "This is not the number."),
        ("3", "", "The reason must have 3 to 500 characters."),
        ("3", "of ada@example.com", "leave out addresses"),
        ("3", &"x".repeat(501), "3 to 500"),
    ] {
        let refused = console
            .act("drop", &with(&all, &[("typed", typed), ("note", note)]))
            .await;
        assert_eq!(refused.status, 422);
        assert!(refused.text.contains(says), "{says}: {}", refused.text);
        assert_eq!(console.visible().await, 3);
    }
    console.world.put_dead_letter("later", "not_json", "").await;
    let dropped = console
        .act(
            "drop",
            &with(&all, &[("typed", "3"), ("note", "wrong sender")]),
        )
        .await;
    let end = console.end_of(&dropped).await;
    assert!(end.contains("3 dead letters deleted"), "{end}");
    assert_eq!(console.visible().await, 1);
    let left = console.world.read_dead_letters().await;
    assert_eq!(left[0].body, "later");
    let audit = console.audit();
    assert_eq!(audit.len(), 3);
    for line in audit {
        assert_eq!(
            (&line["action"], &line["note"]),
            (&json!("drop"), &json!("wrong sender"))
        );
    }
}

#[tokio::test]
async fn an_export_can_be_imported_and_is_audited() {
    let world = World::new().await;
    let users = world.create_users(2).await;
    for user in &users {
        world
            .put_dead_letter(&user.event.to_string(), "throttled", "")
            .await;
    }
    let console = Console::open(world).await;
    let all = console.read(2).await;
    let exported = console.act("export", &all).await;
    assert_eq!(exported.status, 200);
    let disposition = exported.header("content-disposition").expect("a file");
    assert!(
        disposition.starts_with("attachment; filename=\"dead-letters-"),
        "{disposition}"
    );
    assert_eq!(console.audit().len(), 2);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("dead-letters.jsonl");
    std::fs::write(&file, &exported.text).expect("written");
    let note = with(&all, &[("typed", "2"), ("note", "exported first")]);
    let dropped = console.act("drop", &note).await;
    console.end_of(&dropped).await;
    let file = file.display().to_string();
    let import = console.world.usher(&["dead-letters", "import", &file]);
    let (status, _, errors) = finished(import).await;
    assert_eq!(status, Some(0), "{errors}");
    assert_eq!(console.visible().await, 2);
}

#[tokio::test]
async fn pages_escape_everything_and_show_a_body_only_when_asked() {
    let world = World::new().await;
    let user = world.create_user("ada").await;
    let long = HOSTILE.repeat(200);
    world
        .put_dead_letter(&user.event.to_string(), HOSTILE, &long)
        .await;
    let console = Console::open(world).await;
    let all = console.read(1).await;
    let list = console.get("/console/dead-letters").await.text;
    let path = list
        .split("href=\"")
        .filter_map(|rest| rest.split('"').next())
        .find(|path| path.starts_with("/console/dead-letters/") && path.len() > 50)
        .expect("a link to the dead letter")
        .to_owned();
    let one = console.get(&path).await.text;
    let reason = form_urlencoded::byte_serialize(HOSTILE.as_bytes()).collect::<String>();
    let filtered = console
        .get(&format!(
            "/console/dead-letters?reason={reason}&since={reason}"
        ))
        .await
        .text;
    let asks = format!(
        "/console/dead-letters/drop?snapshot={}&reason={reason}",
        all[0].1
    );
    let asks = console.get(&asks).await.text;
    let refused = format!(
        "/console/dead-letters/drop?snapshot={}&sub={reason}@",
        all[0].1
    );
    let refused = console.get(&refused).await.text;
    for page in [&list, &one, &filtered, &asks, &refused] {
        assert!(
            !page.contains("<script>") && !page.contains("<img"),
            "{page}"
        );
        assert!(!page.contains("mail.example"), "personal data in {page}");
        for url in page
            .split("href=\"")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
        {
            assert!(!url.contains("ada@") && !url.contains("mail"), "{url}");
        }
    }
    assert!(one.contains(&escaped(HOSTILE)), "{one}");
    assert!(filtered.contains(&escaped(HOSTILE)), "{filtered}");
    assert!(console.audit().is_empty());
    let shown = console.post(&format!("{path}/body"), &[]).await;
    for part in ["ada@mail.example", "eve@mail.example"] {
        assert!(shown.text.contains(part), "{}", shown.text);
    }
    let audit = console.audit();
    assert_eq!(
        (audit.len(), &audit[0]["result"]),
        (1, &json!("body shown"))
    );
    assert!(!console.process.log().contains("mail.example"));
}

#[tokio::test]
async fn a_stopped_replay_loses_nothing() {
    let world = World::new().await;
    let users = world.create_users(60).await;
    for user in &users {
        world
            .put_dead_letter(&user.event.to_string(), "throttled", "")
            .await;
    }
    let quota = [
        "quota.user_update=4",
        "quota.user_list=1000",
        "quota.user_resource_read=1000",
    ];
    let mut console = Console::open_with(world, &quota).await;
    let all = console.read(60).await;
    console.predict(&all).await;
    let started = console.act("replay", &all).await;
    let path = started.header("location").expect("a page").to_owned();
    eventually("some are sent", || async {
        console.get(&path).await.text.contains(" queued")
    })
    .await;
    assert_eq!(
        console.act("dry-run", &all).await.status,
        409,
        "one job at a time"
    );
    // Nobody looks at the page. It goes on, until someone stops it.
    let stopped = console.post(&format!("{path}/stop"), &[]).await;
    let end = console.end_of(&stopped).await;
    assert!(end.contains("not touched"), "{end}");
    let sent = console
        .world
        .queue
        .attributes()
        .await
        .expect("attributes")
        .depth
        .visible;
    assert_eq!((sent > 0, sent + console.visible().await), (true, 60));

    let rest = console
        .read(60 - usize::try_from(sent).expect("a few"))
        .await;
    console.predict(&rest).await;
    let started = console.act("replay", &rest).await;
    let path = started.header("location").expect("a page").to_owned();
    eventually("some more are sent", || async {
        console.get(&path).await.text.contains(" queued")
    })
    .await;
    console.process.signal(Signal::TERM);
    assert!(console.process.exit().await.success());
    let sent = console
        .world
        .queue
        .attributes()
        .await
        .expect("attributes")
        .depth
        .visible;
    assert_eq!(sent + console.visible().await, 60);
}

#[tokio::test]
async fn now_shows_the_findings_of_status() {
    let world = World::new().await;
    world.put_dead_letter("{", "not_json", "").await;
    let console = Console::open(world).await;
    eventually("a reading", || async {
        let page = console.get("/console").await.text;
        page.contains("All sign-ups are through, except 1 dead letter.")
            && page.contains("<code>usher dead-letters list</code>")
    })
    .await;
    let page = console.get("/console").await;
    assert!(page.text.len() < 30_000, "{}", page.text.len());
    // The page counted the dead letter, and did not receive it.
    let seen = jiff::Timestamp::now().as_millisecond();
    let received = console.world.read_dead_letters().await;
    let first = received[0].first_received_at.expect("a time");
    assert!(first.as_millisecond() >= seen, "{first}");
}
