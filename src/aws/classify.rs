//! Classifies the errors of all services.
//!
//! Sources: the services' API models and error pages,
//! <https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_AdminAddUserToGroup.html#API_AdminAddUserToGroup_Errors>,
//! <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/CommonErrors.html>,
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html>.

use super::error::{Class, Service};

/// Returns the short reason and the class of an error.
pub(super) fn classify(
    service: Service,
    operation: &str,
    code: &str,
    status: u16,
    message: &str,
) -> (String, Class) {
    // "AWS.SimpleQueueService.NonExistentQueue" and "QueueDoesNotExist" are one error.
    let name = code.rsplit('.').next().unwrap_or(code);
    let fixed = |reason: &str, class| (reason.to_owned(), class);
    // "KmsDisabled" in the model, "KMS.DisabledException" on the wire.
    if service == Service::Sqs && code.to_ascii_lowercase().starts_with("kms") {
        let throttled = name.contains("Throttl");
        let class = if throttled {
            Class::Throttled
        } else {
            Class::Systemic
        };
        return fixed(if throttled { "throttled" } else { "kms" }, class);
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
        | "SlowDown" => fixed("throttled", Class::Throttled),

        "ExpiredTokenException" | "ExpiredToken" | "RequestExpired" => {
            fixed("credentials", Class::Credentials)
        }
        "AccessDeniedException" | "AccessDenied" => fixed("access_denied", Class::Systemic),
        "NotAuthorizedException" => fixed("not_authorized", Class::Systemic),
        // Not available in this Region or for this pool. A replica refuses such writes, and a
        // pool that is being restored refuses them for up to a day.
        // <https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_AdminAddUserToGroup.html#API_AdminAddUserToGroup_Errors>
        "OperationNotEnabledException" => fixed("operation_not_enabled", Class::Systemic),
        // A pool with a domain is reported to refuse each call that comes through a VPC
        // endpoint. Both belong to the deployment.
        // <https://docs.aws.amazon.com/cognito/latest/developerguide/vpc-interface-endpoints.html>
        "InvalidParameterException"
            if service == Service::Cognito && message.to_lowercase().contains("privatelink") =>
        {
            fixed("private_link", Class::Systemic)
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
        | "RequestInTheFuture" => fixed(&snake_case(name), Class::Systemic),

        "QueueDoesNotExist" | "NonExistentQueue" | "InvalidAddress" => {
            fixed("queue_not_found", Class::Systemic)
        }
        "ResourceNotFoundException" => match service {
            // One code for the pool and for the group: only the text differs.
            Service::Cognito
                if [
                    "AdminAddUserToGroup",
                    "AdminRemoveUserFromGroup",
                    "ListUsersInGroup",
                ]
                .contains(&operation)
                    && !message.to_lowercase().contains("pool") =>
            {
                fixed("group_not_found", Class::NotYet)
            }
            Service::Cognito => fixed("pool_not_found", Class::Systemic),
            Service::DynamoDb => fixed("table_not_found", Class::Systemic),
            Service::Sqs | Service::Sts => fixed("queue_not_found", Class::Systemic),
        },
        "UserNotFoundException" => fixed("user_not_found", Class::NotYet),

        // Every user's item has the same key attribute, so a key that does not fit the
        // table is the deployment's fault, not the message's.
        "ValidationException" | "ValidationError"
            if service == Service::DynamoDb && is_table_mismatch(message) =>
        {
            fixed("table_mismatch", Class::Systemic)
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
        | "RequestTimeoutException" => fixed(&snake_case(name), Class::Transient),

        _ if status >= 500 => fixed(&snake_case(name), Class::Transient),
        _ if status == 429 => fixed("throttled", Class::Throttled),
        _ if status == 401 || status == 403 => fixed("access_denied", Class::Systemic),
        _ => fixed(&snake_case(name), Class::Permanent),
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

/// `InvalidParameterException` becomes `invalid_parameter`.
fn snake_case(code: &str) -> String {
    let name = code
        .strip_suffix("Exception")
        .filter(|rest| !rest.is_empty())
        .unwrap_or(code);
    let mut snake = String::with_capacity(name.len() + 4);
    for c in name.chars() {
        if c.is_ascii_uppercase() && !snake.is_empty() && !snake.ends_with('_') {
            snake.push('_');
        }
        snake.push(if c.is_ascii_alphanumeric() {
            c.to_ascii_lowercase()
        } else {
            '_'
        });
    }
    snake
}

/// An answer without an error code does not come from the service itself. It comes from a
/// proxy, a firewall or a VPC endpoint.
pub(super) fn classify_status(status: u16) -> (&'static str, Class) {
    match status {
        429 => ("throttled", Class::Throttled),
        401 | 403 => ("access_denied", Class::Systemic),
        500.. => ("server_error", Class::Transient),
        _ => ("garbled_response", Class::Transient),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(service: Service, code: &str, status: u16) -> Class {
        classify(service, "AdminAddUserToGroup", code, status, "").1
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
                class(Service::Cognito, code, status),
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
            assert_eq!(class(Service::Sqs, code, 400), expected, "{code}");
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
            assert_eq!(class(Service::DynamoDb, code, status), expected, "{code}");
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
        let reason = |operation, message| {
            classify(
                Service::Cognito,
                operation,
                "ResourceNotFoundException",
                400,
                message,
            )
        };
        let pool = reason(
            "AdminAddUserToGroup",
            "User pool eu-west-1_x does not exist.",
        );
        assert_eq!(pool, ("pool_not_found".to_owned(), Class::Systemic));
        let group = reason("AdminAddUserToGroup", "Group not found.");
        assert_eq!(group, ("group_not_found".to_owned(), Class::NotYet));
        assert_eq!(reason("AdminGetUser", "").1, Class::Systemic);
    }

    #[test]
    fn table_with_another_key_is_systemic() {
        for (operation, message) in [
            (
                "PutItem",
                "One or more parameter values were invalid: Missing the key pk in the item",
            ),
            (
                "Query",
                "The table does not have the specified index: byOwner",
            ),
            (
                "Query",
                "Query condition missed key schema element: profileOwner",
            ),
        ] {
            let service = Service::DynamoDb;
            let (reason, class) = classify(service, operation, "ValidationException", 400, message);
            assert_eq!(
                (reason.as_str(), class),
                ("table_mismatch", Class::Systemic),
                "{message}"
            );
        }
    }

    #[test]
    fn pool_that_refuses_the_vpc_endpoint_is_systemic() {
        let text = "PrivateLink access is disabled for the user pool that has ManagedLogin \
                    configured";
        let (service, code) = (Service::Cognito, "InvalidParameterException");
        for operation in ["AdminAddUserToGroup", "AdminCreateUser", "ListUsers"] {
            let refused = classify(service, operation, code, 400, text);
            assert_eq!(refused, ("private_link".to_owned(), Class::Systemic));
        }
    }

    #[test]
    fn reasons_are_short_and_in_snake_case() {
        assert_eq!(snake_case("InvalidParameterException"), "invalid_parameter");
        assert_eq!(snake_case("OverLimit"), "over_limit");
        assert_eq!(snake_case("Http418"), "http418");
        assert_eq!(snake_case("Exception"), "exception");
    }
}
