//! Queues users of an identity provider when they sign in.
//!
//! Whether Cognito calls `PostConfirmation` for them is documented in two ways. So a sign-in of a
//! user who lacks a default group is sent to the queue, and the worker provisions them unless they
//! have a profile. A sign-in waits for it [`SEND_TIMEOUT`] at most, and never fails.
//!
//! <https://docs.aws.amazon.com/cognito/latest/developerguide/cognito-user-identity-pools-working-with-aws-lambda-triggers.html>

use std::time::Duration;

use serde_json::value::RawValue;

use super::TriggerHandler;
use super::forward::{ForwardResult, body};
use super::raw_object::RawObject;
use crate::config::GroupsConfig;
use crate::event::{FEDERATED_STATUS, PoolId, STATUS_ATTRIBUTE, Trace, is_uuid};
use crate::message::outgoing;

/// What a sign-in may wait for the queue.
const SEND_TIMEOUT: Duration = Duration::from_millis(300);

impl TriggerHandler {
    /// Sends the event if its user may lack what a sign-up gives.
    pub(super) async fn queue_missed_user(
        &self,
        event: &RawValue,
        members: &RawObject<'_>,
        trace: &Trace,
    ) -> ForwardResult {
        let Some(sub) = self.missed_user(members) else {
            return ForwardResult::PassedThrough;
        };
        if !self.recent_users.add(&sub) {
            return ForwardResult::PassedThrough;
        }
        let pool = members.text("userPoolId");
        let message = outgoing::sign_in(body(event, members), pool.as_deref()).with_trace(trace);
        let send = tokio::time::timeout(SEND_TIMEOUT, self.forwarder.send(message));
        let error = match send.await {
            Ok(Ok(id)) => {
                tracing::info!(message.id = id, trace.id = trace.id(), "sign-in queued");
                return ForwardResult::Sent(id);
            }
            Ok(Err(error)) => error,
            Err(_) => format!("no answer within {} ms", SEND_TIMEOUT.as_millis()),
        };
        self.recent_users.remove(&sub);
        tracing::warn!(
            pool.id = pool,
            user.sub = Some(sub).filter(|sub| is_uuid(sub)),
            trace.id = trace.id(),
            error,
            "sign-in not queued; the next one or usher reconcile finds the user",
        );
        ForwardResult::Failed { metric: None }
    }

    /// The `sub` of a user of an identity provider who may not have been provisioned.
    fn missed_user(&self, members: &RawObject<'_>) -> Option<String> {
        let request = members.object("request");
        let attributes = request.object("userAttributes");
        if attributes.text(STATUS_ATTRIBUTE)? != FEDERATED_STATUS {
            return None;
        }
        let access = self.access.as_ref().ok()?;
        if !access.provisions_without_sign_up() {
            return None;
        }
        let pool = PoolId::new(&members.text("userPoolId")?)?;
        let is_missed =
            access.pools().is_allowed(&pool) && may_lack_group(access.groups(), &request);
        attributes.text("sub").filter(|_| is_missed)
    }
}

/// Whether the user lacks a default group. True as well if the event has no groups, or if there
/// are no default groups that it could have.
fn may_lack_group(groups: &GroupsConfig, request: &RawObject<'_>) -> bool {
    let configuration = request.object("groupConfiguration");
    let names = configuration.get("groupsToOverride");
    let names = names.and_then(|names| serde_json::from_str::<Vec<String>>(names.get()).ok());
    let Some(names) = names.filter(|_| !groups.default.is_empty()) else {
        return true;
    };
    let mut default = groups.default.iter();
    default.any(|group| !names.iter().any(|name| name == group.as_str()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::config::{Layers, TriggerConfig};

    fn trigger(flags: &[&str]) -> TriggerHandler {
        let flags: Vec<String> = flags.iter().map(|&flag| flag.to_owned()).collect();
        let layers = Layers::defaults().flags(&flags);
        let access = TriggerConfig::from_layers(&layers).access;
        TriggerHandler::new(Err("none".to_owned()), access)
    }

    fn event(status: &str, groups: &Value) -> Value {
        json!({
            "triggerSource": "TokenGeneration_HostedAuth",
            "userPoolId": "eu-west-1_x",
            "userName": "Google_1",
            "request": {
                "userAttributes": {"sub": "1-2", "cognito:user_status": status},
                "groupConfiguration": {"groupsToOverride": groups},
            },
        })
    }

    fn missed(trigger: &TriggerHandler, event: &Value) -> Option<String> {
        let text = RawValue::from_string(event.to_string()).expect("JSON");
        trigger.missed_user(&RawObject::parse(&text))
    }

    #[test]
    fn only_users_of_a_provider_without_a_default_group_are_missed() {
        let federated = "EXTERNAL_PROVIDER";
        let one = trigger(&[]);
        for (status, groups, expected) in [
            (federated, json!(["eu-west-1_x_Google"]), true),
            (federated, json!([]), true),
            (federated, json!(null), true),
            (federated, json!(["EVERYONE"]), false),
            ("CONFIRMED", json!([]), false),
        ] {
            let event = event(status, &groups);
            assert_eq!(missed(&one, &event).is_some(), expected, "{event}");
        }
        let some = event(federated, &json!(["EVERYONE"]));
        let two = trigger(&["groups.default=EVERYONE,NEWS"]);
        assert!(missed(&two, &some).is_some());
        // Only tokens have the group: the event cannot show that the user was provisioned.
        let token = trigger(&["groups.in_token=EVERYONE"]);
        assert!(missed(&token, &some).is_some());
        for off in ["profiles.enabled=false", "profiles.without_sign_up=false"] {
            assert!(missed(&trigger(&[off]), &event(federated, &json!([]))).is_none());
        }
        let foreign = trigger(&["pools.allowed=eu-west-1_other"]);
        assert!(missed(&foreign, &event(federated, &json!([]))).is_none());
    }
}
