//! Letters, once more: back through the source queue, or through the
//! provisioner in this process. Sent or done first, deleted after: stopped at any
//! point it loses nothing, and what it repeats changes nothing.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::join_all;

use super::audit::Audit;
use super::found::Found;
use super::history::History;
use super::letter::{Letter, send};
use super::selection::{Ended, Selection};
use crate::aws::{Class, Failure, Outgoing, Queue};
use crate::event::{Event, Ignored, parse};
use crate::provision::{Outcome, Provisioner, Rejection};
use crate::quota::Budget;
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

/// A replay, ready to run.
#[derive(Debug)]
pub struct Replay {
    way: Way,
    /// Letters a second.
    pace: Budget,
    /// Letters that go together.
    batch: usize,
    audit: Audit,
    /// Ids of what this run sent: it may come back as a letter while the run
    /// lasts and must not go round for ever.
    sent: HashSet<String>,
    begun: jiff::Timestamp,
    came_back: AtomicU64,
    tally: Tally,
}

/// What became of a letter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Became {
    /// It is on the source queue.
    Queued,
    /// Groups and profile are there now.
    Done,
    /// They were there.
    AlreadyDone,
    /// Nothing was to be done.
    Ignored,
    /// It is a new letter, with this reason.
    FailedAgain(String),
    /// It is as it was, for this reason.
    Left(String),
    /// Done with, but it could not be deleted: it will be replayed again, without
    /// effect.
    NotDeleted,
}

impl Became {
    /// Whether the letter is gone and its work done or under way.
    pub fn is_well(&self) -> bool {
        matches!(
            self,
            Self::Queued | Self::Done | Self::AlreadyDone | Self::Ignored
        )
    }
}

impl fmt::Display for Became {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Queued => f.write_str("queued"),
            Self::Done => f.write_str("done"),
            Self::AlreadyDone => f.write_str("already_done"),
            Self::Ignored => f.write_str("ignored"),
            Self::FailedAgain(reason) => write!(f, "failed again: {reason}"),
            Self::Left(reason) => write!(f, "left: {reason}"),
            Self::NotDeleted => f.write_str("not deleted"),
        }
    }
}

/// Letters by what became of them.
pub type Tally = BTreeMap<Became, u64>;

/// How far a replay is.
#[derive(Debug)]
pub struct Progress<'a> {
    /// By outcome.
    pub tally: &'a Tally,
    /// Letters looked at, meant or not.
    pub seen: u64,
    /// Letters that somebody else hides and that are waited for, about.
    pub elsewhere: u64,
}

/// How a replay ended.
#[derive(Debug)]
pub struct Replayed {
    /// By outcome.
    pub tally: Tally,
    /// Why there were no more letters.
    pub ended: Ended,
    /// What stopped it before its end.
    pub failure: Option<Failure>,
    /// Letters that were left alone because they are newer than the run.
    pub newer: u64,
}

impl Replay {
    /// `rate` is letters a second.
    pub fn new(way: Way, rate: f64, audit: Audit) -> Self {
        Self {
            way,
            pace: Budget::new("replay", rate),
            batch: batch(rate),
            audit,
            sent: HashSet::new(),
            begun: jiff::Timestamp::now(),
            came_back: AtomicU64::new(0),
            tally: Tally::new(),
        }
    }

    /// Replays what the selection hands out.
    pub async fn run(
        mut self,
        mut selection: Selection,
        mut progress: impl FnMut(Progress<'_>),
    ) -> Replayed {
        let mut failure = None;
        loop {
            let (tally, seen) = (&self.tally, selection.seen());
            let next = selection
                .next(
                    |letter| !self.came_back(letter),
                    |elsewhere| {
                        progress(Progress {
                            tally,
                            seen,
                            elsewhere,
                        });
                    },
                )
                .await;
            let letters = match next {
                Ok(Some(letters)) => {
                    self.set_begin(&letters);
                    letters
                }
                Ok(None) => break,
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            };
            for letters in letters.chunks(self.batch) {
                if !self.turns(letters.len(), &selection).await {
                    break;
                }
                let ends = match &self.way {
                    Way::Queue(source) => to_queue(source, letters).await,
                    Way::Direct(provisioner, queue) => direct(provisioner, queue, letters).await,
                };
                failure = self.settle(&selection, letters, ends).await.or(failure);
                progress(Progress {
                    tally: &self.tally,
                    seen: selection.seen(),
                    elsewhere: 0,
                });
                if failure.is_some() {
                    break;
                }
            }
            if failure.is_some() {
                break;
            }
        }
        Replayed {
            ended: selection.finish().await,
            newer: self.came_back.into_inner(),
            tally: self.tally,
            failure,
        }
    }

    /// Waits until so many letters may go; `false` when it was told to stop. What
    /// has not gone is shown again.
    async fn turns(&self, letters: usize, selection: &Selection) -> bool {
        for _ in 0..letters {
            tokio::select! {
                biased;
                () = selection.stopped() => return false,
                () = self.pace.turn() => {}
            }
        }
        true
    }

    /// Deletes what is done with, and notes each letter's end.
    async fn settle(
        &mut self,
        selection: &Selection,
        letters: &[Found],
        ends: Vec<End>,
    ) -> Option<Failure> {
        let done: Vec<&str> = letters
            .iter()
            .zip(&ends)
            .filter(|(_, end)| !matches!(end.became, Became::Left(_)))
            .map(|(letter, _)| letter.about.id.as_str())
            .collect();
        let undeleted = selection.delete(&done).await;
        let mut failure = None;
        for (letter, end) in letters.iter().zip(ends) {
            let kept = undeleted.iter().find(|(id, _)| *id == letter.about.id);
            let became = kept.map_or(end.became, |_| Became::NotDeleted);
            self.audit.line(&letter.about, &became.to_string());
            *self.tally.entry(became).or_default() += 1;
            self.sent.extend(end.sent);
            // Sending what cannot be deleted would fill the source queue.
            let of_delete = kept.map(|(_, failure)| failure.clone());
            failure = failure.or(end.failure).or(of_delete);
        }
        failure
    }

    /// By SQS's clock, when it is ahead of this machine's: nothing was sent yet, so
    /// what it handed out now was there when the run began.
    fn set_begin(&mut self, letters: &[Found]) {
        if self.sent.is_empty() {
            let now = letters
                .iter()
                .filter_map(|letter| letter.message.first_received_at);
            self.begun = now.fold(self.begun, jiff::Timestamp::max);
        }
    }

    /// Whether the letter was made of what this run sent, or after it began. A
    /// worker may have given the message a new id, and clocks differ: either sign
    /// is enough. Before anything was sent, nothing can have come back.
    fn came_back(&self, letter: &Found) -> bool {
        if self.sent.is_empty() {
            return false;
        }
        let ids = [
            Some(&letter.about.id),
            letter.about.source_message_id.as_ref(),
        ];
        let after = |at: Option<jiff::Timestamp>| at.is_some_and(|at| at > self.begun);
        let came_back = ids.into_iter().flatten().any(|id| self.sent.contains(id))
            || after(letter.message.sent_at)
            || after(letter.about.dead_lettered_at);
        self.came_back
            .fetch_add(u64::from(came_back), Ordering::Relaxed);
        came_back
    }
}

/// As many as go in a quarter of a second, so that a stop does not wait long.
fn batch(rate: f64) -> usize {
    let most = crate::aws::BATCH;
    #[expect(clippy::cast_precision_loss, reason = "ten at most")]
    let fits = |batch: &usize| *batch as f64 <= rate / 4.0;
    (1..=most).rev().find(fits).unwrap_or(1)
}

/// What became of one letter.
struct End {
    became: Became,
    /// The id of the message that took its place.
    sent: Option<String>,
    /// What will fail for the next letters, too.
    failure: Option<Failure>,
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
        let again = self
            .replayed()
            .renew(&self.message, std::time::Duration::ZERO);
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
        Ok(Event::SignUp(sign_up)) => provisioner.sign_up(&sign_up).await,
        Ok(Event::Ignored(why)) => Outcome::Ignored(why),
        // It is a worker's to run, and its letter stays until it is sent there.
        Ok(Event::Reconcile(_)) => return End::of(Became::Left("needs the queue".to_owned())),
        Err(malformed) => Outcome::Rejected(malformed.into()),
    };
    match outcome {
        Outcome::Done => End::of(Became::Done),
        Outcome::AlreadyDone(_) => End::of(Became::AlreadyDone),
        // Perhaps the worker's own, if not this configuration's.
        Outcome::Ignored(why @ Ignored::ForeignPool) => {
            End::of(Became::Left(why.code().to_owned()))
        }
        Outcome::Ignored(_) => End::of(Became::Ignored),
        Outcome::Rejected(rejection) => again(queue, letter, &rejection).await,
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
