use super::*;
use crate::aws::classify::classify;

const WITH_ATTRIBUTES: SignInStep = SignInStep::Respond {
    with_attributes: true,
};
const NOT_AUTHORIZED: &str = "NotAuthorizedException";
const INVALID_PARAMETER: &str = "InvalidParameterException";
const INVALID_PASSWORD: &str = "InvalidPasswordException";
const WITHOUT_ATTRIBUTES: SignInStep = SignInStep::Respond {
    with_attributes: false,
};

fn accept_error(step: SignInStep, code: &str, message: &str) -> AcceptError {
    let operation = step.operation().into();
    let (reason, class) = classify(operation, code, 400, message);
    let failure = Failure {
        operation,
        resource: "client".into(),
        code: code.to_owned(),
        reason,
        class,
        explanation: None,
    };
    AcceptError::from_failure(step, failure, message)
}

#[test]
fn refusals_map_to_errors_that_the_user_can_correct() {
    for (step, code, message, expected) in [
        (
            SignInStep::Initiate,
            NOT_AUTHORIZED,
            "Incorrect username or password.",
            AcceptError::WrongCode,
        ),
        (
            SignInStep::Initiate,
            "UserNotFoundException",
            "User does not exist.",
            AcceptError::WrongCode,
        ),
        (
            SignInStep::Initiate,
            "UserNotConfirmedException",
            "User is not confirmed.",
            AcceptError::WrongCode,
        ),
        (
            SignInStep::Initiate,
            INVALID_PARAMETER,
            "1 validation error detected: Value at 'username' failed to satisfy constraint: \
             Member must satisfy regular expression pattern: [\\p{L}\\p{M}\\p{S}\\p{N}\\p{P}]+",
            AcceptError::WrongCode,
        ),
        (
            SignInStep::Initiate,
            INVALID_PARAMETER,
            "1 validation error detected: Value at 'password' failed to satisfy constraint: \
             Member must satisfy regular expression pattern: ^[\\S]+.*[\\S]+$",
            AcceptError::WrongCode,
        ),
        (
            SignInStep::Initiate,
            "InvalidPasswordException",
            "Invalid password",
            AcceptError::WrongCode,
        ),
        (
            SignInStep::Initiate,
            NOT_AUTHORIZED,
            "Temporary password has expired and must be reset by an administrator.",
            AcceptError::CodeExpired,
        ),
        (
            SignInStep::Initiate,
            NOT_AUTHORIZED,
            "Password attempts exceeded",
            AcceptError::TooManyAttempts,
        ),
        (
            SignInStep::Initiate,
            "LimitExceededException",
            "Attempt limit exceeded, please try after some time.",
            AcceptError::TooManyAttempts,
        ),
        (
            SignInStep::Initiate,
            "TooManyRequestsException",
            "Rate exceeded",
            AcceptError::Busy,
        ),
        (
            SignInStep::Initiate,
            NOT_AUTHORIZED,
            "User is disabled.",
            AcceptError::Disabled,
        ),
        (
            SignInStep::Initiate,
            "PasswordResetRequiredException",
            "Password reset required for the user",
            AcceptError::PasswordResetRequired,
        ),
    ] {
        assert_eq!(
            accept_error(step, code, message),
            expected,
            "{code}: {message}"
        );
    }
}

#[test]
fn refused_password_or_attribute_is_named() {
    for (step, code, message, expected) in [
        (
            WITH_ATTRIBUTES,
            INVALID_PASSWORD,
            "Password did not conform with policy: Password must have numeric characters",
            AcceptError::InvalidPassword(vec!["number"]),
        ),
        (
            WITH_ATTRIBUTES,
            INVALID_PASSWORD,
            "Provided password cannot be used for security reasons.",
            AcceptError::InvalidPassword(vec!["not_compromised"]),
        ),
        (
            WITHOUT_ATTRIBUTES,
            INVALID_PARAMETER,
            "1 validation error detected: Value at 'password' failed to satisfy constraint: \
             Member must satisfy regular expression pattern: ^[\\S]+.*[\\S]+$",
            AcceptError::InvalidPassword(vec![]),
        ),
        (
            WITH_ATTRIBUTES,
            INVALID_PARAMETER,
            "Invalid phone number format.",
            AcceptError::InvalidAttribute,
        ),
        (
            WITH_ATTRIBUTES,
            INVALID_PARAMETER,
            "Attributes did not conform to the schema: birthdate: String must be no shorter than \
             10 characters",
            AcceptError::InvalidAttribute,
        ),
        (
            WITH_ATTRIBUTES,
            "AliasExistsException",
            "An account with the email already exists.",
            AcceptError::AliasExists,
        ),
        (
            WITHOUT_ATTRIBUTES,
            "AliasExistsException",
            "An account with the email already exists.",
            AcceptError::AliasExists,
        ),
        (
            WITH_ATTRIBUTES,
            "CodeMismatchException",
            "",
            AcceptError::TryAgain,
        ),
        (
            WITH_ATTRIBUTES,
            NOT_AUTHORIZED,
            "Invalid session for the user, session is expired.",
            AcceptError::TryAgain,
        ),
        (
            WITH_ATTRIBUTES,
            NOT_AUTHORIZED,
            "Cannot modify an already provided email",
            AcceptError::TryAgain,
        ),
    ] {
        assert_eq!(
            accept_error(step, code, message),
            expected,
            "{code}: {message}"
        );
    }
}

const DEPLOYMENT_FAULTS: &[(SignInStep, &str, &str, DeploymentFault)] = &[
    (
        SignInStep::Initiate,
        NOT_AUTHORIZED,
        "Unable to login because of security reasons.",
        DeploymentFault::ThreatProtection,
    ),
    (
        WITH_ATTRIBUTES,
        NOT_AUTHORIZED,
        "Request not allowed due to security reasons.",
        DeploymentFault::ThreatProtection,
    ),
    (
        SignInStep::Initiate,
        "ForbiddenException",
        "Request not allowed due to WAF block.",
        DeploymentFault::Firewall,
    ),
    (
        SignInStep::Initiate,
        "Http403",
        "",
        DeploymentFault::Firewall,
    ),
    (
        SignInStep::Initiate,
        INVALID_PARAMETER,
        "PrivateLink access is disabled for the user pool that has ManagedLogin configured",
        DeploymentFault::PrivateLink,
    ),
    (
        SignInStep::Initiate,
        NOT_AUTHORIZED,
        "Unable to verify secret hash for client abc",
        DeploymentFault::ClientSecret,
    ),
    (
        WITH_ATTRIBUTES,
        NOT_AUTHORIZED,
        "Client abc is configured with secret but SECRET_HASH was not received",
        DeploymentFault::ClientSecret,
    ),
    (
        SignInStep::Initiate,
        INVALID_PARAMETER,
        "USER_PASSWORD_AUTH flow not enabled for this client",
        DeploymentFault::ClientFlow,
    ),
    (
        SignInStep::Initiate,
        INVALID_PARAMETER,
        "Initiate Auth method not supported.",
        DeploymentFault::ClientFlow,
    ),
    (
        SignInStep::Initiate,
        "ResourceNotFoundException",
        "User pool client abc does not exist.",
        DeploymentFault::Client,
    ),
    (
        SignInStep::Initiate,
        INVALID_PARAMETER,
        "1 validation error detected: Value at 'clientId' failed to satisfy constraint: \
             Member must satisfy regular expression pattern: [\\w+]+",
        DeploymentFault::Client,
    ),
    (
        WITH_ATTRIBUTES,
        NOT_AUTHORIZED,
        "A client attempted to write unauthorized attribute",
        DeploymentFault::RequiredAttribute,
    ),
    (
        WITH_ATTRIBUTES,
        INVALID_PARAMETER,
        "user.custom:plan: Attribute cannot be updated.",
        DeploymentFault::RequiredAttribute,
    ),
    (
        WITH_ATTRIBUTES,
        INVALID_PARAMETER,
        "Invalid attributes given, family_name is missing",
        DeploymentFault::RequiredAttribute,
    ),
    (
        WITHOUT_ATTRIBUTES,
        INVALID_PARAMETER,
        "Attributes did not conform to the schema: family_name: The attribute is required",
        DeploymentFault::RequiredAttribute,
    ),
    (
        SignInStep::Initiate,
        "UserLambdaValidationException",
        "PreAuthentication failed with error no.",
        DeploymentFault::Trigger,
    ),
    (
        WITH_ATTRIBUTES,
        "UnexpectedLambdaException",
        "",
        DeploymentFault::Trigger,
    ),
    (
        WITH_ATTRIBUTES,
        "InvalidLambdaResponseException",
        "",
        DeploymentFault::Trigger,
    ),
    (
        WITH_ATTRIBUTES,
        "MFAMethodNotFoundException",
        "",
        DeploymentFault::UserPool,
    ),
    (
        SignInStep::Initiate,
        "OperationNotEnabledException",
        "",
        DeploymentFault::UserPool,
    ),
    // An unknown error is never a wrong code.
    (
        SignInStep::Initiate,
        NOT_AUTHORIZED,
        "Something else.",
        DeploymentFault::Unknown,
    ),
    (
        WITH_ATTRIBUTES,
        NOT_AUTHORIZED,
        "Incorrect username or password.",
        DeploymentFault::Unknown,
    ),
    (
        WITHOUT_ATTRIBUTES,
        INVALID_PARAMETER,
        "Something else.",
        DeploymentFault::Unknown,
    ),
    (
        WITH_ATTRIBUTES,
        INVALID_PARAMETER,
        "Something else.",
        DeploymentFault::Unknown,
    ),
    (
        SignInStep::Initiate,
        INVALID_PARAMETER,
        "1 validation error detected: Value at 'clientMetadata' failed to satisfy constraint",
        DeploymentFault::Unknown,
    ),
    (
        SignInStep::Initiate,
        "AliasExistsException",
        "An account with the email already exists.",
        DeploymentFault::Unknown,
    ),
    (
        SignInStep::Initiate,
        "SomethingNewException",
        "",
        DeploymentFault::Unknown,
    ),
];

#[test]
fn all_other_refusals_are_deployment_faults() {
    for &(step, code, message, expected) in DEPLOYMENT_FAULTS {
        let AcceptError::Misconfigured(fault, failure) = accept_error(step, code, message) else {
            panic!("{code}: {message}")
        };
        assert_eq!(fault, expected, "{code}: {message}");
        assert_eq!(failure.code, code);
    }
    let down = accept_error(SignInStep::Initiate, "InternalErrorException", "");
    assert!(matches!(down, AcceptError::Unavailable(_)));
}
