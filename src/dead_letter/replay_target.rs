//! The two targets of a replay: the source queue, or the provisioner of this process.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;

use super::received_dead_letter::ReceivedDeadLetter;
use super::replay_result::ReplayResult;
use crate::aws::{Class, Failure, Outgoing, Queue};
use crate::event::{Event, parse};
use crate::message::{DeadLetter, History, outgoing, send_dead_letter};
use crate::provision::{CommandStage, Outcome, Provisioner, Rejection, RejectionClass, Retry};
use crate::reason::Reason;
use crate::retry::retry_inline;

/// Where dead letters are replayed.
#[derive(Debug)]
pub(crate) enum ReplayTarget {
    /// Sent to the source queue, where a worker receives them.
    Queue(Queue),
    /// Provisioned in this process. One that fails again is replaced by a new dead
    /// letter on this dead-letter queue.
    Direct(Box<Provisioner>, Queue),
}

impl ReplayTarget {
    /// Returns one entry for each dead letter, in the same order.
    pub(super) async fn replay(&self, dead_letters: &[ReceivedDeadLetter]) -> Vec<ReplayAttempt> {
        match self {
            Self::Queue(source) => replay_to_queue(source, dead_letters).await,
            Self::Direct(provisioner, queue) => {
                replay_directly(provisioner, queue, dead_letters).await
            }
        }
    }
}

/// The replay of one dead letter; it is not deleted yet.
pub(super) struct ReplayAttempt {
    pub(super) result: ReplayResult,
    /// Message id of the message or dead letter that replaces it.
    pub(super) sent_id: Option<String>,
    /// A failure that would stop the next dead letters too.
    pub(super) failure: Option<Failure>,
}

impl ReceivedDeadLetter {
    /// Its history with one more replay and no attempts.
    fn replayed_history(&self) -> History {
        History {
            attempts: 0,
            replays: self.summary.replays.saturating_add(1),
            first_received_at: self.summary.first_received_at,
        }
    }

    fn to_outgoing(&self) -> Outgoing {
        let outgoing = outgoing::renewed(&self.message, self.replayed_history(), Duration::ZERO);
        Outgoing {
            // The pool is the tenant of a fair queue.
            message_group: outgoing.message_group.or_else(|| self.summary.pool.clone()),
            ..outgoing
        }
    }
}

async fn replay_to_queue(
    source: &Queue,
    dead_letters: &[ReceivedDeadLetter],
) -> Vec<ReplayAttempt> {
    let messages: Vec<Outgoing> = dead_letters
        .iter()
        .map(ReceivedDeadLetter::to_outgoing)
        .collect();
    let mut results = Vec::with_capacity(dead_letters.len());
    for (sent, message) in source
        .send_all_with_retry(&messages)
        .await
        .into_iter()
        .zip(messages)
    {
        let sent = match sent {
            Err(failure) if failure.class == Class::Permanent && is_too_large(&message) => {
                let without_attributes = Outgoing {
                    attributes: BTreeMap::new(),
                    ..message
                };
                retry_inline(|| source.send(without_attributes.clone())).await
            }
            sent => sent,
        };
        results.push(match sent {
            Ok(id) => ReplayAttempt::sent(ReplayResult::Queued, id),
            Err(failure) => ReplayAttempt::unchanged(failure),
        });
    }
    results
}

/// Attributes count into the size: such a message is sent without them.
fn is_too_large(message: &Outgoing) -> bool {
    message.size() > Outgoing::MAX_MESSAGE_BYTES
        && message.body.len() <= Outgoing::MAX_MESSAGE_BYTES
}

async fn replay_directly(
    provisioner: &Provisioner,
    queue: &Queue,
    dead_letters: &[ReceivedDeadLetter],
) -> Vec<ReplayAttempt> {
    let results = dead_letters
        .iter()
        .map(|dead_letter| provision(provisioner, queue, dead_letter));
    join_all(results).await
}

async fn provision(
    provisioner: &Provisioner,
    queue: &Queue,
    dead_letter: &ReceivedDeadLetter,
) -> ReplayAttempt {
    let outcome = match parse(&dead_letter.message.body) {
        Ok(Event::SignUp(sign_up)) => without_retry(provisioner.provision_replayed(&sign_up).await),
        Ok(Event::AdminCommand(command)) => {
            let performed = provisioner.perform_queued(&command.replayed()).await;
            let outcome = without_retry(performed.queue_outcome());
            performed
                .with_outcome(&outcome)
                .audit(&command, CommandStage::Completed);
            // With that reason the dead letter stays as it is, and so does the request.
            if !matches!(&outcome, Outcome::Rejected(it) if it.reason == Reason::ForeignPool) {
                let requests = provisioner.requests();
                let id = &dead_letter.message.id;
                requests.record_result(&command, &outcome, id).await;
            }
            outcome
        }
        // Only a worker can run a reconcile.
        Ok(Event::Reconcile(_)) => {
            return ReplayAttempt::new(ReplayResult::Unchanged("needs the queue".into()));
        }
        Err(malformed) => Outcome::Rejected(malformed.into()),
    };
    match outcome {
        Outcome::Done => ReplayAttempt::new(ReplayResult::Done),
        Outcome::AlreadyDone(_) => ReplayAttempt::new(ReplayResult::AlreadyDone),
        Outcome::Ignored(_) => ReplayAttempt::new(ReplayResult::Ignored),
        // The worker's configuration may allow this pool.
        Outcome::Rejected(rejection) if rejection.reason == Reason::ForeignPool => {
            ReplayAttempt::new(ReplayResult::Unchanged(rejection.reason))
        }
        Outcome::Rejected(rejection) => dead_letter_again(queue, dead_letter, &rejection).await,
        // An outage or throttling is not the fault of this dead letter.
        Outcome::Retry(Retry {
            possible_outage: Some(failure),
            ..
        }) => ReplayAttempt::unchanged(failure),
        Outcome::Retry(retry) => ReplayAttempt::new(ReplayResult::Unchanged(retry.cause.reason)),
        // The pool does not exist: the next dead letters may name another.
        Outcome::Blocked(failure) if failure.reason == Reason::PoolNotFound => {
            ReplayAttempt::new(ReplayResult::Unchanged(failure.reason))
        }
        Outcome::Blocked(failure) => ReplayAttempt::unchanged(failure),
    }
}

/// No other attempt follows: what would be tried again is rejected, unless a service is at fault.
fn without_retry(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Retry(Retry {
            possible_outage: None,
            cause,
            ..
        }) if cause.class != RejectionClass::Failure(Class::Throttled) => Outcome::Rejected(cause),
        outcome => outcome,
    }
}

/// Sends a new dead letter with the new reason. The caller deletes the old one.
async fn dead_letter_again(
    queue: &Queue,
    dead_letter: &ReceivedDeadLetter,
    rejection: &Rejection,
) -> ReplayAttempt {
    let renewed = DeadLetter {
        message: &dead_letter.message,
        history: History {
            attempts: 1,
            ..dead_letter.replayed_history()
        },
        reason: &rejection.reason,
        class: rejection.class.name(),
        error: &rejection.error,
        now: jiff::Timestamp::now(),
    };
    match send_dead_letter(queue, &renewed).await {
        Ok(id) => ReplayAttempt::sent(ReplayResult::FailedAgain(rejection.reason.clone()), id),
        Err(failure) => ReplayAttempt::unchanged(failure),
    }
}

impl ReplayAttempt {
    fn new(result: ReplayResult) -> Self {
        Self {
            result,
            sent_id: None,
            failure: None,
        }
    }

    fn sent(result: ReplayResult, id: String) -> Self {
        Self {
            sent_id: Some(id),
            ..Self::new(result)
        }
    }

    /// The dead letter stays. A permanent failure concerns only this one; any other
    /// stops the run.
    fn unchanged(failure: Failure) -> Self {
        let is_permanent = failure.class == Class::Permanent;
        Self {
            failure: (!is_permanent).then(|| failure.clone()),
            ..Self::new(ReplayResult::Unchanged(failure.reason))
        }
    }
}
