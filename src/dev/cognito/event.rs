//! The events that triggers get.

use serde_json::{Value, json};

use super::user::EmbeddedUser;

/// What an event says instead of a client's id when an administrator asked.
pub(super) const CLIENT_NOT_APPLICABLE: &str = "CLIENT_ID_NOT_APPLICABLE";

/// Who an event is about, and through what.
#[derive(Clone, Copy)]
pub(super) struct TriggerContext<'a> {
    pub(super) pool: &'a str,
    pub(super) client: &'a str,
    pub(super) user: &'a EmbeddedUser,
    /// As the client gave it; not an object when it gave none.
    pub(super) metadata: &'a Value,
}

/// The parts that all triggers share. `request` and `response` hold what is
/// the trigger's own.
///
/// <https://docs.aws.amazon.com/cognito/latest/developerguide/cognito-user-pools-working-with-lambda-triggers.html>
pub(super) fn trigger_event(
    about: TriggerContext<'_>,
    source: &str,
    own: Value,
    response: &Value,
) -> Value {
    let mut attributes = json!(about.user.attributes);
    attributes["cognito:user_status"] = json!(about.user.status);
    let mut request = json!({"userAttributes": attributes});
    if let (Some(request), Value::Object(own)) = (request.as_object_mut(), own) {
        request.extend(own);
        if about.metadata.is_object() {
            request.insert("clientMetadata".to_owned(), about.metadata.clone());
        }
    }
    json!({
        "version": "1",
        "triggerSource": source,
        "region": "us-east-1",
        "userPoolId": about.pool,
        "userName": about.user.name,
        "callerContext": {
            "awsSdkVersion": "aws-sdk-unknown-unknown", "clientId": about.client,
        },
        "request": request,
        "response": response,
    })
}
