//! Classifies the errors of all services.
//!
//! Sources: the services' API models and error pages,
//! <https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_AdminAddUserToGroup.html#API_AdminAddUserToGroup_Errors>,
//! <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/CommonErrors.html>,
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html>.

use super::operation::{CognitoOperation, Operation, Service};
use crate::reason::Reason;

/// What an error means for the message, and for the worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Too many calls: slow down and try again.
    Throttled,
    /// No permit of the budget came by the caller's deadline; the call was not made.
    Busy,
    /// A temporary fault: try again.
    Transient,
    /// Missing, perhaps because it is not visible everywhere yet: try a few times.
    NotYet,
    /// This message can never succeed.
    Permanent,
    /// Every message fails until the deployment is fixed.
    Systemic,
    /// Credentials expired or cannot be fetched: temporary, or systemic.
    Credentials,
}

impl Class {
    /// The name that a dead letter carries as `usher.class`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Throttled => "throttled",
            Self::Busy => "busy",
            Self::Transient => "transient",
            Self::NotYet => "not_yet",
            Self::Permanent => "permanent",
            Self::Systemic => "systemic",
            Self::Credentials => "credentials",
        }
    }
}

/// Returns the reason and the class of an error.
pub(super) fn classify(
    operation: Operation,
    code: &str,
    status: u16,
    message: &str,
) -> (Reason, Class) {
    let service = operation.service();
    // "AWS.SimpleQueueService.NonExistentQueue" and "QueueDoesNotExist" are one error.
    let name = code.rsplit('.').next().unwrap_or(code);
    // "KmsDisabled" in the model, "KMS.DisabledException" on the wire.
    if service == Service::Sqs && code.to_ascii_lowercase().starts_with("kms") {
        return if name.contains("Throttl") {
            (Reason::Throttled, Class::Throttled)
        } else {
            (Reason::Kms, Class::Systemic)
        };
    }
    match name {
        "TooManyRequestsException"
        | "TooManyRequests"
        | "ThrottlingException"
        | "Throttling"
        | "ThrottledException"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "RequestLimitExceeded"
        | "ProvisionedThroughputExceededException"
        | "OverLimit"
        | "SlowDown" => (Reason::Throttled, Class::Throttled),

        "ExpiredTokenException" | "ExpiredToken" | "RequestExpired" => {
            (Reason::Credentials, Class::Credentials)
        }
        "AccessDeniedException" | "AccessDenied" => (Reason::AccessDenied, Class::Systemic),
        "NotAuthorizedException" => (Reason::NotAuthorized, Class::Systemic),
        // Not available in this Region or for this pool. A replica refuses such writes, and a
        // pool that is being restored refuses them for up to a day.
        // <https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_AdminAddUserToGroup.html#API_AdminAddUserToGroup_Errors>
        "OperationNotEnabledException" => (Reason::OperationNotEnabled, Class::Systemic),
        // A pool with a domain is reported to refuse each call that comes through a VPC
        // endpoint. Both belong to the deployment.
        // <https://docs.aws.amazon.com/cognito/latest/developerguide/vpc-interface-endpoints.html>
        "InvalidParameterException"
            if service == Service::Cognito && message.to_lowercase().contains("privatelink") =>
        {
            (Reason::PrivateLink, Class::Systemic)
        }
        "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "IncompleteSignature"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "InvalidAccessKeyId"
        | "OptInRequired"
        | "InvalidSecurity"
        | "UnknownOperationException"
        // The clock of this machine is wrong.
        | "RequestTimeTooSkewed"
        | "RequestInTheFuture" => (Reason::from_error_code(name), Class::Systemic),

        "QueueDoesNotExist" | "NonExistentQueue" | "InvalidAddress" => {
            (Reason::QueueNotFound, Class::Systemic)
        }
        "ResourceNotFoundException" => match service {
            // One code for the pool and for the group: only the text differs.
            Service::Cognito
                if matches!(
                    operation,
                    Operation::Cognito(
                        CognitoOperation::AdminAddUserToGroup
                            | CognitoOperation::AdminRemoveUserFromGroup
                            | CognitoOperation::ListUsersInGroup
                    )
                ) && !message.to_lowercase().contains("pool") =>
            {
                (Reason::GroupNotFound, Class::NotYet)
            }
            Service::Cognito => (Reason::PoolNotFound, Class::Systemic),
            Service::DynamoDb => (Reason::TableNotFound, Class::Systemic),
            Service::Sqs | Service::Sts => (Reason::QueueNotFound, Class::Systemic),
        },
        "UserNotFoundException" => (Reason::UserNotFound, Class::NotYet),

        // Every user's item has the same key attribute, so a key that does not fit the
        // table is the deployment's fault, not the message's.
        "ValidationException" | "ValidationError"
            if service == Service::DynamoDb && is_table_mismatch(message) =>
        {
            (Reason::TableMismatch, Class::Systemic)
        }

        "InternalErrorException"
        | "InternalServerError"
        | "InternalError"
        | "InternalFailure"
        | "ServiceUnavailable"
        | "ServiceUnavailableException"
        | "TransactionConflictException"
        | "TransactionInProgressException"
        | "ReplicatedWriteConflictException"
        | "RequestTimeout"
        | "RequestTimeoutException" => (Reason::from_error_code(name), Class::Transient),

        _ if status >= 500 => (Reason::from_error_code(name), Class::Transient),
        _ if status == 429 => (Reason::Throttled, Class::Throttled),
        _ if status == 401 || status == 403 => (Reason::AccessDenied, Class::Systemic),
        _ => (Reason::from_error_code(name), Class::Permanent),
    }
}

/// Texts such as "Missing the key id in the item", "Type mismatch for key id", "Type mismatch
/// for Index Key …", "Value … at 'tableName' failed to satisfy constraint", "The table does
/// not have the specified index: …", "Query condition missed key schema element: …".
fn is_table_mismatch(message: &str) -> bool {
    let message = message.to_lowercase();
    [
        "missing the key",
        "type mismatch for key",
        "type mismatch for index key",
        "'tablename'",
        "does not have the specified index",
        "missed key schema element",
    ]
    .iter()
    .any(|text| message.contains(text))
}

/// An answer without an error code does not come from the service itself. It comes from a
/// proxy, a firewall or a VPC endpoint.
pub(super) fn classify_status(status: u16) -> (Reason, Class) {
    match status {
        429 => (Reason::Throttled, Class::Throttled),
        401 | 403 => (Reason::AccessDenied, Class::Systemic),
        500.. => (Reason::ServerError, Class::Transient),
        _ => (Reason::GarbledResponse, Class::Transient),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::operation::{DynamoDbOperation, SqsOperation};

    const ADD_TO_GROUP: Operation = Operation::Cognito(CognitoOperation::AdminAddUserToGroup);

    fn class(operation: impl Into<Operation>, code: &str, status: u16) -> Class {
        classify(operation.into(), code, status, "").1
    }

    #[test]
    fn cognito_errors_follow_the_table() {
        for (code, status, expected) in [
            ("TooManyRequestsException", 400, Class::Throttled),
            ("ThrottlingException", 400, Class::Throttled),
            ("InternalErrorException", 500, Class::Transient),
            ("ServiceUnavailable", 503, Class::Transient),
            ("SomethingNew", 502, Class::Transient),
            ("ExpiredTokenException", 400, Class::Credentials),
            ("UserNotFoundException", 400, Class::NotYet),
            ("ResourceNotFoundException", 400, Class::NotYet),
            ("InvalidParameterException", 400, Class::Permanent),
            ("InvalidPasswordException", 400, Class::Permanent),
            ("PreconditionNotMetException", 400, Class::Permanent),
            ("UserLambdaValidationException", 400, Class::Permanent),
            ("InvalidLambdaResponseException", 400, Class::Permanent),
            ("UnsupportedUserStateException", 400, Class::Permanent),
            ("OperationNotEnabledException", 400, Class::Systemic),
            ("LimitExceededException", 400, Class::Permanent),
            ("SomethingNew", 400, Class::Permanent),
            ("NotAuthorizedException", 400, Class::Systemic),
            ("AccessDeniedException", 400, Class::Systemic),
            ("UnrecognizedClientException", 400, Class::Systemic),
            ("InvalidSignatureException", 400, Class::Systemic),
            ("UnknownOperationException", 400, Class::Systemic),
            ("RequestTimeTooSkewed", 400, Class::Systemic),
        ] {
            assert_eq!(
                class(ADD_TO_GROUP, code, status),
                expected,
                "{code} {status}"
            );
        }
    }

    #[test]
    fn sqs_errors_follow_the_table() {
        for (code, expected) in [
            ("OverLimit", Class::Throttled),
            ("RequestThrottled", Class::Throttled),
            ("KmsThrottled", Class::Throttled),
            ("QueueDoesNotExist", Class::Systemic),
            ("AWS.SimpleQueueService.NonExistentQueue", Class::Systemic),
            ("InvalidSecurity", Class::Systemic),
            ("InvalidAddress", Class::Systemic),
            ("KmsAccessDenied", Class::Systemic),
            ("KMS.DisabledException", Class::Systemic),
            ("KMS.NotFoundException", Class::Systemic),
            ("KMS.ThrottlingException", Class::Throttled),
            ("AccessDenied", Class::Systemic),
            ("InvalidMessageContents", Class::Permanent),
            ("ReceiptHandleIsInvalid", Class::Permanent),
            ("MessageNotInflight", Class::Permanent),
            ("UnsupportedOperation", Class::Permanent),
        ] {
            assert_eq!(
                class(SqsOperation::SendMessage, code, 400),
                expected,
                "{code}"
            );
        }
    }

    #[test]
    fn dynamodb_errors_follow_the_table() {
        for (code, status, expected) in [
            (
                "ProvisionedThroughputExceededException",
                400,
                Class::Throttled,
            ),
            ("ThrottlingException", 400, Class::Throttled),
            ("RequestLimitExceeded", 400, Class::Throttled),
            ("InternalServerError", 500, Class::Transient),
            ("TransactionConflictException", 400, Class::Transient),
            ("TransactionInProgressException", 400, Class::Transient),
            ("ReplicatedWriteConflictException", 400, Class::Transient),
            ("ValidationException", 400, Class::Permanent),
            (
                "ItemCollectionSizeLimitExceededException",
                400,
                Class::Permanent,
            ),
            ("ResourceNotFoundException", 400, Class::Systemic),
            ("AccessDeniedException", 400, Class::Systemic),
        ] {
            let class = class(DynamoDbOperation::PutItem, code, status);
            assert_eq!(class, expected, "{code}");
        }
    }

    #[test]
    fn an_answer_without_a_code_is_judged_by_its_status() {
        for (status, expected) in [
            (200, Class::Transient),
            (400, Class::Transient),
            (401, Class::Systemic),
            (403, Class::Systemic),
            (429, Class::Throttled),
            (503, Class::Transient),
        ] {
            assert_eq!(classify_status(status).1, expected, "{status}");
        }
    }

    #[test]
    fn missing_pool_and_missing_group_differ_by_their_text() {
        let reason =
            |operation, message| classify(operation, "ResourceNotFoundException", 400, message);
        let pool = reason(ADD_TO_GROUP, "User pool eu-west-1_x does not exist.");
        assert_eq!(pool, (Reason::PoolNotFound, Class::Systemic));
        let group = reason(ADD_TO_GROUP, "Group not found.");
        assert_eq!(group, (Reason::GroupNotFound, Class::NotYet));
        let user = reason(CognitoOperation::AdminGetUser.into(), "");
        assert_eq!(user.1, Class::Systemic);
    }

    #[test]
    fn table_with_another_key_is_systemic() {
        for (operation, message) in [
            (
                DynamoDbOperation::PutItem,
                "One or more parameter values were invalid: Missing the key pk in the item",
            ),
            (
                DynamoDbOperation::Query,
                "The table does not have the specified index: byOwner",
            ),
            (
                DynamoDbOperation::Query,
                "Query condition missed key schema element: profileOwner",
            ),
        ] {
            let mismatch = classify(operation.into(), "ValidationException", 400, message);
            assert_eq!(
                mismatch,
                (Reason::TableMismatch, Class::Systemic),
                "{message}"
            );
        }
    }

    #[test]
    fn pool_that_refuses_the_vpc_endpoint_is_systemic() {
        let text = "PrivateLink access is disabled for the user pool that has ManagedLogin \
                    configured";
        for operation in [
            CognitoOperation::AdminAddUserToGroup,
            CognitoOperation::AdminCreateUser,
            CognitoOperation::ListUsers,
        ] {
            let refused = classify(operation.into(), "InvalidParameterException", 400, text);
            assert_eq!(refused, (Reason::PrivateLink, Class::Systemic));
        }
    }
}
