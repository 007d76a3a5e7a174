//! The parser handles any text without a panic, and keeps user data unchanged.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use usher::event::{Event, parse};

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".*".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            btree_map(".*", inner, 0..6).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// An object with the members of an event, each valid, arbitrary or absent.
fn near_event() -> impl Strategy<Value = Value> {
    let member = |name: &'static str, usual: Value| {
        prop_oneof![
            3 => Just(Some((name, usual))),
            1 => any_json().prop_map(move |value| Some((name, value))),
            1 => Just(None),
        ]
    };
    let sources = ["ConfirmSignUp", "ConfirmForgotPassword"];
    let source = |name| member("triggerSource", json!(format!("PostConfirmation_{name}")));
    let [sign_up, reset] = sources.map(source);
    (
        prop_oneof![sign_up, reset],
        member("userPoolId", json!("eu-west-1_Example1")),
        member("userName", json!("someone")),
        member("callerContext", json!({"clientId": "web"})),
        member(
            "request",
            json!({"userAttributes": {"sub": "deadbeef-0000-4000-8000-000000000000"}}),
        ),
        member("response", json!({})),
        member("version", json!("1")),
    )
        .prop_map(|(a, b, c, d, e, f, g)| {
            let members = [a, b, c, d, e, f, g].into_iter().flatten();
            Value::Object(
                members
                    .map(|(name, value)| (name.to_owned(), value))
                    .collect(),
            )
        })
}

proptest! {
    #[test]
    fn any_text_gets_an_answer(body in ".*") {
        let _ = parse(&body);
    }

    #[test]
    fn any_json_gets_an_answer(value in any_json()) {
        let _ = parse(&value.to_string());
    }

    #[test]
    fn any_cut_of_an_event_gets_an_answer(value in near_event(), at in any::<prop::sample::Index>()) {
        let body = value.to_string();
        let at = at.index(body.len());
        if let Some(cut) = body.get(..at) {
            let _ = parse(cut);
        }
    }

    #[test]
    fn an_event_with_source_pool_and_user_is_a_sign_up(value in near_event()) {
        let is_id = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let pool = value["userPoolId"].as_str().unwrap_or_default();
        let user = value["userName"].as_str().unwrap_or_default();
        let sources = ["PostConfirmation_ConfirmSignUp", "PostConfirmation_ConfirmForgotPassword"];
        let expected = sources.iter().any(|source| value["triggerSource"] == *source)
            && (1..=55).contains(&pool.len())
            && pool.chars().all(is_id)
            && !user.trim().is_empty();
        let is_sign_up = matches!(parse(&value.to_string()), Ok(Event::SignUp(_)));
        prop_assert_eq!(is_sign_up, expected);
    }

    #[test]
    fn user_data_is_parsed_unchanged(
        name in "\\PC{1,128}",
        attributes in btree_map("[a-z:_]{1,20}", "\\PC{1,64}", 0..8),
    ) {
        prop_assume!(!name.trim().is_empty());
        let map: Map<String, Value> =
            attributes.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        let event = json!({
            "triggerSource": "PostConfirmation_ConfirmSignUp",
            "userPoolId": "p_1", "userName": name, "request": {"userAttributes": map},
        });
        match parse(&event.to_string()) {
            Ok(Event::SignUp(sign_up)) => {
                prop_assert_eq!(sign_up.username.reveal(), name);
                for (name, value) in &attributes {
                    prop_assert_eq!(sign_up.attributes.get(name), Some(value.as_str()));
                }
            }
            other => prop_assert!(false, "{:?}", other),
        }
    }
}
