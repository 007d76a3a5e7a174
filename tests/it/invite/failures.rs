//! Services that fail, and mails that are not delivered.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use serde_json::json;

use super::{File, address, count};
use crate::faults::{Call, Damaged, Fault};
use crate::world::World;

fn refused(code: &'static str) -> Fault {
    Fault::Error(StatusCode::BAD_REQUEST, code)
}

fn is_resend(call: &Call) -> bool {
    call.operation == "AdminCreateUser" && call.input["MessageAction"] == json!("RESEND")
}

/// Answers a `RESEND`, which the embedded endpoint does not support.
fn resends(call: &Call) -> Option<Fault> {
    is_resend(call).then(|| Fault::Pretended(json!({})))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn throttles_and_outages_lose_no_user() {
    let world = World::with_groups(&["STAFF", "TEAM-A"]).await;
    let file = File::of(30);
    let begun = Instant::now();
    let mut calls = 0;
    world.faults.plan(move |call| {
        calls += 1;
        let out = begun.elapsed() < Duration::from_secs(3);
        match call.operation.as_str() {
            "AdminCreateUser" | "AdminAddUserToGroup" if out => {
                Some(refused("TooManyRequestsException"))
            }
            "AdminAddUserToGroup" if calls % 3 == 0 => Some(refused("TooManyRequestsException")),
            "PutItem" if out || calls % 4 == 0 => Some(Fault::Error(
                StatusCode::INTERNAL_SERVER_ERROR,
                "InternalServerError",
            )),
            _ => None,
        }
    });
    let (status, lines, err) = world.invite(&file, &[]).await;
    assert_eq!(status, Some(0), "{err}");
    assert_eq!(count(&lines, "invited"), 30, "{lines:?}");
    assert!(lines.iter().all(|line| line["mail"] == "sent"));
    assert!(world.faults.total() > 30);
    world.assert_invited(30).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_leaves_the_mail_unknown() {
    let world = World::with_groups(&["STAFF", "TEAM-A"]).await;
    let file = File::of(4);
    let mut once = HashSet::new();
    world.faults.plan(move |call| {
        let is_new =
            call.operation == "AdminCreateUser" && once.insert(call.input["Username"].to_string());
        is_new.then_some(Fault::ResetAfter)
    });
    let (status, lines, err) = world.invite(&file, &[]).await;
    assert_eq!((status, count(&lines, "invited")), (Some(0), 4), "{err}");
    assert!(
        lines.iter().all(|line| line["mail"] == "unknown"),
        "{lines:?}"
    );
    assert!(err.contains("4 mails: delivery unknown"), "{err}");
    world.assert_invited(4).await;
}

#[tokio::test]
async fn a_long_outage_or_missing_permission_ends_the_run() {
    let world = World::with_groups(&["STAFF", "TEAM-A"]).await;
    let file = File::of(40);
    for (code, part) in [
        ("TooManyRequestsException", "no call succeeded for 2s"),
        ("AccessDeniedException", "every row would fail"),
    ] {
        world
            .faults
            .plan(move |call| (call.operation == "AdminCreateUser").then(|| refused(code)));
        let (status, lines, err) = world.invite(&file, &["--give-up-after", "2s"]).await;
        assert_eq!(status, Some(1), "{err}");
        assert_eq!(count(&lines, "failed"), lines.len());
        assert!((1..40).contains(&lines.len()), "{}", lines.len());
        assert!(err.contains(part), "{err}");
    }
    world.faults.clear();
    let (status, _, err) = world.invite(&file, &[]).await;
    assert_eq!(status, Some(0), "{err}");
    world.assert_invited(40).await;
}

fn undelivered() -> Fault {
    Fault::After(Damaged::Error(
        StatusCode::BAD_REQUEST,
        "CodeDeliveryFailureException",
    ))
}

#[tokio::test]
async fn a_failed_mail_is_sent_by_the_next_run() {
    let world = World::with_groups(&["STAFF", "TEAM-A"]).await;
    let file = File::of(3);
    for _ in 0..2 {
        // The second run asks only for the mail.
        world.faults.plan(|call| {
            let hit = call.operation == "AdminCreateUser" && call.input["Username"] == address(1);
            hit.then(undelivered)
        });
        let (status, lines, err) = world.invite(&file, &[]).await;
        assert_eq!(status, Some(1), "{err}");
        let failed = lines.iter().find(|line| line["status"] == "failed");
        let failed = failed.expect("one failed");
        assert_eq!(failed["line"], json!(3));
        assert_eq!(failed["reason"], json!("mail_not_delivered"));
        assert_eq!(failed["mail"], json!("failed"));
        world.assert_invited(3).await;
    }
    world.faults.plan(resends);
    let (status, lines, err) = world.invite(&file, &[]).await;
    assert_eq!((status, count(&lines, "resent")), (Some(0), 1), "{err}");
    assert_eq!(lines.len(), 1);
    let (status, lines, _) = world.invite(&file, &[]).await;
    assert_eq!((status, lines.len()), (Some(0), 0));
}

#[tokio::test]
async fn a_user_who_accepted_meanwhile_gets_no_mail() {
    let world = World::with_groups(&["STAFF", "TEAM-A"]).await;
    let one = ["users", "invite", "--email", "zebulon@quagmire.example"];
    let fail = |call: &Call| (call.operation == "AdminCreateUser").then(undelivered);
    world.faults.plan(fail);
    let (status, lines, err) = world.run_command(&one).await;
    assert_eq!((status, count(&lines, "failed")), (Some(1), 1));
    assert!(err.contains("repeat the command with --resend"), "{err}");
    let file = File::of(1);
    let (status, lines, _) = world.invite(&file, &[]).await;
    assert_eq!((status, count(&lines, "failed")), (Some(1), 1));
    world
        .faults
        .plan(|call| is_resend(call).then(|| refused("UnsupportedUserStateException")));
    let (status, lines, err) = world.invite(&file, &[]).await;
    assert_eq!((status, count(&lines, "exists")), (Some(0), 1), "{err}");
    // A request for only the mail is refused.
    let (status, lines, _) = world.run_command(&[&one[..], &["--resend"]].concat()).await;
    assert_eq!(status, Some(1));
    assert_eq!(lines[0]["reason"], json!("already_accepted"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_daily_mail_limit_ends_the_run_and_the_next_resumes() {
    let world = World::with_groups(&["STAFF", "TEAM-A"]).await;
    let file = File::of(80);
    let mut sent = 0;
    world.faults.plan(move |call| {
        if call.operation != "AdminCreateUser" {
            return None;
        }
        sent += 1;
        // Cognito may have created the user despite the error.
        let how = Damaged::Error(StatusCode::BAD_REQUEST, "LimitExceededException");
        match sent {
            ..=30 => None,
            sent if sent % 2 == 0 => Some(Fault::After(how)),
            _ => Some(Fault::Before(how)),
        }
    });
    let (status, lines, err) = world.invite(&file, &[]).await;
    assert_eq!(status, Some(1), "{err}");
    assert!(err.contains("80 invitations, and"), "{err}");
    assert!(err.contains("at most 50 e-mails a day"), "{err}");
    assert!(err.contains("same command tomorrow"), "{err}");
    assert_eq!(count(&lines, "invited"), 30);
    let failed = lines.len() - 30;
    assert!((1..=16).contains(&failed), "{failed} in work at once");
    let reasons = lines.iter().filter(|line| line["status"] == "failed");
    for line in reasons {
        assert_eq!(line["reason"], json!("limit_exceeded"));
    }
    let made = world.sandbox.users(&world.pool.id).await.expect("users");

    world.faults.plan(resends);
    let (status, lines, err) = world.invite(&file, &[]).await;
    assert_eq!(status, Some(0), "{err}");
    assert_eq!(lines.len(), 50);
    assert_eq!(count(&lines, "resent"), made.len() - 30);
    assert_eq!(count(&lines, "invited"), 80 - made.len());
    world.assert_invited(80).await;
}

#[tokio::test]
async fn the_mail_limit_warning_depends_on_the_sender() {
    let world = World::new().await;
    let file = File::of(51);
    for (answer, warned) in [("DEVELOPER", false), ("COGNITO_DEFAULT", true)] {
        world.faults.plan(move |call| {
            let pool = json!({"UserPool": {"EmailConfiguration": {"EmailSendingAccount": answer}}});
            (call.operation == "DescribeUserPool").then_some(Fault::Pretended(pool))
        });
        let (_, out, err) = {
            let mut command = world.usher(&["users", "invite", "--file", file.path(), "--dry-run"]);
            command.args(["--pool", &world.pool.id]);
            crate::process::finished(command).await
        };
        assert!(out.contains("51 would be refused"), "{err}");
        assert_eq!(err.contains("50 e-mails a day"), warned, "{err}");
    }
    world.faults.plan(|call| {
        (call.operation == "DescribeUserPool").then(|| refused("AccessDeniedException"))
    });
    let mut command = world.usher(&["users", "invite", "--file", file.path(), "--dry-run"]);
    command.args(["--pool", &world.pool.id]);
    let (_, _, err) = crate::process::finished(command).await;
    assert!(
        err.contains("51 invitations: from its own address"),
        "{err}"
    );
}

#[tokio::test]
async fn another_users_name_gives_no_groups() {
    let world = World::with_groups(&["STAFF"]).await;
    world.create_user("somebody").await;
    for code in ["LimitExceededException", "UserLambdaValidationException"] {
        world
            .faults
            .plan(move |call| (call.operation == "AdminCreateUser").then(|| refused(code)));
        let other = [
            "--email",
            "zebulon@quagmire.example",
            "--username",
            "somebody",
        ];
        let (status, lines, err) = world
            .run_command(&[&["users", "invite", "--group", "STAFF"], &other[..]].concat())
            .await;
        assert_eq!(status, Some(1), "{err}");
        assert_eq!(lines[0]["reason"], json!("username_taken"));
        assert!(world.members("STAFF").await.is_empty());
    }
}
