//! What the pool remembers between two calls of somebody who signs in.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// As Cognito has it unless the app client says otherwise.
const ANSWER_WITHIN: Duration = Duration::from_mins(3);

#[derive(Default)]
pub(super) struct Sessions {
    challenges: Mutex<HashMap<String, (Instant, Login)>>,
    logins: Mutex<HashMap<String, Login>>,
}

/// Somebody who gave their password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Login {
    pub(super) pool: String,
    pub(super) client: String,
    /// The user's name, not what they signed in with.
    pub(super) user: String,
    /// When, in seconds since 1970.
    pub(super) at: i64,
    /// The token id that all tokens of this sign-in share.
    pub(super) origin: String,
}

impl Sessions {
    /// Something to answer a challenge with.
    pub(super) fn challenge(&self, login: Login) -> String {
        let session = secret("AYABe");
        of(&self.challenges).insert(session.clone(), (Instant::now(), login));
        session
    }

    pub(super) fn challenged(&self, session: &str) -> Option<Login> {
        let challenges = of(&self.challenges);
        let (since, login) = challenges.get(session)?;
        (since.elapsed() < ANSWER_WITHIN).then(|| login.clone())
    }

    /// A challenge is answered once.
    pub(super) fn answered(&self, session: &str) -> bool {
        of(&self.challenges).remove(session).is_some()
    }

    pub(super) fn clear(&self) {
        of(&self.challenges).clear();
    }

    /// A refresh token.
    pub(super) fn keep(&self, login: Login) -> String {
        let token = secret("eyJjdHkiOiJKV1Qi");
        of(&self.logins).insert(token.clone(), login);
        token
    }

    pub(super) fn kept(&self, token: &str) -> Option<Login> {
        of(&self.logins).get(token).cloned()
    }
}

fn of<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Opaque, and as long as the real ones begin to be unwieldy.
fn secret(start: &str) -> String {
    let rest = std::iter::repeat_with(fastrand::alphanumeric).take(200);
    start.chars().chain(rest).collect()
}
