//! Signing in by password, and the new password that an invited user owes.
//!
//! <https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-authentication-flow-methods.html>

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::confirm::uuid;
use super::passwords::check_secret;
use super::pools::AppClient;
use super::sessions::Login;
use super::user::{User, listed, text};
use super::{Answer, CognitoFront, Refusal, is, ok, refuse};
use crate::dev::constraints::Rules;

const CHALLENGE: &str = "NEW_PASSWORD_REQUIRED";
const ATTRIBUTE: &str = "userAttributes.";

impl CognitoFront {
    /// `InitiateAuth` and `AdminInitiateAuth`.
    pub(super) async fn initiate(&self, operation: &str, input: &Value) -> Answer {
        let client = self.client_of(input)?;
        let given = &input["AuthParameters"];
        let flow = text(&input["AuthFlow"]);
        let by_admin = operation.starts_with("Admin");
        if by_admin && input["UserPoolId"] != json!(client.pool) {
            let why = format!("User pool client {} does not exist.", client.id);
            return Err(refuse("ResourceNotFoundException", &why));
        }
        let needs: &[&str] = match (flow, by_admin) {
            ("USER_PASSWORD_AUTH", false) => &["ALLOW_USER_PASSWORD_AUTH", "USER_PASSWORD_AUTH"],
            ("ADMIN_USER_PASSWORD_AUTH" | "ADMIN_NO_SRP_AUTH", true) => {
                &["ALLOW_ADMIN_USER_PASSWORD_AUTH", "ADMIN_NO_SRP_AUTH"]
            }
            ("REFRESH_TOKEN_AUTH" | "REFRESH_TOKEN", _) => return self.refresh(input).await,
            _ => {
                let why = "Initiate Auth method not supported.";
                return Err(refuse("InvalidParameterException", why));
            }
        };
        if !client.flows.iter().any(|flow| needs.contains(&&**flow)) {
            let why = format!("{flow} flow not enabled for this client");
            return Err(refuse("InvalidParameterException", &why));
        }
        let name = name_in(given)?;
        let password = needed(given, "PASSWORD")?;
        check_secret(&client, name, &given["SECRET_HASH"])?;
        let user = self.with_password(&client, name, password).await?;
        let login = Login {
            pool: client.pool,
            client: client.id,
            user: user.name.clone(),
            at: Timestamp::now().as_second(),
            origin: uuid(),
        };
        match user.status.as_str() {
            "UNCONFIRMED" => Err(refuse(
                "UserNotConfirmedException",
                "User is not confirmed.",
            )),
            "RESET_REQUIRED" => {
                let why = "Password reset required for the user";
                Err(refuse("PasswordResetRequiredException", why))
            }
            "FORCE_CHANGE_PASSWORD" if self.pools.is_expired(&login.pool, &user.name) => {
                Err(unauthorized(
                    "Temporary password has expired and must be reset by an administrator.",
                ))
            }
            "FORCE_CHANGE_PASSWORD" => Ok(ok(&self.challenge(login, user))),
            _ => {
                let source = "TokenGeneration_Authentication";
                let metadata = &input["ClientMetadata"];
                let mut tokens = self.tokens(&login, &user, source, metadata).await?;
                tokens["RefreshToken"] = json!(self.sessions.keep(login));
                Ok(ok(&signed_in(&tokens)))
            }
        }
    }

    /// The user whose password this is.
    async fn with_password(
        &self,
        client: &AppClient,
        name: &str,
        password: &str,
    ) -> Result<User, Refusal> {
        let wrong = || unauthorized("Incorrect username or password.");
        let user = match self.user(&client.pool, name).await {
            Err(refusal) if is(&refusal, "UserNotFoundException") => return Err(wrong()),
            result => result?,
        };
        if !user.enabled {
            return Err(unauthorized("User is disabled."));
        }
        // The service compares; its tokens are dummies.
        let attempt = json!({
            "UserPoolId": client.pool, "ClientId": client.id,
            "AuthFlow": "ADMIN_USER_PASSWORD_AUTH",
            "AuthParameters": {"USERNAME": user.name, "PASSWORD": password},
        });
        let attempt = self.ask("AdminInitiateAuth", &attempt).await;
        attempt.map(|_| user).map_err(|_| wrong())
    }

    fn challenge(&self, login: Login, mut user: User) -> Value {
        let required: Vec<String> = self
            .missing(&login.pool, &user)
            .into_iter()
            .map(|name| format!("{ATTRIBUTE}{name}"))
            .collect();
        user.attributes.remove("sub");
        json!({
            "ChallengeName": CHALLENGE,
            "Session": self.sessions.challenge(login),
            "ChallengeParameters": {
                "USER_ID_FOR_SRP": user.name,
                "requiredAttributes": json!(required).to_string(),
                "userAttributes": json!(user.attributes).to_string(),
            },
        })
    }

    fn missing(&self, pool: &str, user: &User) -> Vec<String> {
        let mut required = self.pools.settings(pool).unwrap_or_default().required;
        required.retain(|name| user.attribute(name).is_empty());
        required
    }

    /// `RespondToAuthChallenge` and `AdminRespondToAuthChallenge`.
    pub(super) async fn respond(&self, input: &Value) -> Answer {
        let client = self.client_of(input)?;
        if input["ChallengeName"] != CHALLENGE {
            let why = "Unsupported challenge.";
            return Err(refuse("InvalidParameterException", why));
        }
        let given = &input["ChallengeResponses"];
        let name = name_in(given)?;
        let password = needed(given, "NEW_PASSWORD")?;
        check_secret(&client, name, &given["SECRET_HASH"])?;
        let session = text(&input["Session"]);
        let invalid = || unauthorized("Invalid session for the user, session is expired.");
        let login = self.sessions.challenged(session).ok_or_else(invalid)?;
        let user = self
            .user(&login.pool, name)
            .await
            .map_err(|_| unauthorized("Invalid session for the user."))?;
        if login.client != client.id || login.user != user.name {
            return Err(unauthorized("Invalid session for the user."));
        }
        let settings = self.pools.settings(&login.pool).unwrap_or_default();
        settings.policy.check(password)?;
        let attributes = self.attributes_given(&login.pool, &user, given)?;
        // Of two answers at once one counts; what was refused so far may be tried again.
        if !self.sessions.answered(session) {
            return Err(invalid());
        }
        let user = self.settle(&login, &user, password, &attributes).await?;
        let source = "TokenGeneration_NewPasswordChallenge";
        let metadata = &input["ClientMetadata"];
        let mut tokens = self.tokens(&login, &user, source, metadata).await?;
        tokens["RefreshToken"] = json!(self.sessions.keep(login));
        Ok(ok(&signed_in(&tokens)))
    }

    /// The attributes in an answer, which complete what the pool requires.
    fn attributes_given<'a>(
        &self,
        pool: &str,
        user: &User,
        given: &'a Value,
    ) -> Result<BTreeMap<&'a str, &'a str>, Refusal> {
        let attributes: BTreeMap<&str, &str> = given
            .as_object()
            .into_iter()
            .flatten()
            .filter_map(|(name, value)| Some((name.strip_prefix(ATTRIBUTE)?, text(value))))
            .collect();
        for name in ["email", "phone_number"] {
            if attributes.contains_key(name) && user.attributes.contains_key(name) {
                let why = format!("Cannot modify an already provided {name}");
                return Err(unauthorized(&why));
            }
        }
        for name in self.missing(pool, user) {
            if attributes.get(&*name).is_none_or(|value| value.is_empty()) {
                let why = format!("Invalid attributes given, {name} is missing");
                return Err(refuse("InvalidParameterException", &why));
            }
        }
        Ok(attributes)
    }

    /// The new password and the attributes are the user's, who is confirmed now.
    async fn settle(
        &self,
        login: &Login,
        user: &User,
        password: &str,
        attributes: &BTreeMap<&str, &str>,
    ) -> Result<User, Refusal> {
        if !attributes.is_empty() {
            let attributes = attributes.iter().map(|(name, value)| (*name, *value));
            let update = json!({
                "UserPoolId": login.pool, "Username": user.name,
                "UserAttributes": listed(attributes),
            });
            self.ask("AdminUpdateUserAttributes", &update).await?;
        }
        let change = json!({
            "UserPoolId": login.pool, "Username": user.name, "Password": password,
            "Permanent": true,
        });
        self.ask("AdminSetUserPassword", &change).await?;
        let user = self.user_named(&login.pool, &user.name).await?;
        self.pools.remember(&login.pool, &user);
        Ok(user)
    }

    /// New tokens for the same sign-in, with the groups of today.
    async fn refresh(&self, input: &Value) -> Answer {
        let token = text(&input["AuthParameters"]["REFRESH_TOKEN"]);
        let login = self.sessions.kept(token);
        let login = login
            .filter(|login| input["ClientId"] == json!(login.client))
            .ok_or_else(|| unauthorized("Invalid Refresh Token"))?;
        let user = self.user_named(&login.pool, &login.user).await;
        let user = user.map_err(|_| unauthorized("Invalid Refresh Token"))?;
        if !user.enabled {
            return Err(unauthorized("User is disabled."));
        }
        let source = "TokenGeneration_RefreshTokens";
        let metadata = &input["ClientMetadata"];
        let tokens = self.tokens(&login, &user, source, metadata).await?;
        Ok(ok(&signed_in(&tokens)))
    }
}

fn signed_in(tokens: &Value) -> Value {
    json!({"AuthenticationResult": tokens, "ChallengeParameters": {}})
}

/// The parameters of a sign-in are a map of texts, and the name among them is a name.
fn name_in(given: &Value) -> Result<&str, Refusal> {
    let name = needed(given, "USERNAME")?;
    Rules::Cognito.check_value("@SignIn", &json!({"username": name}))?;
    Ok(name)
}

fn needed<'a>(given: &'a Value, name: &str) -> Result<&'a str, Refusal> {
    let value = text(&given[name]);
    if value.is_empty() {
        let why = format!("Missing required parameter {name}");
        return Err(refuse("InvalidParameterException", &why));
    }
    Ok(value)
}

fn unauthorized(why: &str) -> Refusal {
    refuse("NotAuthorizedException", why)
}
