//! Tokens with Cognito's claims, signed by the development issuer.
//!
//! <https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-access-token.html>

use jiff::Timestamp;
use serde_json::{Value, json};

use super::confirm::uuid;
use super::event::About;
use super::sessions::Login;
use super::user::{User, text};
use super::{CognitoFront, Refusal};

/// Seconds.
const LIFETIME: i64 = 3600;

impl CognitoFront {
    /// `AuthenticationResult`, without a refresh token.
    pub(super) async fn tokens(
        &self,
        login: &Login,
        user: &User,
        source: &str,
        metadata: &Value,
    ) -> Result<Value, Refusal> {
        let whom = json!({"UserPoolId": login.pool, "Username": user.name});
        let groups = self.ask("AdminListGroupsForUser", &whom).await?;
        let groups = groups["Groups"].as_array().into_iter().flatten();
        let groups = groups
            .map(|group| text(&group["GroupName"]).to_owned())
            .collect();
        let about = About {
            pool: &login.pool,
            client: &login.client,
            user,
            metadata,
        };
        let wishes = self.before_tokens(about, source, groups).await?;
        let now = Timestamp::now().as_second();
        let mut shared = json!({
            "sub": user.attribute("sub"),
            "iss": self.issuer_of(&login.pool),
            "origin_jti": login.origin,
            "event_id": uuid(),
            "auth_time": login.at,
            "exp": now + LIFETIME,
            "iat": now,
        });
        if !wishes.groups.is_empty() {
            shared["cognito:groups"] = json!(wishes.groups);
        }
        let mut id = id_token(login, user, &shared);
        wishes.change(&mut id);
        let access = access_token(login, user, &shared);
        Ok(json!({
            "AccessToken": self.issuer.sign(&access, None),
            "IdToken": self.issuer.sign(&id, None),
            "TokenType": "Bearer",
            "ExpiresIn": LIFETIME,
        }))
    }
}

fn access_token(login: &Login, user: &User, shared: &Value) -> Value {
    let own = json!({
        "client_id": login.client,
        "token_use": "access",
        "scope": "aws.cognito.signin.user.admin",
        "jti": uuid(),
        "username": user.name,
    });
    merged(own, shared)
}

fn id_token(login: &Login, user: &User, shared: &Value) -> Value {
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
    merged(own, shared)
}

fn merged(mut own: Value, shared: &Value) -> Value {
    if let (Some(own), Some(shared)) = (own.as_object_mut(), shared.as_object()) {
        own.extend(shared.clone());
    }
    own
}
