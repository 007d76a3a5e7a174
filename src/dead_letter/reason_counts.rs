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

    pub(crate) fn of<'a>(dead_letters: impl IntoIterator<Item = &'a DeadLetterSummary>) -> Self {
        let mut counts = Self::default();
        for dead_letter in dead_letters {
            counts.add(dead_letter);
        }
        counts
    }

    /// The ten most frequent reasons, such as `user_not_found, throttled`.
    pub(crate) fn reasons(&self) -> String {
        let reasons = self.by_frequency().into_iter().take(10);
        let parts: Vec<&str> = reasons.map(|(reason, _)| reason).collect();
        parts.join(", ")
    }

    /// [`Self::reasons`] with the numbers: `user_not_found 4, throttled 3`.
    pub(crate) fn describe(&self) -> String {
        let reasons = self.by_frequency().into_iter().take(10);
        let parts: Vec<String> = reasons
            .map(|(reason, summary)| format!("{reason} {}", summary.count))
            .collect();
        parts.join(", ")
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
