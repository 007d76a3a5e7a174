//! The caller of the API or of a mutation.

use std::collections::BTreeSet;
use std::fmt;

use super::PoolId;

/// A signed-in user of a user pool, from the claims of a token.
#[derive(Clone, PartialEq, Eq)]
pub struct Caller {
    /// The pool that issued the token.
    pub pool: PoolId,
    /// The user's immutable id, never empty.
    pub sub: String,
    /// The user name in the pool; personal data.
    pub username: String,
    /// The app client that they signed in through.
    pub client_id: String,
    /// Memberships when the token was issued.
    pub groups: BTreeSet<String>,
}

/// Without the name, which is personal data.
impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller")
            .field("pool", &self.pool)
            .field("sub", &self.sub)
            .field("client", &self.client_id)
            .field("groups", &self.groups)
            .finish_non_exhaustive()
    }
}
