//! Sign-ups: the name, the confirmation, and the trigger after it.

use serde_json::{Value, json};

use super::event::{About, NO_CLIENT, event};
use super::passwords::check_secret;
use super::pools::{AppClient, Settings};
use super::user::{User, listed, text};
use super::{Answer, CognitoFront, Refusal, is, ok, refuse};

impl CognitoFront {
    pub(super) async fn sign_up(&self, mut input: Value) -> Answer {
        let client = self.client_of(&input)?;
        let settings = self.pools.settings(&client.pool).unwrap_or_default();
        check_secret(&client, text(&input["Username"]), &input["SecretHash"])?;
        if let Some(password) = input["Password"].as_str() {
            settings.policy.check(password)?;
        }
        let _naming = if settings.naming.is_plain() {
            None
        } else {
            let naming = self.naming.lock().await;
            self.name(&client.pool, &settings, &mut input).await?;
            Some(naming)
        };
        let answer = self.ask("SignUp", &input).await?;
        let mut user = User::of(&input);
        let sub = text(&answer["UserSub"]).to_owned();
        user.attributes.insert("sub".to_owned(), sub);
        self.pools.remember(&client.pool, &user);
        Ok(ok(&answer))
    }

    pub(super) async fn confirm(&self, operation: &str, input: &Value) -> Answer {
        let (pool, client) = if let Some(pool) = input["UserPoolId"].as_str() {
            (pool.to_owned(), NO_CLIENT.to_owned())
        } else {
            let client = self.client_of(input)?;
            check_secret(&client, text(&input["Username"]), &input["SecretHash"])?;
            (client.pool, client.id)
        };
        let mut user = self.user(&pool, text(&input["Username"])).await?;
        if user.status == "CONFIRMED" {
            return Err(refuse(
                "NotAuthorizedException",
                "User cannot be confirmed. Current status is CONFIRMED",
            ));
        }
        let mut confirmation = input.clone();
        confirmation["Username"] = json!(user.name);
        let answer = self.ask(operation, &confirmation).await?;
        "CONFIRMED".clone_into(&mut user.status);
        // Confirming by code verifies the address that the code was sent to.
        if user.attributes.contains_key("email") {
            let verified = ("email_verified".to_owned(), "true".to_owned());
            user.attributes.extend([verified]);
            let update = json!({
                "UserPoolId": pool, "Username": user.name,
                "UserAttributes": listed([("email_verified", "true")]),
            });
            self.ask("AdminUpdateUserAttributes", &update).await?;
        }
        let about = About {
            pool: &pool,
            client: &client,
            user: &user,
            metadata: &input["ClientMetadata"],
        };
        let source = "PostConfirmation_ConfirmSignUp";
        self.hooks
            .call(&event(about, source, json!({}), &json!({})))
            .await;
        Ok(ok(&answer))
    }

    /// The end of a reset: the user is confirmed, and the same trigger is called.
    pub(super) async fn choose_password(&self, mut input: Value) -> Answer {
        let client = self.client_of(&input)?;
        let settings = self.pools.settings(&client.pool).unwrap_or_default();
        check_secret(&client, text(&input["Username"]), &input["SecretHash"])?;
        settings.policy.check(text(&input["Password"]))?;
        let user = self.user(&client.pool, text(&input["Username"])).await?;
        input["Username"] = json!(user.name);
        let answer = self.ask("ConfirmForgotPassword", &input).await?;
        let user = self.user(&client.pool, &user.name).await?;
        let about = About {
            pool: &client.pool,
            client: &client.id,
            user: &user,
            metadata: &input["ClientMetadata"],
        };
        let source = "PostConfirmation_ConfirmForgotPassword";
        self.hooks
            .call(&event(about, source, json!({}), &json!({})))
            .await;
        Ok(ok(&answer))
    }

    /// In a pool whose users are named by an attribute: the name becomes the attribute, and
    /// a UUID, which is the `sub` as well, becomes the name. In others an alias of
    /// somebody else is refused.
    pub(super) async fn name(
        &self,
        pool: &str,
        settings: &Settings,
        input: &mut Value,
    ) -> Result<(), Refusal> {
        let name = text(&input["Username"]).to_owned();
        let mut attributes =
            User::of(&json!({"UserAttributes": input["UserAttributes"]})).attributes;
        let taken = || {
            let why = "An account with the given email or phone number already exists.";
            refuse("UsernameExistsException", why)
        };
        let Some(attribute) = settings.naming.attribute_of(&name)? else {
            for alias in settings.naming.aliases_among(&attributes) {
                if self.by_other_name(pool, alias).await.is_some() {
                    return Err(taken());
                }
            }
            return Ok(());
        };
        match self.user(pool, &name).await {
            Ok(_) => return Err(taken()),
            Err(refusal) if is(&refusal, "UserNotFoundException") => {}
            Err(refusal) => return Err(refusal),
        }
        let sub = attributes.entry("sub".to_owned()).or_insert_with(uuid);
        input["Username"] = json!(sub);
        attributes.insert(attribute.to_owned(), name);
        input["UserAttributes"] = listed(
            attributes
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str())),
        );
        Ok(())
    }

    pub(super) fn client_of(&self, input: &Value) -> Result<AppClient, Refusal> {
        let id = text(&input["ClientId"]);
        self.pools.client(id).ok_or_else(|| {
            let why = format!("User pool client {id} does not exist.");
            refuse("ResourceNotFoundException", &why)
        })
    }
}

/// A random UUID.
pub(super) fn uuid() -> String {
    let bits = fastrand::u128(..);
    let bits = bits & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let digits = format!("{bits:032x}");
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32];
    parts.map(|part| &digits[part]).join("-")
}
