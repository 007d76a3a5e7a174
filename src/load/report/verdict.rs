//! The verdict of a report, and wording that the text and the page share.

use std::collections::BTreeMap;

use super::number::{group_digits, pluralize, seconds};
use super::{Cleaned, LoadReport, Planned};
use crate::load::{Difference, DifferenceKind};

/// The result of the checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LoadVerdict {
    /// Everything was checked and nothing differs.
    Verified,
    /// Not everything was checked; no checked item differs.
    Unverified,
    /// Number of differences, above zero.
    Differs(u64),
}

impl LoadReport {
    /// Differences take precedence over the `verified` field.
    pub(super) fn verdict(&self) -> LoadVerdict {
        match u64::try_from(self.differences.len()).unwrap_or(u64::MAX) {
            0 if self.verified => LoadVerdict::Verified,
            0 => LoadVerdict::Unverified,
            differences => LoadVerdict::Differs(differences),
        }
    }

    /// The number of each kind: `12 missing group, 1 wrong reason`.
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

    /// At most `max` differences, sorted, with the same limit for each kind: a frequent
    /// kind must not hide a rare one.
    pub(super) fn top_differences(&self, max: usize) -> Vec<&Difference> {
        let mut kinds = BTreeMap::<DifferenceKind, Vec<&Difference>>::new();
        for difference in &self.differences {
            kinds.entry(difference.kind).or_default().push(difference);
        }
        let shown = |limit: usize| {
            kinds
                .values()
                .map(|all| all.len().min(limit))
                .sum::<usize>()
        };
        // `shown` never falls, so the last fitting limit is the greatest.
        let limit = (1..=max).take_while(|limit| shown(*limit) <= max).last();
        for all in kinds.values_mut() {
            all.sort();
            all.truncate(limit.unwrap_or(1));
        }
        kinds.into_values().flatten().take(max).collect()
    }
}

impl Planned {
    /// The planned counts, without those that are zero.
    pub(super) fn describe(&self) -> String {
        let mut text = pluralize(self.sign_ups, "sign-up");
        for (count, noun) in [
            (self.duplicates, "duplicate"),
            (self.poison, "poison message"),
            (self.bystanders, "bystander"),
        ] {
            if count > 0 {
                text = format!("{text}, {}", pluralize(count, noun));
            }
        }
        format!("{text}; {}", seconds(self.seconds))
    }
}

impl Cleaned {
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
    pub(super) fn title(self) -> String {
        match self {
            Self::Verified => "verified".to_owned(),
            Self::Unverified => "not verified".to_owned(),
            Self::Differs(count) => pluralize(count, "difference"),
        }
    }

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
    fn differences_take_precedence_over_verified() {
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
