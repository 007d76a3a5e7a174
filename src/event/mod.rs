//! Parses a message body into an [`Event`].
//!
//! Parsing is pure and lenient: a parser that refuses bodies which user pools, emulators
//! and test consoles really send loses users. Every shape gives an event or a reason, the
//! raw body is never changed, and nothing panics.

mod admin_command;
pub(crate) mod appsync;
mod attribute_list;
mod caller;
mod characters;
pub mod cognito;
mod group;
mod invitation;
mod issuer;
mod malformed;
mod pool_id;
mod reconcile;
mod scope;
mod text_rule;
mod trace;

pub(crate) use admin_command::{AdminCommand, AdminOperation, Membership};
pub(crate) use appsync::ResolverCall;
pub(crate) use attribute_list::has_item;
pub(crate) use caller::Caller;
pub(crate) use characters::{has_html_reference, is_cognito_character};
pub(crate) use cognito::{
    FEDERATED_STATUS, STATUS_ATTRIBUTE, TriggerSource, is_loggable_id, is_uuid,
};
pub use cognito::{SignUp, Sub, UserAttributes, Username};
pub use group::GroupName;
pub(crate) use invitation::{FieldError, Invitation, InvitationDraft};
pub use issuer::IssuerType;
pub(crate) use issuer::is_aws_issuer;
pub use malformed::Malformed;
pub use pool_id::PoolId;
pub(crate) use reconcile::{Cursor, ReconcileCommand};
pub(crate) use scope::Scope;
pub(crate) use text_rule::InvisibleCharacter;
pub use trace::Trace;
pub(crate) use trace::{TraceParent, is_xray_header};

use serde_json::{Map, Value};

/// The request of one message, parsed.
#[derive(Debug)]
pub enum Event {
    /// A confirmed user to provision, as far as the scope says.
    SignUp(SignUp),
    /// Find users whose sign-up was not finished, and queue them.
    Reconcile(ReconcileCommand),
    /// A group change or an invitation by an administrator.
    AdminCommand(Box<AdminCommand>),
}

impl Event {
    /// `None` only for a reconcile of all allowed pools.
    pub fn pool(&self) -> Option<&PoolId> {
        match self {
            Self::SignUp(sign_up) => Some(&sign_up.pool),
            Self::AdminCommand(command) => Some(&command.pool),
            Self::Reconcile(command) => command.pool.as_ref(),
        }
    }
}

/// Parses one message body, also one with a byte order mark or lone surrogates.
///
/// # Errors
/// [`Malformed`], which is permanent: a retry gives the same error.
pub fn parse(body: &str) -> Result<Event, Malformed> {
    let text = strip_bom(body).trim();
    if text.is_empty() {
        return Err(Malformed::EmptyBody);
    }
    let value: Value = serde_json::from_str(text)
        .or_else(|_| serde_json::from_str(&replace_lone_surrogates(text)))
        .map_err(|_| Malformed::NotJson)?;
    let Value::Object(object) = value else {
        return Err(Malformed::NotAnObject);
    };
    if is_sns_envelope(&object) {
        return Err(Malformed::SnsEnvelope);
    }
    if is_command(&object) {
        return parse_command(object);
    }
    cognito::parse(&object).map(Event::SignUp)
}

/// Whether the object is an usher command, of any version.
fn is_command(object: &Map<String, Value>) -> bool {
    object.contains_key("usher") && object.get("command").is_some_and(Value::is_string)
}

/// Parses `{"usher": 1, "command": "…", "requestId": "…", …}`. A command that this version does
/// not know becomes a dead letter with its own reason. It can be replayed once the worker knows
/// it.
fn parse_command(object: Map<String, Value>) -> Result<Event, Malformed> {
    let version = object.get("usher").and_then(Value::as_u64);
    match (version, object.get("command").and_then(Value::as_str)) {
        (Some(1), Some("Reconcile")) => serde_json::from_value(Value::Object(object))
            .map(Event::Reconcile)
            .map_err(|_| Malformed::BadCommand),
        (Some(1), Some(name)) if AdminCommand::is_known_name(name) => {
            AdminCommand::from_json(&Value::Object(object))
                .map(|command| Event::AdminCommand(Box::new(command)))
                .ok_or(Malformed::BadCommand)
        }
        _ => Err(Malformed::UnsupportedCommand),
    }
}

/// The text without the byte order mark that some editors add.
pub(crate) fn strip_bom(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// Escapes the two characters that JSON may hold but SQS refuses: it accepts only those of
/// XML 1.0. They can occur only in a JSON string, where the escape means the same.
///
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html>
pub fn escape_for_sqs(json: &str) -> String {
    json.replace('\u{fffe}', "\\ufffe")
        .replace('\u{ffff}', "\\uffff")
}

/// Replaces each lone surrogate by U+FFFD. JSON allows its escape, and a name that was cut
/// within an emoji has one, but no Rust string can hold it.
fn replace_lone_surrogates(json: &str) -> String {
    let mut repaired = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(at) = rest.find('\\') {
        repaired.push_str(&rest[..at]);
        rest = &rest[at..];
        let (is_valid, length) = match leading_surrogate(rest) {
            Some(0xd800..0xdc00) => match rest.get(6..).and_then(leading_surrogate) {
                Some(0xdc00..0xe000) => (true, 12),
                _ => (false, 6),
            },
            Some(_) => (false, 6),
            // Any other escape: the backslash and the next character.
            None => (true, 1 + rest[1..].chars().next().map_or(0, char::len_utf8)),
        };
        repaired.push_str(if is_valid { &rest[..length] } else { "\\ufffd" });
        rest = &rest[length..];
    }
    repaired.push_str(rest);
    repaired
}

/// The surrogate whose escape begins the text.
fn leading_surrogate(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    let code = u32::from_str_radix(digits, 16).ok()?;
    (0xd800..0xe000).contains(&code).then_some(code)
}

/// <https://docs.aws.amazon.com/sns/latest/dg/sns-sqs-as-subscriber.html>
fn is_sns_envelope(object: &Map<String, Value>) -> bool {
    object.get("Type").is_some_and(Value::is_string)
        && object.contains_key("TopicArn")
        && object.contains_key("Message")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(body: &str) -> &'static str {
        parse(body).expect_err("this body is malformed").code()
    }

    #[test]
    fn each_malformed_body_has_its_own_reason() {
        assert_eq!(reason(""), "empty_body");
        assert_eq!(reason(" \r\n\t"), "empty_body");
        assert_eq!(reason("\u{feff}"), "empty_body");
        assert_eq!(reason("hello world"), "not_json");
        assert_eq!(reason(r#"{"triggerSource": "PostConf"#), "not_json");
        assert_eq!(reason(r#""{}""#), "not_an_object");
        assert_eq!(reason("[1]"), "not_an_object");
        assert_eq!(reason("{}"), "not_an_event");
        assert_eq!(
            reason(r#"{"Type":"Notification","TopicArn":"arn:aws:sns:x","Message":"{}"}"#),
            "sns_envelope"
        );
        assert_eq!(
            reason(r#"{"usher":1,"command":"AddUserToGroup","requestId":"r"}"#),
            "bad_command"
        );
        for body in [
            r#"{"usher":1,"command":"Unheard","requestId":"r"}"#,
            r#"{"usher":2,"command":"Reconcile"}"#,
            r#"{"usher":2,"command":"AddUserToGroup"}"#,
            r#"{"usher":1,"command":"Unheard"}"#,
        ] {
            assert_eq!(reason(body), "unsupported_command", "{body}");
        }
        assert_eq!(
            reason(r#"{"Records":[{"eventSource":"aws:s3"}]}"#),
            "not_an_event"
        );
        assert_eq!(
            reason(r#"{"request":{"userAttributes":{}},"response":{}}"#),
            "no_trigger_source"
        );
        assert_eq!(
            reason(
                r#"{"triggerSource":"UserMigration_Authentication","request":{"password":"p"}}"#
            ),
            "other_trigger"
        );
    }

    #[test]
    fn lone_surrogates_are_replaced() {
        let body = |name: &str| {
            format!(
                r#"{{"triggerSource":"PostConfirmation_ConfirmSignUp","userPoolId":"p_1",
                "userName":"a","request":{{"userAttributes":{{"name":"{name}"}}}}}}"#
            )
        };
        for (name, read) in [
            (r"x\ud83d", "x\u{fffd}"),
            (r"\ude00y", "\u{fffd}y"),
            (r"\ud83d\ud83d\ude00", "\u{fffd}\u{1f600}"),
            (r"\\ud83d \ud83dz", "\\ud83d \u{fffd}z"),
        ] {
            match parse(&body(name)) {
                Ok(Event::SignUp(sign_up)) => {
                    assert_eq!(sign_up.attributes.get("name"), Some(read), "{name}");
                }
                other => panic!("{name}: {other:?}"),
            }
        }
        assert_eq!(reason(r#"{"a":"\ud83d""#), "not_json");
    }

    #[test]
    fn deep_nesting_is_refused() {
        let body = "[".repeat(100_000);
        assert_eq!(reason(&body), "not_json");
    }
}
