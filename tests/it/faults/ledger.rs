//! Records the effects and faults of calls; dead letters are compared with it.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use axum::http::StatusCode;
use serde_json::Value;

use super::response::EndpointAnswer;
use super::{Call, Damaged, Fault};

#[derive(Default)]
pub(crate) struct Ledger {
    /// Reasons that a dead letter may have, by user name or `sub`. Reasons of calls without
    /// a user have the empty name.
    reasons: HashMap<String, BTreeSet<&'static str>>,
    /// The number of receives by body.
    receives: HashMap<String, u32>,
    /// The number of writes by profile id.
    puts: HashMap<String, u32>,
    /// Received messages that can be delivered again.
    delivered: Vec<Value>,
    longest_hide: u64,
}

/// The client may have timed out in a call that took longer.
const SLOW: Duration = Duration::from_secs(4);
const REMEMBERED: usize = 100;

impl Ledger {
    /// The reasons that a dead letter about this user may have.
    pub(crate) fn reasons(&self, name: &str, sub: &str) -> BTreeSet<&'static str> {
        [name, sub, ""]
            .iter()
            .filter_map(|user| self.reasons.get(*user))
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

    /// The longest visibility timeout or delay that a call asked for.
    pub(crate) fn longest_hide(&self) -> Duration {
        Duration::from_secs(self.longest_hide)
    }

    pub(super) fn hidden(&mut self, seconds: u64) {
        self.longest_hide = self.longest_hide.max(seconds);
    }

    /// A random message that was received before.
    pub(super) fn earlier(&mut self) -> Option<Value> {
        fastrand::choice(&self.delivered).cloned()
    }

    pub(super) fn fault(&mut self, call: &Call, fault: &Fault) {
        if let Some(user) = user_of(call) {
            self.reasons
                .entry(user)
                .or_default()
                .extend(reasons(call, fault));
        }
    }

    pub(super) fn took(&mut self, call: &Call, time: Duration) {
        if let Some(user) = user_of(call).filter(|_| time > SLOW) {
            self.reasons.entry(user).or_default().insert("timeout");
        }
    }

    pub(super) fn effect(&mut self, call: &Call, answer: &EndpointAnswer) {
        match call.operation.as_str() {
            "PutItem" if answer.parts.status == StatusCode::OK => {
                let id = call.input["Item"]["id"]["S"].as_str().unwrap_or_default();
                *self.puts.entry(id.to_owned()).or_default() += 1;
            }
            "ReceiveMessage" => {
                for message in answer.json()["Messages"].as_array().into_iter().flatten() {
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

/// The user of a call: name or `sub`.
fn user_of(call: &Call) -> Option<String> {
    let user = match call.operation.as_str() {
        "AdminAddUserToGroup" | "AdminGetUser" => call.input["Username"].as_str()?,
        "PutItem" => call.input["Item"]["id"]["S"].as_str()?,
        "CreateGroup" => "",
        _ => return None,
    };
    Some(user.to_owned())
}

/// The reasons that a dead letter may have after this fault. Empty for a broken deployment,
/// which must not produce dead letters.
fn reasons(call: &Call, fault: &Fault) -> Vec<&'static str> {
    match fault {
        Fault::Error(_, code)
        | Fault::Before(Damaged::Error(_, code))
        | Fault::After(Damaged::Error(_, code)) => reason_of(call, code).into_iter().collect(),
        Fault::Hang(_) | Fault::Before(Damaged::Late(_)) | Fault::After(Damaged::Late(_)) => {
            vec!["timeout"]
        }
        Fault::ResetBefore | Fault::ResetAfter => vec!["garbled_response", "connection"],
        Fault::Before(damaged) | Fault::After(damaged) => match damaged {
            Damaged::Closed => vec!["connection"],
            Damaged::Page(status) if status.is_server_error() => vec!["server_error"],
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
