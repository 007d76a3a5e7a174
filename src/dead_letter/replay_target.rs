//! The two ways that a letter may go once more.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;

use super::held_dead_letter::HeldDeadLetter;
use super::history::History;
use super::message::{DeadLetter, send_dead_letter};
use super::replay_result::ReplayResult;
use crate::aws::{Class, Failure, Outgoing, Queue};
use crate::event::{Event, parse};
use crate::provision::{CommandStage, Outcome, Provisioner, Rejection, Retry};
use crate::retry::retry_inline;

/// How letters are replayed.
#[derive(Debug)]
pub(crate) enum ReplayTarget {
    /// Sent to the source queue, where a worker receives them.
    Queue(Queue),
    /// Provisioned here and now; what fails again becomes a new letter on this
    /// dead-letter queue.
    Direct(Box<Provisioner>, Queue),
}

impl ReplayTarget {
    /// Each letter's end, in their order.
    pub(super) async fn replay(&self, letters: &[HeldDeadLetter]) -> Vec<Replayed> {
        match self {
            Self::Queue(source) => replay_to_queue(source, letters).await,
            Self::Direct(provisioner, queue) => replay_directly(provisioner, queue, letters).await,
        }
    }
}

/// What became of one letter.
pub(super) struct Replayed {
    pub(super) result: ReplayResult,
    /// The id of the message that took its place.
    pub(super) sent_id: Option<String>,
    /// What will fail for the next letters, too.
    pub(super) failure: Option<Failure>,
}

impl HeldDeadLetter {
    /// What is behind the letter once it is replayed.
    fn replayed_history(&self) -> History {
        History {
            attempts: 0,
            replays: self.summary.replays.saturating_add(1),
            first_received_at: self.summary.first_received_at,
        }
    }

    fn to_outgoing(&self) -> Outgoing {
        let again = self.replayed_history().renew(&self.message, Duration::ZERO);
        Outgoing {
            message_group: again.message_group.or_else(|| self.summary.pool.clone()),
            ..again
        }
    }
}

async fn replay_to_queue(source: &Queue, letters: &[HeldDeadLetter]) -> Vec<Replayed> {
    let messages: Vec<Outgoing> = letters.iter().map(HeldDeadLetter::to_outgoing).collect();
    let mut ends = Vec::with_capacity(letters.len());
    for (sent, message) in source
        .send_all_with_retry(&messages)
        .await
        .into_iter()
        .zip(messages)
    {
        let sent = match sent {
            Err(failure) if failure.class == Class::Permanent && is_too_large(&message) => {
                let bare = Outgoing {
                    attributes: BTreeMap::new(),
                    ..message
                };
                retry_inline(|| source.send(bare.clone())).await
            }
            sent => sent,
        };
        ends.push(match sent {
            Ok(id) => Replayed::sent(ReplayResult::Queued, id),
            Err(failure) => Replayed::unchanged(failure),
        });
    }
    ends
}

/// Attributes count into the size: such a body goes without.
fn is_too_large(message: &Outgoing) -> bool {
    message.size() > Outgoing::MAX_MESSAGE_BYTES
        && message.body.len() <= Outgoing::MAX_MESSAGE_BYTES
}

async fn replay_directly(
    provisioner: &Provisioner,
    queue: &Queue,
    letters: &[HeldDeadLetter],
) -> Vec<Replayed> {
    let ends = letters
        .iter()
        .map(|letter| provision(provisioner, queue, letter));
    join_all(ends).await
}

async fn provision(provisioner: &Provisioner, queue: &Queue, letter: &HeldDeadLetter) -> Replayed {
    let outcome = match parse(&letter.message.body) {
        Ok(Event::SignUp(sign_up)) => provisioner.provision_replayed(&sign_up).await,
        Ok(Event::AdminCommand(order)) => {
            let performed = provisioner.perform_queued(&order.replayed()).await;
            let outcome = performed.queue_outcome();
            performed
                .with_outcome(&outcome)
                .audit(&order, CommandStage::Completed);
            outcome
        }
        // It is a worker's to run, and its letter stays until it is sent there.
        Ok(Event::Reconcile(_)) => {
            return Replayed::new(ReplayResult::Unchanged("needs the queue".to_owned()));
        }
        Err(malformed) => Outcome::Rejected(malformed.into()),
    };
    match outcome {
        Outcome::Done => Replayed::new(ReplayResult::Done),
        Outcome::AlreadyDone(_) => Replayed::new(ReplayResult::AlreadyDone),
        Outcome::Ignored(_) => Replayed::new(ReplayResult::Ignored),
        // Perhaps the worker's own, if not this configuration's.
        Outcome::Rejected(rejection) if rejection.reason == Rejection::FOREIGN_POOL => {
            Replayed::new(ReplayResult::Unchanged(rejection.reason))
        }
        Outcome::Rejected(rejection) => dead_letter_again(queue, letter, &rejection).await,
        // The service is down, or has enough: that says nothing of the letter.
        Outcome::Retry(Retry {
            possible_outage: Some(failure),
            ..
        }) => Replayed::unchanged(failure),
        Outcome::Retry(retry) if retry.cause.class == Class::Throttled.name() => {
            Replayed::new(ReplayResult::Unchanged(retry.cause.reason))
        }
        Outcome::Retry(retry) => dead_letter_again(queue, letter, &retry.cause).await,
        // The letter may name a pool of nowhere; the others do not.
        Outcome::Blocked(failure) if failure.reason == "pool_not_found" => {
            Replayed::new(ReplayResult::Unchanged(failure.reason))
        }
        Outcome::Blocked(failure) => Replayed::unchanged(failure),
    }
}

/// It failed again: a new letter takes the place of the old.
async fn dead_letter_again(
    queue: &Queue,
    letter: &HeldDeadLetter,
    rejection: &Rejection,
) -> Replayed {
    let anew = DeadLetter {
        message: &letter.message,
        history: History {
            attempts: 1,
            ..letter.replayed_history()
        },
        rejection,
        now: jiff::Timestamp::now(),
    };
    match send_dead_letter(queue, &anew).await {
        Ok(id) => Replayed::sent(ReplayResult::FailedAgain(rejection.reason.clone()), id),
        Err(failure) => Replayed::unchanged(failure),
    }
}

impl Replayed {
    fn new(result: ReplayResult) -> Self {
        Self {
            result,
            sent_id: None,
            failure: None,
        }
    }

    fn sent(became: ReplayResult, id: String) -> Self {
        Self {
            sent_id: Some(id),
            ..Self::new(became)
        }
    }

    /// The letter stays as it is. Only what will fail for every other letter
    /// ends the run.
    fn unchanged(failure: Failure) -> Self {
        let of_this_letter = failure.class == Class::Permanent;
        Self {
            failure: (!of_this_letter).then(|| failure.clone()),
            ..Self::new(ReplayResult::Unchanged(failure.reason))
        }
    }
}
