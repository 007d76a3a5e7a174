//! Whoever has the credentials of this shell and does at once what administrators ask
//! a worker for.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Usage;
use crate::aws::{Aws, Class, Directory, Person, Profiles};
use crate::config::Config;
use crate::event::{Action, Invitation, Order, PoolId};
use crate::provision::{Invited, Mail, Outcome, Performed, Provisioner, Retry, Stage};
use crate::quota::Quota;
use crate::retry::{Patience, Persistence, quickly};

/// Attempts where a user or a group is not there, perhaps not yet.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_secs(3);

/// Acts in one pool, for somebody with a name.
#[derive(Debug)]
pub(super) struct Operator {
    pool: PoolId,
    actor: String,
    provisioner: Provisioner,
    persistence: Persistence,
    stop: CancellationToken,
}

impl Operator {
    /// `patience` is how long nothing may work before it gives up.
    pub(super) async fn new(
        config: &Config,
        aws: &Aws,
        pool: &PoolId,
        patience: Duration,
        stop: &CancellationToken,
    ) -> Self {
        let quota = Arc::new(Quota::new(config.quota));
        let profiles = config.profiles.as_ref();
        let profiles = profiles.map(|settings| Profiles::new(aws, &settings.table, &settings.key));
        Self {
            pool: pool.clone(),
            actor: actor(aws).await,
            provisioner: Provisioner::new(config, Directory::new(aws, quota), profiles),
            persistence: Persistence::new(patience, stop),
            stop: stop.clone(),
        }
    }

    /// Tries until it is done or refused, or makes no sense any more: then the outcome
    /// is the last attempt's `Retry`. Writes the audit line.
    pub(super) async fn carry_out(&self, action: Action) -> Performed {
        let mut order = Order {
            request_id: Order::new_request_id(),
            requested_by: self.actor.clone(),
            requested_at: Some(jiff::Timestamp::now()),
            pool: self.pool.clone(),
            action,
        };
        let mut before = Before::default();
        let mut pace = Patience::default();
        let mut tries = 0;
        let performed = loop {
            let performed = before.complete(self.provisioner.perform(&order).await);
            let Outcome::Retry(retry) = &performed.outcome else {
                self.persistence.worked();
                break performed;
            };
            let again = if is_passing(retry) {
                self.persistence.again(&mut pace).await
            } else {
                self.persistence.worked();
                tries += 1;
                self.again(&order.action, retry, tries).await
            };
            if !again {
                break performed;
            }
            tracing::warn!(
                request.id = order.request_id,
                error = retry.because.error,
                "tried again",
            );
            before.note(&performed, retry);
            if let Action::Invite(invitation) = &mut order.action {
                invitation.resend &= before.mail_is_due();
            }
        };
        match end(&performed.outcome) {
            Some(outcome) => Performed {
                outcome,
                ..performed.clone()
            }
            .audit(&order, Stage::Ended),
            None => performed.audit(&order, Stage::Ended),
        }
        performed
    }

    /// Only somebody who was just created is given the time to appear.
    async fn again(&self, action: &Action, retry: &Retry, tries: u32) -> bool {
        let most = retry.at_most.unwrap_or(TRIES).min(TRIES);
        if tries >= most || !matches!(action, Action::Invite(_)) {
            return false;
        }
        tokio::select! {
            biased;
            () = self.stop.cancelled() => false,
            () = tokio::time::sleep(retry.pause.after(tries, |_| PAUSE)) => true,
        }
    }

    /// One invitation. With `owed` the last one never went: it is sent again, unless
    /// the person has accepted another.
    pub(super) async fn invite(&self, invitation: &Invitation, owed: bool) -> Performed {
        let resend = invitation.resend || owed;
        let with = |resend| {
            Action::Invite(Invitation {
                resend,
                ..invitation.clone()
            })
        };
        let performed = self.carry_out(with(resend)).await;
        let accepted = performed.outcome.reason() == "already_accepted";
        if accepted && !invitation.resend {
            return self.carry_out(with(false)).await;
        }
        performed
    }
}

/// Whether it is the time alone that is in the way.
pub(super) fn is_passing(retry: &Retry) -> bool {
    let class = retry.because.class;
    class == Class::Throttled.name() || class == Class::Transient.name()
}

/// Nobody tries it again: whatever was in the way has refused it.
fn end(outcome: &Outcome) -> Option<Outcome> {
    match outcome {
        Outcome::Retry(retry) => Some(Outcome::Rejected(retry.because.clone())),
        Outcome::Blocked(failure) => Some(Outcome::Rejected(failure.clone().into())),
        _ => None,
    }
}

/// What earlier attempts at the same order have done: the last one finds a person
/// there whom the first has made.
#[derive(Default)]
struct Before {
    whom: Option<Person>,
    invited: Option<Invited>,
    /// An answer was lost that may have been a yes.
    lost: bool,
}

impl Before {
    fn note(&mut self, performed: &Performed, retry: &Retry) {
        self.whom.clone_from(&performed.whom);
        self.invited.clone_from(&performed.invited);
        let lost = retry.down.as_ref();
        self.lost |= self.invited.is_none()
            && lost.is_some_and(|failure| failure.operation == "AdminCreateUser");
    }

    fn mail_is_due(&self) -> bool {
        self.invited
            .as_ref()
            .is_none_or(|invited| !matches!(invited.mail, Mail::Sent | Mail::NoCode))
    }

    fn complete(&self, mut performed: Performed) -> Performed {
        match (&mut performed.invited, &self.invited) {
            (Some(invited), Some(before)) => {
                invited.created |= before.created;
                if matches!(invited.mail, Mail::NotSent | Mail::Unknown) {
                    invited.mail = before.mail;
                }
            }
            (Some(invited), None) if self.lost && invited.mail == Mail::NotSent => {
                invited.created = true;
                invited.mail = Mail::Unknown;
            }
            (none @ None, before) => none.clone_from(before),
            _ => {}
        }
        performed.whom = performed.whom.or_else(|| self.whom.clone());
        performed
    }
}

/// The pool that is meant: the one that is given, or the only one there is.
pub(super) fn pool(given: Option<&str>, config: &Config) -> anyhow::Result<PoolId> {
    let Some(id) = given else {
        let mut allowed = config.pools.allowed.iter();
        return match (allowed.next(), allowed.next()) {
            (Some(pool), None) => Ok(pool.clone()),
            (None, _) => Err(Usage::error(
                "pools.allowed is empty: name the user pool with --pool",
            )),
            _ => Err(Usage::error(
                "pools.allowed names several user pools: choose one with --pool",
            )),
        };
    };
    let pool = PoolId::new(id).ok_or_else(|| Usage::error("--pool: not the id of a user pool"))?;
    if !config.pools.accept(&pool) {
        return Err(Usage::error(format!(
            "--pool {id} is not in pools.allowed: add it there, or name one that is"
        )));
    }
    Ok(pool)
}

/// The ARN of whoever acts, for audit lines.
pub(super) async fn actor(aws: &Aws) -> String {
    match quickly(|| aws.caller()).await {
        Ok(arn) => arn,
        Err(failure) => {
            tracing::warn!(error = %failure, "nobody says who the caller is");
            "unknown".to_owned()
        }
    }
}

/// A time that may be waited.
pub(super) fn patience(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .ok()
        .filter(|time| *time >= Duration::from_secs(1))
        .ok_or_else(|| "write a time of a second or more, such as 10m".to_owned())
}
