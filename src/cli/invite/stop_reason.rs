//! Decides from the result of one row whether the run stops.

use crate::cli::operator::is_retryable;
use crate::provision::{CommandResult, MailStatus, Outcome};
use crate::reason::Reason;

/// Why the remaining rows are not tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum StopReason {
    /// The pool has reached its daily limit of mails.
    MailLimit,
    /// Every row would fail for the same reason.
    Blocked(String),
    /// No call has succeeded within `--patience`.
    Outage(String),
}

/// `None` if the remaining rows are tried.
pub(super) fn stop_reason(result: &CommandResult) -> Option<StopReason> {
    match &result.outcome {
        _ if is_over_mail_limit(result) => Some(StopReason::MailLimit),
        Outcome::Blocked(failure) => Some(StopReason::Blocked(failure.to_string())),
        Outcome::Retry(retry) if is_retryable(retry) => {
            Some(StopReason::Outage(retry.cause.error.clone()))
        }
        _ => None,
    }
}

/// Before the user exists, `limit_exceeded` is the limit of mails. Later it may be the limit of
/// groups in the pool.
pub(super) fn is_over_mail_limit(result: &CommandResult) -> bool {
    match (&result.outcome, &result.invitation) {
        (_, Some(invitation)) => invitation.mail == MailStatus::OverLimit,
        (Outcome::Rejected(rejection), None) => rejection.reason == Reason::LimitExceeded,
        _ => false,
    }
}
