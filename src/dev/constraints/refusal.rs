//! How each service says what is wrong.

use axum::http::HeaderValue;
use serde_json::Value;

use super::check::{Breach, Step, What};
use super::{Refusal, Rules};
use crate::dev::endpoint::error;

/// The answer to a request with these breaches, of which there is one at least.
pub(super) fn answer(rules: Rules, first: &Breach<'_>, more: &[Breach<'_>]) -> Refusal {
    let code = match rules {
        Rules::Sqs => return of_sqs(first),
        Rules::Cognito => "InvalidParameterException",
        Rules::DynamoDb => "com.amazon.coral.validate#ValidationException",
    };
    error(code, &sentences(first, more)).into()
}

/// The answer to a trigger's answer: an error for the caller of Cognito.
///
/// <https://docs.aws.amazon.com/cognito/latest/developerguide/cognito-user-pools-working-with-lambda-triggers.html>
pub(super) fn of_trigger(why: &str) -> Refusal {
    let text = format!("Unrecognizable lambda output: {why}");
    error("InvalidLambdaResponseException", &text).into()
}

/// The answer to a request that cannot be read.
pub(super) fn unserializable(rules: Rules, text: &str) -> Refusal {
    match rules {
        Rules::Cognito => error("SerializationException", text).into(),
        Rules::DynamoDb => error("com.amazon.coral.service#SerializationException", text).into(),
        Rules::Sqs => query_error("SerializationException", "MalformedInput", text),
    }
}

/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/CommonErrors.html>
fn of_sqs(breach: &Breach<'_>) -> Refusal {
    let names: Vec<String> = breach
        .at
        .iter()
        .map(|step| match step {
            Step::Member(name) | Step::Key(name) => (*name).to_owned(),
            Step::Item(n) => n.to_string(),
        })
        .collect();
    let name = names.join(".");
    match &breach.what {
        What::Missing => query_error(
            "MissingRequiredParameterException",
            "MissingParameter",
            &format!("The request must contain the parameter {name}."),
        ),
        // All enums of SQS are names of attributes.
        What::Broken { .. } => query_error(
            "InvalidAttributeName",
            "InvalidAttributeName",
            &format!("Unknown Attribute in {name}."),
        ),
        What::Unknown => query_error(
            "InvalidParameterValueException",
            "InvalidParameterValue",
            &format!("Value for parameter {name} is invalid. Reason: There is no such parameter."),
        ),
    }
}

/// An error of a service that had the query protocol before: its old code is in a header,
/// and SDKs go by it.
fn query_error(name: &str, code: &str, text: &str) -> Refusal {
    let mut answer = error(&format!("com.amazonaws.sqs#{name}"), text);
    if let Ok(value) = HeaderValue::from_str(&format!("{code};Sender")) {
        answer.headers.insert("x-amzn-query-error", value);
    }
    answer.into()
}

/// The message of a service that has no words of its own for a breach.
pub(super) fn sentences(first: &Breach<'_>, more: &[Breach<'_>]) -> String {
    let count = more.len() + 1;
    let errors = if more.is_empty() { "error" } else { "errors" };
    let texts: Vec<String> = std::iter::once(first).chain(more).map(sentence).collect();
    format!("{count} validation {errors} detected: {}", texts.join("; "))
}

fn sentence(breach: &Breach<'_>) -> String {
    let steps: Vec<String> = breach
        .at
        .iter()
        .map(|step| match step {
            Step::Member(name) => lower_first(name),
            Step::Item(n) => format!("{n}.member"),
            Step::Key(key) => format!("{key}.member"),
        })
        .collect();
    let at = steps.join(".");
    let (value, constraint) = match &breach.what {
        What::Missing => (" null".to_owned(), "Member must not be null"),
        What::Unknown => (String::new(), "There is no such member"),
        What::Broken { value, constraint } => {
            let quoted = |value: &Value| match value.as_str() {
                Some(text) => format!(" '{text}'"),
                None => format!(" '{value}'"),
            };
            (value.map(quoted).unwrap_or_default(), &**constraint)
        }
    };
    format!("Value{value} at '{at}' failed to satisfy constraint: {constraint}")
}

fn lower_first(name: &str) -> String {
    let mut chars = name.chars();
    let first = chars.next().map(|first| first.to_ascii_lowercase());
    first.into_iter().chain(chars).collect()
}
