//! A mutation of an administrator, checked and queued.
//!
//! `AppSync` lets principals through that no group rule was applied to: with IAM
//! authorization on, whoever may call `appsync:GraphQL`. So the identity is looked at
//! here, whatever the schema says.

use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value, json};

use super::Trigger;
use crate::admin::queued;
use crate::config::Access;
use crate::event::{
    Action, Caller, Draft, Invitation, Membership, Order, Resolver, Trace, Wrong, is_opaque,
};
use crate::provision::{Stage, audit};

/// What `AppSync` tells the caller: a type, and words without internals.
///
/// <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-custom.html>: `errorType` and
/// `errorMessage`, which the resolver's template passes on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}: {message}")]
pub struct Refusal {
    /// `Unauthorized`, `BadRequest` or `Unavailable`.
    pub kind: &'static str,
    /// For the caller.
    pub message: String,
}

impl Refusal {
    fn unauthorized() -> Self {
        Self {
            kind: "Unauthorized",
            message: "only administrators of the user pool may do this".to_owned(),
        }
    }

    fn bad(message: impl Into<String>) -> Self {
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

impl From<Wrong> for Refusal {
    fn from(wrong: Wrong) -> Self {
        Self::bad(wrong.to_string())
    }
}

/// A resolver's event of another shape, such as a batch, is refused like a stranger.
pub(super) fn looks_like_one(event: &Value) -> bool {
    match event {
        Value::Array(events) => events.iter().any(looks_like_one),
        Value::Object(event) => event.contains_key("arguments") && event.contains_key("identity"),
        _ => false,
    }
}

impl Trigger {
    pub(super) async fn resolve(
        &self,
        call: &Resolver,
        trace: &Trace,
    ) -> Result<Box<RawValue>, Refusal> {
        let access = self.access("a mutation is refused");
        let access = access.ok_or_else(Refusal::unavailable)?;
        let caller = admitted(call, access)?;
        let order = Order {
            request_id: Order::new_request_id(),
            requested_by: caller.sub.clone(),
            requested_at: Some(jiff::Timestamp::now()),
            pool: caller.pool.clone(),
            action: action(&call.field, &call.arguments)?,
        };
        let mut groups = order.action.groups().iter();
        if !groups.all(|group| access.admin().grantable.allows(group)) {
            audit(&order, Stage::Refused("group_not_grantable"));
            return Err(Refusal {
                kind: "Unauthorized",
                message: "administrators may not give or take this group".to_owned(),
            });
        }
        self.queue(&order, trace).await
    }

    async fn queue(&self, order: &Order, trace: &Trace) -> Result<Box<RawValue>, Refusal> {
        match self.forwarder.send(queued(order).in_trace(trace)).await {
            Ok(_) => {
                audit(order, Stage::Queued);
                let answer = json!({"status": "QUEUED", "requestId": order.request_id});
                to_raw_value(&answer).map_err(|_| Refusal::unavailable())
            }
            Err(error) => {
                tracing::error!(
                    request.id = order.request_id,
                    trace.id = trace.id(),
                    error,
                    "an order could not be queued",
                );
                audit(order, Stage::NotTaken);
                Err(Refusal::unavailable())
            }
        }
    }
}

fn admitted<'a>(call: &'a Resolver, access: &Access) -> Result<&'a Caller, Refusal> {
    let admin = access.admin();
    call.caller
        .as_ref()
        .filter(|caller| access.pools().accept(&caller.pool))
        .filter(|caller| admin.client_ids.is_empty() || admin.client_ids.contains(&caller.client))
        .filter(|caller| admin.admits(&caller.groups))
        .ok_or_else(|| stranger(call.caller.as_ref(), &call.field))
}

/// Refuses whoever is no administrator, with a line for the audit.
pub(super) fn stranger(caller: Option<&Caller>, field: &str) -> Refusal {
    let action = FIELDS.iter().find(|(name, _)| *name == field);
    tracing::info!(
        target: "usher::audit",
        action = action.map(|(_, command)| command),
        actor = caller.map(|caller| caller.sub.as_str()).filter(|sub| is_opaque(sub)),
        pool.id = caller.map(|caller| caller.pool.as_str()),
        result = "refused",
        reason = "not_administrator",
        "admin action",
    );
    Refusal::unauthorized()
}

/// The mutations, and the commands that they become.
const FIELDS: [(&str, &str); 3] = [
    ("addUserToGroup", "AddUserToGroup"),
    ("removeUserFromGroup", "RemoveUserFromGroup"),
    ("inviteUser", "InviteUser"),
];

fn action(field: &str, arguments: &Map<String, Value>) -> Result<Action, Refusal> {
    match field {
        "addUserToGroup" => membership(arguments).map(Action::Add),
        "removeUserFromGroup" => membership(arguments).map(Action::Remove),
        "inviteUser" => {
            only(arguments, &Invitation::FIELDS)?;
            let draft = Draft::deserialize(arguments).map_err(|_| {
                Refusal::bad(
                    "email is required; email, username, givenName and familyName are texts, \
                     groups a list of texts, attributes an object, resend true or false",
                )
            })?;
            Ok(Action::Invite(Invitation::new(draft)?))
        }
        _ => Err(Refusal::bad(
            "the field must be addUserToGroup, removeUserFromGroup or inviteUser",
        )),
    }
}

fn membership(arguments: &Map<String, Value>) -> Result<Membership, Refusal> {
    only(arguments, &["userId", "groupName"])?;
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

fn only(arguments: &Map<String, Value>, known: &[&str]) -> Result<(), Refusal> {
    let strange = arguments
        .iter()
        .any(|(name, value)| !value.is_null() && !known.contains(&name.as_str()));
    if strange {
        return Err(Refusal::bad(format!(
            "an argument is not known here; there are {}",
            known.join(", ")
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Layers};

    fn trigger(flags: &[&str]) -> Trigger {
        let flags: Vec<String> = flags.iter().map(|&flag| flag.to_owned()).collect();
        let layers = Layers::defaults().flags(&flags);
        Trigger::new(
            Err("no queue".to_owned()),
            config::Trigger::from_layers(&layers),
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

    async fn kind(trigger: &Trigger, event: &Value) -> &'static str {
        let raw = to_raw_value(event).expect("JSON");
        let answer = trigger.handle(&raw, &Trace::default()).await.response;
        answer.expect_err("there is no queue").kind
    }

    /// What got as far as the queue, which these tests do not have.
    const LET_IN: &str = "Unavailable";

    #[tokio::test]
    async fn an_administrator_is_let_in_and_nobody_else() {
        let good = event(
            "addUserToGroup",
            &json!({"userId": "x", "groupName": "STAFF"}),
        );
        assert_eq!(kind(&trigger(&[]), &good).await, LET_IN);
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
        assert_eq!(kind(&trigger(&clients), &good).await, LET_IN);
        let mut nobody = good.clone();
        nobody["identity"] = Value::Null;
        assert_eq!(kind(&trigger(&[]), &nobody).await, "Unauthorized");
        assert_eq!(kind(&trigger(&[]), &json!([good])).await, "Unauthorized");
    }

    #[tokio::test]
    async fn a_pool_with_the_updated_issuer_is_served_like_before() {
        let issuer = "https://issuer-cognito-idp.eu-west-2.amazonaws.com/eu-west-2_abc";
        let arguments = json!({"userId": "x", "groupName": "STAFF"});
        let mut event = event("addUserToGroup", &arguments);
        event["identity"]["issuer"] = json!(issuer);
        event["identity"]["claims"]["iss"] = json!(issuer);
        let own = ["pools.allowed=eu-west-2_abc"];
        assert_eq!(kind(&trigger(&own), &event).await, LET_IN);
        let other = ["pools.allowed=eu-west-2_other"];
        assert_eq!(kind(&trigger(&other), &event).await, "Unauthorized");
    }

    #[tokio::test]
    async fn a_group_with_power_is_given_only_when_it_is_named() {
        let power = event(
            "addUserToGroup",
            &json!({"userId": "x", "groupName": "ADMINS"}),
        );
        assert_eq!(kind(&trigger(&[]), &power).await, "Unauthorized");
        let named = ["admin.grantable_groups=ADMINS"];
        assert_eq!(kind(&trigger(&named), &power).await, LET_IN);
        let invited = json!({"email": "a@example.com", "groups": ["STAFF", "ADMINS"]});
        let invited = event("inviteUser", &invited);
        assert_eq!(kind(&trigger(&[]), &invited).await, "Unauthorized");
    }

    #[tokio::test]
    async fn wrong_arguments_are_named() {
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
            LET_IN
        );
    }
}
