//! The bodies of the sign-ups: generated, or recorded events with replaced names.

use serde_json::{Map, Value, json};

use super::run_id::{RunId, Tag};
use super::test_users::TestUser;
use crate::event::{self, Event, PoolId, Scope, SignUp};

/// Makes the bodies of sign-ups.
#[derive(Debug, Clone)]
pub enum SignUpTemplate {
    /// An event in the form that a user pool sends.
    Generated {
        /// The app client in the events.
        client_id: Option<String>,
        /// User attributes in addition to the generated ones.
        attributes: Vec<(String, String)>,
    },
    /// Recorded events, used in rotation; at least one.
    Recorded(Vec<Map<String, Value>>),
}

/// Why a text cannot be used as a recorded sign-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotASignUp {
    /// The worker could not parse it.
    #[error("{0}")]
    Malformed(#[from] event::Malformed),
    /// Another kind of event, a new password or a sign-in.
    #[error("it is not a confirmed sign-up")]
    OtherEvent,
}

/// Parses one recorded event, which must be a sign-up, not a new password or a sign-in.
pub(crate) fn parse_recorded(text: &str) -> Result<Map<String, Value>, NotASignUp> {
    match event::parse(text)? {
        Event::SignUp(sign_up) if sign_up.scope != Scope::IfNoProfile => {}
        Event::SignUp(_) | Event::Reconcile(_) | Event::AdminCommand(_) => {
            return Err(NotASignUp::OtherEvent);
        }
    }
    match serde_json::from_str(event::strip_bom(text).trim()) {
        Ok(Value::Object(event)) => Ok(event),
        // Half a surrogate pair: the worker replaces it, but `serde_json` rejects it.
        _ => Err(NotASignUp::Malformed(event::Malformed::NotJson)),
    }
}

impl SignUpTemplate {
    /// The body of the user's sign-up.
    pub fn body(&self, run: &RunId, pool: &PoolId, user: &TestUser) -> String {
        match self {
            Self::Generated {
                client_id,
                attributes,
            } => generated_event(run, pool, user, client_id.as_deref(), attributes).to_string(),
            Self::Recorded(events) => {
                let event = events[user.number as usize % events.len()].clone();
                with_names_of(event, run, pool, user).to_string()
            }
        }
    }

    /// The user's sign-up as the worker parses it.
    pub fn read(&self, run: &RunId, pool: &PoolId, user: &TestUser) -> Option<SignUp> {
        match event::parse(&self.body(run, pool, user)) {
            Ok(Event::SignUp(sign_up)) => Some(sign_up),
            _ => None,
        }
    }
}

fn generated_event(
    run: &RunId,
    pool: &PoolId,
    user: &TestUser,
    client_id: Option<&str>,
    attributes: &[(String, String)],
) -> Value {
    let region = pool.as_str().split_once('_').map(|(region, _)| region);
    let mut all = Map::from_iter([
        ("cognito:user_status".to_owned(), json!("CONFIRMED")),
        ("email_verified".to_owned(), json!("true")),
        (
            "given_name".to_owned(),
            json!(format!("Load {}", user.number)),
        ),
    ]);
    all.extend(
        attributes
            .iter()
            .map(|(name, value)| (name.clone(), json!(value))),
    );
    all.insert("sub".to_owned(), json!(user.sub.as_str()));
    all.insert("email".to_owned(), json!(user.email));
    json!({
        "version": "1",
        "triggerSource": "PostConfirmation_ConfirmSignUp",
        "region": region.unwrap_or_default(),
        "userPoolId": pool.as_str(),
        "userName": user.username.reveal(),
        "callerContext": {"awsSdkVersion": tag_name(run, user), "clientId": client_id},
        "request": {"userAttributes": all},
        "response": {},
    })
}

/// Standard attributes that may identify a person. `custom:` attributes stay, since
/// group rules may depend on them.
///
/// <https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-settings-attributes.html>
const PERSONAL_ATTRIBUTES: [&str; 14] = [
    "address",
    "birthdate",
    "cognito:phone_number_alias",
    "cognito:preferred_username_alias",
    "family_name",
    "given_name",
    "middle_name",
    "name",
    "nickname",
    "phone_number",
    "picture",
    "preferred_username",
    "profile",
    "website",
];

/// The event with the test pool and the user's names. Attributes that are missing or
/// not text stay as they are, except `sub`, which is always set.
fn with_names_of(
    mut event: Map<String, Value>,
    run: &RunId,
    pool: &PoolId,
    user: &TestUser,
) -> Value {
    event.insert("userPoolId".to_owned(), json!(pool.as_str()));
    event.insert("userName".to_owned(), json!(user.username.reveal()));
    object_mut(&mut event, "callerContext")
        .insert("awsSdkVersion".to_owned(), json!(tag_name(run, user)));
    let attributes = object_mut(object_mut(&mut event, "request"), "userAttributes");
    attributes.insert("sub".to_owned(), json!(user.sub.as_str()));
    let mut replace = |name: &str, value: String| {
        let text = attributes.get_mut(name);
        if let Some(text) = text.filter(|text| text.as_str().is_some_and(|text| !text.is_empty())) {
            *text = json!(value);
        }
    };
    replace("email", user.email.clone());
    replace("cognito:email_alias", user.email.clone());
    replace("identities", "[]".to_owned());
    for name in PERSONAL_ATTRIBUTES {
        replace(name, format!("load {}", user.number));
    }
    // The client writes the metadata, which may hold personal data.
    let request = object_mut(&mut event, "request");
    if let Some(Value::Object(metadata)) = request.get_mut("clientMetadata") {
        metadata.clear();
    }
    Value::Object(event)
}

/// The member; one that is missing or not an object becomes an empty object.
fn object_mut<'a>(of: &'a mut Map<String, Value>, name: &str) -> &'a mut Map<String, Value> {
    let member = of.entry(name).or_insert_with(|| json!({}));
    if !member.is_object() {
        *member = json!({});
    }
    match member {
        Value::Object(object) => object,
        _ => unreachable!("made an object just now"),
    }
}

/// The run's name that every body holds, also where the pool chooses the user names:
/// the clean-up finds messages by it.
fn tag_name(run: &RunId, user: &TestUser) -> String {
    run.name(Tag::SignUp(user.number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Sub, Username};

    fn run() -> RunId {
        "20261121-142249-k3f9".parse().expect("an id")
    }

    const SUB: &str = "b662d2e4-d0a1-7098-4973-20a5d6ff5a12";

    fn test_user(n: u32) -> TestUser {
        TestUser {
            number: n,
            username: Username::new("a-name-of-the-pools-own").expect("not empty"),
            sub: Sub::new(SUB).expect("not empty"),
            email: "usher-load-1@example.com".to_owned(),
        }
    }

    #[test]
    fn a_generated_sign_up_parses_and_holds_its_attributes() {
        let pool = PoolId::new("eu-west-1_x").expect("an id");
        let sign_ups = SignUpTemplate::Generated {
            client_id: Some("web".to_owned()),
            attributes: vec![
                ("custom:plan".to_owned(), "pro".to_owned()),
                ("sub".to_owned(), "forged".to_owned()),
            ],
        };
        let read = sign_ups
            .read(&run(), &pool, &test_user(3))
            .expect("a sign-up");
        assert_eq!(read.sub, Sub::new(SUB));
        assert_eq!(read.client_id.as_deref(), Some("web"));
        assert_eq!(read.attributes.get("custom:plan"), Some("pro"));
        let body = sign_ups.body(&run(), &pool, &test_user(3));
        assert_eq!(run().find(&body), Some(Tag::SignUp(3)));
    }

    #[test]
    fn a_recorded_event_keeps_its_form_and_loses_its_names() {
        let pool = PoolId::new("eu-west-1_x").expect("an id");
        let events = [
            r#"{"triggerSource": "PostConfirmation_ConfirmSignUp", "userPoolId": "other_1",
                "userName": "ada", "callerContext": null, "extra": [1],
                "request": {"userAttributes": {"email": "ada@mail.example", "custom:x": true}}}"#,
            r#"{"triggerSource": "PostConfirmation_ConfirmSignUp", "userPoolId": "other_1",
                "userName": "+1555", "request": {"clientMetadata": {"note": "call +1555"},
                "userAttributes": {"phone_number": "+1555", "name": null}}}"#,
        ];
        let events = events.map(|text| parse_recorded(text).expect("a sign-up"));
        let sign_ups = SignUpTemplate::Recorded(events.to_vec());
        let body = sign_ups.body(&run(), &pool, &test_user(2));
        for gone in ["ada", "other_1"] {
            assert!(!body.contains(gone), "{body}");
        }
        assert!(body.contains("\"extra\":[1]") && body.contains("\"custom:x\":true"));
        let body = sign_ups.body(&run(), &pool, &test_user(1));
        assert!(!body.contains("1555"), "{body}");
        assert!(body.contains("\"name\":null"), "{body}");
        let second = sign_ups
            .read(&run(), &pool, &test_user(1))
            .expect("a sign-up");
        assert_eq!(
            second.attributes.get("email"),
            None,
            "none before, none now"
        );
        assert_eq!(second.username, test_user(1).username);
    }

    #[test]
    fn events_of_another_kind_are_refused() {
        let new_password = r#"{"triggerSource": "PostConfirmation_ConfirmForgotPassword",
            "userPoolId": "eu-west-1_x", "userName": "ada"}"#;
        assert_eq!(parse_recorded(new_password), Err(NotASignUp::OtherEvent));
        assert!(matches!(
            parse_recorded("{}"),
            Err(NotASignUp::Malformed(_))
        ));
    }
}
