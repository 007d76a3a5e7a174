//! Sign-ups: the name, the confirmation, and the trigger after it.

use serde_json::{Value, json};

use super::app_client::{AppClient, check_secret_hash};
use super::event::{CLIENT_NOT_APPLICABLE, TriggerContext, trigger_event};
use super::pools::EmbeddedPoolSettings;
use super::user::{EmbeddedUser, attribute_list, str_or_empty};
use super::{AwsErrorResponse, CognitoResult, EmbeddedCognito, aws_error, is_error, ok_response};

impl EmbeddedCognito {
    pub(super) async fn sign_up(&self, mut input: Value) -> CognitoResult {
        let client = self.app_client(&input)?;
        let settings = self.pools.settings(&client.pool).unwrap_or_default();
        check_secret_hash(
            &client,
            str_or_empty(&input["Username"]),
            &input["SecretHash"],
        )?;
        if let Some(password) = input["Password"].as_str() {
            settings.password_policy.check(password)?;
        }
        let _username_guard = if settings.naming.has_plain_usernames() {
            None
        } else {
            let guard = self.username_lock.lock().await;
            self.assign_username(&client.pool, &settings, &mut input)
                .await?;
            Some(guard)
        };
        let answer = self.call_json("SignUp", &input).await?;
        let mut user = EmbeddedUser::from_response(&input);
        let sub = str_or_empty(&answer["UserSub"]).to_owned();
        user.attributes.insert("sub".to_owned(), sub);
        self.pools.add_aliases(&client.pool, &user);
        Ok(ok_response(&answer))
    }

    pub(super) async fn confirm_sign_up(&self, operation: &str, input: &Value) -> CognitoResult {
        let (pool, client) = if let Some(pool) = input["UserPoolId"].as_str() {
            (pool.to_owned(), CLIENT_NOT_APPLICABLE.to_owned())
        } else {
            let client = self.app_client(input)?;
            check_secret_hash(
                &client,
                str_or_empty(&input["Username"]),
                &input["SecretHash"],
            )?;
            (client.pool, client.id)
        };
        let mut user = self
            .find_user(&pool, str_or_empty(&input["Username"]))
            .await?;
        if user.status == "CONFIRMED" {
            return Err(aws_error(
                "NotAuthorizedException",
                "User cannot be confirmed. Current status is CONFIRMED",
            ));
        }
        let mut confirmation = input.clone();
        confirmation["Username"] = json!(user.name);
        let answer = self.call_json(operation, &confirmation).await?;
        "CONFIRMED".clone_into(&mut user.status);
        // Confirming by code verifies the address that the code was sent to.
        if user.attributes.contains_key("email") {
            let verified = ("email_verified".to_owned(), "true".to_owned());
            user.attributes.extend([verified]);
            let update = json!({
                "UserPoolId": pool, "Username": user.name,
                "UserAttributes": attribute_list([("email_verified", "true")]),
            });
            self.call_json("AdminUpdateUserAttributes", &update).await?;
        }
        let context = TriggerContext {
            pool: &pool,
            client: &client,
            user: &user,
            metadata: &input["ClientMetadata"],
        };
        let source = "PostConfirmation_ConfirmSignUp";
        self.hooks
            .call_trigger(&trigger_event(context, source, json!({}), &json!({})))
            .await;
        Ok(ok_response(&answer))
    }

    /// Ends a password reset: the user is confirmed, and the same trigger is called.
    pub(super) async fn confirm_forgot_password(&self, mut input: Value) -> CognitoResult {
        let client = self.app_client(&input)?;
        let settings = self.pools.settings(&client.pool).unwrap_or_default();
        check_secret_hash(
            &client,
            str_or_empty(&input["Username"]),
            &input["SecretHash"],
        )?;
        settings
            .password_policy
            .check(str_or_empty(&input["Password"]))?;
        let user = self
            .find_user(&client.pool, str_or_empty(&input["Username"]))
            .await?;
        input["Username"] = json!(user.name);
        let answer = self.call_json("ConfirmForgotPassword", &input).await?;
        let user = self.find_user(&client.pool, &user.name).await?;
        let context = TriggerContext {
            pool: &client.pool,
            client: &client.id,
            user: &user,
            metadata: &input["ClientMetadata"],
        };
        let source = "PostConfirmation_ConfirmForgotPassword";
        self.hooks
            .call_trigger(&trigger_event(context, source, json!({}), &json!({})))
            .await;
        Ok(ok_response(&answer))
    }

    /// In a pool whose users are named by an attribute, the name becomes the attribute, and
    /// the `sub`, a UUID, becomes the user name. In other pools, an alias of another user is
    /// refused.
    pub(super) async fn assign_username(
        &self,
        pool: &str,
        settings: &EmbeddedPoolSettings,
        input: &mut Value,
    ) -> Result<(), AwsErrorResponse> {
        let name = str_or_empty(&input["Username"]).to_owned();
        let mut attributes =
            EmbeddedUser::from_response(&json!({"UserAttributes": input["UserAttributes"]}))
                .attributes;
        let taken = || {
            let message = "An account with the given email or phone number already exists.";
            aws_error("UsernameExistsException", message)
        };
        let Some(attribute) = settings.naming.username_attribute(&name)? else {
            for alias in settings.naming.aliases_in(&attributes) {
                if self.find_user_by_alias(pool, alias).await.is_some() {
                    return Err(taken());
                }
            }
            return Ok(());
        };
        match self.find_user(pool, &name).await {
            Ok(_) => return Err(taken()),
            Err(refusal) if is_error(&refusal, "UserNotFoundException") => {}
            Err(refusal) => return Err(refusal),
        }
        let sub = attributes.entry("sub".to_owned()).or_insert_with(uuid);
        input["Username"] = json!(sub);
        attributes.insert(attribute.to_owned(), name);
        input["UserAttributes"] = attribute_list(
            attributes
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str())),
        );
        Ok(())
    }

    pub(super) fn app_client(&self, input: &Value) -> Result<AppClient, AwsErrorResponse> {
        let id = str_or_empty(&input["ClientId"]);
        self.pools.client(id).ok_or_else(|| {
            let message = format!("User pool client {id} does not exist.");
            aws_error("ResourceNotFoundException", &message)
        })
    }
}

/// A random UUID of version 4.
pub(super) fn uuid() -> String {
    let bits = fastrand::u128(..);
    let bits = bits & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let digits = format!("{bits:032x}");
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32];
    parts.map(|part| &digits[part]).join("-")
}
