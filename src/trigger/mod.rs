//! The Lambda function for a user pool's triggers and for `AppSync`.
//!
//! The shape of an event says what it is. `forward` sends a sign-up to the queue and returns
//! the event unchanged. It never fails: a failing trigger neither undoes the confirmation nor
//! fires again, and the user sees an error. `sign_in` queues users of an identity provider whom no
//! sign-up has reached; it never fails either. `mail` writes the mail of an invitation, and
//! `token_groups` adds groups to tokens. Both return the event unchanged where they have
//! nothing to add. `resolver` answers an `AppSync` mutation or query; only it may refuse.
//!
//! All except `forward` decide on access, and read only `AccessConfig`. If a part of the
//! configuration cannot be read, there is no `AccessConfig`, and they are off.

mod forward;
mod mail;
mod raw_object;
mod recent_users;
mod resolver;
mod sign_in;
mod token_groups;

pub(crate) use forward::ForwardResult;
use forward::Forwarder;
pub(crate) use resolver::ResolverError;

use serde_json::value::RawValue;

use crate::aws::Queue;
use crate::config::{AccessConfig, InvalidConfig};
use crate::event::{ResolverCall, Trace, TriggerSource};
use crate::provision::RequestLog;
use raw_object::RawObject;
use recent_users::RecentUsers;

/// Answers every event that reaches the Lambda.
#[derive(Debug)]
pub struct TriggerHandler {
    forwarder: Forwarder,
    access: Result<AccessConfig, InvalidConfig>,
    recent_users: RecentUsers,
    requests: RequestLog,
}

/// The Lambda's response, and a line for its standard output.
#[derive(Debug)]
pub struct TriggerOutput {
    /// `None`: the event is returned unchanged.
    pub response: Result<Option<Box<RawValue>>, ResolverError>,
    /// A line that `CloudWatch` reads as a metric.
    pub metric: Option<String>,
}

impl TriggerHandler {
    /// Without `queue`, each forward fails with its error, but events are still answered.
    /// Without `access`, logs an error and switches the other functions off.
    pub(crate) fn new(
        queue: Result<Queue, String>,
        access: Result<AccessConfig, InvalidConfig>,
    ) -> Self {
        if let Err(invalid) = &access {
            tracing::error!(
                error = %invalid,
                "AppSync mutations, groups in tokens, invitation mails and the queueing of sign-ins \
                 are switched off until the configuration is valid; forwarding sign-ups needs only \
                 queue.url",
            );
        }
        Self {
            forwarder: Forwarder::new(queue),
            access,
            recent_users: RecentUsers::default(),
            requests: RequestLog::default(),
        }
    }

    #[must_use]
    pub(crate) fn with_requests(self, requests: RequestLog) -> Self {
        Self { requests, ..self }
    }

    /// Answers one event. A message that is sent for it carries `trace`.
    pub async fn handle(&self, event: &RawValue, trace: &Trace) -> TriggerOutput {
        let unchanged = TriggerOutput {
            response: Ok(None),
            metric: None,
        };
        let members = RawObject::parse(event);
        let source = members.text("triggerSource").unwrap_or_default();
        if source.is_empty() {
            let call = serde_json::from_str(event.get()).ok();
            return match call.as_ref().and_then(ResolverCall::parse) {
                Some(call) => {
                    let access = self.access_or_log("AppSync call refused");
                    let services = (&self.forwarder, &self.requests);
                    let answer = resolver::resolve(&call, access, services, trace).await;
                    TriggerOutput {
                        response: answer.map(Some),
                        ..unchanged
                    }
                }
                None => match call {
                    // Cognito does not send this. A misrouted resolver call must not succeed.
                    Some(event) if resolver::may_be_resolver_event(&event) => TriggerOutput {
                        response: Err(resolver::refuse_unauthorized(None, "")),
                        ..unchanged
                    },
                    _ => unchanged,
                },
            };
        }
        if source == "CustomMessage_AdminCreateUser" {
            return TriggerOutput {
                response: Ok(self.add_mail(&members)),
                ..unchanged
            };
        }
        let metric = match self.queue_user(event, trace).await {
            ForwardResult::Failed { metric } => metric,
            ForwardResult::Sent(_) | ForwardResult::PassedThrough => None,
        };
        let is_token = source.starts_with("TokenGeneration_")
            && TriggerSource::from_name(&source) == TriggerSource::SignIn;
        TriggerOutput {
            response: Ok(is_token.then(|| self.add_token_groups(&members)).flatten()),
            metric,
        }
    }

    /// Sends the event to the queue if it confirms a user, or if a user signs in who may lack
    /// what a sign-up gives.
    pub(crate) async fn queue_user(&self, event: &RawValue, trace: &Trace) -> ForwardResult {
        let members = RawObject::parse(event);
        let source = members.text("triggerSource").unwrap_or_default();
        if TriggerSource::from_name(&source) == TriggerSource::SignIn {
            // A refresh is not a sign-in, and comes every hour.
            return if source == "TokenGeneration_RefreshTokens" {
                ForwardResult::PassedThrough
            } else {
                self.queue_missed_user(event, &members, trace).await
            };
        }
        let result = self.forwarder.forward(event, trace).await;
        if let ForwardResult::Sent(_) = &result {
            // Their first token follows at once.
            let attributes = members.object("request").object("userAttributes");
            if let Some(sub) = attributes.text("sub") {
                self.recent_users.add(&sub);
            }
        }
        result
    }

    /// `None`, and an error line that begins with `consequence`, if the configuration is invalid.
    fn access_or_log(&self, consequence: &'static str) -> Option<&AccessConfig> {
        let invalid = match &self.access {
            Ok(access) => return Some(access),
            Err(invalid) => invalid,
        };
        tracing::error!(error = %invalid, "{consequence}: the configuration cannot be read");
        None
    }
}
