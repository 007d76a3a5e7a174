//! Many invitations at once, as a CSV file.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Value, json};

use super::{ADDRESS, PATH, assert_no_personal_data, console};
use crate::console::Console;
use crate::console::people::offer_of;
use crate::process::finished;
use crate::world::{World, eventually};

#[tokio::test]
async fn every_wrong_row_of_a_file_is_listed() {
    let console = console().await;
    let refused = async |rows: &str| {
        let page = console.check_list(rows).await;
        assert_eq!(page.status, 422, "{}", page.text);
        page.text
    };
    for (rows, part) in [
        ("", "There is no list yet."),
        ("email\nzebulon@quagmire.ex\u{fffd}mple\n", "is not UTF-8"),
        ("name\nZebedee\n", "must be a header with a column email"),
        ("email\n", "no rows: add one row per person"),
        (
            "email\n<script>alert(1)</script>",
            "must be an e-mail address",
        ),
    ] {
        let page = refused(rows).await;
        assert!(page.contains(part), "{part}: {page}");
        assert!(!page.contains("<script>alert"), "{page}");
    }
    let mut file = "email,groups,custom:seats,custom:other\n".to_owned();
    for n in 0..30 {
        let _ = writeln!(file, "zebulon-{n},,,");
    }
    let page = refused(&file).await;
    assert_eq!(page.matches("must be an e-mail address").count(), 30, "all");
    assert!(page.contains("30 errors. Nothing was sent."), "{page}");
    let file = format!(
        "email,custom:seats,custom:other,birthdate\n{ADDRESS},501,,\nb@quagmire.example,1,x,\n\
         zebulon,,,\n"
    );
    let page = refused(&file).await;
    for part in [
        "3 errors",
        "must be an e-mail address",
        "must be a number from 1 to 500",
        "does not exist in this user pool",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let many: String = (0..5001).fold("email\n".to_owned(), |mut text, n| {
        let _ = writeln!(text, "zebulon-{n}@quagmire.example");
        text
    });
    let page = refused(&many).await;
    assert!(
        page.contains("5001 rows, and this page takes 5000"),
        "{page}"
    );
    // Each character takes two bytes, and six in the request.
    let large = format!("email\n{}", "é".repeat(500_000));
    let page = refused(&large).await;
    assert!(
        page.contains("1000 kB, and this page takes 1 MB"),
        "too large"
    );
    let lines = refused(&format!("email\n{}", "a\n".repeat(30_000))).await;
    assert!(
        lines.contains("30001 lines, and this page takes 20000"),
        "{lines}"
    );
    let fields = vec![("group", "STAFF"); 3000];
    let many = console.check(&fields).await;
    assert_eq!(many.status, 413, "{}", many.text);
    let larger = console.check_list(&"x".repeat(4_000_000)).await;
    assert_eq!(larger.status, 413, "{}", larger.text);
    assert!(
        larger
            .text
            .contains("A list of invitations may have at most 1 MB"),
        "{}",
        larger.text
    );
    assert_eq!(console.world.faults.calls("AdminCreateUser"), 0);
    assert_no_personal_data(&console);
}

#[tokio::test]
async fn a_list_is_sent_after_a_look_and_keeps_its_results() {
    let console = console().await;
    let rows = format!(
        "email,given_name,groups\n{ADDRESS},Zebedee,STAFF\nb@quagmire.example,,NOWHERE\n\
         c@quagmire.example,,ADMINS\nd@quagmire.example,,\n"
    );
    let asks = console.check_list(&rows).await;
    for part in [
        "Send 4 invitations?",
        "2 of them will be refused",
        "group NOWHERE does not exist",
        "group ADMINS is not in admin.grantable_groups",
        ">Send 4 invitations</button>",
    ] {
        assert!(asks.text.contains(part), "{part}: {}", asks.text);
    }
    assert_eq!(
        console.world.faults.calls("GetGroup"),
        0,
        "the form has listed them"
    );
    let offer = offer_of(&asks);
    let other = console
        .send_list("email\ne@quagmire.example\n", &offer, "")
        .await;
    assert!(other.text.contains("Send 1 invitation?"), "{}", other.text);
    assert_eq!(console.world.faults.calls("AdminCreateUser"), 0);
    let started = console.send_list(&rows, &offer, "").await;
    let again = console.send_list(&rows, &offer, "").await;
    assert_eq!(again.header("location"), started.header("location"));
    let end = console.end_of(&started).await;
    for part in [
        "2 invited, 2 refused",
        "group NOWHERE does not exist (names are case-sensitive) (line 3)",
        "Download the result file",
    ] {
        assert!(end.contains(part), "{part}: {end}");
    }
    let job = started.header("location").expect("a page");
    let results = console.get(&format!("{job}/results")).await;
    let name = results.header("content-disposition").expect("a file");
    assert!(name.contains(".results.jsonl"), "{name}");
    let lines = results.text.lines().skip(1);
    let lines = lines.map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let statuses = lines.map(|line| {
        let status = line["status"].as_str().expect("text").to_owned();
        (line["line"].as_u64().expect("a line"), status)
    });
    let statuses: BTreeMap<u64, String> = statuses.collect();
    let statuses: Vec<&str> = statuses.values().map(String::as_str).collect();
    assert_eq!(statuses, ["invited", "refused", "refused", "invited"]);
    let audit = console.audit();
    assert_eq!(audit.len(), 5);
    assert_eq!(audit[4]["action"], "job_results_downloaded");
    assert_eq!(audit[4]["job.kind"], "invite");
    let pool = json!(console.world.pool.id);
    assert!(audit.iter().all(|line| line["pool.id"] == pool));
    let list = console.get(PATH).await.text;
    for part in [job, "Sending 4 invitations", "2 invited, 2 refused"] {
        assert!(list.contains(part), "{part}: {list}");
    }
    assert_no_personal_data(&console);
}

#[tokio::test]
async fn a_stopped_list_is_finished_by_the_command() {
    let world = World::with_groups(&["STAFF"]).await;
    let console = Console::open_in_pool(world, &["quota.user_creation=10"]).await;
    let rows: String = (0..120).fold("email,groups\n".to_owned(), |mut text, n| {
        let _ = writeln!(text, "zebulon-{n}@quagmire.example,STAFF");
        text
    });
    let asks = console.check_list(&rows).await;
    assert!(
        asks.text.contains("at most 50 e-mails a day"),
        "{}",
        asks.text
    );
    let offer = offer_of(&asks);
    for typed in ["", "119"] {
        let refused = console.send_list(&rows, &offer, typed).await;
        assert_eq!(refused.status, 422, "{}", refused.text);
        assert!(refused.text.contains("This is not the number."));
    }
    let started = console.send_list(&rows, &offer, "120").await;
    let job = started.header("location").expect("a page").to_owned();
    eventually("some are invited", || async {
        console.get(&job).await.text.contains(" invited")
    })
    .await;
    assert_eq!(console.get(&format!("{job}/results")).await.status, 404);
    // Another list has to wait, and is not lost.
    let other = offer_of(&console.check_list("email\ne@quagmire.example\n").await);
    let waits = console
        .send_list("email\ne@quagmire.example\n", &other, "")
        .await;
    assert_eq!(waits.status, 409, "{}", waits.text);
    let stopped = console.post(&format!("{job}/stop"), &[]).await;
    let end = console.end_of(&stopped).await;
    assert!(end.contains(" not tried"), "{end}");
    // What has ended cannot be stopped.
    console.post(&format!("{job}/stop"), &[]).await;
    let audit = console.audit();
    let stops = audit.iter().filter(|it| it["action"] == "job_stopped");
    let actors: Vec<_> = stops.map(|it| &it["actor"]).collect();
    assert_eq!(actors, ["arn:aws:iam::123456789012:user/local"]);

    let results = console.get(&format!("{job}/results")).await.text;
    let done = results.lines().count() - 1;
    let users = console.world.sandbox.users(&console.world.pool.id).await;
    assert_eq!(users.expect("users").len(), done);
    assert!((1..120).contains(&done), "{done}");
    let folder = tempfile::tempdir().expect("a folder");
    let list = folder.path().join("people.csv");
    std::fs::write(&list, rows).expect("written");
    std::fs::write(folder.path().join("people.csv.results.jsonl"), results).expect("written");
    let list = list.display().to_string();
    let mut command = console.world.usher(&["users", "invite", "--file", &list]);
    let pool = &console.world.pool.id;
    command.args(["--set", "quota.user_creation=1000", "--pool", pool]);
    let (status, out, err) = finished(command).await;
    assert_eq!(status, Some(0), "{err}");
    let rest = 120 - done;
    assert!(
        out.contains(&format!("{rest} rows: {rest} invited")),
        "{out}"
    );
    let known = format!("{done} of 120 rows done already");
    assert!(err.contains(&known), "{err}");
    assert_no_personal_data(&console);
}
