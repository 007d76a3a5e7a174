//! A `DynamoDB` item as JSON, for display.

use aws_sdk_dynamodb::types::AttributeValue;
use aws_smithy_types::base64;
use serde_json::{Map, Value};

use super::batch_get::Item;

pub(super) fn to_json(item: Item) -> Map<String, Value> {
    item.into_iter()
        .map(|(name, value)| (name, value_of(value)))
        .collect()
}

/// Numbers that JSON readers would round stay strings. Sets become lists, and bytes become
/// base64.
fn value_of(value: AttributeValue) -> Value {
    let list = |texts: Vec<String>, read: fn(String) -> Value| {
        Value::Array(texts.into_iter().map(read).collect())
    };
    match value {
        AttributeValue::S(text) => Value::String(text),
        AttributeValue::N(number) => number_of(number),
        AttributeValue::Bool(flag) => Value::Bool(flag),
        AttributeValue::B(bytes) => Value::String(base64::encode(bytes)),
        AttributeValue::L(values) => values.into_iter().map(value_of).collect(),
        AttributeValue::M(map) => Value::Object(
            map.into_iter()
                .map(|(name, value)| (name, value_of(value)))
                .collect(),
        ),
        AttributeValue::Ss(texts) => list(texts, Value::String),
        AttributeValue::Ns(numbers) => list(numbers, number_of),
        AttributeValue::Bs(all) => all
            .into_iter()
            .map(|bytes| Value::String(base64::encode(bytes)))
            .collect(),
        _ => Value::Null,
    }
}

fn number_of(text: String) -> Value {
    let digits = text.chars().filter(char::is_ascii_digit).count();
    match serde_json::from_str(&text) {
        Ok(number) if digits <= 15 => Value::Number(number),
        _ => Value::String(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_kind_of_value_is_shown() {
        let n = |text: &str| AttributeValue::N(text.to_owned());
        for (value, expected) in [
            (AttributeValue::S("a".to_owned()), json!("a")),
            (n("1.5"), json!(1.5)),
            (n("-7"), json!(-7)),
            (n("12345678901234567890"), json!("12345678901234567890")),
            (AttributeValue::Bool(true), json!(true)),
            (AttributeValue::Null(true), json!(null)),
            (AttributeValue::L(vec![n("1")]), json!([1])),
            (
                AttributeValue::M([("x".to_owned(), n("1"))].into()),
                json!({"x": 1}),
            ),
            (AttributeValue::Ss(vec!["a".to_owned()]), json!(["a"])),
            (AttributeValue::Ns(vec!["2".to_owned()]), json!([2])),
            (AttributeValue::B(b"abc".to_vec().into()), json!("YWJj")),
        ] {
            assert_eq!(value_of(value), expected);
        }
    }
}
