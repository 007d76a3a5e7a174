//! What can be done about a user.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::json;

use super::{confirmed_user, offer_of, open};
use crate::console::{FORM, encoded};
use crate::world::World;

pub(super) const ACTIONS: [&str; 7] = [
    "provision",
    "add-to-group",
    "remove-from-group",
    "resend-invitation",
    "sign-out",
    "disable",
    "enable",
];

#[tokio::test]
async fn provision_now_asks_and_then_queues_what_is_missing() {
    let world = World::new().await;
    let sub = confirmed_user(&world, "ada", &[]).await;
    let console = open(world).await;
    let asks = console.ask(&sub, "provision", &[]).await;
    assert_eq!(asks.status, 200);
    for part in [
        "A worker then adds EVERYONE, the profile.",
        &format!("<code>usher users show {sub} --fix</code>"),
    ] {
        assert!(asks.text.contains(part), "{part} in {}", asks.text);
    }
    console.world.assert_queue_empty().await;
    let page = console.perform(&sub, "provision", &[]).await;
    assert!(
        page.contains("queued: the worker adds EVERYONE, the profile."),
        "{page}"
    );
    console.world.work(&[]).await;
    assert_eq!(console.members("EVERYONE").await, ["ada"]);
    let page = console.get(&console.person(&sub)).await.text;
    assert!(page.contains("Nothing is missing."), "{page}");
    assert!(!page.contains(">Provision now …<"), "{page}");
    for fields in [&[][..], &[("action", "0")]] {
        let refused = console.ask(&sub, "provision", fields).await;
        assert_eq!(refused.status, 409);
        assert!(
            refused.text.contains("nothing is missing."),
            "{}",
            refused.text
        );
    }
    let lines = console.audited("users_show_fix");
    assert_eq!((lines.len(), &lines[0]["user.sub"]), (1, &json!(sub)));
    console.world.assert_queue_empty().await;
}

#[tokio::test]
async fn groups_are_added_and_removed() {
    let world = World::new().await;
    let sub = confirmed_user(&world, "ada", &[]).await;
    let eve = confirmed_user(&world, "eve", &[]).await;
    for group in ["EVERYONE", "STAFF"] {
        let added = world.sandbox.add_to_group(&world.pool.id, "eve", group);
        added.await.expect("added");
    }
    let console = open(world).await;
    let staff = [("group", "STAFF")];
    let asks = console.ask(&sub, "add-to-group", &staff).await.text;
    let command = format!("usher groups add --user {sub} --group STAFF</code>");
    assert!(
        asks.contains(&command) && !asks.contains("privileged"),
        "{asks}"
    );
    assert_eq!(console.members("STAFF").await, ["eve"]);
    let page = console.perform(&sub, "add-to-group", &staff).await;
    assert!(page.contains("the user is a member of STAFF."), "{page}");
    assert!(page.contains("no rule gives it"), "{page}");
    assert_eq!(console.members("STAFF").await, ["ada", "eve"]);
    // The result is on the page of this user only.
    let other = console.get(&console.person(&eve)).await.text;
    assert!(!other.contains("the user is a member of"), "{other}");

    let asks = console.ask(&eve, "remove-from-group", &[("group", "EVERYONE")]);
    let asks = asks.await.text;
    assert!(
        asks.contains("The configuration gives the group (groups.default)"),
        "{asks}"
    );
    let page = console.perform(&sub, "remove-from-group", &staff).await;
    assert!(
        page.contains("the user is no longer a member of STAFF."),
        "{page}"
    );
    assert_eq!(console.members("STAFF").await, ["eve"]);
    for (action, group, status, says) in [
        (
            "add-to-group",
            "NOWHERE",
            409,
            "group NOWHERE does not exist",
        ),
        ("add-to-group", "two words", 422, "no white space"),
        ("add-to-group", "", 422, "1 to 128 visible characters"),
        ("add-to-group", &"x".repeat(10_000), 422, "1 to 128"),
        (
            "remove-from-group",
            "STAFF",
            409,
            "the user is not in the group.",
        ),
    ] {
        let refused = console.ask(&sub, action, &[("group", group)]).await;
        assert_eq!(refused.status, status, "{action} {group}: {}", refused.text);
        assert!(refused.text.contains(says), "{says}: {}", refused.text);
    }
    let again = [("group", "STAFF")];
    let refused = console.ask(&eve, "add-to-group", &again).await;
    assert_eq!(refused.status, 409, "{}", refused.text);
    let missing = console.ask(&sub, "add-to-group", &[("group", "<b>")]).await;
    assert!(
        missing.text.contains("group &#60;b&#62; does not exist"),
        "{}",
        missing.text
    );
    let results = console.audit();
    let results: Vec<_> = results
        .iter()
        .map(|line| {
            (
                line["action"].as_str(),
                line["result"].as_str(),
                &line["user.sub"],
            )
        })
        .collect();
    assert_eq!(
        results,
        [
            (Some("AddUserToGroup"), Some("done"), &json!(sub)),
            (Some("RemoveUserFromGroup"), Some("done"), &json!(sub)),
        ]
    );
}

#[tokio::test]
async fn a_privileged_group_needs_a_tick() {
    let world = World::new().await;
    let sub = confirmed_user(&world, "ada", &[]).await;
    confirmed_user(&world, "boss", &[]).await;
    let added = world.sandbox.add_to_group(&world.pool.id, "boss", "ADMINS");
    added.await.expect("added");
    let console = open(world).await;
    let admins = [("group", "ADMINS")];
    let asks = console.ask(&sub, "add-to-group", &admins).await.text;
    for part in [
        "Also a group outside admin.grantable_groups",
        "ADMINS is a privileged group: it gives power.",
        &format!("usher groups add --user {sub} --group ADMINS --privileged"),
    ] {
        assert!(asks.contains(part), "{part} in {asks}");
    }
    let refused = console.perform(&sub, "add-to-group", &admins).await;
    assert!(
        refused.contains("group ADMINS is not in admin.grantable_groups"),
        "{refused}"
    );
    assert_eq!(console.members("ADMINS").await, ["boss"]);
    let ticked = [("group", "ADMINS"), ("privileged", "yes")];
    let page = console.perform(&sub, "add-to-group", &ticked).await;
    assert!(page.contains("the user is a member of ADMINS."), "{page}");
    assert_eq!(console.members("ADMINS").await, ["ada", "boss"]);
    // One tick is for one action.
    let refused = console.perform(&sub, "remove-from-group", &admins).await;
    assert!(
        refused.contains("is not in admin.grantable_groups"),
        "{refused}"
    );
    assert_eq!(console.members("ADMINS").await, ["ada", "boss"]);
    console.perform(&sub, "remove-from-group", &ticked).await;
    assert_eq!(console.members("ADMINS").await, ["boss"]);
}

#[tokio::test]
async fn a_disabled_user_cannot_sign_in_until_enabled() {
    let world = World::new().await;
    let sub = confirmed_user(&world, "ada", &[]).await;
    let console = open(world).await;
    assert!(console.user_sign_in("ada").await.is_some());
    let asks = console.ask(&sub, "disable", &[]).await.text;
    let pool = &console.world.pool.id;
    let command =
        format!("aws cognito-idp admin-disable-user --user-pool-id {pool} --username {sub}</code>");
    assert!(asks.contains(&command), "{asks}");
    assert!(
        console.user_sign_in("ada").await.is_some(),
        "nothing is done yet"
    );
    let page = console.perform(&sub, "disable", &[]).await;
    assert!(page.contains("the user is disabled."), "{page}");
    assert_eq!(console.user_sign_in("ada").await, None);
    for (action, says) in [
        ("disable", "the user is disabled."),
        ("provision", "the user is disabled: enable them first."),
        ("resend-invitation", "no invitation is open."),
    ] {
        let refused = console.ask(&sub, action, &[("action", "0")]).await;
        assert_eq!(refused.status, 409, "{action}: {}", refused.text);
        assert!(refused.text.contains(says), "{says}: {}", refused.text);
        assert!(
            !page.contains(&format!("/{action}\"")),
            "{action} has a button"
        );
    }
    let page = console.perform(&sub, "enable", &[]).await;
    assert!(page.contains("the user is enabled."), "{page}");
    assert!(console.user_sign_in("ada").await.is_some());
    let refused = console.ask(&sub, "enable", &[("action", "0")]).await;
    assert_eq!(refused.status, 409);
    for action in ["DisableUser", "EnableUser"] {
        let lines = console.audited(action);
        assert_eq!(
            (lines.len(), &lines[0]["user.sub"]),
            (1, &json!(sub)),
            "{action}"
        );
        assert_eq!(lines[0]["result"], "done");
    }
}

#[tokio::test]
async fn sign_out_ends_the_sign_ins_of_one_user() {
    let world = World::new().await;
    let sub = confirmed_user(&world, "ada", &[]).await;
    confirmed_user(&world, "eve", &[]).await;
    let console = open(world).await;
    let (ada, eve) = (
        console.user_sign_in("ada").await,
        console.user_sign_in("eve").await,
    );
    let page = console.perform(&sub, "sign-out", &[]).await;
    assert!(page.contains("the user is signed out."), "{page}");
    let refresh = async |token: Option<String>| {
        let client = &console.world.pool.client;
        let token = token.expect("signed in");
        console.world.sandbox.refresh(client, &token).await.is_ok()
    };
    assert_eq!((refresh(ada).await, refresh(eve).await), (false, true));
    assert_eq!(console.audited("SignOutUser").len(), 1);
}

#[tokio::test]
async fn an_open_invitation_is_sent_again() {
    let world = World::new().await;
    let mails = Arc::new(AtomicU32::new(0));
    let sent = Arc::clone(&mails);
    world.endpoint.on_mail(Box::new(move |_| {
        sent.fetch_add(1, Ordering::Relaxed);
    }));
    let sub = "00000000-0000-4000-8000-0000000000aa";
    let attributes = [
        ("sub", sub),
        ("email", "ada@mail.example"),
        ("email_verified", "true"),
    ];
    let attributes = attributes.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let (sandbox, pool) = (&world.sandbox, &world.pool.id);
    let attributes = BTreeMap::from(attributes);
    let invited = sandbox.invite(pool, "ada", &attributes, false).await;
    invited.expect("invited");
    let other = confirmed_user(&world, "eve", &[]).await;
    let console = open(world).await;
    let asks = console.ask(sub, "resend-invitation", &[]).await.text;
    assert!(
        asks.contains("--username USER --message-action RESEND"),
        "{asks}"
    );
    assert_eq!(mails.load(Ordering::Relaxed), 1);
    let asks = console.ask(sub, "resend-invitation", &[]).await;
    // A click twice sends one mail.
    let offer = offer_of(&asks);
    let confirmed = [("action", offer.as_str())];
    let post = || console.ask(sub, "resend-invitation", &confirmed);
    let answers = tokio::join!(post(), post());
    assert_eq!((answers.0.status, answers.1.status), (303, 303));
    assert_eq!(post().await.status, 303);
    let address = format!("{}?result={offer}", console.person(sub));
    let page = console.get(&address).await.text;
    assert!(page.contains("Cognito has sent the mail."), "{page}");
    assert_eq!(mails.load(Ordering::Relaxed), 2);
    // Another page of the user does not show it.
    let page = console.get(&console.person(sub)).await.text;
    assert!(!page.contains("Cognito has sent the mail."), "{page}");
    let refused = console.ask(&other, "resend-invitation", &[("action", "0")]);
    let refused = refused.await;
    assert_eq!(refused.status, 409, "{}", refused.text);
    console.perform(sub, "disable", &[]).await;
    let refused = console.ask(sub, "resend-invitation", &[]).await;
    assert!(
        refused.text.contains("the user is disabled."),
        "{}",
        refused.text
    );
    assert_eq!(console.audited("ResendInvitation").len(), 1);
    assert!(!console.process.log().contains("mail.example"));
}

#[tokio::test]
async fn actions_need_the_form_token_and_a_post() {
    let world = World::new().await;
    let sub = confirmed_user(&world, "ada", &[]).await;
    let console = open(world).await;
    let headers = [
        ("cookie", console.cookie.as_str()),
        ("origin", "null"),
        ("sec-fetch-site", "same-origin"),
        FORM,
    ];
    let fields = [("action", "0"), ("group", "STAFF"), ("user", "ada")];
    let person = console.person(&sub);
    let actions = ACTIONS.iter().chain(&["personal-data"]);
    let actions = actions.map(|action| format!("{person}/{action}"));
    let others = ["look-up", "search"].map(|name| format!("/console/people/{name}"));
    for path in actions.chain(others) {
        let body = encoded(&[&[("token", "wrong")], &fields[..]].concat());
        let answer = console.client.raw("POST", &path, body.as_bytes(), &headers);
        assert_eq!(answer.await.status, 403, "{path}");
        let answer = console.get(&format!("{path}?{}", encoded(&fields))).await;
        assert_eq!(answer.status, 405, "{path}");
    }
    assert!(console.audit().is_empty());
    assert!(console.user_sign_in("ada").await.is_some());
    console.world.assert_queue_empty().await;
}
