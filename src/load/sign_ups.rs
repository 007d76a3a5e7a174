//! The bodies of the sign-ups: made up, or real events with names made unique.

use serde_json::{Map, Value, json};

use super::run_id::{RunId, Tag};
use super::test_users::TestUser;
use crate::event::{self, Event, PoolId, Scope, SignUp};

/// What a sign-up looks like.
#[derive(Debug, Clone)]
pub enum SignUpTemplate {
    /// As a user pool sends it.
    Generated {
        /// The app client that people sign up through.
        client_id: Option<String>,
        /// Further user attributes.
        attributes: Vec<(String, String)>,
    },
    /// Real events, each in its turn; at least one.
    Recorded(Vec<Map<String, Value>>),
}

/// Why a text cannot stand for a sign-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotASignUp {
    /// The worker could not read it.
    #[error("{0}")]
    Malformed(#[from] event::Malformed),
    /// The worker would have nothing to do.
    #[error("it is no confirmed sign-up")]
    OtherEvent,
}

/// Reads one real event.
///
/// # Errors
/// [`NotASignUp`].
pub(crate) fn parse_recorded(text: &str) -> Result<Map<String, Value>, NotASignUp> {
    match event::parse(text)? {
        Event::SignUp(sign_up) if sign_up.scope != Scope::NewPassword => {}
        Event::SignUp(_) | Event::Reconcile(_) | Event::AdminCommand(_) => {
            return Err(NotASignUp::OtherEvent);
        }
    }
    match serde_json::from_str(event::strip_bom(text).trim()) {
        Ok(Value::Object(event)) => Ok(event),
        // Half a character, which the worker mends and which cannot be kept.
        _ => Err(NotASignUp::Malformed(event::Malformed::NotJson)),
    }
}

impl SignUpTemplate {
    /// The body of one user's sign-up.
    pub fn body(&self, run: &RunId, pool: &PoolId, person: &TestUser) -> String {
        match self {
            Self::Generated {
                client_id,
                attributes,
            } => generated_event(run, pool, person, client_id.as_deref(), attributes).to_string(),
            Self::Recorded(events) => {
                let event = events[person.number as usize % events.len()].clone();
                with_names_of(event, run, pool, person).to_string()
            }
        }
    }

    /// What the worker reads in it.
    pub fn read(&self, run: &RunId, pool: &PoolId, person: &TestUser) -> Option<SignUp> {
        match event::parse(&self.body(run, pool, person)) {
            Ok(Event::SignUp(sign_up)) => Some(sign_up),
            _ => None,
        }
    }
}

fn generated_event(
    run: &RunId,
    pool: &PoolId,
    person: &TestUser,
    client_id: Option<&str>,
    attributes: &[(String, String)],
) -> Value {
    let region = pool.as_str().split_once('_').map(|(region, _)| region);
    let mut all = Map::from_iter([
        ("cognito:user_status".to_owned(), json!("CONFIRMED")),
        ("email_verified".to_owned(), json!("true")),
        (
            "given_name".to_owned(),
            json!(format!("Load {}", person.number)),
        ),
    ]);
    all.extend(
        attributes
            .iter()
            .map(|(name, value)| (name.clone(), json!(value))),
    );
    all.insert("sub".to_owned(), json!(person.sub.as_str()));
    all.insert("email".to_owned(), json!(person.email));
    json!({
        "version": "1",
        "triggerSource": "PostConfirmation_ConfirmSignUp",
        "region": region.unwrap_or_default(),
        "userPoolId": pool.as_str(),
        "userName": person.username.reveal(),
        "callerContext": {"awsSdkVersion": tag_name(run, person), "clientId": client_id},
        "request": {"userAttributes": all},
        "response": {},
    })
}

/// Standard attributes that say who somebody is; `custom:` attributes stay, since
/// rules go by them.
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

/// The event in its shape, with another pool and our person's names. An attribute
/// that it lacks, or that is no text, stays as it is.
fn with_names_of(
    mut event: Map<String, Value>,
    run: &RunId,
    pool: &PoolId,
    person: &TestUser,
) -> Value {
    event.insert("userPoolId".to_owned(), json!(pool.as_str()));
    event.insert("userName".to_owned(), json!(person.username.reveal()));
    object_mut(&mut event, "callerContext")
        .insert("awsSdkVersion".to_owned(), json!(tag_name(run, person)));
    let attributes = object_mut(object_mut(&mut event, "request"), "userAttributes");
    attributes.insert("sub".to_owned(), json!(person.sub.as_str()));
    let mut replace = |name: &str, value: String| {
        let text = attributes.get_mut(name);
        if let Some(text) = text.filter(|text| text.as_str().is_some_and(|text| !text.is_empty())) {
            *text = json!(value);
        }
    };
    replace("email", person.email.clone());
    replace("cognito:email_alias", person.email.clone());
    replace("identities", "[]".to_owned());
    for name in PERSONAL_ATTRIBUTES {
        replace(name, format!("load {}", person.number));
    }
    // The client writes it, and may write anything.
    let request = object_mut(&mut event, "request");
    if let Some(Value::Object(metadata)) = request.get_mut("clientMetadata") {
        metadata.clear();
    }
    Value::Object(event)
}

/// The member, which becomes an object when it is none.
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

/// In every body, whatever the pool names its users: the clean-up goes by it.
fn tag_name(run: &RunId, person: &TestUser) -> String {
    run.name(Tag::SignUp(person.number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Sub, Username};

    fn run() -> RunId {
        "20261121-142249-k3f9".parse().expect("an id")
    }

    fn person(n: u32) -> TestUser {
        TestUser {
            number: n,
            username: Username::new("a-name-of-the-pools-own").expect("not empty"),
            sub: Sub::new("sub-1").expect("not empty"),
            email: "usher-load-1@example.com".to_owned(),
        }
    }

    #[test]
    fn a_made_sign_up_is_one_and_holds_what_was_asked_for() {
        let pool = PoolId::new("eu-west-1_x").expect("an id");
        let sign_ups = SignUpTemplate::Generated {
            client_id: Some("web".to_owned()),
            attributes: vec![
                ("custom:plan".to_owned(), "pro".to_owned()),
                ("sub".to_owned(), "forged".to_owned()),
            ],
        };
        let read = sign_ups.read(&run(), &pool, &person(3)).expect("a sign-up");
        assert_eq!(read.sub, Sub::new("sub-1"));
        assert_eq!(read.client_id.as_deref(), Some("web"));
        assert_eq!(read.attributes.get("custom:plan"), Some("pro"));
        let body = sign_ups.body(&run(), &pool, &person(3));
        assert_eq!(run().find(&body), Some(Tag::SignUp(3)));
    }

    #[test]
    fn a_real_event_keeps_its_shape_and_loses_its_names() {
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
        let body = sign_ups.body(&run(), &pool, &person(2));
        for gone in ["ada", "other_1"] {
            assert!(!body.contains(gone), "{body}");
        }
        assert!(body.contains("\"extra\":[1]") && body.contains("\"custom:x\":true"));
        let body = sign_ups.body(&run(), &pool, &person(1));
        assert!(!body.contains("1555"), "{body}");
        assert!(body.contains("\"name\":null"), "{body}");
        let second = sign_ups.read(&run(), &pool, &person(1)).expect("a sign-up");
        assert_eq!(
            second.attributes.get("email"),
            None,
            "none before, none now"
        );
        assert_eq!(second.username, person(1).username);
    }

    #[test]
    fn what_is_no_sign_up_is_told_apart() {
        let forgotten = r#"{"triggerSource": "PostConfirmation_ConfirmForgotPassword",
            "userPoolId": "eu-west-1_x", "userName": "ada"}"#;
        assert_eq!(parse_recorded(forgotten), Err(NotASignUp::OtherEvent));
        assert!(matches!(
            parse_recorded("{}"),
            Err(NotASignUp::Malformed(_))
        ));
    }
}
