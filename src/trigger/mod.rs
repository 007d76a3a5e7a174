//! The Lambda behind the user pool's `PostConfirmation` trigger.
//!
//! One `SendMessage`, and the event back as it came. It never fails: a failing
//! trigger would neither undo the confirmation nor fire again, and the user
//! would see an error. What could not be forwarded is found by reconcile.

mod emf;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::value::RawValue;

use crate::aws::{Aws, Outgoing, Queue};
use crate::event::{TriggerSource, is_opaque, sendable_json};

/// All attempts together. Cognito gives a trigger five seconds.
const BUDGET: Duration = Duration::from_millis(3800);

/// Forwards confirmed sign-ups to the queue.
#[derive(Debug)]
pub struct Forwarder(Result<Queue, String>);

/// What was done with an event; it is returned to Cognito in every case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Forwarded {
    /// Sent, under this message id.
    Sent(String),
    /// Another trigger's event, or none at all.
    PassedThrough,
    /// It should have been sent. The log has what reconcile needs.
    Failed {
        /// A line for the Lambda's output, which `CloudWatch` reads as the metric
        /// `ForwardFailed`.
        metric: String,
    },
}

/// Message attributes that the trigger sets. Names are a contract.
pub mod attribute {
    /// What the body is.
    pub const KIND: &str = "usher.kind";
    /// When it was forwarded: ISO 8601, UTC.
    pub const FORWARDED_AT: &str = "usher.forwarded_at";
}

impl Forwarder {
    /// Sends to the queue of this URL.
    pub fn new(aws: &Aws, queue_url: &str) -> Self {
        Self(Ok(Queue::new(
            aws,
            queue_url,
            Duration::ZERO,
            Duration::ZERO,
        )))
    }

    /// Cannot send, for the reason given: still answers every event.
    pub fn broken(why: impl Into<String>) -> Self {
        Self(Err(why.into()))
    }

    /// Forwards the event when it is a confirmed sign-up. The caller returns
    /// the event as it came, whatever this says.
    pub async fn handle(&self, event: &RawValue) -> Forwarded {
        let members = Members::of(event);
        let source = members
            .text("triggerSource")
            .as_deref()
            .map(TriggerSource::named);
        if source != Some(TriggerSource::ConfirmSignUp) {
            return Forwarded::PassedThrough;
        }
        let error = match &self.0 {
            Ok(queue) => {
                match tokio::time::timeout(BUDGET, queue.send(message(event, &members))).await {
                    Ok(Ok(id)) => {
                        tracing::info!(message.id = id, "sign-up forwarded");
                        return Forwarded::Sent(id);
                    }
                    Ok(Err(failure)) => failure.to_string(),
                    Err(_) => format!("no answer within {} ms", BUDGET.as_millis()),
                }
            }
            Err(why) => why.clone(),
        };
        let pool = members.text("userPoolId");
        let attributes = members.object("request").object("userAttributes");
        tracing::error!(
            pool.id = pool.as_deref(),
            user.sub = attributes.text("sub").filter(|sub| is_opaque(sub)),
            error,
            "sign-up not forwarded; usher reconcile finds it",
        );
        Forwarded::Failed {
            metric: emf::forward_failed(pool.as_deref().unwrap_or_default()),
        }
    }
}

fn message(event: &RawValue, members: &Members<'_>) -> Outgoing {
    Outgoing {
        body: sendable_json(event.get()),
        attributes: BTreeMap::from([
            (attribute::KIND.to_owned(), "PostConfirmation".to_owned()),
            (
                attribute::FORWARDED_AT.to_owned(),
                format!("{:.3}", jiff::Timestamp::now()),
            ),
        ]),
        // The tenant for SQS fair queues: one busy pool does not hold up others.
        group: members.text("userPoolId"),
        ..Outgoing::default()
    }
}

/// The members of a JSON object, each still in its own text. One member that
/// cannot be read (a lone surrogate, a number beyond all bounds) must not hide
/// the others: the sign-up would be lost without a word.
#[derive(Default)]
struct Members<'a>(BTreeMap<String, &'a RawValue>);

impl<'a> Members<'a> {
    /// None for anything but an object, which is no event of Cognito's.
    fn of(value: &'a RawValue) -> Self {
        Self(serde_json::from_str(value.get()).unwrap_or_default())
    }

    fn object(&self, name: &str) -> Members<'a> {
        self.0
            .get(name)
            .map(|value| Members::of(value))
            .unwrap_or_default()
    }

    /// A member that is text and not empty.
    fn text(&self, name: &str) -> Option<String> {
        let text: String = serde_json::from_str(self.0.get(name)?.get()).ok()?;
        (!text.is_empty()).then_some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).expect("valid JSON")
    }

    #[tokio::test]
    async fn only_confirmed_sign_ups_are_forwarded() {
        let forwarder = Forwarder::broken("no queue in this test");
        for (event, expected) in [
            (
                r#"{"triggerSource":"PostConfirmation_ConfirmSignUp"}"#,
                true,
            ),
            (
                r#"{"triggerSource":"PostConfirmation_AdminConfirmSignUp"}"#,
                true,
            ),
            (
                r#"{"triggerSource":"PostConfirmation_ConfirmForgotPassword"}"#,
                false,
            ),
            (r#"{"triggerSource":"PreSignUp_SignUp"}"#, false),
            (r#"{"request":{}}"#, false),
            (
                r#"{"triggerSource":"PostConfirmation_ConfirmSignUp","a":"\ud83d","b":1e999}"#,
                true,
            ),
            ("[]", false),
            ("null", false),
        ] {
            let answer = forwarder.handle(&raw(event)).await;
            let tried = matches!(answer, Forwarded::Failed { .. });
            assert_eq!(tried, expected, "{event}");
        }
    }

    #[test]
    fn the_body_is_the_event_byte_for_byte() {
        let event = r#"{ "b" : 1.0, "a":"é\u00e9",  "big":123456789012345678901234567890 }"#;
        assert_eq!(sendable_json(raw(event).get()), event);
    }

    #[test]
    fn characters_that_sqs_refuses_are_escaped() {
        let sent = sendable_json("{\"name\":\"a\u{ffff}b\u{fffe}\"}");
        assert_eq!(sent, "{\"name\":\"a\\uffffb\\ufffe\"}");
        let read: serde_json::Value = serde_json::from_str(&sent).expect("still JSON");
        assert_eq!(read["name"], "a\u{ffff}b\u{fffe}");
    }
}
