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

use super::held_dead_letter::HeldDeadLetter;
use super::hold::{HoldSet, hold_duration};
use crate::aws::{Failure, MAX_BATCH_ENTRIES, Queue, Received};
use crate::retry::retry_inline;

/// Long poll of a receive: it asks all of SQS's servers, so an empty answer means
/// that nothing is visible.
const SCAN_POLL_WAIT: Duration = Duration::from_secs(1);
/// SQS counts approximately, and its counts may be a minute old.
///
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_GetQueueAttributes.html>
pub(crate) const SQS_COUNTS_LAG: Duration = Duration::from_secs(65);
/// Letters that another process hides are waited for a little longer than they
/// stay hidden should it have been killed.
const HIDDEN_WAIT_MARGIN: Duration = Duration::from_secs(5);

/// A scan under way.
#[derive(Debug)]
pub(super) struct Scan {
    queue: Queue,
    hold: HoldSet,
    seen_ids: HashSet<String>,
    parallel_receives: usize,
    /// Looks in a row that brought nothing new.
    empty_steps: u32,
    last_progress: Instant,
}

/// What a look brought.
#[derive(Debug)]
pub(super) enum ScanStep {
    /// Letters that were not seen before.
    DeadLetters(Vec<HeldDeadLetter>),
    /// About so many are hidden by somebody else; they may come yet.
    Waiting(u64),
    /// There are no more.
    End(Unseen),
}

/// Letters that exist and were not seen, about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Unseen {
    /// Hidden by another process.
    pub(crate) hidden_elsewhere: u64,
    /// Visible or not yet due, and not handed out.
    pub(crate) not_received: u64,
}

impl Scan {
    /// `queue` is the dead-letter queue; its visibility timeout is how long
    /// letters stay hidden should this process be killed. `width` receives are out
    /// at once, 1 to 8.
    pub(super) fn new(queue: &Queue, width: usize) -> Self {
        let queue = queue.with_wait(SCAN_POLL_WAIT);
        Self {
            hold: HoldSet::new(queue.clone()),
            queue,
            seen_ids: HashSet::new(),
            parallel_receives: width.clamp(1, 8),
            empty_steps: 0,
            last_progress: Instant::now(),
        }
    }

    /// The next letters.
    ///
    /// # Errors
    /// When the queue cannot be read. [`Self::finish`] is to be called all the same.
    pub(super) async fn step(&mut self) -> Result<ScanStep, Failure> {
        let receives = (0..self.parallel_receives)
            .map(|_| retry_inline(|| self.queue.receive(MAX_BATCH_ENTRIES)));
        let mut failed = None;
        let mut came = Vec::new();
        // All of them, or what one brought would stay hidden.
        for answer in join_all(receives).await {
            match answer {
                Ok(messages) => came.extend(messages),
                Err(failure) => failed = Some(failure),
            }
        }
        let letters = self.hold_received(came).await?;
        if let Some(failure) = failed.filter(|_| letters.is_empty()) {
            return Err(failure);
        }
        if !letters.is_empty() {
            self.empty_steps = 0;
            // Letters that come while it looks must not keep it from ending.
            if !letters.iter().all(is_new) {
                self.last_progress = Instant::now();
            }
            return Ok(ScanStep::DeadLetters(letters));
        }
        self.empty_steps += 1;
        self.check_end().await
    }

    /// Deletes letters that were seen. Answers with those that could not be.
    pub(super) async fn delete(&self, ids: &[&str]) -> Vec<(String, Failure)> {
        self.hold.delete(ids).await
    }

    /// Shows everything again that was not deleted. Answers with how many
    /// letters could not be shown: they stay hidden for a while.
    pub(super) async fn finish(self) -> u64 {
        self.hold.release().await
    }

    async fn hold_received(&mut self, came: Vec<Received>) -> Result<Vec<HeldDeadLetter>, Failure> {
        let mut letters = Vec::with_capacity(came.len());
        let mut deleted = Vec::new();
        for message in came {
            if self.seen_ids.insert(message.id.clone()) {
                self.hold.insert(&message);
                letters.push(HeldDeadLetter::new(message));
            } else {
                // Its time ran out, or its delete was lost on one of SQS's servers.
                if !self.hold.contains(&message.id) {
                    deleted.push(message.id.clone());
                }
                self.hold.insert(&message);
            }
        }
        let deleted: Vec<&str> = deleted.iter().map(String::as_str).collect();
        match self.hold.delete(&deleted).await.into_iter().next() {
            Some((_, failure)) if letters.is_empty() => Err(failure),
            _ => Ok(letters),
        }
    }

    async fn check_end(&mut self) -> Result<ScanStep, Failure> {
        let depth = retry_inline(|| self.queue.attributes()).await?.depth;
        let held = self.hold.len() as u64;
        let waiting = depth.visible + depth.delayed;
        let elsewhere = depth.hidden.saturating_sub(held);
        let patience = if (waiting, depth.hidden) == (0, held) {
            // What SQS counts is what is held here.
            Duration::ZERO
        } else if waiting > 0 || depth.hidden < held {
            // Old counts, or letters that it does not hand out.
            SQS_COUNTS_LAG
        } else {
            SQS_COUNTS_LAG
                .max(hold_duration(self.queue.visibility(), elsewhere) + HIDDEN_WAIT_MARGIN)
        };
        if self.empty_steps < 2 || self.last_progress.elapsed() < patience {
            // Not every endpoint waits as long as a long poll asks it to.
            tokio::time::sleep(SCAN_POLL_WAIT / 4).await;
            return Ok(ScanStep::Waiting(elsewhere));
        }
        Ok(ScanStep::End(Unseen {
            hidden_elsewhere: elsewhere,
            not_received: waiting,
        }))
    }
}

/// Whether it was sent a moment before it was received, by SQS's own clock.
fn is_new(letter: &HeldDeadLetter) -> bool {
    const NEW_MESSAGE_AGE: jiff::SignedDuration = jiff::SignedDuration::from_secs(5);
    let message = &letter.message;
    let times = message.first_received_at.zip(message.sent_at);
    times.is_some_and(|(received, sent)| received.duration_since(sent) < NEW_MESSAGE_AGE)
}
