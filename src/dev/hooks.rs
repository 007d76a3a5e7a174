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
    /// The name in the body.
    pub username: String,
    /// The temporary password in the body.
    pub code: String,
}

impl SentMail {
    /// The link in the body with every special character of name and code encoded. In the body
    /// both are raw, and a terminal would end the link at a `"` in the code. `None` without a
    /// link.
    pub(crate) fn encoded_link(&self) -> Option<String> {
        let (name, code) = (&self.username, &self.code);
        let (before, _) = self.body.split_once(&format!("#u={name}&#38;c={code}"))?;
        let url = before.rsplit('"').next()?.replace("&#38;", "&");
        let [name, code] = [name, code].map(|text| percent_encoded(text));
        Some(format!("{url}#u={name}&c={code}"))
    }
}

/// Encodes all but letters, digits and `._-`. `/accept` decodes a link if it is encoded without
/// an exception.
fn percent_encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_printed_link_has_no_special_character() {
        let code = r#"a">%41`;&#38;c=#~Z"#;
        let link = format!("http://127.0.0.1:8081/accept#u=jürgen@example.com&#38;c={code}");
        let mail = |body| SentMail {
            to: String::new(),
            subject: String::new(),
            body,
            username: "jürgen@example.com".to_owned(),
            code: code.to_owned(),
        };
        let encoded = mail(format!("Hello,<br>\n<a href=\"{link}\">here</a> {code}"));
        assert_eq!(
            encoded.encoded_link().as_deref(),
            Some(
                "http://127.0.0.1:8081/accept#u=j%C3%BCrgen%40example.com\
                 &c=a%22%3E%2541%60%3B%26%2338%3Bc%3D%23%7EZ"
            )
        );
        assert_eq!(mail(format!("Your code is {code}")).encoded_link(), None);
    }
}
