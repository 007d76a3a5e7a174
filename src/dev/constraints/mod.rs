//! What a service refuses before it looks at anything else: a request that breaks the
//! constraints of the service's model. Code that AWS would refuse fails on this endpoint, too.
//!
//! AWS ignores a member that an operation does not have. Here it is refused: the caller takes
//! it for something that it is not. The SDKs refuse it, too.
//!
//! Of SQS the model has members and enums only. Its limits are in no model.

mod check;
mod errors;
mod table;
#[cfg(test)]
mod tests;

use serde_json::Value;
use winterbaume_core::MockResponse;

use self::check::{ViolationKind, WrongType, violations};
use self::table::Model;

/// The answer that says no.
pub(super) type AwsErrorResponse = Box<MockResponse>;

/// Whose rules, and whose way to say no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AwsService {
    Cognito,
    DynamoDb,
    Sqs,
}

/// Looks at a request to any service of the endpoint, which its target names.
///
/// # Errors
/// The service's answer to a request that breaks its rules.
pub(super) fn check(target: &str, body: &[u8]) -> Result<(), AwsErrorResponse> {
    let (service, operation) = target.rsplit_once('.').unwrap_or_default();
    let rules = match service {
        "AWSCognitoIdentityProviderService" => AwsService::Cognito,
        "DynamoDB_20120810" => AwsService::DynamoDb,
        "AmazonSQS" => AwsService::Sqs,
        _ => return Ok(()),
    };
    rules.check(operation, body)
}

impl AwsService {
    fn model(self) -> &'static Model {
        match self {
            Self::Cognito => table::cognito(),
            Self::DynamoDb => table::dynamodb(),
            Self::Sqs => table::sqs(),
        }
    }

    /// Looks at a request. The table has the operations that usher and its tests call: a
    /// request for another one goes on unseen.
    ///
    /// # Errors
    /// The answer to a request that breaks them.
    pub(super) fn check(self, operation: &str, body: &[u8]) -> Result<(), AwsErrorResponse> {
        let Some(shape) = self.model().operations.get(operation) else {
            return Ok(());
        };
        let request = serde_json::from_slice(body)
            .map_err(|_| errors::serialization_error(self, "Unexpected end of stream"))?;
        self.check_value(shape, &request)
    }

    /// The same for a value of any shape of the table.
    pub(super) fn check_value(self, shape: &str, value: &Value) -> Result<(), AwsErrorResponse> {
        let found = violations(self.model(), shape, value)
            .map_err(|WrongType(text)| errors::serialization_error(self, &text))?;
        match found.split_first() {
            Some((first, more)) => Err(errors::validation_error(self, first, more)),
            None => Ok(()),
        }
    }
}

/// Looks at what a trigger of Cognito answered. One that changes nothing answers nothing.
/// Cognito ignores members that it does not know, such as those of another event version.
///
/// # Errors
/// Cognito's answer to its caller when the trigger's answer is not of this shape.
pub(super) fn check_trigger_response(shape: &str, answer: &Value) -> Result<(), AwsErrorResponse> {
    if answer.is_null() {
        return Ok(());
    }
    let mut found = violations(table::cognito(), shape, answer)
        .map_err(|WrongType(text)| errors::invalid_lambda_response(&text))?;
    found.retain(|breach| !matches!(breach.kind, ViolationKind::UnknownMember));
    match found.split_first() {
        Some((first, more)) => Err(errors::invalid_lambda_response(
            &errors::validation_message(first, more),
        )),
        None => Ok(()),
    }
}
