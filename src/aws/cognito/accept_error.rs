//! Why Cognito refused the first sign-in of an invited user. Codes and texts identify the errors
//! that the user can correct; all others are faults of the deployment.
//!
//! The codes: <https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_InitiateAuth.html#API_InitiateAuth_Errors>,
//! <https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_RespondToAuthChallenge.html#API_RespondToAuthChallenge_Errors>.
//! The texts are the ones that Cognito sends.

use std::fmt;

use crate::aws::classify::Class;
use crate::aws::error::Failure;
use crate::aws::operation::CognitoOperation;

/// Why an invitation was not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AcceptError {
    /// The user name or the code is wrong, or the code was used already.
    WrongCode,
    CodeExpired,
    /// Too many wrong codes were tried.
    TooManyAttempts,
    /// The budget had no permit in time, or Cognito throttles. The code stays valid.
    Busy,
    /// The pool also requires these attributes.
    MissingAttributes(Vec<String>),
    /// The password breaks these rules, as far as Cognito names them.
    InvalidPassword(Vec<&'static str>),
    /// The pool refuses the value of an attribute.
    InvalidAttribute,
    /// Another user has the e-mail address or the phone number.
    AliasExists,
    /// The session ended between the calls, or an attribute was set in between.
    TryAgain,
    /// An administrator has disabled the user.
    Disabled,
    /// The user has a password and must reset it.
    PasswordResetRequired,
    /// Cognito cannot be reached, or fails.
    Unavailable(Failure),
    /// The deployment prevents the sign-in until it is fixed.
    Misconfigured(DeploymentFault, Failure),
}

/// The part of the deployment that prevents the sign-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeploymentFault {
    /// Threat protection blocks the sign-in. It judges the address of this process, which all
    /// users share.
    ///
    /// <https://docs.aws.amazon.com/cognito/latest/developerguide/cognito-user-pool-settings-adaptive-authentication.html>
    ThreatProtection,
    /// The web ACL of the user pool, a firewall or a proxy blocks the call.
    ///
    /// <https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-waf.html>
    Firewall,
    /// The pool has a domain and refuses calls through a VPC endpoint.
    ///
    /// <https://docs.aws.amazon.com/cognito/latest/developerguide/vpc-interface-endpoints.html>
    PrivateLink,
    /// There is no such app client, or its id is malformed.
    Client,
    /// The app client has another secret, or only one side has one.
    ClientSecret,
    /// The app client does not allow `USER_PASSWORD_AUTH`.
    ClientFlow,
    /// The pool requires an attribute that the user cannot give here.
    RequiredAttribute,
    /// A Lambda trigger of the user pool refuses the sign-in, or fails.
    Trigger,
    /// Another setting of the user pool is at fault.
    UserPool,
    /// A code or a text that usher does not know.
    Unknown,
}

/// One of the two calls of a sign-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SignInStep {
    /// `InitiateAuth`, with user name and code.
    Initiate,
    /// `RespondToAuthChallenge`, with the new password and perhaps attributes.
    Respond { with_attributes: bool },
}

impl SignInStep {
    pub(super) fn operation(self) -> CognitoOperation {
        match self {
            Self::Initiate => CognitoOperation::InitiateAuth,
            Self::Respond { .. } => CognitoOperation::RespondToAuthChallenge,
        }
    }
}

/// One of the calls, refused, with Cognito's text.
#[derive(Debug)]
pub(super) struct RefusedStep {
    pub(super) step: SignInStep,
    pub(super) failure: Failure,
    pub(super) message: String,
}

impl From<RefusedStep> for AcceptError {
    fn from(refused: RefusedStep) -> Self {
        let RefusedStep {
            step,
            failure,
            message,
        } = refused;
        Self::from_failure(step, failure, &message)
    }
}

/// Cognito's texts, in lower case, for an attribute value that it refuses.
const INVALID_VALUE_TEXTS: [&str; 4] = [
    "invalid email address format",
    "invalid phone number format",
    "string must be no longer than",
    "string must be no shorter than",
];

impl AcceptError {
    pub(super) fn from_failure(step: SignInStep, failure: Failure, message: &str) -> Self {
        match failure.class {
            Class::Throttled | Class::Busy => Self::Busy,
            Class::Transient | Class::Credentials => Self::Unavailable(failure),
            Class::NotYet | Class::Permanent | Class::Systemic => {
                let message = message.to_lowercase();
                Self::user_error(step, &failure.code, &message).unwrap_or_else(|| {
                    Self::Misconfigured(
                        DeploymentFault::from_error(&failure.code, &message),
                        failure,
                    )
                })
            }
        }
    }

    /// `None` for an error that the user cannot correct, or that may have another cause.
    fn user_error(step: SignInStep, code: &str, message: &str) -> Option<Self> {
        let contains = |text: &str| message.contains(text);
        let error = match (code, step) {
            ("NotAuthorizedException", _) if contains("security reasons") => return None,
            ("NotAuthorizedException", SignInStep::Initiate)
                if contains("username or password") =>
            {
                Self::WrongCode
            }
            // "already provided": an attribute was set since the first call.
            ("NotAuthorizedException", SignInStep::Respond { .. })
                if contains("session") || contains("already provided") =>
            {
                Self::TryAgain
            }
            ("NotAuthorizedException", _) if contains("expired") => Self::CodeExpired,
            ("NotAuthorizedException", _) if contains("attempts exceeded") => Self::TooManyAttempts,
            ("NotAuthorizedException", _) if contains("user is disabled") => Self::Disabled,
            // A user who signed up and has not confirmed has no invitation. An emulator answers
            // a wrong code with `InvalidPasswordException`.
            ("UserNotFoundException" | "UserNotConfirmedException", _)
            | ("InvalidPasswordException", SignInStep::Initiate) => Self::WrongCode,
            ("PasswordResetRequiredException", _) => Self::PasswordResetRequired,
            ("TooManyFailedAttemptsException" | "LimitExceededException", _) => {
                Self::TooManyAttempts
            }
            ("InvalidParameterException", _)
                if DeploymentFault::from_message(message).is_some() =>
            {
                return None;
            }
            // Cognito checks both parameters against a pattern.
            ("InvalidParameterException", SignInStep::Initiate)
                if contains("constraint") && (contains("'username'") || contains("'password'")) =>
            {
                Self::WrongCode
            }
            ("InvalidPasswordException", SignInStep::Respond { .. }) => {
                Self::InvalidPassword(violated_rules(message))
            }
            ("PasswordHistoryPolicyViolationException", SignInStep::Respond { .. }) => {
                Self::InvalidPassword(vec!["history"])
            }
            ("CodeMismatchException" | "ExpiredCodeException", SignInStep::Respond { .. }) => {
                Self::TryAgain
            }
            ("InvalidParameterException", SignInStep::Respond { .. }) if contains("password") => {
                Self::InvalidPassword(violated_rules(message))
            }
            (
                "InvalidParameterException",
                SignInStep::Respond {
                    with_attributes: true,
                },
            ) if INVALID_VALUE_TEXTS.into_iter().any(contains) => Self::InvalidAttribute,
            ("AliasExistsException", SignInStep::Respond { .. }) => Self::AliasExists,
            _ => return None,
        };
        Some(error)
    }
}

impl DeploymentFault {
    /// The name in metrics and logs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ThreatProtection => "threat_protection",
            Self::Firewall => "firewall",
            Self::PrivateLink => "private_link",
            Self::Client => "client",
            Self::ClientSecret => "client_secret",
            Self::ClientFlow => "client_flow",
            Self::RequiredAttribute => "required_attribute",
            Self::Trigger => "trigger",
            Self::UserPool => "user_pool",
            Self::Unknown => "unknown",
        }
    }

    fn from_error(code: &str, message: &str) -> Self {
        let contains = |text: &str| message.contains(text);
        match code {
            // `Http403` and `access_denied` mean an answer without an error code.
            "ForbiddenException" | "Http403" | "access_denied" => Self::Firewall,
            "ResourceNotFoundException" => Self::Client,
            "UserLambdaValidationException"
            | "UnexpectedLambdaException"
            | "InvalidLambdaResponseException" => Self::Trigger,
            "UnsupportedOperationException" => Self::ClientFlow,
            "InvalidUserPoolConfigurationException"
            | "InvalidSmsRoleAccessPolicyException"
            | "InvalidSmsRoleTrustRelationshipException"
            | "InvalidEmailRoleAccessPolicyException"
            | "MFAMethodNotFoundException"
            | "SoftwareTokenMFANotFoundException"
            | "OperationNotEnabledException" => Self::UserPool,
            "NotAuthorizedException" if contains("security reasons") => Self::ThreatProtection,
            _ => Self::from_message(message).unwrap_or(Self::Unknown),
        }
    }

    fn from_message(message: &str) -> Option<Self> {
        [
            ("privatelink", Self::PrivateLink),
            ("'clientid'", Self::Client),
            ("secret", Self::ClientSecret),
            ("flow not enabled", Self::ClientFlow),
            ("auth method", Self::ClientFlow),
            ("unauthorized attribute", Self::RequiredAttribute),
            ("cannot be updated", Self::RequiredAttribute),
            ("non-mutable", Self::RequiredAttribute),
            // The challenge did not ask for this attribute: all that it asked for are given.
            ("invalid attributes given", Self::RequiredAttribute),
            ("attribute is required", Self::RequiredAttribute),
        ]
        .into_iter()
        .find_map(|(text, fault)| message.contains(text).then_some(fault))
    }
}

/// The fault and its remedy.
impl fmt::Display for DeploymentFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ThreatProtection => {
                "threat protection of the user pool blocks sign-ins from this service's address: \
                 add the address to those that are always allowed"
            }
            Self::Firewall => {
                "the AWS WAF web ACL of the user pool, or a firewall or a proxy on the way, blocks \
                 calls from this service's address: let them through"
            }
            Self::PrivateLink => {
                "the user pool has a domain and refuses calls through a VPC endpoint: let the \
                 calls go through a NAT gateway, or remove the domain"
            }
            Self::Client => "the app client does not exist: correct client_id in the configuration",
            Self::ClientSecret => {
                "client_secret in the configuration is wrong: set it to the secret of the app \
                 client, or leave it empty if the client has none"
            }
            Self::ClientFlow => {
                "the app client does not allow USER_PASSWORD_AUTH: add ALLOW_USER_PASSWORD_AUTH \
                 to its flows"
            }
            Self::RequiredAttribute => {
                "the user pool requires an attribute that no one can give here: let the app \
                 client write it, or give it with the invitation"
            }
            Self::Trigger => {
                "a Lambda trigger of the user pool refuses the sign-in or fails: its own log says \
                 why"
            }
            Self::UserPool => {
                "a setting of the user pool does not let people sign in: the error names it"
            }
            Self::Unknown => {
                "Cognito refuses the sign-in for a reason that usher does not know: compare the \
                 settings of user pool and app client with docs/guide/administrators.md"
            }
        })
    }
}

/// Reads the rules from a text such as
/// "Password did not conform with policy: Password must have numeric characters".
fn violated_rules(message: &str) -> Vec<&'static str> {
    [
        ("long enough", "length"),
        ("greater than or equal to", "length"),
        ("uppercase", "uppercase"),
        ("lowercase", "lowercase"),
        ("numeric", "number"),
        ("symbol", "symbol"),
        ("previously", "history"),
        ("security reasons", "not_compromised"),
    ]
    .into_iter()
    .filter(|(text, _)| message.contains(text))
    .map(|(_, rule)| rule)
    .collect()
}

#[cfg(test)]
mod tests;
