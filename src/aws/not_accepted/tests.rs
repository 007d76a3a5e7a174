use super::*;
use crate::aws::classify::classify;
use crate::aws::error::Service;

const ANSWER: Step = Step::Answer {
    with_attributes: true,
};
const DENIED: &str = "NotAuthorizedException";
const INVALID: &str = "InvalidParameterException";
const WEAK: &str = "InvalidPasswordException";
const WITHOUT: Step = Step::Answer {
    with_attributes: false,
};

fn because(step: Step, code: &str, message: &str) -> NotAccepted {
    let (reason, class) = classify(Service::Cognito, step.operation(), code, 400, message);
    let failure = Failure {
        service: Service::Cognito,
        operation: step.operation(),
        resource: "client".to_owned(),
        code: code.to_owned(),
        reason,
        class,
    };
    NotAccepted::because(step, failure, message)
}

#[test]
fn a_refusal_is_told_in_a_way_that_the_person_can_act_on() {
    for (step, code, message, expected) in [
        (
            Step::Begin,
            DENIED,
            "Incorrect username or password.",
            NotAccepted::Code,
        ),
        (
            Step::Begin,
            "UserNotFoundException",
            "User does not exist.",
            NotAccepted::Code,
        ),
        (
            Step::Begin,
            "UserNotConfirmedException",
            "User is not confirmed.",
            NotAccepted::Code,
        ),
        (
            Step::Begin,
            INVALID,
            "1 validation error detected: Value at 'username' failed to satisfy constraint: \
             Member must satisfy regular expression pattern: [\\p{L}\\p{M}\\p{S}\\p{N}\\p{P}]+",
            NotAccepted::Code,
        ),
        (
            Step::Begin,
            INVALID,
            "1 validation error detected: Value at 'password' failed to satisfy constraint: \
             Member must satisfy regular expression pattern: ^[\\S]+.*[\\S]+$",
            NotAccepted::Code,
        ),
        (
            Step::Begin,
            "InvalidPasswordException",
            "Invalid password",
            NotAccepted::Code,
        ),
        (
            Step::Begin,
            DENIED,
            "Temporary password has expired and must be reset by an administrator.",
            NotAccepted::Expired,
        ),
        (
            Step::Begin,
            DENIED,
            "Password attempts exceeded",
            NotAccepted::TooMany,
        ),
        (
            Step::Begin,
            "LimitExceededException",
            "Attempt limit exceeded, please try after some time.",
            NotAccepted::TooMany,
        ),
        (
            Step::Begin,
            "TooManyRequestsException",
            "Rate exceeded",
            NotAccepted::Busy,
        ),
        (
            Step::Begin,
            DENIED,
            "User is disabled.",
            NotAccepted::Disabled,
        ),
        (
            Step::Begin,
            "PasswordResetRequiredException",
            "Password reset required for the user",
            NotAccepted::ResetNeeded,
        ),
    ] {
        assert_eq!(because(step, code, message), expected, "{code}: {message}");
    }
}

#[test]
fn a_new_password_or_attribute_that_is_refused_is_named() {
    for (step, code, message, expected) in [
        (
            ANSWER,
            WEAK,
            "Password did not conform with policy: Password must have numeric characters",
            NotAccepted::Password(vec!["number"]),
        ),
        (
            ANSWER,
            WEAK,
            "Provided password cannot be used for security reasons.",
            NotAccepted::Password(vec!["not_compromised"]),
        ),
        (
            WITHOUT,
            INVALID,
            "1 validation error detected: Value at 'password' failed to satisfy constraint: \
             Member must satisfy regular expression pattern: ^[\\S]+.*[\\S]+$",
            NotAccepted::Password(vec![]),
        ),
        (
            ANSWER,
            INVALID,
            "Invalid phone number format.",
            NotAccepted::Attribute,
        ),
        (
            ANSWER,
            INVALID,
            "Attributes did not conform to the schema: birthdate: String must be no shorter than \
             10 characters",
            NotAccepted::Attribute,
        ),
        (
            ANSWER,
            "AliasExistsException",
            "An account with the email already exists.",
            NotAccepted::AliasExists,
        ),
        (
            WITHOUT,
            "AliasExistsException",
            "An account with the email already exists.",
            NotAccepted::AliasExists,
        ),
        (ANSWER, "CodeMismatchException", "", NotAccepted::TryAgain),
        (
            ANSWER,
            DENIED,
            "Invalid session for the user, session is expired.",
            NotAccepted::TryAgain,
        ),
        (
            ANSWER,
            DENIED,
            "Cannot modify an already provided email",
            NotAccepted::TryAgain,
        ),
    ] {
        assert_eq!(because(step, code, message), expected, "{code}: {message}");
    }
}

const OF_THE_DEPLOYMENT: &[(Step, &str, &str, Fault)] = &[
    (
        Step::Begin,
        DENIED,
        "Unable to login because of security reasons.",
        Fault::ThreatProtection,
    ),
    (
        ANSWER,
        DENIED,
        "Request not allowed due to security reasons.",
        Fault::ThreatProtection,
    ),
    (
        Step::Begin,
        "ForbiddenException",
        "Request not allowed due to WAF block.",
        Fault::Firewall,
    ),
    (Step::Begin, "Http403", "", Fault::Firewall),
    (
        Step::Begin,
        INVALID,
        "PrivateLink access is disabled for the user pool that has ManagedLogin configured",
        Fault::PrivateLink,
    ),
    (
        Step::Begin,
        DENIED,
        "Unable to verify secret hash for client abc",
        Fault::ClientSecret,
    ),
    (
        ANSWER,
        DENIED,
        "Client abc is configured with secret but SECRET_HASH was not received",
        Fault::ClientSecret,
    ),
    (
        Step::Begin,
        INVALID,
        "USER_PASSWORD_AUTH flow not enabled for this client",
        Fault::ClientFlow,
    ),
    (
        Step::Begin,
        INVALID,
        "Initiate Auth method not supported.",
        Fault::ClientFlow,
    ),
    (
        Step::Begin,
        "ResourceNotFoundException",
        "User pool client abc does not exist.",
        Fault::Client,
    ),
    (
        Step::Begin,
        INVALID,
        "1 validation error detected: Value at 'clientId' failed to satisfy constraint: \
             Member must satisfy regular expression pattern: [\\w+]+",
        Fault::Client,
    ),
    (
        ANSWER,
        DENIED,
        "A client attempted to write unauthorized attribute",
        Fault::RequiredAttribute,
    ),
    (
        ANSWER,
        INVALID,
        "user.custom:plan: Attribute cannot be updated.",
        Fault::RequiredAttribute,
    ),
    (
        ANSWER,
        INVALID,
        "Invalid attributes given, family_name is missing",
        Fault::RequiredAttribute,
    ),
    (
        WITHOUT,
        INVALID,
        "Attributes did not conform to the schema: family_name: The attribute is required",
        Fault::RequiredAttribute,
    ),
    (
        Step::Begin,
        "UserLambdaValidationException",
        "PreAuthentication failed with error no.",
        Fault::Trigger,
    ),
    (ANSWER, "UnexpectedLambdaException", "", Fault::Trigger),
    (ANSWER, "InvalidLambdaResponseException", "", Fault::Trigger),
    (ANSWER, "MFAMethodNotFoundException", "", Fault::UserPool),
    (
        Step::Begin,
        "OperationNotEnabledException",
        "",
        Fault::UserPool,
    ),
    // What was never seen is no wrong code.
    (Step::Begin, DENIED, "Something else.", Fault::Unknown),
    (
        ANSWER,
        DENIED,
        "Incorrect username or password.",
        Fault::Unknown,
    ),
    (WITHOUT, INVALID, "Something else.", Fault::Unknown),
    (ANSWER, INVALID, "Something else.", Fault::Unknown),
    (
        Step::Begin,
        INVALID,
        "1 validation error detected: Value at 'clientMetadata' failed to satisfy constraint",
        Fault::Unknown,
    ),
    (
        Step::Begin,
        "AliasExistsException",
        "An account with the email already exists.",
        Fault::Unknown,
    ),
    (Step::Begin, "SomethingNewException", "", Fault::Unknown),
];

#[test]
fn what_the_person_cannot_mend_is_the_fault_of_the_deployment() {
    for &(step, code, message, expected) in OF_THE_DEPLOYMENT {
        let NotAccepted::Misconfigured(fault, failure) = because(step, code, message) else {
            panic!("{code}: {message}")
        };
        assert_eq!(fault, expected, "{code}: {message}");
        assert_eq!(failure.code, code);
    }
    let down = because(Step::Begin, "InternalErrorException", "");
    assert!(matches!(down, NotAccepted::Unavailable(_)));
}
