//! The embedded user pools, with features that the underlying service lacks:
//! a missing group is an error, a user is confirmed only once, invitations are
//! sent, passwords are checked, tokens can be verified, and the pool's triggers
//! are called.

mod app_client;
mod create_user;
mod event;
mod invitation;
mod list_users;
mod mfa;
mod naming;
mod passwords;
mod pools;
mod pre_token;
mod schema;
mod sessions;
mod settings;
mod sign_in;
mod sign_up;
#[cfg(test)]
mod tests;
mod tokens;
mod user;

use axum::body::Bytes;
use axum::http::HeaderMap;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use winterbaume_cognitoidentityprovider::CognitoIdentityProviderService as Service;
use winterbaume_core::{MockRequest, MockResponse, MockService};

use self::pools::PoolStore;
use self::sessions::Sessions;
use self::user::{EmbeddedUser, str_or_empty};
use crate::dev::constraints::AwsErrorResponse;
use crate::dev::hooks::Hooks;
use crate::dev::issuer::Issuer;
use crate::dev::wire::{TARGET_HEADER, error_response};
use crate::event::IssuerType;

pub use self::mfa::MFA_CODE;

pub(super) const COGNITO_TARGET_PREFIX: &str = "AWSCognitoIdentityProviderService.";

pub(super) struct EmbeddedCognito {
    service: Service,
    pools: PoolStore,
    sessions: Sessions,
    /// Held from the check that a name is free until the name is taken.
    username_lock: Mutex<()>,
    /// The endpoint's URL, with which issuers begin.
    base_url: String,
    pub(super) hooks: Hooks,
    pub(super) issuer: Issuer,
}

/// A response; an error is a response as well.
type CognitoResult = Result<MockResponse, AwsErrorResponse>;

impl EmbeddedCognito {
    pub(super) fn new(base: &str) -> Self {
        Self {
            service: Service::default(),
            pools: PoolStore::default(),
            sessions: Sessions::default(),
            username_lock: Mutex::default(),
            base_url: base.to_owned(),
            hooks: Hooks::default(),
            issuer: Issuer::default(),
        }
    }

    pub(super) async fn handle(&self, operation: &str, body: &Bytes) -> MockResponse {
        let input: Value = serde_json::from_slice(body).unwrap_or_default();
        let answer = match operation {
            "CreateUserPool" => self.create_pool(&input).await,
            "DescribeUserPool" => self.describe_pool(&input).await,
            "UpdateUserPool" => self.update_pool(&input).await,
            "GetUserPoolMfaConfig" | "SetUserPoolMfaConfig" => self.mfa_config(operation, &input),
            "CreateUserPoolClient" => self.create_client(&input).await,
            "SignUp" => self.sign_up(input).await,
            "ConfirmSignUp" | "AdminConfirmSignUp" => self.confirm_sign_up(operation, &input).await,
            "ConfirmForgotPassword" => self.confirm_forgot_password(input).await,
            "ListUsers" => self.list_users(&input).await,
            "AdminCreateUser" => self.create_user(input).await,
            "AdminSetUserPassword" => self.set_password(input).await,
            "AdminSetUserMFAPreference" => self.set_mfa_preference(&input).await,
            "AdminUpdateUserAttributes" => self.update_attributes(input).await,
            "AdminAddUserToGroup" | "AdminRemoveUserFromGroup" => {
                self.change_membership(operation, input).await
            }
            "InitiateAuth" | "AdminInitiateAuth" => self.initiate_auth(operation, &input).await,
            "RespondToAuthChallenge" | "AdminRespondToAuthChallenge" => {
                self.respond_to_challenge(&input).await
            }
            "AdminUserGlobalSignOut" => self.sign_out_everywhere(&input).await,
            "RevokeToken" => self.revoke_token(&input),
            _ if operation.starts_with("Admin") => self.call_for_user(operation, input).await,
            _ => Ok(self.call(operation, body.clone()).await),
        };
        answer.unwrap_or_else(|refusal| *refusal)
    }

    pub(super) fn has_pool(&self, pool: &str) -> bool {
        self.pools.settings(pool).is_some()
    }

    /// The `iss` claim of new tokens of this pool.
    pub(super) fn issuer_of(&self, pool: &str) -> String {
        let given = self.pools.raw_settings(pool).unwrap_or_default();
        let [original, updated] = issuer_templates(&self.base_url);
        let issuer = match given.issuer() {
            IssuerType::Original => original,
            IssuerType::Updated => updated,
        };
        issuer.replace("{pool}", pool)
    }

    /// Marks the user's temporary password as expired.
    pub(super) async fn expire_temporary_password(&self, pool: &str, name: &str) {
        if let Ok(user) = self.find_user(pool, name).await {
            self.pools.set_password_expired(pool, &user.name, true);
        }
    }

    /// Ends all open challenges, as after their lifetime.
    #[cfg(test)]
    pub(super) fn expire_sessions(&self) {
        self.sessions.clear_challenges();
    }

    async fn create_client(&self, input: &Value) -> CognitoResult {
        let answer = self.call_json("CreateUserPoolClient", input).await?;
        self.pools.add_client(&answer["UserPoolClient"]);
        Ok(ok_response(&answer))
    }

    async fn change_membership(&self, operation: &str, input: Value) -> CognitoResult {
        let group = json!({"UserPoolId": input["UserPoolId"], "GroupName": input["GroupName"]});
        if let Err(refusal) = self.call_json("GetGroup", &group).await {
            return Err(if lowercase_body(&refusal).contains("pool") {
                refusal
            } else {
                aws_error("ResourceNotFoundException", "Group not found.")
            });
        }
        self.call_for_user(operation, input).await
    }

    async fn update_attributes(&self, input: Value) -> CognitoResult {
        let pool = str_or_empty(&input["UserPoolId"]).to_owned();
        let name = str_or_empty(&input["Username"]).to_owned();
        let answer = self
            .call_for_user("AdminUpdateUserAttributes", input)
            .await?;
        if let Ok(user) = self.find_user(&pool, &name).await {
            self.pools.add_aliases(&pool, &user);
        }
        Ok(answer)
    }

    /// Makes a call about a user, who may be named by `sub` or alias.
    async fn call_for_user(&self, operation: &str, mut input: Value) -> CognitoResult {
        let answer = self.call(operation, Bytes::from(input.to_string())).await;
        if !is_error(&answer, "UserNotFoundException") {
            return Ok(answer);
        }
        let pool = str_or_empty(&input["UserPoolId"]);
        match self
            .find_user_by_alias(pool, str_or_empty(&input["Username"]))
            .await
        {
            Some(user) => {
                input["Username"] = json!(user.name);
                Ok(self.call(operation, Bytes::from(input.to_string())).await)
            }
            None => Err(answer.into()),
        }
    }

    /// The user of this name, `sub` or alias.
    async fn find_user(&self, pool: &str, name: &str) -> Result<EmbeddedUser, AwsErrorResponse> {
        match self.get_user(pool, name).await {
            Err(refusal) if is_error(&refusal, "UserNotFoundException") => {
                self.find_user_by_alias(pool, name).await.ok_or(refusal)
            }
            result => result,
        }
    }

    async fn find_user_by_alias(&self, pool: &str, name: &str) -> Option<EmbeddedUser> {
        let hint = self.pools.username_hint(pool, name)?;
        let user = self.get_user(pool, &hint).await.ok()?;
        self.pools.has_alias(pool, &user, name).then_some(user)
    }

    async fn get_user(&self, pool: &str, name: &str) -> Result<EmbeddedUser, AwsErrorResponse> {
        let user_key = json!({"UserPoolId": pool, "Username": name});
        let answer = self.call_json("AdminGetUser", &user_key).await?;
        Ok(EmbeddedUser::from_response(&answer))
    }

    /// Calls the service and parses its response.
    async fn call_json(&self, operation: &str, input: &Value) -> Result<Value, AwsErrorResponse> {
        let response = self.call(operation, Bytes::from(input.to_string())).await;
        if response.status == 200 {
            Ok(serde_json::from_slice(&response.body).unwrap_or_default())
        } else {
            Err(response.into())
        }
    }

    /// Calls the service. It has one state for each Region in the host name. This
    /// endpoint uses one Region, whichever the client signs for.
    async fn call(&self, operation: &str, body: Bytes) -> MockResponse {
        let mut headers = HeaderMap::new();
        if let Ok(target) = format!("{COGNITO_TARGET_PREFIX}{operation}").parse() {
            headers.insert(TARGET_HEADER, target);
        }
        let request = MockRequest {
            method: "POST".to_owned(),
            uri: "https://cognito-idp.us-east-1.amazonaws.com/".to_owned(),
            headers,
            body,
        };
        self.service.handle(request).await
    }
}

/// Both issuers, with `{pool}` for its id. AWS has a host for each; here each is a path.
pub(super) fn issuer_templates(base: &str) -> [String; 2] {
    [
        format!("{base}/{{pool}}"),
        format!("{base}/issuer-cognito-idp/{{pool}}"),
    ]
}

fn aws_error(code: &str, message: &str) -> AwsErrorResponse {
    error_response(code, message).into()
}

fn required_parameter<'a>(given: &'a Value, name: &str) -> Result<&'a str, AwsErrorResponse> {
    let value = str_or_empty(&given[name]);
    if value.is_empty() {
        let message = format!("Missing required parameter {name}");
        return Err(aws_error("InvalidParameterException", &message));
    }
    Ok(value)
}

fn not_authorized(message: &str) -> AwsErrorResponse {
    aws_error("NotAuthorizedException", message)
}

fn ok_response(answer: &Value) -> MockResponse {
    MockResponse::json(200, answer.to_string())
}

fn is_error(response: &MockResponse, code: &str) -> bool {
    let refusal: Value = serde_json::from_slice(&response.body).unwrap_or_default();
    response.status != 200 && str_or_empty(&refusal["__type"]) == code
}

fn lowercase_body(response: &MockResponse) -> String {
    String::from_utf8_lossy(&response.body).to_lowercase()
}
