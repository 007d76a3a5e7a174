//! What the embedded user pools call: the Lambda triggers, and the post.

use std::pin::Pin;
use std::sync::OnceLock;

use serde_json::Value;
use serde_json::value::RawValue;

/// What Cognito does with a trigger's event: hands it to the Lambda and waits.
/// Called for `PostConfirmation`, `CustomMessage_AdminCreateUser` and
/// `TokenGeneration` alike; answers with the event that the Lambda returned, or
/// with `None` for one that is unchanged, or for an error.
pub(crate) type TriggerFn = dyn Fn(Box<RawValue>) -> Pin<Box<dyn Future<Output = Option<Box<RawValue>>> + Send>>
    + Send
    + Sync;

/// Where mail goes.
pub(crate) type MailFn = dyn Fn(SentMail) + Send + Sync;

/// A mail that Cognito would have sent. An invitation's holds a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentMail {
    /// The address.
    pub to: String,
    /// The subject line.
    pub subject: String,
    /// The text, HTML or not.
    pub body: String,
}

#[derive(Default)]
pub(super) struct Hooks {
    pub(super) trigger: OnceLock<Box<TriggerFn>>,
    pub(super) mail: OnceLock<Box<MailFn>>,
}

impl Hooks {
    /// The `response` of the event that came back.
    pub(super) async fn call_trigger(&self, event: &Value) -> Value {
        let Some(trigger) = self.trigger.get() else {
            return Value::Null;
        };
        let Ok(event) = serde_json::value::to_raw_value(event) else {
            return Value::Null;
        };
        let answer = trigger(event).await;
        let mut answer: Value = answer
            .and_then(|answer| serde_json::from_str(answer.get()).ok())
            .unwrap_or_default();
        answer["response"].take()
    }

    pub(super) fn send_mail(&self, mail: SentMail) {
        if let Some(post) = self.mail.get() {
            post(mail);
        }
    }
}
