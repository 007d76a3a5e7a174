//! Users whom an administrator makes, and the passwords they are given.
//!
//! <https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_AdminCreateUser.html>

use serde_json::{Value, json};

use super::pools::EmbeddedPoolSettings;
use super::user::{EmbeddedUser, str_or_empty};
use super::{AwsErrorResponse, CognitoResult, EmbeddedCognito, aws_error, ok_response};

impl EmbeddedCognito {
    /// `AdminCreateUser`: a new user and, unless it is suppressed, the mail with
    /// the temporary password; or the mail once more. Somebody who is given no password,
    /// where none is needed, is confirmed; what Cognito writes to them is not known, and
    /// nothing is sent here.
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
        let naming = self.username_lock.lock().await;
        self.assign_username(&pool, &settings, &mut input).await?;
        let mut answer = self.call_json("AdminCreateUser", &input).await?;
        let user = EmbeddedUser::from_response(&answer["User"]);
        self.pools.add_aliases(&pool, &user);
        drop(naming);
        if given.is_none() && settings.passwordless {
            // Nobody knows this password.
            self.store_password(&pool, &user, &temporary(), true)
                .await?;
            answer["User"]["UserStatus"] = json!("CONFIRMED");
            return Ok(ok_response(&answer));
        }
        let silent = input["MessageAction"] == "SUPPRESS";
        // Of one that is made up in silence nobody would hear.
        let password = given.or_else(|| (!silent).then(temporary));
        if let Some(password) = password {
            self.set_temporary_password(&pool, &user, &password).await?;
            if !silent && is_sent_by_mail(&input) {
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
        // By the name that the user was made under: not by the `sub`, and by no alias.
        let user = match settings.naming.username_attribute(name)? {
            Some(_) => self.find_user(pool, name).await?,
            None => self.get_user(pool, name).await?,
        };
        if user.status != "FORCE_CHANGE_PASSWORD" {
            let why = format!("Resend not possible. {name} status is not FORCE_CHANGE_PASSWORD");
            return Err(aws_error("UnsupportedUserStateException", &why));
        }
        self.set_temporary_password(pool, &user, password).await?;
        if is_sent_by_mail(input) {
            self.send_invitation(pool, settings, &user, password)
                .await?;
        }
        let whom = json!({"UserPoolId": pool, "Username": user.name});
        let mut answer = self.call_json("AdminGetUser", &whom).await?;
        answer["Attributes"] = answer["UserAttributes"].take();
        if let Some(answer) = answer.as_object_mut() {
            answer.remove("UserAttributes");
        }
        Ok(ok_response(&json!({"User": answer})))
    }

    /// A temporary password whose time begins now.
    async fn set_temporary_password(
        &self,
        pool: &str,
        user: &EmbeddedUser,
        password: &str,
    ) -> Result<(), AwsErrorResponse> {
        self.store_password(pool, user, password, false).await?;
        self.pools.set_password_expired(pool, &user.name, false);
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

/// The default is SMS, which goes nowhere here.
fn is_sent_by_mail(input: &Value) -> bool {
    let media = input["DesiredDeliveryMediums"].as_array();
    media.is_some_and(|media| media.iter().any(|medium| medium == "EMAIL"))
}
