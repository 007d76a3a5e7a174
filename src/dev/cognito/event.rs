//! Trigger events in the format of Cognito.

use serde_json::{Value, json};

use super::user::EmbeddedUser;

/// The client id in an event when an administrator made the call.
pub(super) const CLIENT_NOT_APPLICABLE: &str = "CLIENT_ID_NOT_APPLICABLE";

/// The user of an event, with pool and client.
#[derive(Clone, Copy)]
pub(super) struct TriggerContext<'a> {
    pub(super) pool: &'a str,
    pub(super) client: &'a str,
    pub(super) user: &'a EmbeddedUser,
    /// As the client sent it; not an object when it sent none.
    pub(super) metadata: &'a Value,
}

/// Builds an event from the parts that all triggers share. `parameters` extends its
/// `request`; `response` holds this trigger's empty response.
///
/// <https://docs.aws.amazon.com/cognito/latest/developerguide/cognito-user-pools-working-with-lambda-triggers.html>
pub(super) fn trigger_event(
    context: TriggerContext<'_>,
    source: &str,
    parameters: Value,
    response: &Value,
) -> Value {
    let mut attributes = json!(context.user.attributes);
    attributes["cognito:user_status"] = json!(context.user.status);
    let mut request = json!({"userAttributes": attributes});
    if let (Some(request), Value::Object(parameters)) = (request.as_object_mut(), parameters) {
        request.extend(parameters);
        if context.metadata.is_object() {
            request.insert("clientMetadata".to_owned(), context.metadata.clone());
        }
    }
    json!({
        "version": "1",
        "triggerSource": source,
        "region": "us-east-1",
        "userPoolId": context.pool,
        "userName": context.user.name,
        "callerContext": {
            "awsSdkVersion": "aws-sdk-unknown-unknown", "clientId": context.client,
        },
        "request": request,
        "response": response,
    })
}
