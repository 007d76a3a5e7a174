//! Forwards confirmed users to the queue, with one `SendMessage` each.

use std::time::Duration;

use serde_json::value::RawValue;

use super::raw_object::RawObject;
use crate::aws::{Outgoing, Queue};
use crate::event::{Trace, TriggerSource, escape_for_sqs, is_uuid};
use crate::message::outgoing;
use crate::telemetry::emf;

/// For all attempts together. Cognito waits five seconds for a trigger.
const FORWARD_TIMEOUT: Duration = Duration::from_millis(3800);

/// Forwards sign-ups, and users who have chosen a new password: they may have been
/// imported. The worker decides which of them it provisions.
#[derive(Debug)]
pub(crate) struct Forwarder(Result<Queue, String>);

/// The result of forwarding. The event is returned to Cognito in every case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ForwardResult {
    /// The id of the SQS message.
    Sent(String),
    /// Not sent: the event neither confirms a user nor is a sign-in that has to be queued.
    PassedThrough,
    /// The send failed. The log line names the pool and the `sub`, which reconcile needs.
    Failed {
        /// A line for the Lambda's output; `CloudWatch` reads it as the metric `ForwardFailed`.
        /// `None` for a sign-in: the next one is sent.
        metric: Option<String>,
    },
}

impl Forwarder {
    /// Without `queue`, each send fails with its error.
    pub(super) fn new(queue: Result<Queue, String>) -> Self {
        Self(queue)
    }

    /// Sends within [`FORWARD_TIMEOUT`]. Returns the message id, or the error as text.
    pub(super) async fn send(&self, message: Outgoing) -> Result<String, String> {
        match &self.0 {
            Ok(queue) => match tokio::time::timeout(FORWARD_TIMEOUT, queue.send(message)).await {
                Ok(Ok(id)) => Ok(id),
                Ok(Err(failure)) => Err(failure.to_string()),
                Err(_) => Err(format!(
                    "no answer within {} ms",
                    FORWARD_TIMEOUT.as_millis()
                )),
            },
            Err(reason) => Err(reason.clone()),
        }
    }

    /// Forwards the event of a confirmed user. The caller returns the event unchanged,
    /// whatever the result.
    pub(super) async fn forward(&self, event: &RawValue, trace: &Trace) -> ForwardResult {
        let members = RawObject::parse(event);
        let source = members
            .text("triggerSource")
            .as_deref()
            .map(TriggerSource::from_name);
        if !source.is_some_and(TriggerSource::is_confirmation) {
            return ForwardResult::PassedThrough;
        }
        let pool = members.text("userPoolId");
        let message = outgoing::sign_up(body(event, &members), pool).with_trace(trace);
        let error = match self.send(message).await {
            Ok(id) => {
                tracing::info!(message.id = id, trace.id = trace.id(), "sign-up forwarded");
                return ForwardResult::Sent(id);
            }
            Err(error) => error,
        };
        let pool = members.text("userPoolId");
        let attributes = members.object("request").object("userAttributes");
        tracing::error!(
            pool.id = pool.as_deref(),
            user.sub = attributes.text("sub").filter(|sub| is_uuid(sub)),
            trace.id = trace.id(),
            error,
            "sign-up not forwarded; usher reconcile finds it",
        );
        ForwardResult::Failed {
            metric: Some(forward_failed_metric(pool.as_deref().unwrap_or_default())),
        }
    }
}

/// One sign-up that could not be forwarded, in the embedded metric format.
fn forward_failed_metric(pool: &str) -> String {
    let pool = ("UserPoolId", pool);
    emf::line("usher", pool, true, &[("ForwardFailed", 1)])
}

/// The event without `clientMetadata`, and otherwise unchanged. usher never reads that
/// member, and the queues would store it for days. A client may write anything into it: a
/// captcha token, or more than a message may hold.
///
/// <https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-lambda-post-confirmation.html>
pub(super) fn body(event: &RawValue, members: &RawObject<'_>) -> String {
    let request = members.object("request").without("clientMetadata");
    let rest = request.and_then(|request| members.with("request", &request));
    escape_for_sqs(rest.as_deref().unwrap_or(event).get())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).expect("valid JSON")
    }

    #[tokio::test]
    async fn only_confirmed_users_are_forwarded() {
        let forwarder = Forwarder::new(Err("no queue in this test".to_owned()));
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
                true,
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
            let result = forwarder.forward(&raw(event), &Trace::default()).await;
            let was_tried = matches!(result, ForwardResult::Failed { .. });
            assert_eq!(was_tried, expected, "{event}");
        }
    }

    fn forwarded(event: &str) -> String {
        let event = raw(event);
        body(&event, &RawObject::parse(&event))
    }

    #[test]
    fn event_without_client_metadata_is_sent_byte_for_byte() {
        for event in [
            r#"{ "b" : 1.0, "a":"é\u00e9",  "big":123456789012345678901234567890 }"#,
            r#"{ "request":{ "userAttributes":{"clientMetadata":"theirs"} }, "clientMetadata":1 }"#,
            r#"{ "request" : [{"clientMetadata":{}}] }"#,
            r#"{ "request" : null }"#,
        ] {
            assert_eq!(forwarded(event), event);
        }
    }

    #[test]
    fn client_metadata_is_removed_and_nothing_else_changes() {
        for metadata in [
            r#"{"captcha":"\ud83d","n":1e999}"#,
            "null",
            r#""text""#,
            "[1]",
        ] {
            let event = format!(
                r#"{{ "userName":"n\u00e9\ud83d", "big":123456789012345678901234567890,
                "request":{{"userAttributes":{{ "b" : 1.0,"a":"\u00e9" }},
                "clientMetadata":{metadata}, "else":1e999}},"response":{{ }} }}"#
            );
            let body = forwarded(&event);
            assert!(!body.contains("captcha") && !body.contains("clientMetadata"));
            for part in [
                r#""userName":"n\u00e9\ud83d""#,
                r#""big":123456789012345678901234567890"#,
                r#""userAttributes":{ "b" : 1.0,"a":"\u00e9" }"#,
                r#""else":1e999"#,
                r#""response":{ }"#,
            ] {
                assert!(body.contains(part), "{part} in {body}");
            }
        }
        // The name may contain escapes, and occur twice.
        let hidden = r#"{"request":{"client\u004detadata":{"a":"captcha"},"clientMetadata":1}}"#;
        assert_eq!(forwarded(hidden), r#"{"request":{}}"#);
    }

    #[test]
    fn characters_that_sqs_refuses_are_escaped() {
        let sent = escape_for_sqs("{\"name\":\"a\u{ffff}b\u{fffe}\"}");
        assert_eq!(sent, "{\"name\":\"a\\uffffb\\ufffe\"}");
        let read: serde_json::Value = serde_json::from_str(&sent).expect("still JSON");
        assert_eq!(read["name"], "a\u{ffff}b\u{fffe}");
    }
}
