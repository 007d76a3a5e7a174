//! Predictions, which change nothing.

use serde_json::{Value, json};

use super::counts;
use crate::dead_letters::{audited, dead_letter, objects};
use crate::world::World;

#[tokio::test]
async fn a_dry_run_reports_and_changes_nothing() {
    let world = World::new().await;
    let users = world.create_users(3).await;
    world.send_all(&users[..1]).await;
    world.work(&[]).await;
    let mut gone = users[2].event.clone();
    gone["userName"] = json!("nobody");
    let command = json!({
        "usher": 1, "command": "AddUserToGroup", "requestId": "r1",
        "requestedBy": {"sub": "deadbeef-0000-4000-8000-000000000000"}, "userPoolId": world.pool.id,
        "username": "nobody", "groupName": "STAFF",
    });
    world
        .send_dead_letters(&[
            dead_letter(users[0].event.to_string(), "throttled"),
            dead_letter(users[1].event.to_string(), "throttled"),
            dead_letter(gone.to_string(), "throttled"),
            dead_letter("?", "throttled"),
            dead_letter(command.to_string(), "throttled"),
        ])
        .await;
    let writes = ["AdminAddUserToGroup", "PutItem", "CreateGroup"];
    let before = writes.map(|operation| world.faults.calls(operation));
    let looked_up = world.faults.calls("AdminGetUser");
    let (status, verdicts, errors) = world
        .run_dead_letters(&["replay", "--dry-run", "--output", "json"])
        .await;
    assert_eq!(status, Some(0), "{errors}");
    let mut verdicts: Vec<(String, String, Value)> = objects(&verdicts)
        .into_iter()
        .map(|one| {
            let text = |name: &str| one["would"][name].as_str().expect("text").to_owned();
            (
                text("outcome"),
                text("reason"),
                json!([
                    one["would"]["missing_groups"],
                    one["would"]["missing_profile"]
                ]),
            )
        })
        .collect();
    verdicts.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
    let none = || json!([[], false]);
    let expected = [
        ("already_done", "", none()),
        ("done", "", json!([["EVERYONE"], true])),
        ("rejected", "not_json", none()),
        ("rejected", "user_not_found", none()),
        ("rejected", "user_not_found", none()),
    ];
    let expected = expected.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c));
    assert_eq!(verdicts, expected);
    assert_eq!(
        before,
        writes.map(|operation| world.faults.calls(operation))
    );
    // The command's, as a worker makes it; a sign-up needs none.
    assert_eq!(world.faults.calls("AdminGetUser"), looked_up + 1);
    assert_eq!(world.visible_dead_letters().await, 5);
    assert!(audited(&errors).is_empty());

    let dry_run = ["replay", "--dry-run"];
    let (_, tally, _) = world.run_dead_letters(&dry_run).await;
    let expected = "\
reason      count  prediction
throttled       1  would change nothing
throttled       1  would fail again: not_json
throttled       2  would fail again: user_not_found
throttled       1  would succeed

dry run: 1 would change nothing, 3 would fail again, 1 would succeed
";
    assert_eq!(tally, expected);
    let (_, rows, _) = world
        .run_dead_letters(&[&dry_run[..], &["--verbose"]].concat())
        .await;
    assert!(
        rows.contains("  throttled             would add EVERYONE, profile\n"),
        "{rows}"
    );
    assert!(
        rows.ends_with(expected) && rows.lines().count() == 13,
        "{rows}"
    );
}

#[tokio::test]
async fn a_dry_run_predicts_commands_with_the_workers_checks() {
    let world = World::new().await;
    let admin = world.create_user("admin").await;
    world.create_user("user").await;
    let pool = &world.pool.id;
    for group in ["ADMINS", "STAFF"] {
        let joined = world.sandbox.add_to_group(pool, "admin", group).await;
        joined.expect("joined");
    }
    let command = |sub: &str, pool: &str, user: &str, group: &str| {
        let body = json!({
            "usher": 1, "command": "AddUserToGroup", "requestId": format!("{sub}{pool}{user}{group}"),
            "requestedBy": {"sub": sub}, "userPoolId": pool, "username": user, "groupName": group,
        });
        dead_letter(body.to_string(), "timeout")
    };
    let sub = admin.sub.as_str();
    let invite = json!({
        "usher": 1, "command": "InviteUser", "requestId": "i1", "requestedBy": {"sub": sub},
        "userPoolId": pool, "email": "new@example.com", "groups": ["BETA"],
    });
    let resend = json!({
        "usher": 1, "command": "ResendInvitation", "requestId": "i2", "requestedBy": {"sub": sub},
        "userPoolId": pool, "username": "user",
    });
    world
        .send_dead_letters(&[
            command(sub, pool, "user", "STAFF"),
            command(sub, pool, "user", "BETA"),
            command(sub, pool, "user", "ROOT"),
            command(sub, pool, "nobody", "STAFF"),
            command(
                "deadbeef-0000-4000-8000-000000000000",
                pool,
                "user",
                "STAFF",
            ),
            command(sub, "us-east-1_Strange01", "user", "STAFF"),
            dead_letter(invite.to_string(), "timeout"),
            dead_letter(resend.to_string(), "timeout"),
        ])
        .await;
    let allowed = format!("pools.allowed={pool}");
    let settings = [
        "--output",
        "json",
        "--set",
        &allowed,
        "--set",
        "admin.verify_membership=true",
        "--set",
        "admin.grantable_groups=STAFF,BETA",
    ];
    let dry_run = [&["replay", "--dry-run"][..], &settings].concat();
    let (status, predicted, errors) = world.run_dead_letters(&dry_run).await;
    assert_eq!(status, Some(0), "{errors}");
    let mut predictions = json!({"done": 0, "left": {}, "failed_again": {}});
    let add = |count: &mut Value| *count = json!(count.as_u64().unwrap_or_default() + 1);
    for one in objects(&predicted) {
        let (outcome, reason) = (&one["would"]["outcome"], &one["would"]["reason"]);
        match (outcome.as_str(), reason.as_str()) {
            (Some("done"), _) => add(&mut predictions["done"]),
            (Some("rejected"), Some("foreign_pool")) => {
                add(&mut predictions["left"]["foreign_pool"]);
            }
            (Some("rejected"), Some(reason)) => add(&mut predictions["failed_again"][reason]),
            other => panic!("{other:?}"),
        }
    }
    let replay = [&["replay", "--direct", "--all", "--yes"][..], &settings].concat();
    let (_, tally, errors) = world.run_dead_letters(&replay).await;
    let tally: Value = serde_json::from_str(&tally).expect("JSON");
    assert_eq!(tally, counts(predictions), "{errors}");
    let failed_again = json!({
        "group_not_found": 2, "group_not_grantable": 1, "not_administrator": 1, "user_not_found": 1,
    });
    let expected = json!({"done": 2, "failed_again": failed_again, "left": {"foreign_pool": 1}});
    assert_eq!(tally, counts(expected));
}
