//! The Lambda: behind a user pool's triggers, and behind `AppSync`.
//!
//! What an event is, its shape tells. A confirmed sign-up is forwarded to the queue by
//! `forward`, and comes back as it came: it never fails, since a failing trigger would
//! neither undo the confirmation nor fire again, and the user would see an error. The
//! mail of an invitation is written by `mail`; `token` puts groups into a first token;
//! both leave the event as it is where they have nothing to say. A mutation is
//! answered by `resolver`, which alone may refuse.
//!
//! All but `forward` decide on access, by what is in `AccessConfig` alone. Where a part of the
//! configuration cannot be read there is none, and they are off.

mod forward;
mod mail;
mod raw_object;
mod resolver;
mod token_groups;

pub(crate) use forward::{ForwardResult, Forwarder};
pub(crate) use resolver::ResolverError;

use serde_json::value::RawValue;

use crate::aws::Aws;
use crate::config::{self, AccessConfig, InvalidConfig};
use crate::event::{ResolverCall, Trace};
use raw_object::RawObject;

/// Message attributes that the trigger sets. Names are a contract.
pub mod attribute {
    /// What the body is.
    pub(crate) const KIND: &str = "usher.kind";
    /// When it was forwarded: ISO 8601, UTC.
    pub(crate) const FORWARDED_AT: &str = "usher.forwarded_at";
}

/// Answers every event that reaches the Lambda.
#[derive(Debug)]
pub struct TriggerHandler {
    forwarder: Forwarder,
    access: Result<AccessConfig, InvalidConfig>,
}

/// What the Lambda returns, and a line for its output.
#[derive(Debug)]
pub struct TriggerOutput {
    /// `None`: the event as it came.
    pub response: Result<Option<Box<RawValue>>, ResolverError>,
    /// `CloudWatch` reads it as a metric.
    pub metric: Option<String>,
}

impl TriggerHandler {
    /// Forwards as far as `aws` and the queue's URL are there; writes an error line when
    /// the rest is switched off.
    pub fn new(aws: Result<Aws, String>, settings: config::TriggerConfig) -> Self {
        let config::TriggerConfig { queue_url, access } = settings;
        let queue = aws.and_then(|aws| match queue_url {
            Ok(url) => Ok((aws.for_trigger(), url)),
            Err(invalid) => Err(invalid.to_string()),
        });
        let forwarder = match queue {
            Ok((aws, url)) => Forwarder::new(&aws, &url),
            Err(why) => Forwarder::unavailable(why),
        };
        if let Err(invalid) = &access {
            tracing::error!(
                error = %invalid,
                "mutations, groups in tokens and mails of invitations are switched off until the \
                 configuration is right; sign-ups need queue.url alone",
            );
        }
        Self { forwarder, access }
    }

    /// What forwards sign-ups.
    #[cfg(feature = "dev")]
    pub(crate) fn forwarder(&self) -> &Forwarder {
        &self.forwarder
    }

    /// Answers one event. What is sent to the queue for it belongs to `trace`.
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
                Some(call) => TriggerOutput {
                    response: self.resolve(&call, trace).await.map(Some),
                    ..unchanged
                },
                None => match call {
                    // Nothing that Cognito sends: somebody's misrouted call is not
                    // answered with success.
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
        // A token of a machine is nobody's.
        if source.starts_with("TokenGeneration_") && source != "TokenGeneration_ClientCredentials" {
            return TriggerOutput {
                response: Ok(self.add_token_groups(&members)),
                ..unchanged
            };
        }
        match self.forwarder.forward(event, trace).await {
            ForwardResult::Failed { metric } => TriggerOutput {
                metric: Some(metric),
                ..unchanged
            },
            ForwardResult::Sent(_) | ForwardResult::PassedThrough => unchanged,
        }
    }

    /// What access is decided by; `None` with an error line that says what comes of it.
    fn access_or_log(&self, without: &'static str) -> Option<&AccessConfig> {
        let invalid = match &self.access {
            Ok(access) => return Some(access),
            Err(invalid) => invalid,
        };
        tracing::error!(error = %invalid, "{without}: the configuration cannot be read");
        None
    }
}
