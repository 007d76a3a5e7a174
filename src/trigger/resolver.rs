//! Checks the mutation of an administrator, and queues it as an admin command. The query
//! `requestStatus` says what became of it.
//!
//! With IAM authorization on, `AppSync` admits every principal that may call
//! `appsync:GraphQL`, without any group rule. So the identity is checked here, whatever the
//! schema says.

use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value, json};

use super::forward::Forwarder;
use crate::config::AccessConfig;
use crate::event::{
    AdminCommand, AdminOperation, Caller, FieldError, Invitation, InvitationDraft, Membership,
    ResolverCall, Trace, is_loggable_id,
};
use crate::message::outgoing;
use crate::provision::{CommandStage, RequestLog, RequestLookupError, audit};

/// The error that `AppSync` returns to the caller: a type, and a message without internals.
///
/// <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-custom.html>: `errorType` and
/// `errorMessage`, which the resolver's template passes on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}: {message}")]
pub struct ResolverError {
    /// `Unauthorized`, `BadRequest` or `Unavailable`.
    pub kind: &'static str,
    /// The text that the caller reads.
    pub message: String,
}

impl ResolverError {
    fn unauthorized() -> Self {
        Self {
            kind: "Unauthorized",
            message: "only administrators of the user pool may do this".to_owned(),
        }
    }

    fn bad_request(message: impl Into<String>) -> Self {
        Self {
            kind: "BadRequest",
            message: message.into(),
        }
    }

    fn unavailable() -> Self {
        Self {
            kind: "Unavailable",
            message: "this cannot be done now; try again in a moment".to_owned(),
        }
    }
}

impl From<FieldError> for ResolverError {
    fn from(error: FieldError) -> Self {
        Self::bad_request(error.to_string())
    }
}

/// Whether it is a resolver's event of another shape, such as a batch. Those are refused.
pub(super) fn may_be_resolver_event(event: &Value) -> bool {
    match event {
        Value::Array(events) => events.iter().any(may_be_resolver_event),
        Value::Object(event) => event.contains_key("arguments") && event.contains_key("identity"),
        _ => false,
    }
}

/// Queues the admin command of a mutation, with `trace`, or answers a query. `access` is `None`
/// if the configuration is invalid.
pub(super) async fn resolve(
    call: &ResolverCall,
    access: Option<&AccessConfig>,
    (forwarder, requests): (&Forwarder, &RequestLog),
    trace: &Trace,
) -> Result<Box<RawValue>, ResolverError> {
    let access = access.ok_or_else(ResolverError::unavailable)?;
    let caller = authorize(call, access)?;
    if call.field == STATUS_QUERY {
        return show_request(&call.arguments, caller, requests).await;
    }
    let command = AdminCommand {
        request_id: AdminCommand::new_request_id(),
        requested_by: caller.sub.clone(),
        requested_at: Some(jiff::Timestamp::now()),
        pool: caller.pool.clone(),
        operation: parse_operation(&call.field, &call.arguments)?,
    };
    let mut groups = command.operation.groups().iter();
    if !groups.all(|group| access.admin().grantable.allows(group)) {
        audit(&command, CommandStage::Refused("group_not_grantable"));
        return Err(ResolverError {
            kind: "Unauthorized",
            message: "administrators may not give or take this group".to_owned(),
        });
    }
    let message = outgoing::command(&command).with_trace(trace);
    if let Err(error) = forwarder.send(message).await {
        tracing::error!(
            request.id = command.request_id,
            trace.id = trace.id(),
            error,
            "admin command could not be queued",
        );
        audit(&command, CommandStage::Unavailable);
        return Err(ResolverError::unavailable());
    }
    audit(&command, CommandStage::Queued);
    requests.record_queued(&command).await;
    let answer = json!({"status": "QUEUED", "requestId": command.request_id});
    to_raw_value(&answer).map_err(|_| ResolverError::unavailable())
}

/// `null` if the caller's pool has no such request, since an error would count as one of the
/// function.
async fn show_request(
    arguments: &Map<String, Value>,
    caller: &Caller,
    requests: &RequestLog,
) -> Result<Box<RawValue>, ResolverError> {
    reject_unknown_arguments(arguments, &["requestId"])?;
    let id = arguments.get("requestId").and_then(Value::as_str);
    let id = id.ok_or_else(|| ResolverError::bad_request("requestId is required, a text"))?;
    let view = match requests.find(id, Some(&caller.pool)).await {
        Ok(view) => Some(view),
        Err(RequestLookupError::NotFound) => None,
        Err(RequestLookupError::Off) => {
            return Err(ResolverError {
                message:
                    "what becomes of requests is only in the log: admin.requests_table is not set"
                        .to_owned(),
                ..ResolverError::unavailable()
            });
        }
        Err(RequestLookupError::Failed(failure)) => {
            tracing::error!(error = %failure, "state of a request could not be read");
            return Err(ResolverError::unavailable());
        }
    };
    to_raw_value(&view).map_err(|_| ResolverError::unavailable())
}

fn authorize<'a>(
    call: &'a ResolverCall,
    access: &AccessConfig,
) -> Result<&'a Caller, ResolverError> {
    let admin = access.admin();
    call.caller
        .as_ref()
        .filter(|caller| access.pools().is_allowed(&caller.pool))
        .filter(|caller| {
            admin.client_ids.is_empty() || admin.client_ids.contains(&caller.client_id)
        })
        .filter(|caller| admin.is_admin(&caller.groups))
        .ok_or_else(|| refuse_unauthorized(call.caller.as_ref(), &call.field))
}

/// Refuses a caller who is not an administrator, and writes an audit line.
pub(super) fn refuse_unauthorized(caller: Option<&Caller>, field: &str) -> ResolverError {
    let action = FIELD_ACTIONS.iter().find(|(name, _)| *name == field);
    tracing::info!(
        target: "usher::audit",
        action = action.map(|(_, command)| command),
        actor = caller.map(|caller| caller.sub.as_str()).filter(|sub| is_loggable_id(sub)),
        pool.id = caller.map(|caller| caller.pool.as_str()),
        result = "refused",
        reason = "not_administrator",
        "admin action",
    );
    ResolverError::unauthorized()
}

const STATUS_QUERY: &str = "requestStatus";

/// The `AppSync` field, and its name in audit lines: that of the admin command of a mutation.
const FIELD_ACTIONS: [(&str, &str); 4] = [
    ("addUserToGroup", "AddUserToGroup"),
    ("removeUserFromGroup", "RemoveUserFromGroup"),
    ("inviteUser", "InviteUser"),
    (STATUS_QUERY, "GetRequest"),
];

fn parse_operation(
    field: &str,
    arguments: &Map<String, Value>,
) -> Result<AdminOperation, ResolverError> {
    match field {
        "addUserToGroup" => parse_membership(arguments).map(AdminOperation::AddToGroup),
        "removeUserFromGroup" => parse_membership(arguments).map(AdminOperation::RemoveFromGroup),
        "inviteUser" => {
            reject_unknown_arguments(arguments, &Invitation::FIELDS)?;
            let draft = InvitationDraft::deserialize(arguments).map_err(|_| {
                ResolverError::bad_request(
                    "email is required; email, username, givenName and familyName are texts, \
                     groups a list of texts, attributes an object, resend true or false",
                )
            })?;
            Ok(AdminOperation::Invite(Invitation::new(draft)?))
        }
        _ => Err(ResolverError::bad_request(
            "the field must be addUserToGroup, removeUserFromGroup, inviteUser or requestStatus",
        )),
    }
}

fn parse_membership(arguments: &Map<String, Value>) -> Result<Membership, ResolverError> {
    reject_unknown_arguments(arguments, &["userId", "groupName"])?;
    let text = |name: &str| {
        arguments
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    Ok(Membership::new(
        ("userId", text("userId")),
        ("groupName", text("groupName")),
    )?)
}

fn reject_unknown_arguments(
    arguments: &Map<String, Value>,
    known: &[&str],
) -> Result<(), ResolverError> {
    let has_unknown = arguments
        .iter()
        .any(|(name, value)| !value.is_null() && !known.contains(&name.as_str()));
    if has_unknown {
        return Err(ResolverError::bad_request(format!(
            "unknown argument; allowed: {}",
            known.join(", ")
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Layers};
    use crate::trigger::TriggerHandler;

    fn trigger(flags: &[&str]) -> TriggerHandler {
        let flags: Vec<String> = flags.iter().map(|&flag| flag.to_owned()).collect();
        let layers = Layers::defaults().flags(&flags);
        TriggerHandler::new(
            Err("no queue".to_owned()),
            config::TriggerConfig::from_layers(&layers).access,
        )
    }

    fn event(field: &str, arguments: &Value) -> Value {
        let issuer = "https://cognito-idp.eu-west-2.amazonaws.com/eu-west-2_abc";
        json!({
            "typeName": "Mutation", "fieldName": field, "arguments": arguments,
            "identity": {
                "claims": {
                    "sub": "b662d2e4", "cognito:groups": ["ADMINS"], "iss": issuer,
                    "client_id": "c1", "token_use": "access", "username": "ada",
                },
                "groups": ["ADMINS"], "issuer": issuer, "sub": "b662d2e4", "username": "ada",
            },
        })
    }

    async fn kind(trigger: &TriggerHandler, event: &Value) -> &'static str {
        let raw = to_raw_value(event).expect("JSON");
        let answer = trigger.handle(&raw, &Trace::default()).await.response;
        answer.expect_err("there is no queue").kind
    }

    /// The call reached the queue, which these tests do not have.
    const REACHED_QUEUE: &str = "Unavailable";

    #[tokio::test]
    async fn only_administrators_of_allowed_pools_are_let_in() {
        let good = event(
            "addUserToGroup",
            &json!({"userId": "x", "groupName": "STAFF"}),
        );
        assert_eq!(kind(&trigger(&[]), &good).await, REACHED_QUEUE);
        for flags in ["admin.groups=OWNERS", "pools.allowed=eu-west-2_other"] {
            assert_eq!(
                kind(&trigger(&[flags]), &good).await,
                "Unauthorized",
                "{flags}"
            );
        }
        let clients = ["admin.client_ids=c2", "pools.allowed=eu-west-2_abc"];
        assert_eq!(kind(&trigger(&clients), &good).await, "Unauthorized");
        let clients = ["admin.client_ids=c1", "pools.allowed=eu-west-2_abc"];
        assert_eq!(kind(&trigger(&clients), &good).await, REACHED_QUEUE);
        let mut anonymous = good.clone();
        anonymous["identity"] = Value::Null;
        assert_eq!(kind(&trigger(&[]), &anonymous).await, "Unauthorized");
        assert_eq!(kind(&trigger(&[]), &json!([good])).await, "Unauthorized");
    }

    #[tokio::test]
    async fn pool_with_the_updated_issuer_is_served() {
        let issuer = "https://issuer-cognito-idp.eu-west-2.amazonaws.com/eu-west-2_abc";
        let arguments = json!({"userId": "x", "groupName": "STAFF"});
        let mut event = event("addUserToGroup", &arguments);
        event["identity"]["issuer"] = json!(issuer);
        event["identity"]["claims"]["iss"] = json!(issuer);
        let own = ["pools.allowed=eu-west-2_abc"];
        assert_eq!(kind(&trigger(&own), &event).await, REACHED_QUEUE);
        let other = ["pools.allowed=eu-west-2_other"];
        assert_eq!(kind(&trigger(&other), &event).await, "Unauthorized");
    }

    #[tokio::test]
    async fn privileged_group_is_given_only_if_named_as_grantable() {
        let power = event(
            "addUserToGroup",
            &json!({"userId": "x", "groupName": "ADMINS"}),
        );
        assert_eq!(kind(&trigger(&[]), &power).await, "Unauthorized");
        let named = ["admin.grantable_groups=ADMINS"];
        assert_eq!(kind(&trigger(&named), &power).await, REACHED_QUEUE);
        let invited = json!({"email": "a@example.com", "groups": ["STAFF", "ADMINS"]});
        let invited = event("inviteUser", &invited);
        assert_eq!(kind(&trigger(&[]), &invited).await, "Unauthorized");
    }

    #[tokio::test]
    async fn the_state_of_a_request_is_for_administrators_and_needs_the_table() {
        let asked = event(STATUS_QUERY, &json!({"requestId": "r1"}));
        let raw = to_raw_value(&asked).expect("JSON");
        let response = trigger(&[]).handle(&raw, &Trace::default()).await.response;
        let refusal = response.expect_err("there is no table");
        assert_eq!(refusal.kind, "Unavailable");
        assert!(
            refusal.message.contains("admin.requests_table"),
            "{refusal}"
        );
        let others = ["admin.groups=OWNERS"];
        assert_eq!(kind(&trigger(&others), &asked).await, "Unauthorized");
    }

    #[tokio::test]
    async fn refusal_names_the_wrong_argument() {
        for (field, arguments, named) in [
            ("addUserToGroup", json!({"groupName": "A"}), "userId"),
            ("addUserToGroup", json!({"userId": "x"}), "groupName"),
            (
                "addUserToGroup",
                json!({"userId": "x", "group": "A"}),
                "userId, groupName",
            ),
            (
                "removeUserFromGroup",
                json!({"userId": "x", "groupName": "a b"}),
                "groupName",
            ),
            ("inviteUser", json!({}), "email"),
            ("inviteUser", json!({"email": "x"}), "email"),
            (
                "inviteUser",
                json!({"email": "a@b.c", "role": "x"}),
                "givenName",
            ),
            ("requestStatus", json!({}), "requestId"),
            (
                "requestStatus",
                json!({"requestId": "r", "id": "r"}),
                "requestId",
            ),
            ("openSupportTicket", json!({}), "inviteUser"),
        ] {
            let raw = to_raw_value(&event(field, &arguments)).expect("JSON");
            let refusal = trigger(&[])
                .handle(&raw, &Trace::default())
                .await
                .response
                .expect_err("wrong");
            assert_eq!(refusal.kind, "BadRequest", "{field} {arguments}");
            assert!(refusal.message.contains(named), "{refusal}");
        }
        let nulls = json!({"email": "a@b.c", "groups": null, "attributes": "{}", "resend": null});
        assert_eq!(
            kind(&trigger(&[]), &event("inviteUser", &nulls)).await,
            REACHED_QUEUE
        );
    }
}
