//! The first check of a service: it refuses a request that breaks the constraints of its
//! model. Requests that AWS would refuse fail on this endpoint, too.
//!
//! AWS ignores a member that an operation does not have. Here it is refused, since it is a
//! mistake of the caller. The SDKs refuse it, too.
//!
//! The model of SQS has only members and enums. Its limits are in no model.

mod check;
mod table;
#[cfg(test)]
mod tests;

use axum::http::HeaderValue;
use serde_json::Value;
use winterbaume_core::MockResponse;

use self::check::{ConstraintViolation, PathSegment, ViolationKind, WrongType, violations};
use self::table::Model;
use crate::dev::wire::error_response;

pub(super) type AwsErrorResponse = Box<MockResponse>;

/// The service whose constraints and error formats apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AwsService {
    Cognito,
    DynamoDb,
    Sqs,
}

/// Checks a request to any service of the endpoint; `target` names the service.
///
/// # Errors
/// The service's response to a request that breaks its constraints.
pub(super) fn check(target: &str, body: &[u8]) -> Result<(), AwsErrorResponse> {
    let (prefix, operation) = target.rsplit_once('.').unwrap_or_default();
    let service = match prefix {
        "AWSCognitoIdentityProviderService" => AwsService::Cognito,
        "DynamoDB_20120810" => AwsService::DynamoDb,
        "AmazonSQS" => AwsService::Sqs,
        _ => return Ok(()),
    };
    service.check(operation, body)
}

impl AwsService {
    fn model(self) -> &'static Model {
        match self {
            Self::Cognito => table::cognito(),
            Self::DynamoDb => table::dynamodb(),
            Self::Sqs => table::sqs(),
        }
    }

    /// Checks a request. The table has only the operations that usher and its tests call;
    /// a request for any other operation is not checked.
    ///
    /// # Errors
    /// The response to a request that breaks the constraints.
    pub(super) fn check(self, operation: &str, body: &[u8]) -> Result<(), AwsErrorResponse> {
        let Some(shape) = self.model().operations.get(operation) else {
            return Ok(());
        };
        let request = serde_json::from_slice(body)
            .map_err(|_| serialization_error(self, "Unexpected end of stream"))?;
        self.check_value(shape, &request)
    }

    /// Checks a value against any shape of the table.
    pub(super) fn check_value(self, shape: &str, value: &Value) -> Result<(), AwsErrorResponse> {
        let found = violations(self.model(), shape, value)
            .map_err(|WrongType(text)| serialization_error(self, &text))?;
        match found.split_first() {
            Some((first, more)) => Err(validation_error(self, first, more)),
            None => Ok(()),
        }
    }
}

/// Checks the response of a Cognito trigger, which is null when it changes nothing.
/// Cognito ignores members that it does not know, such as those of another event version.
///
/// # Errors
/// Cognito's response to its caller when the trigger's response does not have this shape.
pub(super) fn check_trigger_response(
    shape: &str,
    response: &Value,
) -> Result<(), AwsErrorResponse> {
    if response.is_null() {
        return Ok(());
    }
    let mut found = violations(table::cognito(), shape, response)
        .map_err(|WrongType(text)| invalid_lambda_response(&text))?;
    found.retain(|violation| !matches!(violation.kind, ViolationKind::UnknownMember));
    match found.split_first() {
        Some((first, more)) => Err(invalid_lambda_response(&validation_message(first, more))),
        None => Ok(()),
    }
}

/// The response to a request with these violations, at least one.
fn validation_error(
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
fn invalid_lambda_response(reason: &str) -> AwsErrorResponse {
    let text = format!("Unrecognizable lambda output: {reason}");
    error_response("InvalidLambdaResponseException", &text).into()
}

/// The response to a request that cannot be parsed.
fn serialization_error(service: AwsService, text: &str) -> AwsErrorResponse {
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
fn validation_message(first: &ConstraintViolation<'_>, more: &[ConstraintViolation<'_>]) -> String {
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
