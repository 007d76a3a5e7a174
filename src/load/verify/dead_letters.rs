//! Checks that each poison message became a dead letter with its reason, and that
//! there is no other dead letter.

use super::{LoadVerifier, user_difference};
use crate::load::dead_letters::RunDeadLetters;
use crate::load::difference::{Difference, DifferenceKind};
use crate::load::poison::Poison;
use crate::load::report::plural;
use crate::load::run_id::Tag;

impl LoadVerifier<'_> {
    pub(super) async fn check_dead_letters(&self) -> Vec<Difference> {
        let expected: Vec<(Tag, &str)> = (0..self.load.plan.poison)
            .map(|n| (Tag::Poison(n), Poison::of(n, &self.load.config).reason()))
            .collect();
        let expected_tags = expected.iter().map(|(tag, _)| *tag).collect();
        let (run, since) = (&self.load.run_id, self.observation.started_at);
        let queue = &self.services.dead_letters;
        let quiet_period = self.load.quiet_period;
        let (retry, stop) = (self.retry, self.stop);
        let read =
            RunDeadLetters::read(queue, run, since, &expected_tags, quiet_period, retry, stop);
        let dead_letters = match read.await {
            Ok(dead_letters) if dead_letters.is_incomplete => return Vec::new(),
            Ok(dead_letters) => dead_letters,
            Err(failure) => {
                return vec![
                    self.run_difference(DifferenceKind::NotVerified, format!("letters: {failure}")),
                ];
            }
        };
        let mut found = Vec::new();
        for (tag, expected) in expected {
            found.extend(compare_reasons(expected, dead_letters.reasons_of(tag)).map(
                |(kind, detail)| Difference {
                    kind,
                    who: run.name(tag),
                    sub: None,
                    detail,
                },
            ));
        }
        for (tag, reason) in dead_letters.reasons_of_users() {
            let (Tag::SignUp(n) | Tag::Bystander(n) | Tag::Poison(n)) = tag;
            let users = match tag {
                Tag::Bystander(_) => &self.users.bystanders,
                Tag::SignUp(_) | Tag::Poison(_) => &self.users.users,
            };
            let user = users.get(n as usize);
            found.extend(
                user.map(|user| {
                    user_difference(user, DifferenceKind::UnexpectedDeadLetter, reason)
                }),
            );
        }
        found.extend(dead_letters.others.iter().map(|(id, reason)| Difference {
            kind: DifferenceKind::UnexpectedDeadLetter,
            who: format!("letter {id}"),
            sub: None,
            detail: format!("{reason}: came during the run but does not belong to it"),
        }));
        if dead_letters.unread > 0 {
            let unread = plural(dead_letters.unread, "dead letter");
            let detail = format!("about {unread} not read");
            found.push(self.run_difference(DifferenceKind::NotVerified, detail));
        }
        found
    }
}

/// A message may have become several dead letters: SQS delivers at least once.
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
    fn every_dead_letter_must_have_the_expected_reason() {
        let texts = |texts: &[&str]| -> Vec<String> {
            texts.iter().map(|text| (*text).to_owned()).collect()
        };
        for (reasons, kind) in [
            (&["not_json"][..], None),
            (&["not_json", "not_json"], None),
            (&[], Some(DifferenceKind::MissingDeadLetter)),
            (&["not_json", "timeout"], Some(DifferenceKind::WrongReason)),
        ] {
            let result = compare_reasons("not_json", &texts(reasons)).map(|(kind, _)| kind);
            assert_eq!(result, kind, "{reasons:?}");
        }
    }
}
