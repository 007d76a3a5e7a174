//! Tokens of the pages of Cognito's lists. They last for a while.

use crate::aws::Failure;

/// Restarts of a list before its failure is final.
const MAX_LIST_RESTARTS: u32 = 3;

/// How often a list has begun again because its token had expired.
#[derive(Debug, Default)]
pub(super) struct Restarts(u32);

impl Restarts {
    /// Whether the list is to be read again from its beginning after this failure: then the
    /// token is gone.
    pub(super) fn restart_if_expired(
        &mut self,
        failure: &Failure,
        token: &mut Option<String>,
    ) -> bool {
        // Cognito has no code of its own for a token that has expired.
        let has_expired = failure.reason == "invalid_parameter" && token.is_some();
        if !has_expired || self.0 == MAX_LIST_RESTARTS {
            return false;
        }
        self.0 += 1;
        *token = None;
        true
    }
}
