//! Users whom an administrator creates, and their passwords.
//!
//! <https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_AdminCreateUser.html>

use serde_json::{Value, json};

use super::pools::EmbeddedPoolSettings;
use super::user::{EmbeddedUser, str_or_empty};
use super::{AwsErrorResponse, CognitoResult, EmbeddedCognito, aws_error, ok_response};

impl EmbeddedCognito {
    /// `AdminCreateUser`: creates a user and, unless it is suppressed, sends the mail
    /// with the temporary password; or sends it again. Without a password, in a pool
    /// that needs none, the user is confirmed. Cognito's mail to such users is not
    /// documented, so none is sent here.
    pub(super) async fn create_user(&self, mut input: Value) -> CognitoResult {
        let pool = str_or_empty(&input["UserPoolId"]).to_owned();
        let Some(settings) = self.pools.settings(&pool) else {
            return self
                .call_json("AdminCreateUser", &input)
                .await
                .map(|a| ok_response(&a));
        };
        let given = str_or_empty(&input["TemporaryPassword"]).to_owned();
        let given = Some(given).filter(|password| !password.is_empty());
        if let Some(password) = &given {
            settings.password_policy.check(password)?;
        }
        let temporary = || settings.password_policy.generate_temporary();
        if input["MessageAction"] == "RESEND" {
            let password = given.unwrap_or_else(temporary);
            return self
                .resend_invitation(&pool, &settings, &input, &password)
                .await;
        }
        let attributes = EmbeddedUser::from_response(&input).attributes;
        settings.schema.check(&attributes)?;
        let username_guard = self.username_lock.lock().await;
        self.assign_username(&pool, &settings, &mut input).await?;
        let mut answer = self.call_json("AdminCreateUser", &input).await?;
        let user = EmbeddedUser::from_response(&answer["User"]);
        self.pools.add_aliases(&pool, &user);
        drop(username_guard);
        if given.is_none() && settings.passwordless {
            // A random password that is never sent.
            self.store_password(&pool, &user, &temporary(), true)
                .await?;
            answer["User"]["UserStatus"] = json!("CONFIRMED");
            return Ok(ok_response(&answer));
        }
        let suppressed = input["MessageAction"] == "SUPPRESS";
        // A generated password is useless when no mail carries it.
        let password = given.or_else(|| (!suppressed).then(temporary));
        if let Some(password) = password {
            self.set_temporary_password(&pool, &user, &password).await?;
            if !suppressed && is_sent_by_mail(&input) {
                self.send_invitation(&pool, &settings, &user, &password)
                    .await?;
            }
        }
        Ok(ok_response(&answer))
    }

    async fn resend_invitation(
        &self,
        pool: &str,
        settings: &EmbeddedPoolSettings,
        input: &Value,
        password: &str,
    ) -> CognitoResult {
        let name = str_or_empty(&input["Username"]);
        // Only by the name that the user was created with, not by `sub` or alias.
        let user = match settings.naming.username_attribute(name)? {
            Some(_) => self.find_user(pool, name).await?,
            None => self.get_user(pool, name).await?,
        };
        if user.status != "FORCE_CHANGE_PASSWORD" {
            let message =
                format!("Resend not possible. {name} status is not FORCE_CHANGE_PASSWORD");
            return Err(aws_error("UnsupportedUserStateException", &message));
        }
        self.set_temporary_password(pool, &user, password).await?;
        if is_sent_by_mail(input) {
            self.send_invitation(pool, settings, &user, password)
                .await?;
        }
        let user_key = json!({"UserPoolId": pool, "Username": user.name});
        let mut answer = self.call_json("AdminGetUser", &user_key).await?;
        answer["Attributes"] = answer["UserAttributes"].take();
        if let Some(answer) = answer.as_object_mut() {
            answer.remove("UserAttributes");
        }
        Ok(ok_response(&json!({"User": answer})))
    }

    /// Sets a temporary password whose lifetime begins now.
    async fn set_temporary_password(
        &self,
        pool: &str,
        user: &EmbeddedUser,
        password: &str,
    ) -> Result<(), AwsErrorResponse> {
        self.store_password(pool, user, password, false).await?;
        self.pools.set_password_expired(pool, &user.name, false);
        self.pools.set_code_time(pool, &user.name);
        Ok(())
    }

    async fn store_password(
        &self,
        pool: &str,
        user: &EmbeddedUser,
        password: &str,
        permanent: bool,
    ) -> Result<(), AwsErrorResponse> {
        let change = json!({
            "UserPoolId": pool, "Username": user.name, "Password": password,
            "Permanent": permanent,
        });
        self.call_json("AdminSetUserPassword", &change)
            .await
            .map(|_| ())
    }

    pub(super) async fn set_password(&self, input: Value) -> CognitoResult {
        let pool = str_or_empty(&input["UserPoolId"]).to_owned();
        let name = str_or_empty(&input["Username"]).to_owned();
        if let (Some(settings), Some(password)) =
            (self.pools.settings(&pool), input["Password"].as_str())
        {
            settings.password_policy.check(password)?;
        }
        let answer = self.call_for_user("AdminSetUserPassword", input).await?;
        if let Ok(user) = self.find_user(&pool, &name).await {
            self.pools.set_password_expired(&pool, &user.name, false);
        }
        Ok(answer)
    }
}

/// The default is SMS, which is not sent here.
fn is_sent_by_mail(input: &Value) -> bool {
    let media = input["DesiredDeliveryMediums"].as_array();
    media.is_some_and(|media| media.iter().any(|medium| medium == "EMAIL"))
}
