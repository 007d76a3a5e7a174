//! The Lambda: behind a user pool's triggers, and behind `AppSync`.
//!
//! What an event is, its shape tells. A confirmed sign-up is forwarded to the queue by
//! `forward`, and comes back as it came: it never fails, since a failing trigger would
//! neither undo the confirmation nor fire again, and the user would see an error. The
//! mail of an invitation is written by `mail`; `token` puts groups into a first token;
//! both leave the event as it is where they have nothing to say. A mutation is
//! answered by `resolver`, which alone may refuse.

mod forward;
mod mail;
mod members;
mod resolver;
mod token;

pub use forward::{Forwarded, Forwarder};
pub use resolver::Refusal;

use serde_json::value::RawValue;

use crate::aws::Aws;
use crate::config;
use crate::event::{Resolver, Trace};
use members::Members;

/// Message attributes that the trigger sets. Names are a contract.
pub mod attribute {
    /// What the body is.
    pub const KIND: &str = "usher.kind";
    /// When it was forwarded: ISO 8601, UTC.
    pub const FORWARDED_AT: &str = "usher.forwarded_at";
}

/// Answers every event that reaches the Lambda.
#[derive(Debug)]
pub struct Trigger {
    forwarder: Forwarder,
    settings: config::Trigger,
}

/// What the Lambda returns, and a line for its output.
#[derive(Debug)]
pub struct Answered {
    /// `None`: the event as it came.
    pub response: Result<Option<Box<RawValue>>, Refusal>,
    /// `CloudWatch` reads it as a metric.
    pub metric: Option<String>,
}

impl Trigger {
    /// With each part of the configuration that is right; `aws` may be missing, too.
    pub fn new(aws: Result<Aws, String>, settings: config::Trigger) -> Self {
        let queue = aws.and_then(|aws| match &settings.queue_url {
            Ok(url) => Ok((aws.for_trigger(), url.clone())),
            Err(invalid) => Err(invalid.to_string()),
        });
        let forwarder = match queue {
            Ok((aws, url)) => Forwarder::new(&aws, &url),
            Err(why) => Forwarder::broken(why),
        };
        Self {
            forwarder,
            settings,
        }
    }

    /// What forwards sign-ups.
    pub fn forwarder(&self) -> &Forwarder {
        &self.forwarder
    }

    /// Answers one event. What is sent to the queue for it belongs to `trace`.
    pub async fn handle(&self, event: &RawValue, trace: &Trace) -> Answered {
        let unchanged = Answered {
            response: Ok(None),
            metric: None,
        };
        let members = Members::of(event);
        let source = members.text("triggerSource").unwrap_or_default();
        if source.is_empty() {
            let call = serde_json::from_str(event.get()).ok();
            return match call.as_ref().and_then(Resolver::of) {
                Some(call) => Answered {
                    response: self.resolve(&call, trace).await.map(Some),
                    ..unchanged
                },
                None => match call {
                    // Nothing that Cognito sends: somebody's misrouted call is not
                    // answered with success.
                    Some(event) if resolver::looks_like_one(&event) => Answered {
                        response: Err(resolver::stranger(None, "")),
                        ..unchanged
                    },
                    _ => unchanged,
                },
            };
        }
        if source == "CustomMessage_AdminCreateUser" {
            return Answered {
                response: Ok(self.mail(&members)),
                ..unchanged
            };
        }
        // A token of a machine is nobody's.
        if source.starts_with("TokenGeneration_") && source != "TokenGeneration_ClientCredentials" {
            return Answered {
                response: Ok(self.token(&members)),
                ..unchanged
            };
        }
        match self.forwarder.handle(event, trace).await {
            Forwarded::Failed { metric } => Answered {
                metric: Some(metric),
                ..unchanged
            },
            Forwarded::Sent(_) | Forwarded::PassedThrough => unchanged,
        }
    }
}
