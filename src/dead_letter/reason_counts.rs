//! Letters by reason.

use std::collections::BTreeMap;

use super::held_dead_letter::DeadLetterSummary;

/// What is known of all letters with one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReasonSummary {
    /// How many.
    pub count: u64,
    /// The oldest date.
    pub(crate) oldest: Option<jiff::Timestamp>,
    /// The newest date.
    pub(crate) newest: Option<jiff::Timestamp>,
    /// The id of one of them.
    pub(crate) example_id: String,
}

/// Every reason with its letters. Memory is that of the reasons alone.
#[derive(Debug, Default)]
pub(crate) struct ReasonCounts {
    reasons: BTreeMap<String, ReasonSummary>,
}

impl ReasonCounts {
    /// Counts one letter.
    pub(crate) fn add(&mut self, letter: &DeadLetterSummary) {
        let at = letter.dead_lettered_at;
        let group = self
            .reasons
            .entry(letter.reason.clone())
            .or_insert(ReasonSummary {
                count: 0,
                oldest: at,
                newest: at,
                example_id: letter.id.clone(),
            });
        group.count += 1;
        group.oldest = [group.oldest, at].into_iter().flatten().min();
        group.newest = group.newest.max(at);
    }

    /// The most frequent reason first.
    pub(crate) fn by_frequency(&self) -> Vec<(&str, &ReasonSummary)> {
        let mut groups: Vec<_> = self
            .reasons
            .iter()
            .map(|(reason, group)| (reason.as_str(), group))
            .collect();
        groups.sort_by_key(|(reason, group)| (std::cmp::Reverse(group.count), *reason));
        groups
    }

    /// All letters.
    pub(crate) fn total(&self) -> u64 {
        self.reasons.values().map(|group| group.count).sum()
    }
}
