//! Error responses of each service to invalid requests.

use axum::http::HeaderValue;
use serde_json::Value;

use super::check::{ConstraintViolation, PathSegment, ViolationKind};
use super::{AwsErrorResponse, AwsService};
use crate::dev::endpoint::error_response;

/// The response to a request with these violations, at least one.
pub(super) fn validation_error(
    service: AwsService,
    first: &ConstraintViolation<'_>,
    more: &[ConstraintViolation<'_>],
) -> AwsErrorResponse {
    let code = match service {
        AwsService::Sqs => return sqs_error(first),
        AwsService::Cognito => "InvalidParameterException",
        AwsService::DynamoDb => "com.amazon.coral.validate#ValidationException",
    };
    error_response(code, &validation_message(first, more)).into()
}

/// The error for the caller of Cognito when a trigger's response is invalid.
///
/// <https://docs.aws.amazon.com/cognito/latest/developerguide/cognito-user-pools-working-with-lambda-triggers.html>
pub(super) fn invalid_lambda_response(reason: &str) -> AwsErrorResponse {
    let text = format!("Unrecognizable lambda output: {reason}");
    error_response("InvalidLambdaResponseException", &text).into()
}

/// The response to a request that cannot be parsed.
pub(super) fn serialization_error(service: AwsService, text: &str) -> AwsErrorResponse {
    match service {
        AwsService::Cognito => error_response("SerializationException", text).into(),
        AwsService::DynamoDb => {
            error_response("com.amazon.coral.service#SerializationException", text).into()
        }
        AwsService::Sqs => query_error("SerializationException", "MalformedInput", text),
    }
}

/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/CommonErrors.html>
fn sqs_error(violation: &ConstraintViolation<'_>) -> AwsErrorResponse {
    let names: Vec<String> = violation
        .path
        .iter()
        .map(|segment| match segment {
            PathSegment::Member(name) | PathSegment::Key(name) => (*name).to_owned(),
            PathSegment::Item(n) => n.to_string(),
        })
        .collect();
    let name = names.join(".");
    match &violation.kind {
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

/// An error of a service that had the query protocol before. Its old code is in a header
/// that SDKs read.
fn query_error(name: &str, code: &str, text: &str) -> AwsErrorResponse {
    let mut response = error_response(&format!("com.amazonaws.sqs#{name}"), text);
    if let Ok(value) = HeaderValue::from_str(&format!("{code};Sender")) {
        response.headers.insert("x-amzn-query-error", value);
    }
    response.into()
}

/// The message of a service that has no specific text for a violation.
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

fn violation_message(violation: &ConstraintViolation<'_>) -> String {
    let segments: Vec<String> = violation
        .path
        .iter()
        .map(|segment| match segment {
            PathSegment::Member(name) => lower_first(name),
            PathSegment::Item(n) => format!("{n}.member"),
            PathSegment::Key(key) => format!("{key}.member"),
        })
        .collect();
    let path = segments.join(".");
    let (value, constraint) = match &violation.kind {
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
    format!("Value{value} at '{path}' failed to satisfy constraint: {constraint}")
}

fn lower_first(name: &str) -> String {
    let mut chars = name.chars();
    let first = chars.next().map(|first| first.to_ascii_lowercase());
    first.into_iter().chain(chars).collect()
}
