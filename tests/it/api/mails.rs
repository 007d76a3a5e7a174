//! The mail of an invitation: sent once, and its failure is reported.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::http::StatusCode;
use serde_json::json;

use super::Api;
use crate::faults::Fault;
use crate::world::eventually;

/// Returns a function that counts the mails sent so far.
pub(super) fn counted(api: &Api) -> impl Fn() -> usize + use<> {
    let mails = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&mails);
    let on_mail = move |_| {
        counter.fetch_add(1, Ordering::Relaxed);
    };
    api.world.endpoint.on_mail(Box::new(on_mail));
    move || mails.load(Ordering::Relaxed)
}

#[tokio::test]
async fn a_mail_is_sent_once_although_the_groups_are_throttled() {
    let api = Api::start(&[]).await;
    let mails = counted(&api);
    api.world.faults.plan(|call| {
        let throttled = "TooManyRequestsException";
        (call.operation == "AdminAddUserToGroup")
            .then_some(Fault::Error(StatusCode::BAD_REQUEST, throttled))
    });
    let invitation = json!({"email": "ada@mail.example", "username": "ada", "resend": true});
    let answer = api.ask("POST", "/v1/invitations", Some(invitation)).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let id = answer.body["requestId"].as_str().expect("an id").to_owned();
    api.world.faults.clear();
    eventually("done", || async {
        let audit = api.audit();
        audit[&id]
            .last()
            .is_some_and(|line| line["result"] == "done")
    })
    .await;
    assert_eq!(mails(), 1);
    assert_eq!(api.world.members("EVERYONE").await, ["ada"]);
}

#[tokio::test]
async fn a_requested_mail_is_sent_after_the_command_was_queued() {
    let api = Api::start(&[]).await;
    let mails = counted(&api);
    let mut invitation = json!({"email": "ada@mail.example", "username": "ada"});
    let answer = api
        .ask("POST", "/v1/invitations", Some(invitation.clone()))
        .await;
    assert_eq!((answer.status, mails()), (200, 1));
    // Times of the embedded pool are in whole seconds.
    let begun = jiff::Timestamp::now().as_second();
    eventually("the next second", || async {
        jiff::Timestamp::now().as_second() > begun
    })
    .await;
    for operation in ["AdminAddUserToGroup", "AdminCreateUser"] {
        api.world.faults.plan(move |call| {
            let throttled = "TooManyRequestsException";
            let resend = call.input["MessageAction"] == "RESEND";
            (call.operation == operation && (operation != "AdminCreateUser" || resend))
                .then_some(Fault::Error(StatusCode::BAD_REQUEST, throttled))
        });
        invitation["resend"] = json!(true);
        let before = mails();
        let answer = api
            .ask("POST", "/v1/invitations", Some(invitation.clone()))
            .await;
        assert_eq!((answer.status, mails()), (202, before), "{operation}");
        api.world.faults.clear();
        eventually("the mail", || async { mails() > before }).await;
        let id = answer.body["requestId"].as_str().expect("an id").to_owned();
        eventually("done", || async {
            let audit = api.audit();
            audit[&id]
                .last()
                .is_some_and(|line| line["result"] == "done")
        })
        .await;
        assert_eq!(mails(), before + 1, "{operation}");
    }
}

#[tokio::test]
async fn a_failed_mail_is_reported_after_the_next_attempt() {
    let api = Api::start(&[]).await;
    let body = json!({
        "usher": 1, "command": "InviteUser", "requestId": "r1", "requestedBy": {"sub": "deadbeef-0000-4000-8000-000000000000"},
        "requestedAt": jiff::Timestamp::now().to_string(), "userPoolId": api.world.pool.id,
        "email": "ada@mail.example", "username": "ada",
    });
    // The user is created, and Cognito answers that the mail could not be sent. Then the
    // groups are throttled for one attempt of four calls.
    api.world.faults.time_lapse();
    let mut left = 4;
    api.world
        .faults
        .plan(move |call| match call.operation.as_str() {
            "AdminCreateUser" => Some(Fault::Answer(
                |_| json!({"__type": "CodeDeliveryFailureException", "message": "no mail"}),
            )),
            "AdminAddUserToGroup" if left > 0 => {
                left -= 1;
                let throttled = "TooManyRequestsException";
                Some(Fault::Error(StatusCode::BAD_REQUEST, throttled))
            }
            _ => None,
        });
    api.world.send(body.to_string()).await;
    eventually("its end", || async { api.audit().contains_key("r1") }).await;
    let audit = api.audit();
    let line = &audit["r1"][0];
    assert_eq!(
        (&line["result"], &line["reason"]),
        (&json!("rejected"), &json!("mail_not_delivered"))
    );
    assert_eq!(api.world.members("EVERYONE").await, ["ada"]);
    assert_eq!(api.world.read_dead_letters().await.len(), 1);
}
