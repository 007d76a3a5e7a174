//! Each poison message a letter with its reason, and no other letter.

use super::{LoadVerifier, user_difference};
use crate::load::dead_letters::RunDeadLetters;
use crate::load::difference::{Difference, DifferenceKind};
use crate::load::poison::Poison;
use crate::load::run_id::Tag;

impl LoadVerifier<'_> {
    pub(super) async fn check_dead_letters(&self) -> Vec<Difference> {
        let expected: Vec<(Tag, &str)> = (0..self.load.plan.poison)
            .map(|n| (Tag::Poison(n), Poison::of(n, &self.load.config).reason()))
            .collect();
        let must_be = expected.iter().map(|(tag, _)| *tag).collect();
        let (run, since) = (&self.load.run_id, self.observation.started_at);
        let queue = &self.services.dead_letters;
        let settle = self.load.quiet_period;
        let (persistence, stop) = (self.retry, self.stop);
        let read = RunDeadLetters::read(queue, run, since, &must_be, settle, persistence, stop);
        let letters = match read.await {
            Ok(letters) if letters.is_incomplete => return Vec::new(),
            Ok(letters) => letters,
            Err(failure) => {
                return vec![
                    self.run_difference(DifferenceKind::NotVerified, format!("letters: {failure}")),
                ];
            }
        };
        let mut found = Vec::new();
        for (tag, expected) in expected {
            found.extend(compare_reasons(expected, letters.reasons_of(tag)).map(
                |(kind, detail)| Difference {
                    kind,
                    who: run.name(tag),
                    sub: None,
                    detail,
                },
            ));
        }
        for (tag, reason) in letters.reasons_of_users() {
            let (Tag::SignUp(n) | Tag::Bystander(n) | Tag::Poison(n)) = tag;
            let people = match tag {
                Tag::Bystander(_) => &self.users.bystanders,
                Tag::SignUp(_) | Tag::Poison(_) => &self.users.users,
            };
            let person = people.get(n as usize);
            found.extend(person.map(|person| {
                user_difference(person, DifferenceKind::UnexpectedDeadLetter, reason)
            }));
        }
        found.extend(letters.others.iter().map(|(id, reason)| Difference {
            kind: DifferenceKind::UnexpectedDeadLetter,
            who: format!("letter {id}"),
            sub: None,
            detail: format!("{reason}: came during the run and is not of it"),
        }));
        if letters.unread > 0 {
            let detail = format!("about {} letters could not be looked at", letters.unread);
            found.push(self.run_difference(DifferenceKind::NotVerified, detail));
        }
        found
    }
}

/// A message may have become several letters: SQS delivers at least once.
fn compare_reasons(expected: &str, reasons: &[String]) -> Option<(DifferenceKind, String)> {
    if reasons.is_empty() {
        return Some((
            DifferenceKind::MissingDeadLetter,
            format!("should be {expected}"),
        ));
    }
    let other = reasons.iter().find(|other| *other != expected)?;
    Some((
        DifferenceKind::WrongReason,
        format!("{other}, should be {expected}"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_is_judged_by_what_was_expected() {
        let texts = |texts: &[&str]| -> Vec<String> {
            texts.iter().map(|text| (*text).to_owned()).collect()
        };
        for (reasons, kind) in [
            (&["not_json"][..], None),
            (&["not_json", "not_json"], None),
            (&[], Some(DifferenceKind::MissingDeadLetter)),
            (&["not_json", "timeout"], Some(DifferenceKind::WrongReason)),
        ] {
            let judged = compare_reasons("not_json", &texts(reasons)).map(|(kind, _)| kind);
            assert_eq!(judged, kind, "{reasons:?}");
        }
    }
}
