//! What one reading of the dead-letter queue has found. SQS cannot be read without receiving, so
//! all tabs share it, and only a person asks for a new one.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::OnceLock;
use std::time::Duration;

use jiff::Timestamp;

use crate::dead_letter::{DeadLetterSummary, Filter, ReceivedDeadLetter};

/// More are not kept in memory.
pub(super) const MAX_DEAD_LETTERS: u64 = 20_000;
/// The same for their bodies and attributes: one has up to a megabyte.
pub(super) const MAX_BYTES: usize = 256_000_000;

#[derive(Debug, Default)]
pub(super) struct Snapshot {
    /// Those of one process count from 1.
    pub(super) number: u64,
    pub(super) read_at: Timestamp,
    /// The oldest first. They are on the queue again, so their receipts are stale.
    pub(super) dead_letters: Vec<ReceivedDeadLetter>,
    /// Most frequent first. Counted once: each page shows them.
    reasons: Vec<ReasonGroup>,
    /// Why some were not read.
    pub(super) unread: Vec<String>,
    /// After this time SQS deletes a dead letter.
    pub(super) retention: Option<Duration>,
    /// What has changed the queue since.
    pub(super) changed_by: OnceLock<String>,
}

/// The dead letters with one reason, in a snapshot.
#[derive(Debug)]
struct ReasonGroup {
    count: u64,
    /// The index of the first.
    first: usize,
    oldest: Option<Timestamp>,
    /// When the first was sent.
    sent_at: Option<Timestamp>,
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
            reasons: ReasonGroup::of(&dead_letters),
            dead_letters,
            ..Self::default()
        }
    }

    pub(super) fn has_reason(&self, reason: &str) -> bool {
        self.by_reason().iter().any(|known| known.reason == reason)
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
        let row = |group: &ReasonGroup| {
            let example = &self.dead_letters.get(group.first)?.summary;
            Some(ReasonRow {
                reason: &example.reason,
                count: group.count,
                oldest: group.oldest,
                left: self.time_left(group.sent_at),
                example,
            })
        };
        self.reasons.iter().filter_map(row).collect()
    }

    /// The time until SQS deletes a dead letter that was sent then. A message that SQS moved keeps
    /// the time when it was sent to the source queue.
    ///
    /// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html>
    pub(super) fn time_left(&self, sent_at: Option<Timestamp>) -> Option<Duration> {
        let age = Timestamp::now().duration_since(sent_at?);
        let age = Duration::try_from(age).unwrap_or_default();
        Some(self.retention?.saturating_sub(age))
    }
}

impl ReasonGroup {
    fn of(dead_letters: &[ReceivedDeadLetter]) -> Vec<Self> {
        let reason = |index: usize| dead_letters[index].summary.reason.as_str();
        let mut groups = HashMap::<&str, Self>::new();
        for (first, dead_letter) in dead_letters.iter().enumerate() {
            let group = groups.entry(reason(first)).or_insert(Self {
                count: 0,
                first,
                oldest: None,
                sent_at: None,
            });
            let earlier = |one: Option<_>, other| one.into_iter().chain(other).min();
            group.count += 1;
            group.oldest = earlier(group.oldest, dead_letter.summary.dead_lettered_at);
            group.sent_at = earlier(group.sent_at, dead_letter.message.sent_at);
        }
        let mut groups: Vec<Self> = groups.into_values().collect();
        groups.sort_by_key(|it| (Reverse(it.count), reason(it.first)));
        groups
    }
}
