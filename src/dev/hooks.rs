//! The hooks of the embedded user pools: Lambda triggers and mail.

use std::pin::Pin;
use std::sync::OnceLock;

use serde_json::Value;
use serde_json::value::RawValue;

/// Passes a trigger's event to the Lambda and waits for its response. Called for
/// `PostConfirmation`, `CustomMessage_AdminCreateUser` and `TokenGeneration`.
/// Returns the event that the Lambda returned, or `None` for an unchanged event
/// or an error.
pub(crate) type TriggerFn = dyn Fn(Box<RawValue>) -> Pin<Box<dyn Future<Output = Option<Box<RawValue>>> + Send>>
    + Send
    + Sync;

/// Receives each mail that a pool sends.
pub(crate) type MailFn = dyn Fn(SentMail) + Send + Sync;

/// A mail that Cognito would have sent. An invitation holds a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentMail {
    /// The e-mail address of the recipient.
    pub to: String,
    /// The subject line, of the trigger or the pool.
    pub subject: String,
    /// The text or HTML, with user name and password.
    pub body: String,
}

#[derive(Default)]
pub(super) struct Hooks {
    pub(super) trigger: OnceLock<Box<TriggerFn>>,
    pub(super) mail: OnceLock<Box<MailFn>>,
}

impl Hooks {
    /// The `response` member of the returned event; null without one.
    pub(super) async fn call_trigger(&self, event: &Value) -> Value {
        let Some(trigger) = self.trigger.get() else {
            return Value::Null;
        };
        let Ok(event) = serde_json::value::to_raw_value(event) else {
            return Value::Null;
        };
        let returned = trigger(event).await;
        let mut returned: Value = returned
            .and_then(|returned| serde_json::from_str(returned.get()).ok())
            .unwrap_or_default();
        returned["response"].take()
    }

    pub(super) fn send_mail(&self, mail: SentMail) {
        if let Some(deliver) = self.mail.get() {
            deliver(mail);
        }
    }
}
