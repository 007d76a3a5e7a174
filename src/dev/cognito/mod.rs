//! The embedded user pools, with what the underlying service leaves out:
//! a missing group is an error, a user is confirmed once, invitations are
//! sent, passwords are looked at, tokens can be verified, and the pool's
//! triggers are called.

mod create_user;
mod event;
mod invitation;
mod naming;
mod passwords;
mod pools;
mod pre_token;
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
use crate::dev::endpoint::{TARGET_HEADER, error_response};
use crate::dev::hooks::Hooks;
use crate::dev::issuer::Issuer;
use crate::event::IssuerType;

pub(super) const COGNITO_TARGET_PREFIX: &str = "AWSCognitoIdentityProviderService.";

pub(super) struct EmbeddedCognito {
    service: Service,
    pools: PoolStore,
    sessions: Sessions,
    /// Held from the look for a name that is taken until it is.
    username_lock: Mutex<()>,
    /// The endpoint's URL, which issuers are named under.
    base_url: String,
    pub(super) hooks: Hooks,
    pub(super) issuer: Issuer,
}

/// An answer, or the refusal that is the answer.
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
            "AdminCreateUser" => self.create_user(input).await,
            "AdminSetUserPassword" => self.set_password(input).await,
            "AdminUpdateUserAttributes" => self.update_attributes(input).await,
            "AdminAddUserToGroup" | "AdminRemoveUserFromGroup" => {
                self.change_membership(operation, input).await
            }
            "InitiateAuth" | "AdminInitiateAuth" => self.initiate_auth(operation, &input).await,
            "RespondToAuthChallenge" | "AdminRespondToAuthChallenge" => {
                self.respond_to_challenge(&input).await
            }
            _ if operation.starts_with("Admin") => self.call_for_user(operation, input).await,
            _ => Ok(self.call(operation, body.clone()).await),
        };
        answer.unwrap_or_else(|refusal| *refusal)
    }

    /// Whether there is such a pool.
    pub(super) fn has_pool(&self, pool: &str) -> bool {
        self.pools.settings(pool).is_some()
    }

    /// What new tokens of this pool name as their issuer.
    pub(super) fn issuer_of(&self, pool: &str) -> String {
        let given = self.pools.raw_settings(pool).unwrap_or_default();
        let [original, updated] = issuer_templates(&self.base_url);
        let issuer = match given.issuer() {
            IssuerType::Original => original,
            IssuerType::Updated => updated,
        };
        issuer.replace("{pool}", pool)
    }

    /// As if the days that a temporary password is good for were over.
    pub(super) async fn expire_temporary_password(&self, pool: &str, name: &str) {
        if let Ok(user) = self.find_user(pool, name).await {
            self.pools.set_password_expired(pool, &user.name, true);
        }
    }

    /// As if the minutes that a challenge may be answered in were over.
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

    /// A call about a user, who may be given by `sub` or alias as well.
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
        let whom = json!({"UserPoolId": pool, "Username": name});
        let answer = self.call_json("AdminGetUser", &whom).await?;
        Ok(EmbeddedUser::from_response(&answer))
    }

    /// One call to the service, read.
    async fn call_json(&self, operation: &str, input: &Value) -> Result<Value, AwsErrorResponse> {
        let response = self.call(operation, Bytes::from(input.to_string())).await;
        if response.status == 200 {
            Ok(serde_json::from_slice(&response.body).unwrap_or_default())
        } else {
            Err(response.into())
        }
    }

    /// One call to the service. It keeps one state for each Region in the host
    /// name; here there is one Region, whatever the client signs for.
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

/// Both issuers, with `{pool}`: AWS has a host of its own for each, here it is a path.
pub(super) fn issuer_templates(base: &str) -> [String; 2] {
    [
        format!("{base}/{{pool}}"),
        format!("{base}/issuer-cognito-idp/{{pool}}"),
    ]
}

fn aws_error(code: &str, message: &str) -> AwsErrorResponse {
    error_response(code, message).into()
}

fn ok_response(answer: &Value) -> MockResponse {
    MockResponse::json(200, answer.to_string())
}

/// Whether it is a refusal of this kind.
fn is_error(response: &MockResponse, code: &str) -> bool {
    let refusal: Value = serde_json::from_slice(&response.body).unwrap_or_default();
    response.status != 200 && str_or_empty(&refusal["__type"]) == code
}

fn lowercase_body(response: &MockResponse) -> String {
    String::from_utf8_lossy(&response.body).to_lowercase()
}
