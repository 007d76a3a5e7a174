//! What a report comes to, in the words that both forms share.

use std::collections::BTreeMap;

use super::number::{group_digits, pluralize, seconds};
use super::{Cleaned, LoadReport, Planned};
use crate::load::{Difference, DifferenceKind};

/// How the run ended, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LoadVerdict {
    /// All was looked at and nothing differs.
    Verified,
    /// Nothing that was looked at differs.
    Unverified,
    /// Something differs.
    Differs(u64),
}

impl LoadReport {
    /// A difference counts for more than the word that all is well.
    pub(super) fn verdict(&self) -> LoadVerdict {
        match u64::try_from(self.differences.len()).unwrap_or(u64::MAX) {
            0 if self.verified => LoadVerdict::Verified,
            0 => LoadVerdict::Unverified,
            differences => LoadVerdict::Differs(differences),
        }
    }

    /// How many of each kind: `12 missing group, 1 wrong reason`.
    pub(super) fn kind_counts(&self) -> String {
        let mut kinds = BTreeMap::<DifferenceKind, u64>::new();
        for difference in &self.differences {
            *kinds.entry(difference.kind).or_default() += 1;
        }
        let kinds: Vec<String> = kinds
            .into_iter()
            .map(|(kind, count)| format!("{} {}", group_digits(count), kind.label()))
            .collect();
        kinds.join(", ")
    }

    /// Sorted, and at most this many: as many of each kind as there is room for, so
    /// that a frequent kind does not hide a rare one.
    pub(super) fn top_differences(&self, most: usize) -> Vec<&Difference> {
        let mut kinds = BTreeMap::<DifferenceKind, Vec<&Difference>>::new();
        for difference in &self.differences {
            kinds.entry(difference.kind).or_default().push(difference);
        }
        let shown = |each: usize| kinds.values().map(|all| all.len().min(each)).sum::<usize>();
        // Goes up to `most` only when few differ; `shown` does not fall.
        let each = (1..=most).take_while(|each| shown(*each) <= most).last();
        for all in kinds.values_mut() {
            all.sort();
            all.truncate(each.unwrap_or(1));
        }
        kinds.into_values().flatten().take(most).collect()
    }
}

impl Planned {
    /// What was to be sent, kinds of which there is none left out.
    pub(super) fn describe(&self) -> String {
        let mut words = pluralize(self.sign_ups, "sign-up");
        for (count, noun) in [
            (self.duplicates, "duplicate"),
            (self.poison, "poison message"),
            (self.bystanders, "bystander"),
        ] {
            if count > 0 {
                words = format!("{words}, {}", pluralize(count, noun));
            }
        }
        format!("{words}; {}", seconds(self.seconds))
    }
}

impl Cleaned {
    /// What was removed.
    pub(super) fn describe(&self) -> String {
        let removed = [
            pluralize(self.users, "user"),
            pluralize(self.profiles, "profile"),
            pluralize(self.dead_letters, "letter"),
            pluralize(self.messages, "message"),
        ];
        let rest = if self.complete {
            "nothing is left"
        } else {
            "something may be left"
        };
        format!("{}; {rest}", removed.join(", "))
    }
}

impl LoadVerdict {
    /// The first words of the verdict.
    pub(super) fn title(self) -> String {
        match self {
            Self::Verified => "verified".to_owned(),
            Self::Unverified => "not verified".to_owned(),
            Self::Differs(count) => pluralize(count, "difference"),
        }
    }

    /// What it means.
    pub(super) fn describe(self) -> &'static str {
        match self {
            Self::Verified => "every group, profile record and letter is as it must be",
            Self::Unverified => "nothing differs, but not everything was looked at",
            Self::Differs(_) => "not everything is as it must be",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::report::fixtures;

    #[test]
    fn differences_weigh_more_than_the_word_that_all_is_well() {
        let mut report = fixtures::empty();
        assert_eq!(report.verdict(), LoadVerdict::Unverified);
        report.verified = true;
        assert_eq!(report.verdict(), LoadVerdict::Verified);
        report
            .differences
            .push(fixtures::difference(DifferenceKind::NotSent, "a", ""));
        assert_eq!(report.verdict(), LoadVerdict::Differs(1));
        assert_eq!(report.verdict().title(), "1 difference");
    }

    #[test]
    fn a_frequent_kind_does_not_hide_a_rare_one() {
        let mut report = fixtures::empty();
        for n in 0..90 {
            let who = format!("user-{n:02}");
            report.differences.push(fixtures::difference(
                DifferenceKind::MissingGroup,
                &who,
                "g",
            ));
        }
        report
            .differences
            .push(fixtures::difference(DifferenceKind::NotVerified, "x", ""));
        report
            .differences
            .push(fixtures::difference(DifferenceKind::NotSent, "y", ""));
        let shown = report.top_differences(10);
        assert_eq!(shown.len(), 10);
        assert_eq!(shown[0].kind, DifferenceKind::NotSent);
        assert_eq!(shown[1].who, "user-00");
        assert_eq!(shown[9].kind, DifferenceKind::NotVerified);
        assert_eq!(report.top_differences(2).len(), 2);
        assert_eq!(report.top_differences(1_000).len(), 92);
        assert_eq!(
            report.kind_counts(),
            "1 not sent, 90 missing group, 1 not verified"
        );
    }
}
