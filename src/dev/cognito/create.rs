//! Users whom an administrator makes, and the passwords they are given.
//!
//! <https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_AdminCreateUser.html>

use serde_json::{Value, json};

use super::pools::Settings;
use super::user::{User, text};
use super::{Answer, CognitoFront, Refusal, ok, refuse};

impl CognitoFront {
    /// `AdminCreateUser`: a new user and, unless it is suppressed, the mail with
    /// the temporary password; or the mail once more. Somebody who is given no password,
    /// where none is needed, is confirmed; what Cognito writes to them is not known, and
    /// nothing is sent here.
    pub(super) async fn create_user(&self, mut input: Value) -> Answer {
        let pool = text(&input["UserPoolId"]).to_owned();
        let Some(settings) = self.pools.settings(&pool) else {
            return self.ask("AdminCreateUser", &input).await.map(|a| ok(&a));
        };
        let given = text(&input["TemporaryPassword"]).to_owned();
        let given = Some(given).filter(|password| !password.is_empty());
        if let Some(password) = &given {
            settings.policy.check(password)?;
        }
        let temporary = || settings.policy.temporary();
        if input["MessageAction"] == "RESEND" {
            let password = given.unwrap_or_else(temporary);
            return self.resend(&pool, &settings, &input, &password).await;
        }
        let naming = self.naming.lock().await;
        self.name(&pool, &settings, &mut input).await?;
        let mut answer = self.ask("AdminCreateUser", &input).await?;
        let user = User::of(&answer["User"]);
        self.pools.remember(&pool, &user);
        drop(naming);
        if given.is_none() && settings.passwordless {
            // Nobody knows this password.
            self.set(&pool, &user, &temporary(), true).await?;
            answer["User"]["UserStatus"] = json!("CONFIRMED");
            return Ok(ok(&answer));
        }
        let silent = input["MessageAction"] == "SUPPRESS";
        // Of one that is made up in silence nobody would hear.
        let password = given.or_else(|| (!silent).then(temporary));
        if let Some(password) = password {
            self.give(&pool, &user, &password).await?;
            if !silent && by_mail(&input) {
                self.invite(&pool, &settings, &user, &password).await?;
            }
        }
        Ok(ok(&answer))
    }

    async fn resend(
        &self,
        pool: &str,
        settings: &Settings,
        input: &Value,
        password: &str,
    ) -> Answer {
        let name = text(&input["Username"]);
        // By the name that the user was made under: not by the `sub`, and by no alias.
        let user = match settings.naming.attribute_of(name)? {
            Some(_) => self.user(pool, name).await?,
            None => self.user_named(pool, name).await?,
        };
        if user.status != "FORCE_CHANGE_PASSWORD" {
            let why = format!("Resend not possible. {name} status is not FORCE_CHANGE_PASSWORD");
            return Err(refuse("UnsupportedUserStateException", &why));
        }
        self.give(pool, &user, password).await?;
        if by_mail(input) {
            self.invite(pool, settings, &user, password).await?;
        }
        let whom = json!({"UserPoolId": pool, "Username": user.name});
        let mut answer = self.ask("AdminGetUser", &whom).await?;
        answer["Attributes"] = answer["UserAttributes"].take();
        if let Some(answer) = answer.as_object_mut() {
            answer.remove("UserAttributes");
        }
        Ok(ok(&json!({"User": answer})))
    }

    /// A temporary password whose time begins now.
    async fn give(&self, pool: &str, user: &User, password: &str) -> Result<(), Refusal> {
        self.set(pool, user, password, false).await?;
        self.pools.set_expired(pool, &user.name, false);
        Ok(())
    }

    async fn set(
        &self,
        pool: &str,
        user: &User,
        password: &str,
        permanent: bool,
    ) -> Result<(), Refusal> {
        let change = json!({
            "UserPoolId": pool, "Username": user.name, "Password": password,
            "Permanent": permanent,
        });
        self.ask("AdminSetUserPassword", &change).await.map(|_| ())
    }

    pub(super) async fn set_password(&self, input: Value) -> Answer {
        let pool = text(&input["UserPoolId"]).to_owned();
        let name = text(&input["Username"]).to_owned();
        if let (Some(settings), Some(password)) =
            (self.pools.settings(&pool), input["Password"].as_str())
        {
            settings.policy.check(password)?;
        }
        let answer = self.named("AdminSetUserPassword", input).await?;
        if let Ok(user) = self.user(&pool, &name).await {
            self.pools.set_expired(&pool, &user.name, false);
        }
        Ok(answer)
    }
}

/// The default is SMS, which goes nowhere here.
fn by_mail(input: &Value) -> bool {
    let media = input["DesiredDeliveryMediums"].as_array();
    media.is_some_and(|media| media.iter().any(|medium| medium == "EMAIL"))
}
