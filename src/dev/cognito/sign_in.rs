//! Sign-in by password, and the new password that an invited user must set.
//!
//! <https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-authentication-flow-methods.html>

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::app_client::{AppClient, check_secret_hash};
use super::mfa::{Factor, SELECT_CHALLENGE};
use super::sessions::Login;
use super::sign_up::uuid;
use super::user::{EmbeddedUser, attribute_list, str_or_empty};
use super::{
    AwsErrorResponse, CognitoResult, EmbeddedCognito, aws_error, is_error, not_authorized,
    ok_response, required_parameter,
};
use crate::dev::constraints::AwsService;

const NEW_PASSWORD_CHALLENGE: &str = "NEW_PASSWORD_REQUIRED";
const USER_ATTRIBUTE_PREFIX: &str = "userAttributes.";

impl EmbeddedCognito {
    /// `InitiateAuth` and `AdminInitiateAuth`.
    pub(super) async fn initiate_auth(&self, operation: &str, input: &Value) -> CognitoResult {
        let client = self.app_client(input)?;
        let given = &input["AuthParameters"];
        let flow = str_or_empty(&input["AuthFlow"]);
        let by_admin = operation.starts_with("Admin");
        if by_admin && input["UserPoolId"] != json!(client.pool) {
            let message = format!("User pool client {} does not exist.", client.id);
            return Err(aws_error("ResourceNotFoundException", &message));
        }
        let accepted_flows: &[&str] = match (flow, by_admin) {
            ("USER_PASSWORD_AUTH", false) => &["ALLOW_USER_PASSWORD_AUTH", "USER_PASSWORD_AUTH"],
            ("ADMIN_USER_PASSWORD_AUTH" | "ADMIN_NO_SRP_AUTH", true) => {
                &["ALLOW_ADMIN_USER_PASSWORD_AUTH", "ADMIN_NO_SRP_AUTH"]
            }
            ("REFRESH_TOKEN_AUTH" | "REFRESH_TOKEN", _) => return self.refresh_login(input).await,
            _ => {
                let message = "Initiate Auth method not supported.";
                return Err(aws_error("InvalidParameterException", message));
            }
        };
        if !client
            .auth_flows
            .iter()
            .any(|flow| accepted_flows.contains(&&**flow))
        {
            let message = format!("{flow} flow not enabled for this client");
            return Err(aws_error("InvalidParameterException", &message));
        }
        let name = username_parameter(given)?;
        let password = required_parameter(given, "PASSWORD")?;
        check_secret_hash(&client, name, &given["SECRET_HASH"])?;
        let user = self.check_user_password(&client, name, password).await?;
        let login = Login {
            pool: client.pool,
            client: client.id,
            user: user.name.clone(),
            auth_time: Timestamp::now().as_second(),
            origin_jti: uuid(),
        };
        match user.status.as_str() {
            "UNCONFIRMED" => Err(aws_error(
                "UserNotConfirmedException",
                "User is not confirmed.",
            )),
            "RESET_REQUIRED" => {
                let message = "Password reset required for the user";
                Err(aws_error("PasswordResetRequiredException", message))
            }
            "FORCE_CHANGE_PASSWORD" if self.pools.is_password_expired(&login.pool, &user.name) => {
                Err(not_authorized(
                    "Temporary password has expired and must be reset by an administrator.",
                ))
            }
            "FORCE_CHANGE_PASSWORD" => Ok(ok_response(&self.new_password_challenge(login, user))),
            _ => {
                if let Some(challenge) = self.ask_for_factor(&login) {
                    return Ok(challenge);
                }
                let source = "TokenGeneration_Authentication";
                self.sign_in_with_tokens(login, &user, source, &input["ClientMetadata"])
                    .await
            }
        }
    }

    /// Returns the user if the password is right.
    async fn check_user_password(
        &self,
        client: &AppClient,
        name: &str,
        password: &str,
    ) -> Result<EmbeddedUser, AwsErrorResponse> {
        let wrong_password = || not_authorized("Incorrect username or password.");
        let user = match self.find_user(&client.pool, name).await {
            Err(refusal) if is_error(&refusal, "UserNotFoundException") => {
                return Err(wrong_password());
            }
            result => result?,
        };
        if !user.enabled {
            return Err(not_authorized("User is disabled."));
        }
        // The service compares the password; its tokens are not used.
        let attempt = json!({
            "UserPoolId": client.pool, "ClientId": client.id,
            "AuthFlow": "ADMIN_USER_PASSWORD_AUTH",
            "AuthParameters": {"USERNAME": user.name, "PASSWORD": password},
        });
        let attempt = self.call_json("AdminInitiateAuth", &attempt).await;
        attempt.map(|_| user).map_err(|_| wrong_password())
    }

    fn new_password_challenge(&self, login: Login, mut user: EmbeddedUser) -> Value {
        let required: Vec<String> = self
            .missing_attributes(&login.pool, &user)
            .into_iter()
            .map(|name| format!("{USER_ATTRIBUTE_PREFIX}{name}"))
            .collect();
        user.attributes.remove("sub");
        json!({
            "ChallengeName": NEW_PASSWORD_CHALLENGE,
            "Session": self.sessions.start_challenge(NEW_PASSWORD_CHALLENGE, login),
            "ChallengeParameters": {
                "USER_ID_FOR_SRP": user.name,
                "requiredAttributes": json!(required).to_string(),
                "userAttributes": json!(user.attributes).to_string(),
            },
        })
    }

    fn missing_attributes(&self, pool: &str, user: &EmbeddedUser) -> Vec<String> {
        let mut required = self
            .pools
            .settings(pool)
            .unwrap_or_default()
            .required_attributes;
        required.retain(|name| user.attribute(name).is_empty());
        required
    }

    /// `RespondToAuthChallenge` and `AdminRespondToAuthChallenge`.
    pub(super) async fn respond_to_challenge(&self, input: &Value) -> CognitoResult {
        let name = str_or_empty(&input["ChallengeName"]);
        if let Some(factor) = Factor::of_challenge(name) {
            return self.check_factor(input, factor).await;
        }
        match name {
            NEW_PASSWORD_CHALLENGE => self.respond_with_password(input).await,
            SELECT_CHALLENGE => self.choose_factor(input).await,
            _ => {
                let message = "Unsupported challenge.";
                Err(aws_error("InvalidParameterException", message))
            }
        }
    }

    /// The sign-in that a response to a challenge continues, and its user.
    pub(super) async fn challenged_user(
        &self,
        input: &Value,
        challenge: &str,
    ) -> Result<(Login, EmbeddedUser), AwsErrorResponse> {
        let client = self.app_client(input)?;
        let given = &input["ChallengeResponses"];
        let name = username_parameter(given)?;
        check_secret_hash(&client, name, &given["SECRET_HASH"])?;
        let session = str_or_empty(&input["Session"]);
        let login = self
            .sessions
            .login_of_challenge(challenge, session)
            .ok_or_else(expired_session)?;
        let user = self
            .find_user(&login.pool, name)
            .await
            .map_err(|_| not_authorized("Invalid session for the user."))?;
        if login.client != client.id || login.user != user.name {
            return Err(not_authorized("Invalid session for the user."));
        }
        if !user.enabled {
            return Err(not_authorized("User is disabled."));
        }
        Ok((login, user))
    }

    /// Only one of two concurrent responses counts. A refused response can be repeated.
    pub(super) fn end_challenge(&self, input: &Value) -> Result<(), AwsErrorResponse> {
        let is_open = self
            .sessions
            .remove_challenge(str_or_empty(&input["Session"]));
        is_open.then_some(()).ok_or_else(expired_session)
    }

    async fn respond_with_password(&self, input: &Value) -> CognitoResult {
        let given = &input["ChallengeResponses"];
        let password = required_parameter(given, "NEW_PASSWORD")?;
        let (login, user) = self.challenged_user(input, NEW_PASSWORD_CHALLENGE).await?;
        let settings = self.pools.settings(&login.pool).unwrap_or_default();
        settings.password_policy.check(password)?;
        let attributes = self.response_attributes(&login.pool, &user, given)?;
        self.end_challenge(input)?;
        let user = self
            .set_new_password(&login, &user, password, &attributes)
            .await?;
        if let Some(challenge) = self.ask_for_factor(&login) {
            return Ok(challenge);
        }
        let source = "TokenGeneration_NewPasswordChallenge";
        self.sign_in_with_tokens(login, &user, source, &input["ClientMetadata"])
            .await
    }

    pub(super) async fn sign_in_with_tokens(
        &self,
        login: Login,
        user: &EmbeddedUser,
        source: &str,
        metadata: &Value,
    ) -> CognitoResult {
        let mut tokens = self.issue_tokens(&login, user, source, metadata).await?;
        tokens["RefreshToken"] = json!(self.sessions.issue_refresh_token(login));
        Ok(ok_response(&authentication_result(&tokens)))
    }

    /// The attributes in a response. They must complete those that the pool requires.
    fn response_attributes<'a>(
        &self,
        pool: &str,
        user: &EmbeddedUser,
        given: &'a Value,
    ) -> Result<BTreeMap<&'a str, &'a str>, AwsErrorResponse> {
        let attributes: BTreeMap<&str, &str> = given
            .as_object()
            .into_iter()
            .flatten()
            .filter_map(|(name, value)| {
                Some((
                    name.strip_prefix(USER_ATTRIBUTE_PREFIX)?,
                    str_or_empty(value),
                ))
            })
            .collect();
        for name in ["email", "phone_number"] {
            if attributes.contains_key(name) && user.attributes.contains_key(name) {
                let message = format!("Cannot modify an already provided {name}");
                return Err(not_authorized(&message));
            }
        }
        for name in self.missing_attributes(pool, user) {
            if attributes.get(&*name).is_none_or(|value| value.is_empty()) {
                let message = format!("Invalid attributes given, {name} is missing");
                return Err(aws_error("InvalidParameterException", &message));
            }
        }
        Ok(attributes)
    }

    /// Stores the new password and the attributes, and confirms the user.
    async fn set_new_password(
        &self,
        login: &Login,
        user: &EmbeddedUser,
        password: &str,
        attributes: &BTreeMap<&str, &str>,
    ) -> Result<EmbeddedUser, AwsErrorResponse> {
        if !attributes.is_empty() {
            let attributes = attributes.iter().map(|(name, value)| (*name, *value));
            let update = json!({
                "UserPoolId": login.pool, "Username": user.name,
                "UserAttributes": attribute_list(attributes),
            });
            self.call_json("AdminUpdateUserAttributes", &update).await?;
        }
        let change = json!({
            "UserPoolId": login.pool, "Username": user.name, "Password": password,
            "Permanent": true,
        });
        self.call_json("AdminSetUserPassword", &change).await?;
        let user = self.get_user(&login.pool, &user.name).await?;
        self.pools.add_aliases(&login.pool, &user);
        Ok(user)
    }

    /// `AdminUserGlobalSignOut`. Nothing at this endpoint takes an access token.
    pub(super) async fn sign_out_everywhere(&self, input: &Value) -> CognitoResult {
        let operation = "AdminUserGlobalSignOut";
        let answer = self.call_for_user(operation, input.clone()).await?;
        let [pool, name] = ["UserPoolId", "Username"].map(|field| str_or_empty(&input[field]));
        if let Ok(user) = self.find_user(pool, name).await {
            self.sessions.end(pool, &user.name);
        }
        Ok(answer)
    }

    /// New tokens for the same sign-in, with the user's current groups.
    async fn refresh_login(&self, input: &Value) -> CognitoResult {
        let token = str_or_empty(&input["AuthParameters"]["REFRESH_TOKEN"]);
        let login = self.sessions.login_of_refresh_token(token);
        let login = login
            .filter(|login| input["ClientId"] == json!(login.client))
            .ok_or_else(|| not_authorized("Invalid Refresh Token"))?;
        let user = self.get_user(&login.pool, &login.user).await;
        let user = user.map_err(|_| not_authorized("Invalid Refresh Token"))?;
        if !user.enabled {
            return Err(not_authorized("User is disabled."));
        }
        let source = "TokenGeneration_RefreshTokens";
        let metadata = &input["ClientMetadata"];
        let tokens = self.issue_tokens(&login, &user, source, metadata).await?;
        Ok(ok_response(&authentication_result(&tokens)))
    }
}

fn expired_session() -> AwsErrorResponse {
    not_authorized("Invalid session for the user, session is expired.")
}

fn authentication_result(tokens: &Value) -> Value {
    json!({"AuthenticationResult": tokens, "ChallengeParameters": {}})
}

/// The parameters of a sign-in are a map, so the check of the request does not cover the name.
fn username_parameter(given: &Value) -> Result<&str, AwsErrorResponse> {
    let name = required_parameter(given, "USERNAME")?;
    AwsService::Cognito.check_value("@SignIn", &json!({"username": name}))?;
    Ok(name)
}
