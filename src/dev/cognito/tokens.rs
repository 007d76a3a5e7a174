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
        let user_key = json!({"UserPoolId": login.pool, "Username": user.name});
        let groups = self.call_json("AdminListGroupsForUser", &user_key).await?;
        let groups = groups["Groups"].as_array().into_iter().flatten();
        let groups = groups
            .map(|group| str_or_empty(&group["GroupName"]).to_owned())
            .collect();
        let context = TriggerContext {
            pool: &login.pool,
            client: &login.client,
            user,
            metadata,
        };
        let overrides = self
            .call_pre_token_generation(context, source, groups)
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
        if !overrides.groups.is_empty() {
            shared["cognito:groups"] = json!(overrides.groups);
        }
        let mut id = id_token(login, user, &shared);
        overrides.apply(&mut id);
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
    let claims = json!({
        "client_id": login.client,
        "token_use": "access",
        "scope": "aws.cognito.signin.user.admin",
        "jti": uuid(),
        "username": user.name,
    });
    with_shared_claims(claims, shared)
}

fn id_token(login: &Login, user: &EmbeddedUser, shared: &Value) -> Value {
    let mut claims = json!(user.attributes);
    for verified in ["email_verified", "phone_number_verified"] {
        if let Some(value) = user.attributes.get(verified) {
            claims[verified] = json!(value == "true");
        }
    }
    if user.attributes.contains_key("email") && claims["email_verified"].is_null() {
        claims["email_verified"] = json!(false);
    }
    claims["aud"] = json!(login.client);
    claims["token_use"] = json!("id");
    claims["cognito:username"] = json!(user.name);
    claims["jti"] = json!(uuid());
    with_shared_claims(claims, shared)
}

fn with_shared_claims(mut claims: Value, shared: &Value) -> Value {
    if let (Some(claims), Some(shared)) = (claims.as_object_mut(), shared.as_object()) {
        claims.extend(shared.clone());
    }
    claims
}
