//! The `PostConfirmation` event, as leniently as it arrives.
//!
//! <https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-lambda-post-confirmation.html>
//! AWS warns there that fields may be added or moved, and that strict
//! validation makes functions fail.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value};

use super::text_rule::{TextRule, check_name};
use super::{Event, Malformed, PoolId, Scope};

/// A confirmed user, with the values as they came: they are data, and lie
/// (a verified flag may be `"false"`, a birthdate may have a 35th day).
#[derive(Debug)]
pub struct SignUp {
    /// The user pool that the user signed up in.
    pub pool: PoolId,
    /// What the `Username` parameter of the Admin calls takes.
    pub username: Username,
    /// The user's immutable id; left out by some producers, then asked for.
    pub sub: Option<Sub>,
    /// The app client that the user signed up through, when the event names one.
    pub client_id: Option<String>,
    /// The user's attributes.
    pub attributes: UserAttributes,
    /// How much of a sign-up it is.
    pub(crate) scope: Scope,
}

/// A user name. It may be an e-mail address or a phone number, so it prints as
/// an underscore wherever it is formatted.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Username(String);

impl Username {
    /// What a name that somebody gives obeys, in words.
    pub(crate) const RULE: &str = "a user name has 1 to 128 visible characters and no white space";

    /// A name that somebody gives, by Cognito's own rule for new ones.
    ///
    /// <https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_AdminCreateUser.html>
    ///
    /// # Errors
    /// The rule that it breaks.
    pub(crate) fn parse(name: &str) -> Result<Self, TextRule> {
        check_name(name, Self::RULE)?;
        Ok(Self(name.to_owned()))
    }

    /// `None` when the name is empty.
    pub fn new(name: &str) -> Option<Self> {
        (!name.is_empty()).then(|| Self(name.to_owned()))
    }

    /// Whether it has the form of a `sub`, 8-4-4-4-12 hexadecimal digits.
    pub(crate) fn is_uuid(&self) -> bool {
        let parts: Vec<&str> = self.0.split('-').collect();
        let is_hex = |part: &&str| part.bytes().all(|byte| byte.is_ascii_hexdigit());
        parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12]) && parts.iter().all(is_hex)
    }

    /// Whether both are one name to a pool that does not tell upper case from lower case.
    ///
    /// <https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-case-sensitivity.html>
    pub(crate) fn eq_ignore_case(&self, other: &Self) -> bool {
        self.0.to_lowercase() == other.0.to_lowercase()
    }

    /// The name for a request to Cognito, and for nothing else.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Username(_)")
    }
}

/// The `sub` attribute: an opaque id that says nothing of the person.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Sub(String);

impl Sub {
    /// `None` when the value is empty.
    pub fn new(sub: &str) -> Option<Self> {
        (!sub.is_empty()).then(|| Self(sub.to_owned()))
    }

    /// The value as it came.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// User attributes as text: strings as they are, booleans and numbers as JSON
/// prints them, arrays and objects as JSON text. `null` and `""` both say that
/// there is no value: Cognito stores neither, and `DynamoDB` refuses an empty
/// string in the key of an index.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct UserAttributes(BTreeMap<String, String>);

impl UserAttributes {
    /// The value of one attribute.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Every attribute that has a value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
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

/// Names alone: values are personal data.
impl fmt::Debug for UserAttributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// What fired, as far as usher tells it apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TriggerSource {
    /// `PostConfirmation_ConfirmSignUp`, and the `PostConfirmation_AdminConfirmSignUp`
    /// of emulators.
    ConfirmSignUp,
    /// `PostConfirmation_ConfirmForgotPassword`.
    ConfirmForgotPassword,
    /// Any other trigger.
    Other,
}

impl TriggerSource {
    /// Whether its user may have to be provisioned.
    pub(crate) fn is_forwarded(self) -> bool {
        matches!(self, Self::ConfirmSignUp | Self::ConfirmForgotPassword)
    }

    /// By its name in `triggerSource`.
    pub(crate) fn from_name(name: &str) -> Self {
        match name {
            "PostConfirmation_ConfirmSignUp" | "PostConfirmation_AdminConfirmSignUp" => {
                Self::ConfirmSignUp
            }
            "PostConfirmation_ConfirmForgotPassword" => Self::ConfirmForgotPassword,
            _ => Self::Other,
        }
    }
}

/// Whether a `sub` looks like the opaque id that Cognito makes, and so may stand
/// in a log: a forged one could be an address.
pub(crate) fn is_loggable_sub(sub: &str) -> bool {
    sub.len() <= 64 && sub.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

pub(super) fn parse(object: &Map<String, Value>) -> Result<Event, Malformed> {
    match text(object, "triggerSource").map(TriggerSource::from_name) {
        None if object.contains_key("request") || object.contains_key("userName") => {
            Err(Malformed::NoTriggerSource)
        }
        None => Err(Malformed::NotAnEvent),
        Some(TriggerSource::Other) => Err(Malformed::OtherTrigger),
        Some(TriggerSource::ConfirmForgotPassword) => parse_new_password(object).map(Event::SignUp),
        Some(TriggerSource::ConfirmSignUp) => parse_sign_up(object).map(Event::SignUp),
    }
}

/// The app client of a new password says nothing of the sign-up: any client will do.
fn parse_new_password(object: &Map<String, Value>) -> Result<SignUp, Malformed> {
    Ok(SignUp {
        client_id: None,
        scope: Scope::NewPassword,
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
        sub: attributes.get("sub").and_then(Sub::new),
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

/// A member that is text and not empty.
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
            Ok(Event::SignUp(sign_up)) => sign_up,
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
    fn a_sign_up_needs_pool_and_user_name_and_nothing_else() {
        let sign_up = parsed(&minimal());
        assert_eq!(sign_up.pool.as_str(), "eu-west-1_Example1");
        assert_eq!(sign_up.username.reveal(), "someone");
        assert_eq!(sign_up.sub, None);
        assert_eq!(sign_up.client_id, None);

        for (gone, reason) in [("userPoolId", "no_user_pool"), ("userName", "no_user_name")] {
            let mut event = minimal();
            event[gone] = json!("");
            let refused = super::super::parse(&event.to_string()).expect_err("refused");
            assert_eq!(refused.code(), reason);
        }
    }

    #[test]
    fn attribute_values_of_every_json_type_are_kept_as_text() {
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
    fn the_parts_that_vary_in_practice_are_all_accepted() {
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
    fn user_names_of_every_form_survive() {
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
    fn a_client_id_that_says_nothing_is_none() {
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
    fn formatting_reveals_no_personal_data() {
        let mut event = minimal();
        event["userName"] = json!("zoltan@example.com");
        event["request"] = json!({"userAttributes": {"email": "zoltan@example.com"}});
        assert!(!format!("{:?}", parsed(&event)).contains("zoltan"));
    }

    #[test]
    fn a_new_password_is_told_from_a_sign_up_and_its_client_is_dropped() {
        let mut event = minimal();
        event["triggerSource"] = json!("PostConfirmation_ConfirmForgotPassword");
        event["callerContext"] = json!({"clientId": "web"});
        let reset = parsed(&event);
        assert_eq!((reset.scope, reset.client_id), (Scope::NewPassword, None));
        assert_eq!(reset.username.reveal(), "someone");
    }
}
