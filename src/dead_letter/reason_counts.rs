//! Counts dead letters by reason.

use std::collections::BTreeMap;

use super::received_dead_letter::DeadLetterSummary;

/// Number and dates of the dead letters with one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReasonSummary {
    pub count: u64,
    pub(crate) oldest: Option<jiff::Timestamp>,
    pub(crate) newest: Option<jiff::Timestamp>,
    /// The message id of the first that was counted.
    pub(crate) example_id: String,
}

/// Memory grows with the number of reasons, not of dead letters.
#[derive(Debug, Default)]
pub(crate) struct ReasonCounts {
    reasons: BTreeMap<String, ReasonSummary>,
}

impl ReasonCounts {
    pub(crate) fn add(&mut self, dead_letter: &DeadLetterSummary) {
        let at = dead_letter.dead_lettered_at;
        let summary = self
            .reasons
            .entry(dead_letter.reason.clone())
            .or_insert(ReasonSummary {
                count: 0,
                oldest: at,
                newest: at,
                example_id: dead_letter.id.clone(),
            });
        summary.count += 1;
        summary.oldest = [summary.oldest, at].into_iter().flatten().min();
        summary.newest = summary.newest.max(at);
    }

    pub(crate) fn by_frequency(&self) -> Vec<(&str, &ReasonSummary)> {
        let mut summaries: Vec<_> = self
            .reasons
            .iter()
            .map(|(reason, summary)| (reason.as_str(), summary))
            .collect();
        summaries.sort_by_key(|(reason, summary)| (std::cmp::Reverse(summary.count), *reason));
        summaries
    }

    pub(crate) fn total(&self) -> u64 {
        self.reasons.values().map(|summary| summary.count).sum()
    }
}
