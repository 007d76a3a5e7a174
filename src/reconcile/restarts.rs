//! Restarts a list of Cognito whose page token has expired.

use crate::aws::Failure;
use crate::reason::Reason;

/// The next expired token after this many restarts is an error.
const MAX_LIST_RESTARTS: u32 = 3;

/// Counts the restarts of the user list, or of all member lists together.
#[derive(Debug, Default)]
pub(super) struct Restarts(u32);

impl Restarts {
    /// Whether to read the list again from its start after this failure. If so, it clears
    /// the token.
    pub(super) fn restart_if_expired(
        &mut self,
        failure: &Failure,
        token: &mut Option<String>,
    ) -> bool {
        // Cognito has no separate code for an expired token.
        let has_expired = failure.reason == Reason::InvalidParameter && token.is_some();
        if !has_expired || self.0 == MAX_LIST_RESTARTS {
            return false;
        }
        self.0 += 1;
        *token = None;
        true
    }
}
