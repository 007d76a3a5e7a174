//! The two ways that a letter may go once more.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;

use super::became::Became;
use super::found::Found;
use super::history::History;
use super::letter::{Letter, send};
use crate::aws::{Class, Failure, Outgoing, Queue};
use crate::event::{Event, parse};
use crate::provision::{Outcome, Provisioner, Rejection, Retry, Stage};
use crate::retry::quickly;

/// How letters are replayed.
#[derive(Debug)]
pub enum Way {
    /// Sent to the source queue, where a worker receives them.
    Queue(Queue),
    /// Provisioned here and now; what fails again becomes a new letter on this
    /// dead-letter queue.
    Direct(Box<Provisioner>, Queue),
}

impl Way {
    /// Each letter's end, in their order.
    pub(super) async fn go(&self, letters: &[Found]) -> Vec<End> {
        match self {
            Self::Queue(source) => to_queue(source, letters).await,
            Self::Direct(provisioner, queue) => direct(provisioner, queue, letters).await,
        }
    }
}

/// What became of one letter.
pub(super) struct End {
    pub(super) became: Became,
    /// The id of the message that took its place.
    pub(super) sent: Option<String>,
    /// What will fail for the next letters, too.
    pub(super) failure: Option<Failure>,
}

impl Found {
    /// What is behind the letter once it is replayed.
    fn replayed(&self) -> History {
        History {
            attempts: 0,
            replays: self.about.replays.saturating_add(1),
            first_received_at: self.about.first_received_at,
        }
    }

    fn to_outgoing(&self) -> Outgoing {
        let again = self.replayed().renew(&self.message, Duration::ZERO);
        Outgoing {
            group: again.group.or_else(|| self.about.pool.clone()),
            ..again
        }
    }
}

async fn to_queue(source: &Queue, letters: &[Found]) -> Vec<End> {
    let messages: Vec<Outgoing> = letters.iter().map(Found::to_outgoing).collect();
    let mut ends = Vec::with_capacity(letters.len());
    for (sent, message) in source.send_each(&messages).await.into_iter().zip(messages) {
        let sent = match sent {
            Err(failure) if failure.class == Class::Permanent && is_too_large(&message) => {
                let bare = Outgoing {
                    attributes: BTreeMap::new(),
                    ..message
                };
                quickly(|| source.send(bare.clone())).await
            }
            sent => sent,
        };
        ends.push(match sent {
            Ok(id) => End::sent(Became::Queued, id),
            Err(failure) => End::left(failure),
        });
    }
    ends
}

/// Attributes count into the size: such a body goes without.
fn is_too_large(message: &Outgoing) -> bool {
    message.size() > Outgoing::MOST && message.body.len() <= Outgoing::MOST
}

async fn direct(provisioner: &Provisioner, queue: &Queue, letters: &[Found]) -> Vec<End> {
    let ends = letters
        .iter()
        .map(|letter| provision(provisioner, queue, letter));
    join_all(ends).await
}

async fn provision(provisioner: &Provisioner, queue: &Queue, letter: &Found) -> End {
    let outcome = match parse(&letter.message.body) {
        Ok(Event::SignUp(sign_up)) => provisioner.replayed_sign_up(&sign_up).await,
        Ok(Event::Order(order)) => {
            let performed = provisioner.perform_queued(&order.replayed()).await;
            let outcome = performed.for_the_queue();
            performed.ending(&outcome).audit(&order, Stage::Ended);
            outcome
        }
        // It is a worker's to run, and its letter stays until it is sent there.
        Ok(Event::Reconcile(_)) => return End::of(Became::Left("needs the queue".to_owned())),
        Err(malformed) => Outcome::Rejected(malformed.into()),
    };
    match outcome {
        Outcome::Done => End::of(Became::Done),
        Outcome::AlreadyDone(_) => End::of(Became::AlreadyDone),
        Outcome::Ignored(_) => End::of(Became::Ignored),
        // Perhaps the worker's own, if not this configuration's.
        Outcome::Rejected(rejection) if rejection.reason == Rejection::FOREIGN_POOL => {
            End::of(Became::Left(rejection.reason))
        }
        Outcome::Rejected(rejection) => again(queue, letter, &rejection).await,
        // The service is down, or has enough: that says nothing of the letter.
        Outcome::Retry(Retry {
            down: Some(failure),
            ..
        }) => End::left(failure),
        Outcome::Retry(retry) if retry.because.class == Class::Throttled.name() => {
            End::of(Became::Left(retry.because.reason))
        }
        Outcome::Retry(retry) => again(queue, letter, &retry.because).await,
        // The letter may name a pool of nowhere; the others do not.
        Outcome::Blocked(failure) if failure.reason == "pool_not_found" => {
            End::of(Became::Left(failure.reason))
        }
        Outcome::Blocked(failure) => End::left(failure),
    }
}

/// It failed again: a new letter takes the place of the old.
async fn again(queue: &Queue, letter: &Found, rejection: &Rejection) -> End {
    let anew = Letter {
        message: &letter.message,
        history: History {
            attempts: 1,
            ..letter.replayed()
        },
        rejection,
        now: jiff::Timestamp::now(),
    };
    match send(queue, &anew).await {
        Ok(id) => End::sent(Became::FailedAgain(rejection.reason.clone()), id),
        Err(failure) => End::left(failure),
    }
}

impl End {
    fn of(became: Became) -> Self {
        Self {
            became,
            sent: None,
            failure: None,
        }
    }

    fn sent(became: Became, id: String) -> Self {
        Self {
            sent: Some(id),
            ..Self::of(became)
        }
    }

    /// The letter stays as it is. Only what will fail for every other letter
    /// ends the run.
    fn left(failure: Failure) -> Self {
        let of_this_letter = failure.class == Class::Permanent;
        Self {
            failure: (!of_this_letter).then(|| failure.clone()),
            ..Self::of(Became::Left(failure.reason))
        }
    }
}
