//! The embedded user pools, with what the underlying service leaves out:
//! a missing group is an error, a user is confirmed once, and a confirmation
//! calls the `PostConfirmation` trigger.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use axum::body::Bytes;
use serde_json::{Value, json};
use winterbaume_cognitoidentityprovider::CognitoIdentityProviderService as Service;
use winterbaume_core::{MockRequest, MockResponse, MockService};

use super::endpoint::{PostConfirmation, error};

#[derive(Default)]
pub(super) struct CognitoFront {
    service: Service,
    /// Which pool an app client belongs to.
    pools: Mutex<HashMap<String, String>>,
}

impl CognitoFront {
    pub(super) async fn handle(
        &self,
        operation: &str,
        request: MockRequest,
        trigger: Option<&PostConfirmation>,
    ) -> MockResponse {
        let input: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        match operation {
            "AdminAddUserToGroup" => {
                let group = json!({
                    "UserPoolId": input["UserPoolId"], "GroupName": input["GroupName"],
                });
                match self.ask(&request, "GetGroup", &group).await {
                    Ok(_) => self.service.handle(request).await,
                    Err(refusal) if text_of(&refusal).contains("pool") => refusal,
                    Err(_) => error("ResourceNotFoundException", "Group not found."),
                }
            }
            "ConfirmSignUp" | "AdminConfirmSignUp" => self.confirm(&input, request, trigger).await,
            "CreateUserPoolClient" => {
                let response = self.service.handle(request).await;
                let created: Value = serde_json::from_slice(&response.body).unwrap_or_default();
                let client = &created["UserPoolClient"];
                if let (Some(id), Some(pool)) =
                    (client["ClientId"].as_str(), client["UserPoolId"].as_str())
                {
                    self.pools
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .insert(id.to_owned(), pool.to_owned());
                }
                response
            }
            _ => self.service.handle(request).await,
        }
    }

    async fn confirm(
        &self,
        input: &Value,
        request: MockRequest,
        trigger: Option<&PostConfirmation>,
    ) -> MockResponse {
        let client = input["ClientId"].as_str().unwrap_or_default().to_owned();
        let pool = match input["UserPoolId"].as_str() {
            Some(pool) => pool.to_owned(),
            None => self.pool_of(&client),
        };
        let whom = json!({"UserPoolId": pool, "Username": input["Username"]});
        if let Ok(user) = self.ask(&request, "AdminGetUser", &whom).await
            && user["UserStatus"] == "CONFIRMED"
        {
            return error(
                "NotAuthorizedException",
                "User cannot be confirmed. Current status is CONFIRMED",
            );
        }
        let response = self.service.handle(request.clone()).await;
        if response.status == 200
            && let Some(trigger) = trigger
            && let Ok(user) = self.ask(&request, "AdminGetUser", &whom).await
            && let Ok(event) = serde_json::value::to_raw_value(&event(
                &pool,
                &client,
                &user,
                &input["ClientMetadata"],
            ))
        {
            trigger(event).await;
        }
        response
    }

    fn pool_of(&self, client: &str) -> String {
        let pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        pools.get(client).cloned().unwrap_or_default()
    }

    /// One more call to the service, on behalf of the request.
    async fn ask(
        &self,
        request: &MockRequest,
        operation: &str,
        input: &Value,
    ) -> Result<Value, MockResponse> {
        let mut request = request.clone();
        let target = format!("AWSCognitoIdentityProviderService.{operation}");
        if let Ok(target) = target.parse() {
            request.headers.insert("x-amz-target", target);
        }
        request.body = Bytes::from(input.to_string());
        let response = self.service.handle(request).await;
        if response.status == 200 {
            Ok(serde_json::from_slice(&response.body).unwrap_or_default())
        } else {
            Err(response)
        }
    }
}

/// <https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-lambda-post-confirmation.html>
fn event(pool: &str, client: &str, user: &Value, metadata: &Value) -> Value {
    let mut attributes = serde_json::Map::new();
    for attribute in user["UserAttributes"].as_array().into_iter().flatten() {
        if let Some(name) = attribute["Name"].as_str() {
            attributes.insert(name.to_owned(), attribute["Value"].clone());
        }
    }
    // Confirming by code verifies the address that the code was sent to.
    if attributes.contains_key("email") {
        attributes.insert("email_verified".to_owned(), json!("true"));
    }
    attributes.insert("cognito:user_status".to_owned(), json!("CONFIRMED"));
    let mut request = json!({ "userAttributes": attributes });
    if metadata.is_object() {
        request["clientMetadata"] = metadata.clone();
    }
    json!({
        "version": "1",
        "triggerSource": "PostConfirmation_ConfirmSignUp",
        "region": "us-east-1",
        "userPoolId": pool,
        "userName": user["Username"],
        "callerContext": {"awsSdkVersion": "aws-sdk-unknown-unknown", "clientId": client},
        "request": request,
        "response": {},
    })
}

fn text_of(response: &MockResponse) -> String {
    String::from_utf8_lossy(&response.body).to_lowercase()
}
