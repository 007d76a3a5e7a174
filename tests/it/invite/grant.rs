//! `usher groups add`: groups are given and removed.

use axum::http::StatusCode;
use serde_json::json;

use super::{address, count};
use crate::faults::Fault;
use crate::process::{finished, finished_on_terminal};
use crate::world::World;

#[tokio::test]
async fn privileged_groups_need_the_privileged_flag() {
    let world = World::with_groups(&["STAFF", "TEAM-A", "ADMINS"]).await;
    world.create_user("zebulon").await;
    let grant = [
        "groups", "add", "--user", "zebulon", "--group", "STAFF", "--group", "ADMINS",
    ];
    let (status, lines, err) = world.run_command(&grant).await;
    assert_eq!(status, Some(1), "{err}");
    assert_eq!(lines[0]["status"], json!("member"));
    assert_eq!(lines[1]["status"], json!("refused"));
    assert_eq!(lines[1]["reason"], json!("group_not_grantable"));
    assert_eq!(world.members("STAFF").await, ["zebulon"]);
    assert!(world.members("ADMINS").await.is_empty());
    for part in [
        "\"result\":\"done\"",
        "\"result\":\"rejected\"",
        "arn:aws:iam",
    ] {
        assert!(err.contains(part), "{part}: {err}");
    }

    let mut text = world.usher(&grant);
    text.args(["--pool", &world.pool.id]);
    let (_, out, err) = finished(text).await;
    let sub = lines[0]["sub"].as_str().expect("a sub");
    let rows = format!(
        "\
member   STAFF   zebulon  {sub}
refused  ADMINS  zebulon  -  group ADMINS is not in admin.grantable_groups: repeat with --privileged to add the user anyway
"
    );
    assert_eq!(out, rows);
    assert!(!err.contains("zebulon"), "{err}");

    let all = [&grant[..], &["--privileged"]].concat();
    let (status, lines, err) = world.run_command(&all).await;
    assert_eq!((status, count(&lines, "member")), (Some(0), 2), "{err}");
    assert_eq!(world.members("ADMINS").await, ["zebulon"]);
    let remove = ["groups", "remove", "--user", "zebulon", "--group", "ADMINS"];
    let mut text = world.usher(&remove);
    text.args(["--pool", &world.pool.id]);
    let (_, out, _) = finished(text).await;
    let refusal = "refused     ADMINS  zebulon  -  group ADMINS is not in admin.grantable_groups: repeat with --privileged to remove the user anyway\n";
    assert_eq!(out, refusal);
    let remove: Vec<&str> = all
        .iter()
        .map(|argument| {
            if *argument == "add" {
                "remove"
            } else {
                argument
            }
        })
        .collect();
    let (status, lines, err) = world.run_command(&remove).await;
    assert_eq!((status, count(&lines, "not_member")), (Some(0), 2), "{err}");
    assert!(world.members("STAFF").await.is_empty());
    assert!(world.members("ADMINS").await.is_empty());
}

#[tokio::test]
async fn audit_lines_go_to_a_file_on_a_terminal_or_where_it_is_named() {
    let world = World::with_groups(&["STAFF"]).await;
    let sub = world.create_user("zebulon").await.sub;
    let folder = tempfile::tempdir().expect("a folder");
    let grant = |file: Option<&str>| {
        let mut grant = world.usher(&["groups", "add", "--user", "zebulon", "--group", "STAFF"]);
        grant.args(["--pool", &world.pool.id]);
        grant.args(file.iter().flat_map(|file| ["--audit-file", *file]));
        grant.current_dir(folder.path());
        grant
    };
    let audited = |file: &str| -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(folder.path().join(file)).expect("lines");
        super::objects(&text)
    };
    let (_, _, errors) = finished(grant(None)).await;
    assert!(errors.contains("usher::audit"), "{errors}");
    let no_file = std::fs::read_dir(folder.path()).expect("a folder").next();
    assert!(no_file.is_none(), "{no_file:?}");

    let (_, out, errors) = finished(grant(Some("named.jsonl"))).await;
    let shown = finished_on_terminal(grant(None)).await;
    assert_eq!(shown.1, out);
    for (file, errors) in [("named.jsonl", errors), ("usher-audit.jsonl", shown.2)] {
        assert_eq!(errors.trim_end(), format!("1 audit line in {file}"));
        let lines = audited(file);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert_eq!(lines[0]["target"], "usher::audit");
        assert_eq!(lines[0]["user.sub"], json!(sub));
        assert_eq!(lines[0]["group.names"], "STAFF");
    }
}

#[tokio::test]
async fn grant_works_without_queue_and_table() {
    let world = World::with_groups(&["STAFF"]).await;
    world.create_user("zebulon").await;
    let mut grant = world.usher(&["groups", "add", "--user", "zebulon", "--group", "STAFF"]);
    grant
        .args(["--pool", &world.pool.id])
        .env_remove("USHER_QUEUE__URL")
        .env_remove("USHER_PROFILES__TABLE");
    let (status, _, errors) = finished(grant).await;
    assert_eq!(status, Some(0), "{errors}");
    assert_eq!(world.members("STAFF").await, ["zebulon"]);
}

#[tokio::test]
async fn a_missing_user_or_group_is_reported_at_once() {
    let world = World::with_groups(&["STAFF"]).await;
    let zebulon = world.create_user("zebulon").await;
    for (user, group, reason) in [
        ("nobody", "STAFF", "user_not_found"),
        ("zebulon", "NOWHERE", "group_not_found"),
    ] {
        let before = world.faults.calls("AdminGetUser");
        let (status, lines, err) = world
            .run_command(&["groups", "add", "--user", user, "--group", group])
            .await;
        assert_eq!(status, Some(1), "{err}");
        let sub = (user == "zebulon").then_some(&zebulon.sub);
        let expected = json!({"group": group, "status": "refused", "sub": sub, "reason": reason});
        assert_eq!(lines, [expected]);
        assert_eq!(world.faults.calls("AdminGetUser"), before + 1);
    }
    let mut text = world.usher(&["groups", "add", "--user", "zebulon", "--group", "NOWHERE"]);
    text.args(["--pool", &world.pool.id]);
    let (_, out, _) = finished(text).await;
    let refusal = "group NOWHERE does not exist (names are case-sensitive)\n";
    assert!(out.ends_with(refusal), "{out}");
    // Not a matter of rights: the option would not help.
    let (status, lines, _) = world
        .run_command(&["groups", "add", "--user", "zebulon", "--group", "ADMINS"])
        .await;
    assert_eq!(status, Some(1));
    assert_eq!(lines[0]["reason"], json!("group_not_grantable"));
    let mut text = world.usher(&["groups", "add", "--user", "zebulon", "--group", "ADMINS"]);
    text.args(["--pool", &world.pool.id]);
    let (_, out, err) = finished(text).await;
    let refusal =
        "refused  ADMINS  zebulon  -  group ADMINS does not exist (names are case-sensitive)\n";
    assert_eq!(out, refusal);
    assert!(err.contains("group_not_grantable"), "{err}");
    let mut throttled = 0;
    world.faults.plan(move |call| {
        throttled += u32::from(call.operation == "AdminAddUserToGroup");
        let early = call.operation == "AdminAddUserToGroup" && throttled < 8;
        early.then_some(Fault::Error(
            StatusCode::BAD_REQUEST,
            "TooManyRequestsException",
        ))
    });
    let (status, lines, err) = world
        .run_command(&["groups", "add", "--user", "zebulon", "--group", "STAFF"])
        .await;
    assert_eq!((status, count(&lines, "member")), (Some(0), 1), "{err}");
    for wrong in [
        &["groups", "add", "--user", "zebulon"][..],
        &["groups", "add", "--group", "STAFF"],
        &["groups", "add", "--user", "a b", "--group", "STAFF"],
        &["groups", "add", "--user", "zebulon", "--group", "A B"],
    ] {
        let (status, _, err) = {
            let mut command = world.usher(wrong);
            command.args(["--pool", &world.pool.id]);
            finished(command).await
        };
        assert_eq!(status, Some(2), "{wrong:?}: {err}");
    }
}

#[tokio::test]
async fn a_name_that_may_be_the_sub_of_another_is_refused() {
    let world = World::with_groups(&["STAFF"]).await;
    let victim = world.create_user("zebulon").await;
    world.create_user(&victim.sub).await;
    let grant = ["groups", "add", "--user", &victim.sub, "--group", "STAFF"];
    let invite = [
        "users",
        "invite",
        "--email",
        &address(1),
        "--username",
        &victim.sub,
    ];
    let remove = [
        "groups",
        "remove",
        "--user",
        &victim.sub,
        "--group",
        "STAFF",
    ];
    for arguments in [&grant[..], &remove, &invite] {
        let (status, lines, err) = world.run_command(arguments).await;
        assert_eq!(status, Some(1), "{err}");
        assert_eq!(lines[0]["status"], json!("refused"), "{arguments:?}");
        assert_eq!(lines[0]["reason"], json!("ambiguous_user"));
    }
    assert!(world.members("STAFF").await.is_empty());
    let mut text = world.usher(&grant);
    text.args(["--pool", &world.pool.id]);
    let (_, out, _) = finished(text).await;
    assert!(out.contains("e-mail address"), "says what helps: {out}");
}

#[tokio::test]
async fn groups_are_created_once_and_listed_with_their_settings() {
    let world = World::with_groups(&["TEAM-A"]).await;
    let create = ["groups", "create", "--group", "STAFF", "--group", "TEAM-A"];
    let (status, lines, err) = world.run_command(&create).await;
    assert_eq!(status, Some(0), "{err}");
    let created = json!({"group": "STAFF", "status": "created", "reason": null, "error": null});
    let exists = json!({"group": "TEAM-A", "status": "exists", "reason": null, "error": null});
    assert_eq!(lines, [created, exists]);
    for part in [
        "\"action\":\"CreateGroup\"",
        "\"result\":\"created\"",
        "arn:aws:iam",
    ] {
        assert!(err.contains(part), "{part}: {err}");
    }

    let settings = [
        "--set=groups.default=EVERYONE,TEAM-A",
        "--set=admin.grantable_groups=STAFF",
    ];
    let (status, lines, err) = world
        .run_command(&[&settings[..], &["groups", "list"]].concat())
        .await;
    assert_eq!(status, Some(0), "{err}");
    let group = |name: &str, state: &str, settings: &[&str], grantable: bool| {
        json!({
            "group": name, "state": state, "settings": settings, "grantable": grantable,
            "description": null,
        })
    };
    let expected = [
        group("ADMINS", "missing", &["admin.groups"], false),
        group("EVERYONE", "missing", &["groups.default"], false),
        group("STAFF", "exists", &[], true),
        group("TEAM-A", "exists", &["groups.default"], false),
    ];
    assert_eq!(lines, expected);

    let mut text = world.usher(&[&settings[..], &["groups", "list"]].concat());
    text.env("USHER_POOLS__ALLOWED", &world.pool.id);
    let (_, out, _) = finished(text).await;
    let expected = "\
group     in pool  grantable  named by        description
ADMINS    no       no         admin.groups    -
EVERYONE  no       no         groups.default  -
STAFF     yes      yes        -               -
TEAM-A    yes      no         groups.default  -
";
    assert_eq!(out, expected);
}
