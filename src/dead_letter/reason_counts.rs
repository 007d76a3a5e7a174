//! Counts dead letters by reason.

use std::collections::BTreeMap;

use super::received_dead_letter::DeadLetterSummary;

/// A list of reasons names so many.
const MAX_LISTED: usize = 10;

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

    /// The most frequent reasons, such as `user_not_found, throttled`.
    pub(crate) fn reasons(&self) -> String {
        self.list(|reason, _| reason.to_owned())
    }

    /// [`Self::reasons`] with the numbers: `user_not_found 4, throttled 3`.
    pub(crate) fn describe(&self) -> String {
        self.list(|reason, summary| format!("{reason} {}", summary.count))
    }

    /// [`MAX_LISTED`] reasons, and how many more there are.
    fn list(&self, describe: impl Fn(&str, &ReasonSummary) -> String) -> String {
        let reasons = self.by_frequency();
        let listed = reasons.iter().take(MAX_LISTED);
        let listed: Vec<String> = listed
            .map(|(reason, summary)| describe(reason, summary))
            .collect();
        let listed = listed.join(", ");
        match reasons.len().saturating_sub(MAX_LISTED) {
            0 => listed,
            more => format!("{listed} and {more} more"),
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::attribute;

    fn counts(reasons: &[&str]) -> ReasonCounts {
        let summaries: Vec<DeadLetterSummary> = reasons
            .iter()
            .map(|reason| {
                let attributes = [(attribute::REASON.to_owned(), (*reason).to_owned())];
                DeadLetterSummary::new("id", "{", &BTreeMap::from(attributes))
            })
            .collect();
        ReasonCounts::of(&summaries)
    }

    #[test]
    fn a_list_says_how_many_reasons_it_leaves_out() {
        let ten = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
        assert_eq!(counts(&ten).reasons(), ten.join(", "));
        let twelve = [&ten[..], &["a", "k", "l"]].concat();
        let counts = counts(&twelve);
        let described = counts.describe();
        assert!(described.starts_with("a 2, b 1, "), "{described}");
        assert!(described.ends_with("j 1 and 2 more"), "{described}");
        assert!(counts.reasons().ends_with(", j and 2 more"));
    }
}
