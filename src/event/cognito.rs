//! A lenient parser of the events that provision a user.
//!
//! <https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-lambda-post-confirmation.html>
//! AWS warns there that fields may be added or moved, and that strict validation makes
//! functions fail.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value};

use super::text_rule::{TextRule, check_name};
use super::{Malformed, PoolId, Scope};

/// A confirmed user. The values are unchecked: a verified flag may be `"false"`, and a
/// birthdate may have a 35th day.
#[derive(Debug)]
pub struct SignUp {
    /// The user pool that the user signed up in.
    pub pool: PoolId,
    /// The `Username` parameter of the Admin calls.
    pub username: Username,
    /// The user's immutable id. `None` if the event has none of Cognito's form; then Cognito is
    /// asked for it.
    pub sub: Option<Sub>,
    /// The app client of the sign-up, if the event names one.
    pub client_id: Option<String>,
    /// Attributes that have a value, by name.
    pub attributes: UserAttributes,
    pub(crate) scope: Scope,
}

/// A user name. It may be an e-mail address or a phone number, so `Debug` prints an
/// underscore.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Username(String);

impl Username {
    /// The error text for a name that breaks the rule.
    pub(crate) const RULE: &str = "a user name has 1 to 128 visible characters and no white space";

    /// Checks a name by Cognito's rule for new ones. The error is the rule that it breaks.
    ///
    /// <https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_AdminCreateUser.html>
    pub(crate) fn parse(name: &str) -> Result<Self, TextRule> {
        check_name(name, Self::RULE)?;
        Ok(Self(name.to_owned()))
    }

    /// `None` if the name is empty.
    pub fn new(name: &str) -> Option<Self> {
        (!name.is_empty()).then(|| Self(name.to_owned()))
    }

    /// Whether it has the form of a `sub`.
    pub(crate) fn is_uuid(&self) -> bool {
        is_uuid(&self.0)
    }

    /// Whether both are the same name in a case-insensitive pool.
    ///
    /// <https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-case-sensitivity.html>
    pub(crate) fn eq_ignore_case(&self, other: &Self) -> bool {
        self.0.to_lowercase() == other.0.to_lowercase()
    }

    /// The name, only for requests to Cognito; never for logs.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Username(_)")
    }
}

/// The `sub` attribute: an opaque id without personal data.
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize)]
pub struct Sub(String);

impl Sub {
    /// `None` if the value is empty.
    pub fn new(sub: &str) -> Option<Self> {
        (!sub.is_empty()).then(|| Self(sub.to_owned()))
    }

    /// `None` unless the value is a UUID in lower case, as Cognito writes it. Any other value
    /// would become the id of a second profile, and appear in log lines.
    fn from_event(sub: &str) -> Option<Self> {
        let is_sub = is_uuid(sub) && !sub.bytes().any(|byte| byte.is_ascii_uppercase());
        is_sub.then(|| Self(sub.to_owned()))
    }

    /// The value, unchanged and not empty.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The value, if logs and output may hold it: see [`is_loggable_id`].
    pub(crate) fn loggable(&self) -> Option<&str> {
        Some(self.as_str()).filter(|sub| is_loggable_id(sub))
    }
}

/// User attributes as text: strings unchanged, other values as JSON text. `null` and `""`
/// are left out: Cognito stores neither, and `DynamoDB` refuses an empty string in the key of
/// an index.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct UserAttributes(BTreeMap<String, String>);

impl UserAttributes {
    /// `None` if the attribute has no value.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Names and values, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// With one more attribute, or another value of it.
    pub(crate) fn with(&self, name: &str, value: &str) -> Self {
        self.iter().chain([(name, value)]).collect()
    }

    fn from_json(value: Option<&Value>) -> Self {
        let Some(Value::Object(object)) = value else {
            return Self::default();
        };
        Self(
            object
                .iter()
                .filter_map(|(name, value)| Some((name.clone(), attribute_text(value)?)))
                .collect(),
        )
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for UserAttributes {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        Self(
            pairs
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .filter(|(_, value)| !value.is_empty())
                .collect(),
        )
    }
}

/// Prints only names: values are personal data.
impl fmt::Debug for UserAttributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// The trigger that sent an event, as far as usher distinguishes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TriggerSource {
    /// `PostConfirmation_ConfirmSignUp`, and the `PostConfirmation_AdminConfirmSignUp`
    /// of emulators.
    ConfirmSignUp,
    /// `PostConfirmation_ConfirmForgotPassword`.
    ConfirmForgotPassword,
    /// `PostAuthentication_Authentication`, and `TokenGeneration_…` for a user.
    SignIn,
    Other,
}

impl TriggerSource {
    /// Whether the event confirms a user, who may have to be provisioned.
    pub(crate) fn is_confirmation(self) -> bool {
        matches!(self, Self::ConfirmSignUp | Self::ConfirmForgotPassword)
    }

    /// Reads the value of `triggerSource`.
    pub(crate) fn from_name(name: &str) -> Self {
        match name {
            "PostConfirmation_ConfirmSignUp" | "PostConfirmation_AdminConfirmSignUp" => {
                Self::ConfirmSignUp
            }
            "PostConfirmation_ConfirmForgotPassword" => Self::ConfirmForgotPassword,
            "PostAuthentication_Authentication" => Self::SignIn,
            // A token of client credentials belongs to no user.
            "TokenGeneration_ClientCredentials" => Self::Other,
            _ if name.starts_with("TokenGeneration_") => Self::SignIn,
            _ => Self::Other,
        }
    }
}

/// The attribute of an event that holds the user's status. No client can write it.
pub(crate) const STATUS_ATTRIBUTE: &str = "cognito:user_status";
/// The status of a user who signs in through an identity provider.
pub(crate) const FEDERATED_STATUS: &str = "EXTERNAL_PROVIDER";

/// Whether the text has the form of a `sub`, 8-4-4-4-12 hexadecimal digits.
pub(crate) fn is_uuid(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let is_hex = |part: &&str| part.bytes().all(|byte| byte.is_ascii_hexdigit());
    parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12]) && parts.iter().all(is_hex)
}

/// Whether a run id, a request id or Cognito's `sub` has the form of one, so that logs may hold
/// it: a forged one could be an e-mail address. A `sub` in a message must be a UUID.
pub(crate) fn is_loggable_id(id: &str) -> bool {
    id.len() <= 64 && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

pub(super) fn parse(object: &Map<String, Value>) -> Result<SignUp, Malformed> {
    match text(object, "triggerSource").map(TriggerSource::from_name) {
        None if object.contains_key("request") || object.contains_key("userName") => {
            Err(Malformed::NoTriggerSource)
        }
        None => Err(Malformed::NotAnEvent),
        Some(TriggerSource::Other) => Err(Malformed::OtherTrigger),
        Some(TriggerSource::ConfirmForgotPassword | TriggerSource::SignIn) => {
            parse_late_event(object)
        }
        Some(TriggerSource::ConfirmSignUp) => parse_sign_up(object),
    }
}

/// The app client is dropped: a user may choose a new password and sign in through any client.
fn parse_late_event(object: &Map<String, Value>) -> Result<SignUp, Malformed> {
    Ok(SignUp {
        client_id: None,
        scope: Scope::IfNoProfile,
        ..parse_sign_up(object)?
    })
}

fn parse_sign_up(object: &Map<String, Value>) -> Result<SignUp, Malformed> {
    let attributes = UserAttributes::from_json(
        object
            .get("request")
            .and_then(|request| request.get("userAttributes")),
    );
    Ok(SignUp {
        pool: text(object, "userPoolId")
            .and_then(PoolId::new)
            .ok_or(Malformed::NoUserPool)?,
        username: text(object, "userName")
            .and_then(Username::new)
            .ok_or(Malformed::NoUserName)?,
        sub: attributes.get("sub").and_then(Sub::from_event),
        client_id: object
            .get("callerContext")
            .and_then(|caller| caller.get("clientId"))
            .and_then(Value::as_str)
            .filter(|id| !id.is_empty() && *id != "CLIENT_ID_NOT_APPLICABLE")
            .map(str::to_owned),
        attributes,
        scope: Scope::from_json(object.get(Scope::BODY_FIELD))
            .ok_or(Malformed::UnsupportedCommand)?,
    })
}

/// A member that is a string and not blank.
fn text<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    object
        .get(name)?
        .as_str()
        .filter(|text| !text.trim().is_empty())
}

fn attribute_text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parsed(event: &Value) -> SignUp {
        match super::super::parse(&event.to_string()) {
            Ok(crate::event::Event::SignUp(sign_up)) => sign_up,
            other => panic!("not a sign-up: {other:?}"),
        }
    }

    fn minimal() -> Value {
        json!({
            "triggerSource": "PostConfirmation_ConfirmSignUp",
            "userPoolId": "eu-west-1_Example1",
            "userName": "someone",
        })
    }

    #[test]
    fn sign_up_needs_only_pool_and_user_name() {
        let sign_up = parsed(&minimal());
        assert_eq!(sign_up.pool.as_str(), "eu-west-1_Example1");
        assert_eq!(sign_up.username.reveal(), "someone");
        assert_eq!(sign_up.sub, None);
        assert_eq!(sign_up.client_id, None);

        for (missing, reason) in [("userPoolId", "no_user_pool"), ("userName", "no_user_name")] {
            let mut event = minimal();
            event[missing] = json!("");
            let refused = super::super::parse(&event.to_string()).expect_err("refused");
            assert_eq!(refused.code(), reason);
        }
    }

    #[test]
    fn sub_of_another_form_is_none() {
        let uuid = "11111111-2222-3333-4444-55555555abcd";
        for (value, expected) in [
            (json!(uuid), Some(uuid)),
            (json!(uuid.to_uppercase()), None),
            (json!("ada@example.com"), None),
            (json!("15550100"), None),
            (json!("Jane-Doe"), None),
            (json!(format!("{uuid} ")), None),
            (json!([uuid]), None),
            (json!({"a": 1}), None),
            (json!(5), None),
            (json!(""), None),
        ] {
            let mut event = minimal();
            event["request"] = json!({"userAttributes": {"sub": value}});
            let sub = parsed(&event).sub;
            assert_eq!(sub.as_ref().map(Sub::as_str), expected, "{value}");
        }
    }

    #[test]
    fn attribute_values_of_every_json_type_become_text() {
        let mut event = minimal();
        event["request"] = json!({"userAttributes": {
            "sub": "11111111-2222-3333-4444-555555555555",
            "email": null, "nickname": "", "email_verified": true, "custom:n": 7,
            "identities": "[{\"userId\":\"1\"}]", "custom:groups": "[A, B]",
            "birthdate": "2019-35-13", "given_name": "<b>Zoë</b> ", "custom:list": ["a"],
        }});
        let attributes = parsed(&event).attributes;
        for (name, value) in [
            ("email", None),
            ("nickname", None),
            ("email_verified", Some("true")),
            ("custom:n", Some("7")),
            ("identities", Some("[{\"userId\":\"1\"}]")),
            ("custom:groups", Some("[A, B]")),
            ("birthdate", Some("2019-35-13")),
            ("given_name", Some("<b>Zoë</b> ")),
            ("custom:list", Some("[\"a\"]")),
        ] {
            assert_eq!(attributes.get(name), value, "{name}");
        }
    }

    #[test]
    fn event_fields_that_vary_in_practice_are_accepted() {
        for (part, values) in [
            (
                "version",
                json!(["1", 1, 2, "0", "$LATEST", "string", null]),
            ),
            ("region", json!(["", "local", "us-gov-west-1", null])),
            (
                "callerContext",
                json!([{}, null, {"clientId": null}, {"awsSdk": "x"}]),
            ),
            (
                "request",
                json!([{}, null, {"clientMetadata": {"a": ["b"]}}, {"userAttributes": null}]),
            ),
            ("response", json!([{}, null, {"x": null}])),
            ("unknown", json!([[], 1])),
        ] {
            for value in values.as_array().expect("a list") {
                let mut event = minimal();
                event[part] = value.clone();
                assert_eq!(parsed(&event).username.reveal(), "someone", "{part}");
            }
        }
    }

    #[test]
    fn user_names_of_every_form_are_unchanged() {
        for name in [
            "Google_123",
            "LoginWithAmazon_amzn1.account.X",
            "adfs_ad\\user",
            "+15550100",
            "someone@example.com",
            "名前",
            "a",
        ] {
            let mut event = minimal();
            event["userName"] = json!(name);
            assert_eq!(parsed(&event).username.reveal(), name);
        }
    }

    #[test]
    fn unusable_client_id_is_none() {
        for id in [
            json!("CLIENT_ID_NOT_APPLICABLE"),
            json!(""),
            json!(null),
            json!(5),
        ] {
            let mut event = minimal();
            event["callerContext"] = json!({ "clientId": id });
            assert_eq!(parsed(&event).client_id, None);
        }
    }

    #[test]
    fn debug_output_hides_personal_data() {
        let mut event = minimal();
        event["userName"] = json!("zoltan@example.com");
        event["request"] = json!({"userAttributes": {"email": "zoltan@example.com"}});
        assert!(!format!("{:?}", parsed(&event)).contains("zoltan"));
    }

    #[test]
    fn new_password_is_recognized_and_its_client_is_dropped() {
        let mut event = minimal();
        event["triggerSource"] = json!("PostConfirmation_ConfirmForgotPassword");
        event["callerContext"] = json!({"clientId": "web"});
        let reset = parsed(&event);
        assert_eq!((reset.scope, reset.client_id), (Scope::IfNoProfile, None));
        assert_eq!(reset.username.reveal(), "someone");
    }
}
