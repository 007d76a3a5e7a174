//! Each poison message a letter with its reason, and no other letter.

use super::{Verifier, of};
use crate::load::difference::{Difference, Kind};
use crate::load::letters::Letters;
use crate::load::poison::Poison;
use crate::load::run_id::Tag;

impl Verifier<'_> {
    pub(super) async fn of_the_letters(&self) -> Vec<Difference> {
        let expected: Vec<(Tag, &str)> = (0..self.load.plan.poison)
            .map(|n| (Tag::Poison(n), Poison::of(n, &self.load.config).reason()))
            .collect();
        let must_be = expected.iter().map(|(tag, _)| *tag).collect();
        let (run, since) = (&self.load.run, self.observed.started_at);
        let queue = &self.services.dead_letters;
        let settle = self.load.settle;
        let (persistence, stop) = (self.persistence, self.stop);
        let read = Letters::read(queue, run, since, &must_be, settle, persistence, stop);
        let letters = match read.await {
            Ok(letters) if letters.is_cut_off => return Vec::new(),
            Ok(letters) => letters,
            Err(failure) => {
                return vec![self.of_the_run(Kind::NotVerified, format!("letters: {failure}"))];
            }
        };
        let mut found = Vec::new();
        for (tag, expected) in expected {
            found.extend(
                judged(expected, letters.of(tag)).map(|(kind, detail)| Difference {
                    kind,
                    who: run.name(tag),
                    sub: None,
                    detail,
                }),
            );
        }
        for (tag, reason) in letters.of_users() {
            let (Tag::SignUp(n) | Tag::Bystander(n) | Tag::Poison(n)) = tag;
            let people = match tag {
                Tag::Bystander(_) => &self.crew.bystanders,
                Tag::SignUp(_) | Tag::Poison(_) => &self.crew.people,
            };
            let person = people.get(n as usize);
            found.extend(person.map(|person| of(person, Kind::UnexpectedLetter, reason)));
        }
        found.extend(letters.others.iter().map(|(id, reason)| Difference {
            kind: Kind::UnexpectedLetter,
            who: format!("letter {id}"),
            sub: None,
            detail: format!("{reason}: came during the run and is not of it"),
        }));
        if letters.unseen > 0 {
            let detail = format!("about {} letters could not be looked at", letters.unseen);
            found.push(self.of_the_run(Kind::NotVerified, detail));
        }
        found
    }
}

/// A message may have become several letters: SQS delivers at least once.
fn judged(expected: &str, reasons: &[String]) -> Option<(Kind, String)> {
    if reasons.is_empty() {
        return Some((Kind::MissingLetter, format!("should be {expected}")));
    }
    let other = reasons.iter().find(|other| *other != expected)?;
    Some((Kind::WrongReason, format!("{other}, should be {expected}")))
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
            (&[], Some(Kind::MissingLetter)),
            (&["not_json", "timeout"], Some(Kind::WrongReason)),
        ] {
            let judged = judged("not_json", &texts(reasons)).map(|(kind, _)| kind);
            assert_eq!(judged, kind, "{reasons:?}");
        }
    }
}
