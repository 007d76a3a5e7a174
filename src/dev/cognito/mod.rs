//! The embedded user pools, with what the underlying service leaves out:
//! a missing group is an error, a user is confirmed once, invitations are
//! sent, passwords are looked at, tokens can be verified, and the pool's
//! triggers are called.

mod confirm;
mod create;
mod event;
mod invitation;
mod naming;
mod passwords;
mod pools;
mod pre_token;
mod sessions;
mod settings;
mod sign_in;
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

use self::pools::Pools;
use self::sessions::Sessions;
use self::user::{User, text};
use crate::dev::constraints::Refusal;
use crate::dev::endpoint::{TARGET, error};
use crate::dev::hooks::Hooks;
use crate::dev::issuer::Issuer;
use crate::event::IssuerType;

pub(super) const PREFIX: &str = "AWSCognitoIdentityProviderService.";

pub(super) struct CognitoFront {
    service: Service,
    pools: Pools,
    sessions: Sessions,
    /// Held from the look for a name that is taken until it is.
    naming: Mutex<()>,
    /// The endpoint's URL, which issuers are named under.
    base: String,
    pub(super) hooks: Hooks,
    pub(super) issuer: Issuer,
}

/// An answer, or the refusal that is the answer.
type Answer = Result<MockResponse, Refusal>;

impl CognitoFront {
    pub(super) fn new(base: &str) -> Self {
        Self {
            service: Service::default(),
            pools: Pools::default(),
            sessions: Sessions::default(),
            naming: Mutex::default(),
            base: base.to_owned(),
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
            "GetUserPoolMfaConfig" | "SetUserPoolMfaConfig" => self.mfa(operation, &input),
            "CreateUserPoolClient" => self.create_client(&input).await,
            "SignUp" => self.sign_up(input).await,
            "ConfirmSignUp" | "AdminConfirmSignUp" => self.confirm(operation, &input).await,
            "ConfirmForgotPassword" => self.choose_password(input).await,
            "AdminCreateUser" => self.create_user(input).await,
            "AdminSetUserPassword" => self.set_password(input).await,
            "AdminUpdateUserAttributes" => self.update_attributes(input).await,
            "AdminAddUserToGroup" | "AdminRemoveUserFromGroup" => {
                self.change_group(operation, input).await
            }
            "InitiateAuth" | "AdminInitiateAuth" => self.initiate(operation, &input).await,
            "RespondToAuthChallenge" | "AdminRespondToAuthChallenge" => self.respond(&input).await,
            _ if operation.starts_with("Admin") => self.named(operation, input).await,
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
        let given = self.pools.given(pool).unwrap_or_default();
        let [original, updated] = issuers(&self.base);
        let issuer = match given.issuer() {
            IssuerType::Original => original,
            IssuerType::Updated => updated,
        };
        issuer.replace("{pool}", pool)
    }

    /// As if the days that a temporary password is good for were over.
    pub(super) async fn expire(&self, pool: &str, name: &str) {
        if let Ok(user) = self.user(pool, name).await {
            self.pools.set_expired(pool, &user.name, true);
        }
    }

    /// As if the minutes that a challenge may be answered in were over.
    pub(super) fn expire_sessions(&self) {
        self.sessions.clear();
    }

    async fn create_client(&self, input: &Value) -> Answer {
        let answer = self.ask("CreateUserPoolClient", input).await?;
        self.pools.client_created(&answer["UserPoolClient"]);
        Ok(ok(&answer))
    }

    async fn change_group(&self, operation: &str, input: Value) -> Answer {
        let group = json!({"UserPoolId": input["UserPoolId"], "GroupName": input["GroupName"]});
        if let Err(refusal) = self.ask("GetGroup", &group).await {
            return Err(if text_of(&refusal).contains("pool") {
                refusal
            } else {
                refuse("ResourceNotFoundException", "Group not found.")
            });
        }
        self.named(operation, input).await
    }

    async fn update_attributes(&self, input: Value) -> Answer {
        let pool = text(&input["UserPoolId"]).to_owned();
        let name = text(&input["Username"]).to_owned();
        let answer = self.named("AdminUpdateUserAttributes", input).await?;
        if let Ok(user) = self.user(&pool, &name).await {
            self.pools.remember(&pool, &user);
        }
        Ok(answer)
    }

    /// A call about a user, who may be given by `sub` or alias as well.
    async fn named(&self, operation: &str, mut input: Value) -> Answer {
        let answer = self.call(operation, Bytes::from(input.to_string())).await;
        if !is(&answer, "UserNotFoundException") {
            return Ok(answer);
        }
        let pool = text(&input["UserPoolId"]);
        match self.by_other_name(pool, text(&input["Username"])).await {
            Some(user) => {
                input["Username"] = json!(user.name);
                Ok(self.call(operation, Bytes::from(input.to_string())).await)
            }
            None => Err(answer.into()),
        }
    }

    /// The user of this name, `sub` or alias.
    async fn user(&self, pool: &str, name: &str) -> Result<User, Refusal> {
        match self.user_named(pool, name).await {
            Err(refusal) if is(&refusal, "UserNotFoundException") => {
                self.by_other_name(pool, name).await.ok_or(refusal)
            }
            result => result,
        }
    }

    async fn by_other_name(&self, pool: &str, name: &str) -> Option<User> {
        let hint = self.pools.hint(pool, name)?;
        let user = self.user_named(pool, &hint).await.ok()?;
        self.pools.answers_to(pool, &user, name).then_some(user)
    }

    async fn user_named(&self, pool: &str, name: &str) -> Result<User, Refusal> {
        let whom = json!({"UserPoolId": pool, "Username": name});
        let answer = self.ask("AdminGetUser", &whom).await?;
        Ok(User::of(&answer))
    }

    /// One call to the service, read.
    async fn ask(&self, operation: &str, input: &Value) -> Result<Value, Refusal> {
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
        if let Ok(target) = format!("{PREFIX}{operation}").parse() {
            headers.insert(TARGET, target);
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
pub(super) fn issuers(base: &str) -> [String; 2] {
    [
        format!("{base}/{{pool}}"),
        format!("{base}/issuer-cognito-idp/{{pool}}"),
    ]
}

fn refuse(code: &str, message: &str) -> Refusal {
    error(code, message).into()
}

fn ok(answer: &Value) -> MockResponse {
    MockResponse::json(200, answer.to_string())
}

/// Whether it is a refusal of this kind.
fn is(response: &MockResponse, code: &str) -> bool {
    let refusal: Value = serde_json::from_slice(&response.body).unwrap_or_default();
    response.status != 200 && text(&refusal["__type"]) == code
}

fn text_of(response: &MockResponse) -> String {
    String::from_utf8_lossy(&response.body).to_lowercase()
}
