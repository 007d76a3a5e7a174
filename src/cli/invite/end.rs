//! What one row's end says of the rows that are left.

use crate::cli::operator::is_passing;
use crate::provision::{Mail, Outcome, Performed};

/// Why the rows that are left are not tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// The mails of a day are used up.
    Mails,
    /// It would go the same way with every row.
    Broken(String),
    /// Nothing has worked for as long as anybody waits.
    Outage(String),
}

/// Whether the others need not be tried.
pub(super) fn end(performed: &Performed) -> Option<End> {
    match &performed.outcome {
        _ if is_over_limit(performed) => Some(End::Mails),
        Outcome::Blocked(failure) => Some(End::Broken(failure.to_string())),
        Outcome::Retry(retry) if is_passing(retry) => {
            Some(End::Outage(retry.because.error.clone()))
        }
        _ => None,
    }
}

/// With nobody made it is the mails' limit; afterwards a pool may have all the groups
/// that it can have.
pub(super) fn is_over_limit(performed: &Performed) -> bool {
    match (&performed.outcome, &performed.invited) {
        (_, Some(invited)) => invited.mail == Mail::OverLimit,
        (Outcome::Rejected(rejection), None) => rejection.reason == "limit_exceeded",
        _ => false,
    }
}
