//! What a report comes to, in the words that both forms share.

use std::collections::BTreeMap;

use super::number::{counted, grouped, seconds};
use super::{Cleaned, Planned, Report};
use crate::load::{Difference, Kind};

/// How the run ended, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// All was looked at and nothing differs.
    Verified,
    /// Nothing that was looked at differs.
    Unverified,
    /// Something differs.
    Differs(u64),
}

impl Report {
    /// A difference counts for more than the word that all is well.
    pub(super) fn verdict(&self) -> Verdict {
        match u64::try_from(self.differences.len()).unwrap_or(u64::MAX) {
            0 if self.verified => Verdict::Verified,
            0 => Verdict::Unverified,
            differences => Verdict::Differs(differences),
        }
    }

    /// How many of each kind: `12 missing group, 1 wrong reason`.
    pub(super) fn kinds(&self) -> String {
        let mut kinds = BTreeMap::<Kind, u64>::new();
        for difference in &self.differences {
            *kinds.entry(difference.kind).or_default() += 1;
        }
        let kinds: Vec<String> = kinds
            .into_iter()
            .map(|(kind, count)| format!("{} {}", grouped(count), kind.words()))
            .collect();
        kinds.join(", ")
    }

    /// Sorted, and at most this many: as many of each kind as there is room for, so
    /// that a frequent kind does not hide a rare one.
    pub(super) fn foremost(&self, most: usize) -> Vec<&Difference> {
        let mut kinds = BTreeMap::<Kind, Vec<&Difference>>::new();
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
    pub(super) fn words(&self) -> String {
        let mut words = counted(self.sign_ups, "sign-up");
        for (count, noun) in [
            (self.duplicates, "duplicate"),
            (self.poison, "poison message"),
            (self.bystanders, "bystander"),
        ] {
            if count > 0 {
                words = format!("{words}, {}", counted(count, noun));
            }
        }
        format!("{words}; {}", seconds(self.seconds))
    }
}

impl Cleaned {
    /// What was removed.
    pub(super) fn words(&self) -> String {
        let removed = [
            counted(self.users, "user"),
            counted(self.profiles, "profile"),
            counted(self.letters, "letter"),
            counted(self.messages, "message"),
        ];
        let rest = if self.complete {
            "nothing is left"
        } else {
            "something may be left"
        };
        format!("{}; {rest}", removed.join(", "))
    }
}

impl Verdict {
    /// The first words of the verdict.
    pub(super) fn title(self) -> String {
        match self {
            Self::Verified => "verified".to_owned(),
            Self::Unverified => "not verified".to_owned(),
            Self::Differs(count) => counted(count, "difference"),
        }
    }

    /// What it means.
    pub(super) fn words(self) -> &'static str {
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
    use crate::load::report::sample;

    #[test]
    fn differences_weigh_more_than_the_word_that_all_is_well() {
        let mut report = sample::empty();
        assert_eq!(report.verdict(), Verdict::Unverified);
        report.verified = true;
        assert_eq!(report.verdict(), Verdict::Verified);
        report
            .differences
            .push(sample::difference(Kind::NotSent, "a", ""));
        assert_eq!(report.verdict(), Verdict::Differs(1));
        assert_eq!(report.verdict().title(), "1 difference");
    }

    #[test]
    fn a_frequent_kind_does_not_hide_a_rare_one() {
        let mut report = sample::empty();
        for n in 0..90 {
            let who = format!("user-{n:02}");
            report
                .differences
                .push(sample::difference(Kind::MissingGroup, &who, "g"));
        }
        report
            .differences
            .push(sample::difference(Kind::NotVerified, "x", ""));
        report
            .differences
            .push(sample::difference(Kind::NotSent, "y", ""));
        let shown = report.foremost(10);
        assert_eq!(shown.len(), 10);
        assert_eq!(shown[0].kind, Kind::NotSent);
        assert_eq!(shown[1].who, "user-00");
        assert_eq!(shown[9].kind, Kind::NotVerified);
        assert_eq!(report.foremost(2).len(), 2);
        assert_eq!(report.foremost(1_000).len(), 92);
        assert_eq!(
            report.kinds(),
            "1 not sent, 90 missing group, 1 not verified"
        );
    }
}
