//! What one row's end says of the rows that are left.

use crate::cli::operator::is_temporary;
use crate::provision::{CommandResult, MailStatus, Outcome};

/// Why the rows that are left are not tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum StopReason {
    /// The mails of a day are used up.
    MailLimit,
    /// It would go the same way with every row.
    Blocked(String),
    /// Nothing has worked for as long as anybody waits.
    Outage(String),
}

/// Whether the others need not be tried.
pub(super) fn stop_reason(performed: &CommandResult) -> Option<StopReason> {
    match &performed.outcome {
        _ if is_over_mail_limit(performed) => Some(StopReason::MailLimit),
        Outcome::Blocked(failure) => Some(StopReason::Blocked(failure.to_string())),
        Outcome::Retry(retry) if is_temporary(retry) => {
            Some(StopReason::Outage(retry.cause.error.clone()))
        }
        _ => None,
    }
}

/// With nobody made it is the mails' limit; afterwards a pool may have all the groups
/// that it can have.
pub(super) fn is_over_mail_limit(performed: &CommandResult) -> bool {
    match (&performed.outcome, &performed.invitation) {
        (_, Some(invited)) => invited.mail == MailStatus::OverLimit,
        (Outcome::Rejected(rejection), None) => rejection.reason == "limit_exceeded",
        _ => false,
    }
}
