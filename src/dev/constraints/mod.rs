//! The first check of a service: it refuses a request that breaks the constraints of its
//! model. Requests that AWS would refuse fail on this endpoint, too.
//!
//! AWS ignores a member that an operation does not have. Here it is refused, since it is a
//! mistake of the caller. The SDKs refuse it, too.
//!
//! The model of SQS has only members and enums. Its limits are in no model.

mod check;
mod errors;
mod table;
#[cfg(test)]
mod tests;

use serde_json::Value;
use winterbaume_core::MockResponse;

use self::check::{ViolationKind, WrongType, violations};
use self::table::Model;

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
            .map_err(|_| errors::serialization_error(self, "Unexpected end of stream"))?;
        self.check_value(shape, &request)
    }

    /// Checks a value against any shape of the table.
    pub(super) fn check_value(self, shape: &str, value: &Value) -> Result<(), AwsErrorResponse> {
        let found = violations(self.model(), shape, value)
            .map_err(|WrongType(text)| errors::serialization_error(self, &text))?;
        match found.split_first() {
            Some((first, more)) => Err(errors::validation_error(self, first, more)),
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
        .map_err(|WrongType(text)| errors::invalid_lambda_response(&text))?;
    found.retain(|violation| !matches!(violation.kind, ViolationKind::UnknownMember));
    match found.split_first() {
        Some((first, more)) => Err(errors::invalid_lambda_response(
            &errors::validation_message(first, more),
        )),
        None => Ok(()),
    }
}
