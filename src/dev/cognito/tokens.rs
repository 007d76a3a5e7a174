//! Tokens with Cognito's claims, signed by the development issuer.
//!
//! <https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-access-token.html>

use jiff::Timestamp;
use serde_json::{Value, json};

use super::event::TriggerContext;
use super::sessions::Login;
use super::sign_up::uuid;
use super::user::{EmbeddedUser, str_or_empty};
use super::{AwsErrorResponse, EmbeddedCognito};

/// Seconds.
const TOKEN_LIFETIME_SECONDS: i64 = 3600;

impl EmbeddedCognito {
    /// `AuthenticationResult`, without a refresh token.
    pub(super) async fn issue_tokens(
        &self,
        login: &Login,
        user: &EmbeddedUser,
        source: &str,
        metadata: &Value,
    ) -> Result<Value, AwsErrorResponse> {
        let whom = json!({"UserPoolId": login.pool, "Username": user.name});
        let groups = self.call_json("AdminListGroupsForUser", &whom).await?;
        let groups = groups["Groups"].as_array().into_iter().flatten();
        let groups = groups
            .map(|group| str_or_empty(&group["GroupName"]).to_owned())
            .collect();
        let about = TriggerContext {
            pool: &login.pool,
            client: &login.client,
            user,
            metadata,
        };
        let wishes = self
            .call_pre_token_generation(about, source, groups)
            .await?;
        let now = Timestamp::now().as_second();
        let mut shared = json!({
            "sub": user.attribute("sub"),
            "iss": self.issuer_of(&login.pool),
            "origin_jti": login.origin_jti,
            "event_id": uuid(),
            "auth_time": login.auth_time,
            "exp": now + TOKEN_LIFETIME_SECONDS,
            "iat": now,
        });
        if !wishes.groups.is_empty() {
            shared["cognito:groups"] = json!(wishes.groups);
        }
        let mut id = id_token(login, user, &shared);
        wishes.apply(&mut id);
        let access = access_token(login, user, &shared);
        Ok(json!({
            "AccessToken": self.issuer.sign(&access, None),
            "IdToken": self.issuer.sign(&id, None),
            "TokenType": "Bearer",
            "ExpiresIn": TOKEN_LIFETIME_SECONDS,
        }))
    }
}

fn access_token(login: &Login, user: &EmbeddedUser, shared: &Value) -> Value {
    let own = json!({
        "client_id": login.client,
        "token_use": "access",
        "scope": "aws.cognito.signin.user.admin",
        "jti": uuid(),
        "username": user.name,
    });
    with_shared_claims(own, shared)
}

fn id_token(login: &Login, user: &EmbeddedUser, shared: &Value) -> Value {
    let mut own = json!(user.attributes);
    for verified in ["email_verified", "phone_number_verified"] {
        if let Some(value) = user.attributes.get(verified) {
            own[verified] = json!(value == "true");
        }
    }
    if user.attributes.contains_key("email") && own["email_verified"].is_null() {
        own["email_verified"] = json!(false);
    }
    own["aud"] = json!(login.client);
    own["token_use"] = json!("id");
    own["cognito:username"] = json!(user.name);
    own["jti"] = json!(uuid());
    with_shared_claims(own, shared)
}

fn with_shared_claims(mut own: Value, shared: &Value) -> Value {
    if let (Some(own), Some(shared)) = (own.as_object_mut(), shared.as_object()) {
        own.extend(shared.clone());
    }
    own
}
