//! Letters, once more: back through the source queue, or through the
//! provisioner in this process. Sent or done first, deleted after: stopped at any
//! point it loses nothing, and what it repeats changes nothing.

use std::collections::{BTreeMap, HashSet};

use futures_util::future::join_all;

use super::audit::Audit;
use super::found::{About, Found};
use super::history::History;
use super::letter::{Letter, send};
use super::selection::{Ended, Selection};
use crate::aws::{Class, Failure, Outgoing, Queue};
use crate::event::{Event, parse};
use crate::provision::{Outcome, Provisioner, Rejection};
use crate::quota::Budget;

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
    tally: Tally,
}

/// Letters by what became of them.
pub type Tally = BTreeMap<String, u64>;

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
                Ok(Some(letters)) => letters,
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
        let mut failure = None;
        let done: Vec<&str> = letters
            .iter()
            .zip(&ends)
            .filter(|(_, end)| end.settled)
            .map(|(letter, _)| letter.about.id.as_str())
            .collect();
        let undeleted = selection.delete(&done).await;
        for (letter, end) in letters.iter().zip(ends) {
            let kept = undeleted.iter().any(|(id, _)| *id == letter.about.id);
            let name = if kept {
                format!("{}, not deleted", end.name)
            } else {
                end.name
            };
            self.audit.line(&letter.about, &name);
            *self.tally.entry(name).or_default() += 1;
            self.sent.extend(end.sent);
            failure = failure.or(end.failure);
        }
        failure
    }

    /// Whether the letter was made of what this run sent. The ids tell it, and
    /// where a worker gave the message a new id, the dates.
    fn came_back(&self, letter: &About) -> bool {
        let ids = [Some(&letter.id), letter.source_message_id.as_ref()];
        ids.into_iter().flatten().any(|id| self.sent.contains(id))
            || letter.replays > 0 && letter.dead_lettered_at.is_some_and(|at| at >= self.begun)
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
    name: String,
    /// Whether it can be deleted.
    settled: bool,
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
    for (sent, message) in source.send_all(&messages).await.into_iter().zip(messages) {
        // Attributes count into the size of at most 1 MiB.
        let sent = match sent {
            Err(failure) if failure.class == Class::Permanent && !message.attributes.is_empty() => {
                let bare = Outgoing {
                    attributes: BTreeMap::new(),
                    ..message
                };
                source.send(bare).await
            }
            Err(failure)
                if failure.class == Class::Transient || failure.class == Class::Throttled =>
            {
                crate::retry::quickly(|| source.send(message.clone())).await
            }
            sent => sent,
        };
        ends.push(match sent {
            Ok(id) => End {
                name: "queued".to_owned(),
                settled: true,
                sent: Some(id),
                failure: None,
            },
            Err(failure) => End::left(failure),
        });
    }
    ends
}

async fn direct(provisioner: &Provisioner, queue: &Queue, letters: &[Found]) -> Vec<End> {
    join_all(
        letters
            .iter()
            .map(|letter| provision(provisioner, queue, letter)),
    )
    .await
}

async fn provision(provisioner: &Provisioner, queue: &Queue, letter: &Found) -> End {
    let outcome = match parse(&letter.message.body) {
        Ok(Event::SignUp(sign_up)) => provisioner.sign_up(&sign_up).await,
        Ok(Event::Ignored(why)) => Outcome::Ignored(why),
        Ok(Event::Reconcile(_)) => {
            // It is a worker's to run, and its letter stays until it is sent there.
            return End {
                name: "left: needs the queue".to_owned(),
                settled: false,
                sent: None,
                failure: None,
            };
        }
        Err(malformed) => Outcome::Rejected(malformed.into()),
    };
    let name = outcome.name();
    match outcome {
        Outcome::Done | Outcome::AlreadyDone(_) | Outcome::Ignored(_) => End {
            name: name.to_owned(),
            settled: true,
            sent: None,
            failure: None,
        },
        Outcome::Rejected(rejection) => again(queue, letter, &rejection).await,
        Outcome::Retry(retry) => again(queue, letter, &retry.because).await,
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
        Ok(id) => End {
            name: format!("failed again: {}", rejection.reason),
            settled: true,
            sent: Some(id),
            failure: None,
        },
        Err(failure) => End::left(failure),
    }
}

impl End {
    /// The letter stays as it is. Only what will fail for every other letter
    /// ends the run.
    fn left(failure: Failure) -> Self {
        let passing = failure.class == Class::Permanent;
        Self {
            name: format!("left: {}", failure.reason),
            settled: false,
            sent: None,
            failure: (!passing).then_some(failure),
        }
    }
}
