//! What really happened on the way: the truth that letters are held against.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use axum::http::StatusCode;
use serde_json::Value;

use super::answer::Said;
use super::{Call, Fault, Spoiled};

#[derive(Default)]
pub(crate) struct Ledger {
    /// Reasons that a letter may give, by the user's name or `sub`; those of
    /// calls that are made for nobody in particular under the empty name.
    reasons: HashMap<String, BTreeSet<&'static str>>,
    /// How often a body was handed out.
    receives: HashMap<String, u32>,
    /// How often a profile was written.
    puts: HashMap<String, u32>,
    /// Messages that were handed out, to be handed out again.
    delivered: Vec<Value>,
    longest_hide: u64,
}

/// A call that took this long may have cost the client its patience.
const SLOW: Duration = Duration::from_secs(4);
const REMEMBERED: usize = 100;

impl Ledger {
    /// The reasons that a letter about this user may give.
    pub(crate) fn reasons(&self, name: &str, sub: &str) -> BTreeSet<&'static str> {
        [name, sub, ""]
            .iter()
            .filter_map(|whom| self.reasons.get(*whom))
            .flatten()
            .copied()
            .collect()
    }

    pub(crate) fn receives(&self, body: &str) -> u32 {
        self.receives.get(body).copied().unwrap_or_default()
    }

    pub(crate) fn puts(&self, id: &str) -> u32 {
        self.puts.get(id).copied().unwrap_or_default()
    }

    /// The longest time that a message was asked to be hidden for.
    pub(crate) fn longest_hide(&self) -> Duration {
        Duration::from_secs(self.longest_hide)
    }

    pub(super) fn hidden(&mut self, seconds: u64) {
        self.longest_hide = self.longest_hide.max(seconds);
    }

    /// Any message that was handed out before.
    pub(super) fn earlier(&mut self) -> Option<Value> {
        fastrand::choice(&self.delivered).cloned()
    }

    pub(super) fn fault(&mut self, call: &Call, fault: &Fault) {
        if let Some(whom) = whom(call) {
            self.reasons
                .entry(whom)
                .or_default()
                .extend(reasons(call, fault));
        }
    }

    pub(super) fn took(&mut self, call: &Call, time: Duration) {
        if let Some(whom) = whom(call).filter(|_| time > SLOW) {
            self.reasons.entry(whom).or_default().insert("timeout");
        }
    }

    pub(super) fn effect(&mut self, call: &Call, said: &Said) {
        match call.operation.as_str() {
            "PutItem" if said.parts.status == StatusCode::OK => {
                let id = call.input["Item"]["id"]["S"].as_str().unwrap_or_default();
                *self.puts.entry(id.to_owned()).or_default() += 1;
            }
            "ReceiveMessage" => {
                for message in said.json()["Messages"].as_array().into_iter().flatten() {
                    let body = message["Body"].as_str().unwrap_or_default();
                    *self.receives.entry(body.to_owned()).or_default() += 1;
                    if self.delivered.len() < REMEMBERED {
                        self.delivered.push(message.clone());
                    } else {
                        self.delivered[fastrand::usize(..REMEMBERED)] = message.clone();
                    }
                }
            }
            _ => {}
        }
    }
}

/// Whom a call is made for.
fn whom(call: &Call) -> Option<String> {
    let whom = match call.operation.as_str() {
        "AdminAddUserToGroup" | "AdminGetUser" => call.input["Username"].as_str()?,
        "PutItem" => call.input["Item"]["id"]["S"].as_str()?,
        "CreateGroup" => "",
        _ => return None,
    };
    Some(whom.to_owned())
}

/// What a letter may say after this fault. Empty for what must never end in a
/// letter: a broken deployment is not a message's fault.
fn reasons(call: &Call, fault: &Fault) -> Vec<&'static str> {
    match fault {
        Fault::Error(_, code)
        | Fault::Before(Spoiled::Error(_, code))
        | Fault::After(Spoiled::Error(_, code)) => reason_of(call, code).into_iter().collect(),
        Fault::Hang(_) | Fault::Before(Spoiled::Late(_)) | Fault::After(Spoiled::Late(_)) => {
            vec!["timeout"]
        }
        Fault::ResetBefore | Fault::ResetAfter => vec!["garbled_response", "connection"],
        Fault::Before(spoiled) | Fault::After(spoiled) => match spoiled {
            Spoiled::Closed => vec!["connection"],
            Spoiled::Page(status) if status.is_server_error() => vec!["server_error"],
            _ => vec!["garbled_response", "connection"],
        },
        Fault::Delay(time) if *time > SLOW => vec!["timeout"],
        _ => Vec::new(),
    }
}

fn reason_of(call: &Call, code: &str) -> Option<&'static str> {
    Some(match code {
        "TooManyRequestsException"
        | "ThrottlingException"
        | "ProvisionedThroughputExceededException"
        | "RequestLimitExceeded" => "throttled",
        "InternalErrorException" => "internal_error",
        "InternalServerError" => "internal_server_error",
        "ServiceUnavailable" => "service_unavailable",
        "UserNotFoundException" => "user_not_found",
        "InvalidParameterException" => "invalid_parameter",
        "ResourceNotFoundException" if call.operation == "AdminAddUserToGroup" => "group_not_found",
        _ => return None,
    })
}
