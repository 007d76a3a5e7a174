//! Pools with other kinds of user names, or without passwords.

use std::sync::{Arc, Mutex};

use axum::http::StatusCode;
use serde_json::json;
use usher::aws::PoolOptions;

use super::{File, count};
use crate::faults::{Damaged, Fault};
use crate::world::World;

const ADDRESS: &str = "zebulon@quagmire.example";
const NUMBER: &str = "+15550100";

fn named_by(email_names: bool, phone_names: bool) -> PoolOptions {
    PoolOptions {
        email_usernames: email_names,
        phone_usernames: phone_names,
        ..PoolOptions::default()
    }
}

fn with_aliases() -> PoolOptions {
    PoolOptions {
        aliases: ["email", "phone_number", "preferred_username"]
            .map(str::to_owned)
            .into(),
        ..PoolOptions::default()
    }
}

/// The recipients of the mails so far.
fn recipients(world: &World) -> Arc<Mutex<Vec<String>>> {
    let mails = Arc::new(Mutex::new(Vec::new()));
    let mailbox = Arc::clone(&mails);
    let on_mail = move |mail: usher::dev::SentMail| mailbox.lock().expect("no panic").push(mail.to);
    world.endpoint.on_mail(Box::new(on_mail));
    mails
}

#[tokio::test]
async fn an_invitation_is_resent_with_any_kind_of_user_name() {
    for (kind, username) in [
        (named_by(true, false), None),
        (named_by(false, true), Some(NUMBER)),
        (named_by(true, true), None),
        (named_by(true, true), Some(NUMBER)),
        (with_aliases(), Some("zebulon")),
        (named_by(false, false), None),
    ] {
        let world = World::new_in(&kind).await;
        let mails = recipients(&world);
        let mut arguments = vec!["users", "invite", "--email", ADDRESS];
        if let Some(name) = username {
            arguments.extend(["--username", name]);
        }
        let (status, lines, err) = world.run_command(&arguments).await;
        assert_eq!((status, count(&lines, "invited")), (Some(0), 1), "{err}");
        arguments.push("--resend");
        let (status, lines, err) = world.run_command(&arguments).await;
        let resent = count(&lines, "resent");
        assert_eq!((status, resent), (Some(0), 1), "{kind:?} {lines:?} {err}");
        assert_eq!(*mails.lock().expect("no panic"), [ADDRESS; 2], "{kind:?}");
    }
}

#[tokio::test]
async fn a_file_resends_to_users_named_by_address() {
    let world = World::new_in(&named_by(true, false)).await;
    let mails = recipients(&world);
    let file = File::new(&format!("email,resend\n{ADDRESS},\n"));
    // The mail failed: the next run sends it.
    world.faults.plan(|call| {
        (call.operation == "AdminCreateUser").then_some(Fault::After(Damaged::Error(
            StatusCode::BAD_REQUEST,
            "CodeDeliveryFailureException",
        )))
    });
    world.invite(&file, &[]).await;
    world.faults.clear();
    let (status, lines, err) = world.invite(&file, &[]).await;
    assert_eq!(
        (status, count(&lines, "resent")),
        (Some(0), 1),
        "{lines:?} {err}"
    );
    file.write(&format!("email,resend\n{ADDRESS},true\n"));
    let (status, lines, err) = world.invite(&file, &[]).await;
    assert_eq!(
        (status, count(&lines, "resent")),
        (Some(0), 1),
        "{lines:?} {err}"
    );
    assert_eq!(mails.lock().expect("no panic").len(), 3);
}

#[tokio::test]
async fn another_users_address_or_number_is_refused_at_once() {
    let world = World::new_in(&with_aliases()).await;
    let number = format!("phone_number={NUMBER}");
    let with_number = [
        "--attribute",
        &number,
        "--attribute",
        "phone_number_verified=true",
    ];
    let invite = |name, email| ["users", "invite", "--username", name, "--email", email];
    let preferred = ["--attribute", "preferred_username=zeb"];
    let first = [&invite("zebulon", ADDRESS)[..], &with_number, &preferred].concat();
    let (status, lines, err) = world.run_command(&first).await;
    assert_eq!((status, count(&lines, "invited")), (Some(0), 1), "{err}");
    let by_address = invite("zebedee", ADDRESS).to_vec();
    let by_number = [
        &invite("zebedee", "vanished@quagmire.example")[..],
        &with_number,
    ]
    .concat();
    let by_preferred = [
        &invite("zebedee", "vanished@quagmire.example")[..],
        &preferred,
    ]
    .concat();
    // First the answer of the documentation, then one that users report.
    for documented in [false, true] {
        if documented {
            let code = "AliasExistsException";
            world.faults.plan(move |call| {
                (call.operation == "AdminCreateUser")
                    .then_some(Fault::Error(StatusCode::BAD_REQUEST, code))
            });
        }
        for arguments in [&by_address, &by_number, &by_preferred] {
            let before = world.faults.calls("AdminCreateUser");
            let (status, lines, err) = world.run_command(arguments).await;
            assert_eq!(
                (status, count(&lines, "refused")),
                (Some(1), 1),
                "{lines:?} {err}"
            );
            assert_eq!(lines[0]["reason"], json!("alias_exists"));
            assert_eq!(world.faults.calls("AdminCreateUser"), before + 1, "once");
        }
        // The user who owns the address and the number already exists.
        let (status, lines, err) = world.run_command(&first).await;
        assert_eq!(
            (status, count(&lines, "exists")),
            (Some(0), 1),
            "{lines:?} {err}"
        );
    }
    let users = world.sandbox.users(&world.pool.id).await.expect("users");
    assert_eq!(users.len(), 1);
}

#[tokio::test]
async fn an_address_alias_cannot_be_the_user_name() {
    let world = World::new_in(&with_aliases()).await;
    let first = [
        "users",
        "invite",
        "--username",
        "zebulon",
        "--email",
        ADDRESS,
    ];
    let (status, _, err) = world.run_command(&first).await;
    assert_eq!(status, Some(0), "{err}");
    // The user with this address existed before.
    let (status, lines, err) = world
        .run_command(&["users", "invite", "--email", ADDRESS])
        .await;
    assert_eq!(
        (status, count(&lines, "refused")),
        (Some(1), 1),
        "{lines:?} {err}"
    );
    assert_eq!(lines[0]["reason"], json!("invalid_parameter"));
}

#[tokio::test]
async fn a_passwordless_pool_sends_no_code() {
    let kind = PoolOptions {
        first_factors: ["PASSWORD", "EMAIL_OTP"].map(str::to_owned).into(),
        ..named_by(true, false)
    };
    let world = World::new_in(&kind).await;
    let one = ["users", "invite", "--email", ADDRESS];
    let (status, lines, err) = world.run_command(&one).await;
    assert_eq!(status, Some(0), "{err}");
    assert_eq!(lines[0]["status"], json!("invited"));
    assert_eq!(lines[0]["mail"], json!("no_code"));
    assert!(err.contains("\"mail\":\"no_code\""), "{err}");
    assert_eq!(world.get_user(ADDRESS).await.status, "CONFIRMED");
    assert_eq!(world.profiles().await.len(), 1);

    let (status, lines, _) = world.run_command(&one).await;
    assert_eq!((status, count(&lines, "exists")), (Some(0), 1));
    let (status, lines, _) = world.run_command(&[&one[..], &["--resend"]].concat()).await;
    assert_eq!((status, count(&lines, "exists")), (Some(0), 1), "{lines:?}");
    assert_eq!(lines[0]["mail"], json!("not_sent"));

    // The answer with that information may be lost.
    let mut lost = false;
    world.faults.plan(move |call| {
        let is_first = call.operation == "AdminCreateUser" && !std::mem::replace(&mut lost, true);
        is_first.then_some(Fault::ResetAfter)
    });
    let another = ["users", "invite", "--email", "vanished@quagmire.example"];
    let (status, lines, err) = world.run_command(&another).await;
    assert_eq!(status, Some(0), "{err}");
    assert_eq!(lines[0]["mail"], json!("no_code"), "{lines:?}");

    // A user who existed before is not counted as new.
    world.faults.plan(|call| {
        (call.operation == "AdminCreateUser").then_some(Fault::Error(
            StatusCode::BAD_REQUEST,
            "LimitExceededException",
        ))
    });
    let (_, lines, err) = world.run_command(&one).await;
    assert_ne!(lines[0]["mail"], json!("no_code"), "{lines:?} {err}");
}

#[tokio::test]
async fn an_invisible_character_is_reported_before_any_call() {
    let world = World::new().await;
    let file = File::new(
        "email,username,given_name\nzebulon@\u{200b}quagmire.example,,\n\
         zebulon@quagmire.example,vani\u{ad}shed,\nvanished@quagmire.example,,Zebedee\u{feff}\n",
    );
    let (status, lines, err) = world.invite(&file, &["--dry-run"]).await;
    assert_eq!((status, lines.len()), (Some(2), 0), "{err}");
    for part in [
        "line 2, column email: character 9 is invisible (U+200B)",
        "line 3, column username: character 5 is invisible (U+00AD)",
        "line 4, column given_name: character 8 is invisible (U+FEFF)",
    ] {
        assert!(err.contains(part), "{part}: {err}");
    }
    let one = ["users", "invite", "--dry-run", "--email", ADDRESS];
    for (flag, value, part) in [
        (
            "--username",
            "zebu\u{200b}lon",
            "--username: character 5 is invisible (U+200B)",
        ),
        (
            "--given-name",
            "Zebedee\u{200b}",
            "--given-name: character 8 is invisible (U+200B)",
        ),
        (
            "--attribute",
            "phone_number=\u{202a}+15550100",
            "--attribute: phone_number: character 1 is invisible (U+202A)",
        ),
        (
            "--group",
            "STA\u{200b}FF",
            "--group: group 1: character 4 is invisible (U+200B)",
        ),
    ] {
        let (status, _, err) = world
            .run_command(&[&one[..], &[flag, value]].concat())
            .await;
        assert_eq!(status, Some(2), "{err}");
        assert!(err.contains(part), "{part}: {err}");
    }
}
