//! Looks at every letter of a queue, however deep it is, and leaves it there.
//!
//! SQS has no call for reading: a letter is received, which hides it. So every
//! letter that was seen is held until the scan ends, and all are shown again
//! then. A letter that comes twice all the same is known by its id.
//!
//! SQS lets some 120,000 messages be in flight; what lies deeper is reported as
//! unseen.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use super::found::Found;
use super::hold::{Hold, lasting};
use crate::aws::{BATCH, Failure, Queue, Received};
use crate::retry::quickly;

/// Long poll of a receive: it asks all of SQS's servers, so an empty answer means
/// that nothing is visible.
const WAIT: Duration = Duration::from_secs(1);
/// SQS counts approximately, and its counts may be a minute old.
///
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_GetQueueAttributes.html>
pub const LAG: Duration = Duration::from_secs(65);
/// Letters that another process hides are waited for a little longer than they
/// stay hidden should it have been killed.
const LONGER: Duration = Duration::from_secs(5);

/// A scan under way.
#[derive(Debug)]
pub(super) struct Scan {
    queue: Queue,
    hold: Hold,
    known: HashSet<String>,
    width: usize,
    /// Looks in a row that brought nothing new.
    empty: u32,
    progress: Instant,
}

/// What a look brought.
#[derive(Debug)]
pub(super) enum Look {
    /// Letters that were not seen before.
    Letters(Vec<Found>),
    /// About so many are hidden by somebody else; they may come yet.
    Waiting(u64),
    /// There are no more.
    End(Unseen),
}

/// Letters that exist and were not seen, about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Unseen {
    /// Hidden by another process.
    pub elsewhere: u64,
    /// Visible or not yet due, and not handed out.
    pub beyond: u64,
}

impl Scan {
    /// `queue` is the dead-letter queue; its visibility timeout is how long
    /// letters stay hidden should this process be killed. `width` receives are out
    /// at once, 1 to 8.
    pub(super) fn new(queue: &Queue, width: usize) -> Self {
        let queue = queue.with_wait(WAIT);
        Self {
            hold: Hold::new(queue.clone()),
            queue,
            known: HashSet::new(),
            width: width.clamp(1, 8),
            empty: 0,
            progress: Instant::now(),
        }
    }

    /// The next letters.
    ///
    /// # Errors
    /// When the queue cannot be read. [`Self::end`] is to be called all the same.
    pub(super) async fn look(&mut self) -> Result<Look, Failure> {
        let receives = (0..self.width).map(|_| quickly(|| self.queue.receive(BATCH)));
        let mut failed = None;
        let mut came = Vec::new();
        // All of them, or what one brought would stay hidden.
        for answer in join_all(receives).await {
            match answer {
                Ok(messages) => came.extend(messages),
                Err(failure) => failed = Some(failure),
            }
        }
        let letters = self.take(came).await?;
        if let Some(failure) = failed.filter(|_| letters.is_empty()) {
            return Err(failure);
        }
        if !letters.is_empty() {
            self.empty = 0;
            // Letters that come while it looks must not keep it from ending.
            if !letters.iter().all(is_new) {
                self.progress = Instant::now();
            }
            return Ok(Look::Letters(letters));
        }
        self.empty += 1;
        self.nothing_new().await
    }

    /// Deletes letters that were seen. Answers with those that could not be.
    pub(super) async fn delete(&self, ids: &[&str]) -> Vec<(String, Failure)> {
        self.hold.delete(ids).await
    }

    /// Shows everything again that was not deleted. Answers with how many
    /// letters could not be shown: they stay hidden for a while.
    pub(super) async fn end(self) -> u64 {
        self.hold.release().await
    }

    async fn take(&mut self, came: Vec<Received>) -> Result<Vec<Found>, Failure> {
        let mut letters = Vec::with_capacity(came.len());
        let mut deleted = Vec::new();
        for message in came {
            if self.known.insert(message.id.clone()) {
                self.hold.take(&message);
                letters.push(Found::new(message));
            } else {
                // Its time ran out, or its delete was lost on one of SQS's servers.
                if !self.hold.holds(&message.id) {
                    deleted.push(message.id.clone());
                }
                self.hold.take(&message);
            }
        }
        let deleted: Vec<&str> = deleted.iter().map(String::as_str).collect();
        match self.hold.delete(&deleted).await.into_iter().next() {
            Some((_, failure)) if letters.is_empty() => Err(failure),
            _ => Ok(letters),
        }
    }

    async fn nothing_new(&mut self) -> Result<Look, Failure> {
        let depth = quickly(|| self.queue.facts()).await?.depth;
        let held = self.hold.len() as u64;
        let waiting = depth.visible + depth.delayed;
        let elsewhere = depth.hidden.saturating_sub(held);
        let patience = if (waiting, depth.hidden) == (0, held) {
            // What SQS counts is what is held here.
            Duration::ZERO
        } else if waiting > 0 || depth.hidden < held {
            // Old counts, or letters that it does not hand out.
            LAG
        } else {
            LAG.max(lasting(self.queue.visibility(), elsewhere) + LONGER)
        };
        if self.empty < 2 || self.progress.elapsed() < patience {
            // Not every endpoint waits as long as a long poll asks it to.
            tokio::time::sleep(WAIT / 4).await;
            return Ok(Look::Waiting(elsewhere));
        }
        Ok(Look::End(Unseen {
            elsewhere,
            beyond: waiting,
        }))
    }
}

/// Whether it was sent a moment before it was received, by SQS's own clock.
fn is_new(letter: &Found) -> bool {
    const MOMENT: jiff::SignedDuration = jiff::SignedDuration::from_secs(5);
    let message = &letter.message;
    let times = message.first_received_at.zip(message.sent_at);
    times.is_some_and(|(received, sent)| received.duration_since(sent) < MOMENT)
}
