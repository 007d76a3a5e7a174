//! App clients of a pool, and their secret hash.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::user::str_or_empty;
use super::{AwsErrorResponse, aws_error};

#[derive(Debug, Clone)]
pub(super) struct AppClient {
    pub(super) id: String,
    pub(super) pool: String,
    pub(super) secret: Option<String>,
    pub(super) auth_flows: Vec<String>,
}

/// Refuses a call for a client with a secret, unless it sends the right hash.
///
/// <https://docs.aws.amazon.com/cognito/latest/developerguide/signing-up-users-in-your-app.html#cognito-user-pools-computing-secret-hash>
pub(super) fn check_secret_hash(
    client: &AppClient,
    username: &str,
    hash: &Value,
) -> Result<(), AwsErrorResponse> {
    let Some(secret) = &client.secret else {
        return Ok(());
    };
    let id = &client.id;
    let refused = |message: &str| Err(aws_error("NotAuthorizedException", message));
    if str_or_empty(hash).is_empty() {
        return refused(&format!(
            "Client {id} is configured with secret but SECRET_HASH was not received"
        ));
    }
    if str_or_empty(hash) == secret_hash(secret, id, username) {
        Ok(())
    } else {
        refused(&format!("Unable to verify secret hash for client {id}"))
    }
}

pub(super) fn secret_hash(secret: &str, client: &str, username: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let hash = hmac::sign(&key, format!("{username}{client}").as_bytes());
    STANDARD.encode(hash)
}

#[cfg(test)]
mod tests {
    use super::secret_hash;

    #[test]
    fn secret_hash_is_an_hmac_of_username_and_client_id() {
        // By `printf 'adaclient' | openssl dgst -sha256 -hmac secret -binary | base64`.
        assert_eq!(
            secret_hash("secret", "client", "ada"),
            "FEW6rzXVdy2RLJp0KqkU9A6/pxQBq5FgsxTWe/Ot+CI="
        );
    }
}
