//! How each service says what is wrong.

use axum::http::HeaderValue;
use serde_json::Value;

use super::check::{ConstraintViolation, PathSegment, ViolationKind};
use super::{AwsErrorResponse, AwsService};
use crate::dev::endpoint::error_response;

/// The answer to a request with these breaches, of which there is one at least.
pub(super) fn validation_error(
    rules: AwsService,
    first: &ConstraintViolation<'_>,
    more: &[ConstraintViolation<'_>],
) -> AwsErrorResponse {
    let code = match rules {
        AwsService::Sqs => return sqs_error(first),
        AwsService::Cognito => "InvalidParameterException",
        AwsService::DynamoDb => "com.amazon.coral.validate#ValidationException",
    };
    error_response(code, &validation_message(first, more)).into()
}

/// The answer to a trigger's answer: an error for the caller of Cognito.
///
/// <https://docs.aws.amazon.com/cognito/latest/developerguide/cognito-user-pools-working-with-lambda-triggers.html>
pub(super) fn invalid_lambda_response(why: &str) -> AwsErrorResponse {
    let text = format!("Unrecognizable lambda output: {why}");
    error_response("InvalidLambdaResponseException", &text).into()
}

/// The answer to a request that cannot be read.
pub(super) fn serialization_error(rules: AwsService, text: &str) -> AwsErrorResponse {
    match rules {
        AwsService::Cognito => error_response("SerializationException", text).into(),
        AwsService::DynamoDb => {
            error_response("com.amazon.coral.service#SerializationException", text).into()
        }
        AwsService::Sqs => query_error("SerializationException", "MalformedInput", text),
    }
}

/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/CommonErrors.html>
fn sqs_error(breach: &ConstraintViolation<'_>) -> AwsErrorResponse {
    let names: Vec<String> = breach
        .path
        .iter()
        .map(|step| match step {
            PathSegment::Member(name) | PathSegment::Key(name) => (*name).to_owned(),
            PathSegment::Item(n) => n.to_string(),
        })
        .collect();
    let name = names.join(".");
    match &breach.kind {
        ViolationKind::MissingMember => query_error(
            "MissingRequiredParameterException",
            "MissingParameter",
            &format!("The request must contain the parameter {name}."),
        ),
        // All enums of SQS are names of attributes.
        ViolationKind::Unsatisfied { .. } => query_error(
            "InvalidAttributeName",
            "InvalidAttributeName",
            &format!("Unknown Attribute in {name}."),
        ),
        ViolationKind::UnknownMember => query_error(
            "InvalidParameterValueException",
            "InvalidParameterValue",
            &format!("Value for parameter {name} is invalid. Reason: There is no such parameter."),
        ),
    }
}

/// An error of a service that had the query protocol before: its old code is in a header,
/// and SDKs go by it.
fn query_error(name: &str, code: &str, text: &str) -> AwsErrorResponse {
    let mut answer = error_response(&format!("com.amazonaws.sqs#{name}"), text);
    if let Ok(value) = HeaderValue::from_str(&format!("{code};Sender")) {
        answer.headers.insert("x-amzn-query-error", value);
    }
    answer.into()
}

/// The message of a service that has no words of its own for a breach.
pub(super) fn validation_message(
    first: &ConstraintViolation<'_>,
    more: &[ConstraintViolation<'_>],
) -> String {
    let count = more.len() + 1;
    let errors = if more.is_empty() { "error" } else { "errors" };
    let texts: Vec<String> = std::iter::once(first)
        .chain(more)
        .map(violation_message)
        .collect();
    format!("{count} validation {errors} detected: {}", texts.join("; "))
}

fn violation_message(breach: &ConstraintViolation<'_>) -> String {
    let steps: Vec<String> = breach
        .path
        .iter()
        .map(|step| match step {
            PathSegment::Member(name) => lower_first(name),
            PathSegment::Item(n) => format!("{n}.member"),
            PathSegment::Key(key) => format!("{key}.member"),
        })
        .collect();
    let at = steps.join(".");
    let (value, constraint) = match &breach.kind {
        ViolationKind::MissingMember => (" null".to_owned(), "Member must not be null"),
        ViolationKind::UnknownMember => (String::new(), "There is no such member"),
        ViolationKind::Unsatisfied { value, constraint } => {
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
