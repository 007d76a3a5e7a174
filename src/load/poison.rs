//! Messages that must not be provisioned, and the dead letter that each must become.

use serde_json::json;
use sha2::{Digest, Sha256};

use super::run_id::{RunId, Tag};
use crate::config::Config;
use crate::event::PoolId;

/// A kind of message that provisions no user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Poison {
    /// A body that is not JSON.
    NotJson,
    /// A JSON array instead of an object.
    NotAnObject,
    /// A JSON object that is not an event.
    NotAnEvent,
    /// An event without a `triggerSource`.
    NoTriggerSource,
    /// An event of the pre-sign-up trigger.
    OtherTrigger,
    /// A sign-up with an empty pool id.
    NoUserPool,
    /// A sign-up with an empty user name.
    NoUserName,
    /// A body from an SNS subscription without raw message delivery.
    SnsEnvelope,
    /// A sign-up of a user who does not exist.
    UnknownUser,
    /// A sign-up in a pool that `pools.allowed` does not list.
    ForeignPool,
}

const MALFORMED: [Poison; 8] = [
    Poison::NotJson,
    Poison::NotAnObject,
    Poison::NotAnEvent,
    Poison::NoTriggerSource,
    Poison::OtherTrigger,
    Poison::NoUserPool,
    Poison::NoUserName,
    Poison::SnsEnvelope,
];

impl Poison {
    /// The kind of message number `n`: malformed, unknown user and foreign pool in
    /// rotation. Kinds that this configuration does not reject are left out.
    pub fn of(n: u32, config: &Config) -> Self {
        let mut kinds = vec![None];
        // Without groups and profiles a worker does not notice an unknown user.
        let has_work = config.profiles.is_some() || !config.groups.default.is_empty();
        if has_work {
            kinds.push(Some(Self::UnknownUser));
        }
        // If any pool is allowed, an unknown pool may seem to be an outage.
        if !config.pools.allowed.is_empty() {
            kinds.push(Some(Self::ForeignPool));
        }
        let n = n as usize;
        let malformed = || MALFORMED[n / kinds.len() % MALFORMED.len()];
        kinds[n % kinds.len()].unwrap_or_else(malformed)
    }

    /// The reason of the dead letter that it must become.
    pub fn reason(self) -> &'static str {
        match self {
            Self::NotJson => "not_json",
            Self::NotAnObject => "not_an_object",
            Self::NotAnEvent => "not_an_event",
            Self::NoTriggerSource => "no_trigger_source",
            Self::OtherTrigger => "other_trigger",
            Self::NoUserPool => "no_user_pool",
            Self::NoUserName => "no_user_name",
            Self::SnsEnvelope => "sns_envelope",
            Self::UnknownUser => "user_not_found",
            Self::ForeignPool => "foreign_pool",
        }
    }

    /// Whether its body names a `sub` that no user has ([`unknown_sub`]).
    pub(super) fn has_unknown_sub(self) -> bool {
        matches!(self, Self::UnknownUser | Self::ForeignPool)
    }

    /// Attempts that the message claims. A worker retries for minutes while the user of a
    /// sign-up is missing; after the last attempt it does not.
    pub(crate) fn prior_attempts(self, config: &Config) -> u32 {
        match self {
            Self::UnknownUser => config.worker.max_attempts - 1,
            _ => 0,
        }
    }

    /// The body, which holds the run's name of the message.
    pub fn body(self, run: &RunId, n: u32, pool: &PoolId) -> String {
        let name = run.name(Tag::Poison(n));
        let event = |source: &str, pool: &str, user: &str, attributes: serde_json::Value| {
            json!({
                "version": "1", "triggerSource": source, "userPoolId": pool, "userName": user,
                "callerContext": {"awsSdkVersion": name, "clientId": null},
                "request": {"userAttributes": attributes}, "response": {},
            })
        };
        let sign_up = "PostConfirmation_ConfirmSignUp";
        let confirmed = json!({"cognito:user_status": "CONFIRMED"});
        let body = match self {
            Self::NotJson => return format!("{{ this is {name} and no JSON"),
            Self::NotAnObject => json!([name]),
            Self::NotAnEvent => json!({ "name": name }),
            Self::NoTriggerSource => {
                json!({"userName": name, "userPoolId": pool.as_str(), "request": {}})
            }
            Self::OtherTrigger => event("PreSignUp_SignUp", pool.as_str(), &name, confirmed),
            Self::NoUserPool => event(sign_up, "", &name, confirmed),
            Self::NoUserName => event(sign_up, pool.as_str(), "", confirmed),
            Self::SnsEnvelope => json!({
                "Type": "Notification", "TopicArn": "arn:aws:sns:us-east-1:000000000000:sign-ups",
                "Message": format!("{{\"userName\": \"{name}\"}}"),
            }),
            // With a `sub`: the groups come first, so no profile may be written for it.
            Self::UnknownUser => event(
                sign_up,
                pool.as_str(),
                &name,
                unknown_user_attributes(run, n),
            ),
            Self::ForeignPool => event(
                sign_up,
                &foreign_pool(pool),
                &name,
                unknown_user_attributes(run, n),
            ),
        };
        body.to_string()
    }
}

/// A pool id in the same Region that does not exist.
fn foreign_pool(pool: &PoolId) -> String {
    let region = pool.as_str().split('_').next().unwrap_or_default();
    format!("{region}_usherload0")
}

fn unknown_user_attributes(run: &RunId, n: u32) -> serde_json::Value {
    json!({"sub": unknown_sub(run, n), "cognito:user_status": "CONFIRMED"})
}

/// The `sub` in the sign-up of a foreign pool or of an unknown user: no user has it, and no
/// profile may have it. A UUID, since the worker ignores any other value.
pub(super) fn unknown_sub(run: &RunId, n: u32) -> String {
    let hash = Sha256::digest(run.name(Tag::Poison(n)));
    let first_bytes = hash.iter().take(16);
    let number = first_bytes.fold(0, |number: u128, byte| (number << 8) | u128::from(*byte));
    let hex = format!("{number:032x}");
    [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ]
    .join("-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Layers;
    use crate::event::{Event, parse};

    fn config(allowed: &str) -> Config {
        let flags = [
            "queue.url=http://localhost/1/usher".to_owned(),
            "profiles.table=Profiles".to_owned(),
            format!("pools.allowed={allowed}"),
        ];
        Config::from_layers(&Layers::defaults().flags(&flags)).expect("valid")
    }

    #[test]
    fn every_kind_occurs_and_is_rejected_for_its_reason() {
        let run: RunId = "20261121-142249-k3f9".parse().expect("an id");
        let pool = PoolId::new("eu-west-1_x").expect("an id");
        let config = config("eu-west-1_x");
        let kinds: Vec<Poison> = (0..24).map(|n| Poison::of(n, &config)).collect();
        for kind in MALFORMED {
            assert_eq!(kinds.iter().filter(|other| **other == kind).count(), 1);
        }
        for (n, kind) in (0..).zip(kinds) {
            let body = kind.body(&run, n, &pool);
            assert_eq!(run.find(&body), Some(Tag::Poison(n)), "{body}");
            match (kind, parse(&body)) {
                (Poison::UnknownUser, Ok(Event::SignUp(user))) => {
                    let sub = user.sub.expect("a sub");
                    assert_eq!(sub.as_str(), unknown_sub(&run, n));
                }
                (Poison::ForeignPool, Ok(Event::SignUp(user))) => {
                    assert!(!config.pools.is_allowed(&user.pool));
                    assert_eq!(kind.reason(), "foreign_pool");
                }
                (_, Err(malformed)) => {
                    assert_eq!(kind.reason(), malformed.code());
                }
                (_, other) => panic!("{kind:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn no_foreign_pool_if_any_pool_is_allowed() {
        let config = config("");
        assert!((0..100).all(|n| Poison::of(n, &config) != Poison::ForeignPool));
    }
}
