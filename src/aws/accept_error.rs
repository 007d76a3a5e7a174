//! Why Cognito did not sign in somebody who was invited. What the person can mend is known by
//! its code and text; everything else is the fault of the deployment.
//!
//! The codes: <https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_InitiateAuth.html#API_InitiateAuth_Errors>,
//! <https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_RespondToAuthChallenge.html#API_RespondToAuthChallenge_Errors>.
//! The texts are Cognito's own.

use std::fmt;

use super::error::{Class, Failure};

/// Why an invitation was not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AcceptError {
    /// User name or code is wrong, or the code was used already.
    WrongCode,
    /// The code has expired.
    CodeExpired,
    /// Too many wrong codes.
    TooManyAttempts,
    /// The budget had no permit in time, or Cognito throttles. The code is as good as before.
    Busy,
    /// The pool asks for these attributes, too.
    MissingAttributes(Vec<String>),
    /// The password breaks these rules, as far as Cognito says which.
    InvalidPassword(Vec<&'static str>),
    /// An attribute has a value that the pool does not take.
    InvalidAttribute,
    /// Another user has the e-mail address or the phone number.
    AliasExists,
    /// The session ran out between the calls.
    TryAgain,
    /// An administrator has disabled the user.
    Disabled,
    /// The user has a password, which they have to reset.
    PasswordResetRequired,
    /// Cognito is out of reach, or fails.
    Unavailable(Failure),
    /// The deployment keeps people out until someone mends it.
    Misconfigured(DeploymentFault, Failure),
}

/// What of the deployment keeps people out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeploymentFault {
    /// Threat protection blocks the sign-in. It judges the address of this process, which all
    /// people share.
    ///
    /// <https://docs.aws.amazon.com/cognito/latest/developerguide/cognito-user-pool-settings-adaptive-authentication.html>
    ThreatProtection,
    /// The web ACL of the user pool, or something else on the way, does not let the call
    /// through.
    ///
    /// <https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-waf.html>
    Firewall,
    /// The pool has a domain and refuses calls through a VPC endpoint.
    ///
    /// <https://docs.aws.amazon.com/cognito/latest/developerguide/vpc-interface-endpoints.html>
    PrivateLink,
    /// There is no such app client, or its id is malformed.
    Client,
    /// The app client's secret is another, or only one side has one.
    ClientSecret,
    /// The app client does not allow `USER_PASSWORD_AUTH`.
    ClientFlow,
    /// The pool requires an attribute that no one can give here.
    RequiredAttribute,
    /// A Lambda trigger of the user pool refuses, or fails.
    Trigger,
    /// Another setting of the user pool.
    UserPool,
    /// A code or a text that usher does not know.
    Unknown,
}

/// The call that was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SignInStep {
    /// `InitiateAuth`, with user name and code.
    Initiate,
    /// `RespondToAuthChallenge`, with the new password and perhaps attributes.
    Respond { with_attributes: bool },
}

impl SignInStep {
    pub(super) fn operation(self) -> &'static str {
        match self {
            Self::Initiate => "InitiateAuth",
            Self::Respond { .. } => "RespondToAuthChallenge",
        }
    }
}

/// What Cognito says of an attribute's value.
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

    /// `None` for what the person cannot mend, or is not known to be theirs.
    fn user_error(step: SignInStep, code: &str, message: &str) -> Option<Self> {
        let says = |words: &str| message.contains(words);
        let theirs = match (code, step) {
            ("NotAuthorizedException", _) if says("security reasons") => return None,
            ("NotAuthorizedException", SignInStep::Initiate) if says("username or password") => {
                Self::WrongCode
            }
            // The second: an attribute that was set since the first call.
            ("NotAuthorizedException", SignInStep::Respond { .. })
                if says("session") || says("already provided") =>
            {
                Self::TryAgain
            }
            ("NotAuthorizedException", _) if says("expired") => Self::CodeExpired,
            ("NotAuthorizedException", _) if says("attempts exceeded") => Self::TooManyAttempts,
            ("NotAuthorizedException", _) if says("user is disabled") => Self::Disabled,
            // Somebody who signed up and has not confirmed it has no invitation. The third is
            // what an emulator says of a wrong code.
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
            // Both have one.
            ("InvalidParameterException", SignInStep::Initiate)
                if says("constraint") && (says("'username'") || says("'password'")) =>
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
            ("InvalidParameterException", SignInStep::Respond { .. }) if says("password") => {
                Self::InvalidPassword(violated_rules(message))
            }
            (
                "InvalidParameterException",
                SignInStep::Respond {
                    with_attributes: true,
                },
            ) if INVALID_VALUE_TEXTS.into_iter().any(says) => Self::InvalidAttribute,
            ("AliasExistsException", SignInStep::Respond { .. }) => Self::AliasExists,
            _ => return None,
        };
        Some(theirs)
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
        let says = |words: &str| message.contains(words);
        match code {
            // The others are answers without a code: the last one is a page.
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
            "NotAuthorizedException" if says("security reasons") => Self::ThreatProtection,
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
            // One that the challenge did not ask for: all that it asked for are given.
            ("invalid attributes given", Self::RequiredAttribute),
            ("attribute is required", Self::RequiredAttribute),
        ]
        .into_iter()
        .find_map(|(words, fault)| message.contains(words).then_some(fault))
    }
}

/// What it is, and what helps.
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
            Self::Client => "there is no such app client: correct invitations.client_id",
            Self::ClientSecret => {
                "invitations.client_secret is not the app client's: set it to the secret of the \
                 client, or to nothing where the client has none"
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

/// "Password did not conform with policy: Password must have numeric characters"
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
    .filter(|(words, _)| message.contains(words))
    .map(|(_, rule)| rule)
    .collect()
}

#[cfg(test)]
mod tests;
