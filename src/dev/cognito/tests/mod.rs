//! Sign-ins and invitations of a pool, tested without HTTP.

mod invitations;
mod list_users;
mod names;
mod sign_in;

use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::EmbeddedCognito;
use crate::dev::constraints::AwsService;
use crate::dev::hooks::SentMail;

const VALID_PASSWORD: &str = "Long-enough-1";

/// Operations whose requests name an app client.
const CLIENT_OPERATIONS: [&str; 7] = [
    "ForgotPassword",
    "ConfirmForgotPassword",
    "AdminInitiateAuth",
    "ConfirmSignUp",
    "InitiateAuth",
    "RespondToAuthChallenge",
    "SignUp",
];

/// A pool, and the events and mails that its hooks received.
struct TestPool {
    cognito: EmbeddedCognito,
    id: String,
    client: Value,
    events: Arc<Mutex<Vec<Value>>>,
    mails: Arc<Mutex<Vec<SentMail>>>,
}

impl TestPool {
    async fn new() -> Self {
        Self::with_settings(json!({}), json!({}), |_| None).await
    }

    /// The trigger responds with the result of `respond` for the event.
    async fn with_settings(
        mut pool: Value,
        mut client: Value,
        respond: fn(&Value) -> Option<Value>,
    ) -> Self {
        let cognito = EmbeddedCognito::new("http://127.0.0.1:1");
        let events = Arc::new(Mutex::new(Vec::new()));
        let mails = Arc::new(Mutex::new(Vec::new()));
        let (seen, sent) = (Arc::clone(&events), Arc::clone(&mails));
        let trigger = cognito.hooks.trigger.set(Box::new(move |event| {
            let mut event: Value = serde_json::from_str(event.get()).expect("JSON");
            seen.lock().expect("no panic").push(event.clone());
            Box::pin(async move {
                event["response"] = respond(&event)?;
                serde_json::value::to_raw_value(&event).ok()
            })
        }));
        assert!(trigger.is_ok());
        let push_mail = move |mail| sent.lock().expect("no panic").push(mail);
        assert!(cognito.hooks.mail.set(Box::new(push_mail)).is_ok());
        pool["PoolName"] = json!("p");
        let mut this = Self {
            cognito,
            id: String::new(),
            client: Value::Null,
            events,
            mails,
        };
        let created = this.call("CreateUserPool", pool).await;
        created["UserPool"]["Id"]
            .as_str()
            .expect("an id")
            .clone_into(&mut this.id);
        client["ClientName"] = json!("c");
        client["UserPoolId"] = json!(this.id);
        client["ExplicitAuthFlows"] =
            json!(["ALLOW_USER_PASSWORD_AUTH", "ALLOW_ADMIN_USER_PASSWORD_AUTH"]);
        let created = this.call("CreateUserPoolClient", client).await;
        this.client = created["UserPoolClient"].clone();
        this
    }

    async fn try_call(&self, operation: &str, input: Value) -> Result<Value, (String, String)> {
        let mut input = input;
        if operation.starts_with("Admin") || operation.ends_with("Group") {
            input["UserPoolId"] = json!(self.id);
        }
        if CLIENT_OPERATIONS.contains(&operation) {
            input["ClientId"] = self.client["ClientId"].clone();
        }
        let body = Bytes::from(input.to_string());
        let answer = match AwsService::Cognito.check(operation, &body) {
            Ok(()) => self.cognito.handle(operation, &body).await,
            Err(refusal) => *refusal,
        };
        let value: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        if answer.status == 200 {
            return Ok(value);
        }
        let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
        Err((text("__type"), text("message")))
    }

    async fn call(&self, operation: &str, input: Value) -> Value {
        let answer = self.try_call(operation, input).await;
        answer.unwrap_or_else(|refusal| panic!("{operation}: {refusal:?}"))
    }

    async fn call_error(&self, operation: &str, input: Value) -> (String, String) {
        self.try_call(operation, input).await.expect_err(operation)
    }

    async fn sign_in(&self, name: &str, password: &str) -> Result<Value, (String, String)> {
        self.try_call("InitiateAuth", password_auth(name, password))
            .await
    }

    /// Creates a user with a permanent password.
    async fn create_user(&self, name: &str) -> Value {
        let user = self
            .call("AdminCreateUser", suppressed_invitation(name))
            .await["User"]
            .clone();
        let password = json!({"Username": name, "Password": VALID_PASSWORD, "Permanent": true});
        self.call("AdminSetUserPassword", password).await;
        user
    }

    /// Invites a user, and returns the temporary password.
    async fn invite(&self, name: &str) -> String {
        let password = "Temporary-1";
        let mut input = suppressed_invitation(name);
        input["TemporaryPassword"] = json!(password);
        self.call("AdminCreateUser", input).await;
        password.to_owned()
    }

    fn trigger_sources(&self) -> Vec<String> {
        let events = self.events.lock().expect("no panic");
        let source = |event: &Value| event["triggerSource"].as_str().map(str::to_owned);
        events.iter().filter_map(source).collect()
    }
}

fn suppressed_invitation(name: &str) -> Value {
    json!({
        "Username": name, "MessageAction": "SUPPRESS",
        "UserAttributes": [
            {"Name": "email", "Value": "ada@example.com"},
            {"Name": "email_verified", "Value": "true"},
        ],
    })
}

fn password_auth(name: &str, password: &str) -> Value {
    json!({
        "AuthFlow": "USER_PASSWORD_AUTH",
        "AuthParameters": {"USERNAME": name, "PASSWORD": password},
    })
}

fn new_password_response(challenge: &Value, name: &str, password: &str) -> Value {
    json!({
        "ChallengeName": "NEW_PASSWORD_REQUIRED", "Session": challenge["Session"],
        "ChallengeResponses": {"USERNAME": name, "NEW_PASSWORD": password},
    })
}

fn error(code: &str, message: &str) -> (String, String) {
    (code.to_owned(), message.to_owned())
}

fn claims(token: &Value) -> Value {
    let token = token.as_str().expect("a token");
    let part = token.split('.').nth(1).expect("claims");
    let part = URL_SAFE_NO_PAD.decode(part).expect("base64");
    serde_json::from_slice(&part).expect("JSON")
}

fn wrong_password() -> (String, String) {
    error("NotAuthorizedException", "Incorrect username or password.")
}
