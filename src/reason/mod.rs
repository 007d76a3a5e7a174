//! Why a call or a message failed: the short code of logs, metrics and dead letters, and its
//! meaning.

mod explain;

#[cfg(test)]
pub(crate) use explain::REASONS;
pub(crate) use explain::{GRANT_LATER, explain, explain_refusal, parse};

use std::cmp::Ordering;
use std::fmt;

use serde::{Serialize, Serializer};

macro_rules! reasons {
    ($($name:ident = $code:literal,)*) => {
        /// A short code in snake case. Dead letters carry it as `usher.reason`.
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        #[allow(missing_docs, reason = "the names are the codes, which reason/explain.rs explains")]
        pub enum Reason {
            $($name,)*
            /// Made of an error code of AWS that usher does not know by name.
            Other(String),
        }

        impl Reason {
            #[cfg(test)]
            const KNOWN: &[(&str, Self)] = &[$(($code, Self::$name),)*];

            /// The code.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$name => $code,)*
                    Self::Other(code) => code,
                }
            }
        }

        impl From<String> for Reason {
            fn from(code: String) -> Self {
                match code.as_str() {
                    $($code => Self::$name,)*
                    _ => Self::Other(code),
                }
            }
        }
    };
}

reasons! {
    AccessDenied = "access_denied",
    AliasExists = "alias_exists",
    AlreadyAccepted = "already_accepted",
    AmbiguousUser = "ambiguous_user",
    BadCommand = "bad_command",
    Busy = "busy",
    CodeDeliveryFailure = "code_delivery_failure",
    Connection = "connection",
    Credentials = "credentials",
    Deadline = "deadline",
    Duplicate = "duplicate",
    EmptyBody = "empty_body",
    ForeignPool = "foreign_pool",
    GarbledResponse = "garbled_response",
    GroupInToken = "group_in_token",
    GroupNotFound = "group_not_found",
    GroupNotGrantable = "group_not_grantable",
    Internal = "internal",
    InvalidParameter = "invalid_parameter",
    Kms = "kms",
    LimitExceeded = "limit_exceeded",
    MailNotDelivered = "mail_not_delivered",
    Misrouted = "misrouted",
    NoSub = "no_sub",
    NoTriggerSource = "no_trigger_source",
    NoUserName = "no_user_name",
    NoUserPool = "no_user_pool",
    NotAdministrator = "not_administrator",
    NotAnEvent = "not_an_event",
    NotAnObject = "not_an_object",
    NotAuthorized = "not_authorized",
    NotJson = "not_json",
    NotNeeded = "not_needed",
    OperationNotEnabled = "operation_not_enabled",
    OtherTrigger = "other_trigger",
    Panic = "panic",
    PoolNotFound = "pool_not_found",
    PrivateLink = "private_link",
    QueueNotFound = "queue_not_found",
    RepeatedToken = "repeated_token",
    RequestNotBuilt = "request_not_built",
    ServerError = "server_error",
    SnsEnvelope = "sns_envelope",
    TableMismatch = "table_mismatch",
    TableNotFound = "table_not_found",
    Throttled = "throttled",
    Timeout = "timeout",
    UnexpectedLambda = "unexpected_lambda",
    Unknown = "unknown",
    UnsupportedCommand = "unsupported_command",
    UserDisabled = "user_disabled",
    UserLambdaValidation = "user_lambda_validation",
    UserNotFound = "user_not_found",
    UsernameTaken = "username_taken",
}

impl Reason {
    /// The reason of an error code of AWS: `InvalidParameterException` is `invalid_parameter`.
    pub(crate) fn from_error_code(code: &str) -> Self {
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
        snake.into()
    }

    /// Whether a user, a group, a pool, a table or a queue is missing.
    pub(crate) fn is_not_found(&self) -> bool {
        self.as_str().ends_with("_not_found")
    }
}

/// By their codes.
impl Ord for Reason {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl PartialOrd for Reason {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl From<&str> for Reason {
    fn from(code: &str) -> Self {
        code.to_owned().into()
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_reasons_convert_both_ways() {
        for (code, reason) in Reason::KNOWN {
            assert_eq!(Reason::from(*code), *reason);
            assert_eq!(reason.as_str(), *code);
        }
        assert_eq!(Reason::from("new_code").as_str(), "new_code");
        assert!(Reason::from("needs the queue") < Reason::Throttled);
    }

    #[test]
    fn reasons_of_error_codes_are_in_snake_case() {
        for (code, reason) in [
            ("InvalidParameterException", "invalid_parameter"),
            ("OverLimit", "over_limit"),
            ("Http418", "http418"),
            ("Exception", "exception"),
        ] {
            assert_eq!(Reason::from_error_code(code).as_str(), reason);
        }
    }
}
