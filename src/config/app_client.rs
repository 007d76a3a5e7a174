//! The app clients of a user pool through which usher signs users in.

use std::fmt;

use super::reader::Reader;

/// The app client that users sign in through.
#[derive(Clone)]
pub(crate) struct AppClient {
    pub id: String,
    /// `None` for a client without a secret.
    pub secret: Option<String>,
}

/// Omits the secret.
impl fmt::Debug for AppClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AppClient").field(&self.id).finish()
    }
}

/// Reads `client_id` and `client_secret` of a section. `None` without an id: what the client is
/// for is switched off then. `purpose` says what people do there.
pub(super) fn read(read: &mut Reader<'_>, section: &str, purpose: &str) -> Option<AppClient> {
    let [id_key, secret_key] = ["client_id", "client_secret"].map(|key| format!("{section}.{key}"));
    let id = read.text(&id_key);
    let secret = read.text(&secret_key);
    if id.is_empty() {
        if !secret.is_empty() {
            read.reject(&secret_key, format!("needs {id_key}"));
        }
        return None;
    }
    if read.list("pools.allowed").is_empty() {
        let rule = format!("needs pools.allowed: the pools whose users {purpose}");
        read.reject(&id_key, rule);
    }
    if !is_client_id(&id) {
        let rule = "must be the id of an app client: 1 to 128 letters, digits, _ and +";
        read.reject(&id_key, rule);
    }
    Some(AppClient {
        id,
        secret: (!secret.is_empty()).then_some(secret),
    })
}

/// The pattern of Cognito is `[\w+]+`.
///
/// <https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_InitiateAuth.html>
fn is_client_id(id: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '+');
    (1..=128).contains(&id.len()) && id.chars().all(is_allowed)
}
