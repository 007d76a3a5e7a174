//! What the pool remembers between two calls of somebody who signs in.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// As Cognito has it unless the app client says otherwise.
const CHALLENGE_LIFETIME: Duration = Duration::from_mins(3);

#[derive(Default)]
pub(super) struct Sessions {
    challenges: Mutex<HashMap<String, (Instant, Login)>>,
    refresh_tokens: Mutex<HashMap<String, Login>>,
}

/// Somebody who gave their password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Login {
    pub(super) pool: String,
    pub(super) client: String,
    /// The user's name, not what they signed in with.
    pub(super) user: String,
    /// When, in seconds since 1970.
    pub(super) auth_time: i64,
    /// The token id that all tokens of this sign-in share.
    pub(super) origin_jti: String,
}

impl Sessions {
    /// Something to answer a challenge with.
    pub(super) fn start_challenge(&self, login: Login) -> String {
        let session = opaque_token("AYABe");
        lock(&self.challenges).insert(session.clone(), (Instant::now(), login));
        session
    }

    pub(super) fn login_of_challenge(&self, session: &str) -> Option<Login> {
        let challenges = lock(&self.challenges);
        let (since, login) = challenges.get(session)?;
        (since.elapsed() < CHALLENGE_LIFETIME).then(|| login.clone())
    }

    /// A challenge is answered once.
    pub(super) fn remove_challenge(&self, session: &str) -> bool {
        lock(&self.challenges).remove(session).is_some()
    }

    #[cfg(test)]
    pub(super) fn clear_challenges(&self) {
        lock(&self.challenges).clear();
    }

    /// A refresh token.
    pub(super) fn issue_refresh_token(&self, login: Login) -> String {
        let token = opaque_token("eyJjdHkiOiJKV1Qi");
        lock(&self.refresh_tokens).insert(token.clone(), login);
        token
    }

    pub(super) fn login_of_refresh_token(&self, token: &str) -> Option<Login> {
        lock(&self.refresh_tokens).get(token).cloned()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Opaque, and as long as the real ones begin to be unwieldy.
fn opaque_token(start: &str) -> String {
    let rest = std::iter::repeat_with(fastrand::alphanumeric).take(200);
    start.chars().chain(rest).collect()
}
