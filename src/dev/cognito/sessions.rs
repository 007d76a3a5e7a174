//! Sign-ins between two calls: open challenges and refresh tokens.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Cognito's default, which an app client can change.
const CHALLENGE_LIFETIME: Duration = Duration::from_mins(3);

#[derive(Default)]
pub(super) struct Sessions {
    challenges: Mutex<HashMap<String, OpenChallenge>>,
    refresh_tokens: Mutex<HashMap<String, Login>>,
}

struct OpenChallenge {
    since: Instant,
    name: &'static str,
    login: Login,
}

/// A sign-in whose password was right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Login {
    pub(super) pool: String,
    pub(super) client: String,
    /// The user name, even if the user signed in with an alias.
    pub(super) user: String,
    /// Seconds since 1970.
    pub(super) auth_time: i64,
    /// The token id that all tokens of this sign-in share.
    pub(super) origin_jti: String,
}

impl Sessions {
    /// Returns the session for the response to the challenge of this name.
    pub(super) fn start_challenge(&self, name: &'static str, login: Login) -> String {
        let session = opaque_token("AYABe");
        let since = Instant::now();
        let challenge = OpenChallenge { since, name, login };
        lock(&self.challenges).insert(session.clone(), challenge);
        session
    }

    pub(super) fn login_of_challenge(&self, name: &str, session: &str) -> Option<Login> {
        let challenges = lock(&self.challenges);
        let challenge = challenges.get(session).filter(|it| it.name == name)?;
        (challenge.since.elapsed() < CHALLENGE_LIFETIME).then(|| challenge.login.clone())
    }

    /// False when the challenge was answered before.
    pub(super) fn remove_challenge(&self, session: &str) -> bool {
        lock(&self.challenges).remove(session).is_some()
    }

    #[cfg(test)]
    pub(super) fn clear_challenges(&self) {
        lock(&self.challenges).clear();
    }

    pub(super) fn issue_refresh_token(&self, login: Login) -> String {
        let token = opaque_token("eyJjdHkiOiJKV1Qi");
        lock(&self.refresh_tokens).insert(token.clone(), login);
        token
    }

    pub(super) fn revoke_refresh_token(&self, token: &str, client: &str) {
        let mut tokens = lock(&self.refresh_tokens);
        if tokens
            .get(token)
            .is_some_and(|login| login.client == client)
        {
            tokens.remove(token);
        }
    }

    pub(super) fn login_of_refresh_token(&self, token: &str) -> Option<Login> {
        lock(&self.refresh_tokens).get(token).cloned()
    }

    /// Ends all sign-ins of a user.
    pub(super) fn end(&self, pool: &str, user: &str) {
        let is_other = |login: &Login| login.pool != pool || login.user != user;
        lock(&self.challenges).retain(|_, open| is_other(&open.login));
        lock(&self.refresh_tokens).retain(|_, login| is_other(login));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `start` and 200 random characters, since real tokens are long, too.
fn opaque_token(start: &str) -> String {
    let rest = std::iter::repeat_with(fastrand::alphanumeric).take(200);
    start.chars().chain(rest).collect()
}
