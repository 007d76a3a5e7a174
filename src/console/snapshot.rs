//! What one reading of the dead-letter queue has found. SQS cannot be read without receiving, so
//! all tabs share it, and only a person asks for a new one.

use std::collections::HashMap;
use std::sync::OnceLock;
use std::time::Duration;

use jiff::Timestamp;

use crate::dead_letter::{
    DeadLetterSummary, Filter, ReasonCounts, ReasonSummary, ReceivedDeadLetter,
};

/// More are not kept in memory.
pub(super) const MAX_DEAD_LETTERS: u64 = 20_000;

#[derive(Debug, Default)]
pub(super) struct Snapshot {
    /// Those of one process count from 1.
    pub(super) number: u64,
    pub(super) read_at: Timestamp,
    /// The oldest first. They are on the queue again, so their receipts are stale.
    pub(super) dead_letters: Vec<ReceivedDeadLetter>,
    /// Why some were not read.
    pub(super) unread: Vec<String>,
    /// After this time SQS deletes a dead letter.
    pub(super) retention: Option<Duration>,
    /// What has changed the queue since.
    pub(super) changed_by: OnceLock<String>,
}

/// The dead letters with one reason.
#[derive(Debug)]
pub(super) struct ReasonRow<'a> {
    pub(super) reason: &'a str,
    pub(super) count: u64,
    pub(super) oldest: Option<Timestamp>,
    /// The time until SQS deletes the first of them.
    pub(super) left: Option<Duration>,
    pub(super) example: &'a DeadLetterSummary,
}

impl Snapshot {
    pub(super) fn new(number: u64, mut dead_letters: Vec<ReceivedDeadLetter>) -> Self {
        dead_letters.sort_by_key(|it| it.summary.dead_lettered_at);
        Self {
            number,
            read_at: Timestamp::now(),
            dead_letters,
            ..Self::default()
        }
    }

    pub(super) fn has_reason(&self, reason: &str) -> bool {
        let mut reasons = self.dead_letters.iter().map(|it| &it.summary.reason);
        reasons.any(|known| known == reason)
    }

    pub(super) fn find(&self, id: &str) -> Option<&ReceivedDeadLetter> {
        self.dead_letters.iter().find(|it| it.summary.id == id)
    }

    /// Those that match, up to the limit of the filter.
    pub(super) fn select(&self, filter: &Filter) -> Vec<&ReceivedDeadLetter> {
        let limit = filter.limit.and_then(|limit| usize::try_from(limit).ok());
        let matching = self.dead_letters.iter();
        matching
            .filter(|it| filter.matches(&it.summary))
            .take(limit.unwrap_or(usize::MAX))
            .collect()
    }

    /// Most frequent first.
    pub(super) fn by_reason(&self) -> Vec<ReasonRow<'_>> {
        let counts = ReasonCounts::of(self.dead_letters.iter().map(|it| &it.summary));
        let mut firsts = HashMap::<&str, (&ReceivedDeadLetter, Option<Duration>)>::new();
        for dead_letter in &self.dead_letters {
            let left = self.time_left(dead_letter);
            let first = firsts.entry(&dead_letter.summary.reason);
            let (_, least) = first.or_insert((dead_letter, left));
            *least = [*least, left].into_iter().flatten().min();
        }
        let row = |(reason, counted): (&str, &ReasonSummary)| {
            let (first, left) = firsts.get(reason)?;
            Some(ReasonRow {
                reason: &first.summary.reason,
                count: counted.count,
                oldest: counted.oldest,
                left: *left,
                example: &first.summary,
            })
        };
        counts.by_frequency().into_iter().filter_map(row).collect()
    }

    /// The time until SQS deletes the dead letter. A message that SQS moved keeps the time when it
    /// was sent to the source queue.
    ///
    /// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html>
    pub(super) fn time_left(&self, dead_letter: &ReceivedDeadLetter) -> Option<Duration> {
        let age = Timestamp::now().duration_since(dead_letter.message.sent_at?);
        let age = Duration::try_from(age).unwrap_or_default();
        Some(self.retention?.saturating_sub(age))
    }
}
