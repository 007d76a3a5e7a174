//! The text of an invitation, and the errors of Cognito about it.

use std::sync::{Arc, Mutex};

use axum::http::StatusCode;
use serde_json::json;
use usher::app::trigger_handler;
use usher::config::{self, Layers};
use usher::event::Trace;

use super::count;
use crate::faults::Fault;
use crate::world::World;

const ONE: [&str; 4] = ["users", "invite", "--email", "zebulon@quagmire.example"];

#[tokio::test]
async fn a_name_with_format_characters_is_invited() {
    let world = World::new().await;
    let url = "invitations.accept_url=https://app.mail.example/accept";
    let flags = [url, "invitations.subject=Hi {given_name}"];
    let text = "invitations.text=Hi {given_name}, {link}";
    let flags: Vec<String> = flags.iter().chain([&text]).map(|&s| s.to_owned()).collect();
    let settings = config::TriggerConfig::from_layers(&Layers::defaults().flags(&flags));
    let trigger = Arc::new(trigger_handler(Err("no queue".to_owned()), settings));
    world.endpoint.on_trigger(Box::new(move |event| {
        let trigger = Arc::clone(&trigger);
        Box::pin(async move {
            let answered = trigger.handle(&event, &Trace::default()).await;
            answered.response.ok()?
        })
    }));
    let mails = Arc::new(Mutex::new(Vec::new()));
    let mailbox = Arc::clone(&mails);
    world.endpoint.on_mail(Box::new(move |mail| {
        mailbox.lock().expect("no panic").push(mail);
    }));
    let name = ["--given-name", "می\u{200c}خواهم 👩\u{200d}👧"];
    let (status, lines, err) = world.run_command(&[&ONE[..], &name[..]].concat()).await;
    assert_eq!((status, count(&lines, "invited")), (Some(0), 1), "{err}");
    assert_eq!(lines[0]["mail"], json!("sent"));
    let mail = mails.lock().expect("no panic").remove(0);
    assert_eq!(mail.subject, "Hi میخواهم ");
    let begin = "Hi می&#8204;خواهم &#128105;&#8205;&#128103;, <a ses:no-track href=\"https:";
    assert!(mail.body.starts_with(begin), "{}", mail.body);
}

#[tokio::test]
async fn a_text_that_cognito_refuses_is_a_failed_mail() {
    let world = World::with_groups(&["STAFF"]).await;
    world.endpoint.on_trigger(Box::new(|event| {
        let mut event: serde_json::Value = serde_json::from_str(event.get()).expect("JSON");
        event["response"]["emailMessage"] = json!("{username}\u{200d}{####}");
        Box::pin(async move { serde_json::value::to_raw_value(&event).ok() })
    }));
    let pro = ["--attribute", "custom:plan=pro", "--group", "STAFF"];
    for resend in [&[][..], &["--resend"]] {
        let (status, lines, err) = world.run_command(&[&ONE[..], &pro, resend].concat()).await;
        assert_eq!((status, count(&lines, "failed")), (Some(1), 1), "{err}");
        assert_eq!(lines[0]["reason"], json!("mail_not_delivered"));
        assert_eq!(lines[0]["mail"], json!("failed"));
        assert!(err.contains("CustomMessage trigger"), "{err}");
    }
    let address = "zebulon@quagmire.example";
    assert_eq!(
        world.get_user(address).await.status,
        "FORCE_CHANGE_PASSWORD"
    );
    assert_eq!(world.members("STAFF").await, [address]);
    assert_eq!(world.profiles().await.len(), 1);
}

#[tokio::test]
async fn a_refused_value_is_refused_for_existing_users_too() {
    let world = World::new().await;
    world.faults.plan(|call| {
        let invalid = "InvalidParameterException";
        let plan = json!({"Name": "custom:plan", "Value": "wrong"});
        let attributes = call.input["UserAttributes"].as_array();
        attributes
            .is_some_and(|attributes| attributes.contains(&plan))
            .then_some(Fault::Error(StatusCode::BAD_REQUEST, invalid))
    });
    let wrong = ["--attribute", "custom:plan=wrong"];
    for there in [false, true] {
        let (status, lines, err) = world.run_command(&[&ONE[..], &wrong].concat()).await;
        assert_eq!((status, count(&lines, "refused")), (Some(1), 1), "{err}");
        assert_eq!(lines[0]["reason"], json!("invalid_parameter"), "{there}");
        let (status, _, err) = world.run_command(&ONE).await;
        assert_eq!(status, Some(0), "{err}");
    }
}
