//! Each user with exactly their profile, as it was first seen, and nobody else with
//! one.

use super::{Verifier, name_of, of};
use crate::aws::{Record, Records};
use crate::load::crew::Person;
use crate::load::difference::{Difference, Kind};
use crate::load::likeness::Likeness;
use crate::load::looks::Seen;
use crate::load::poison::{Poison, stranger};
use crate::load::run_id::Tag;

impl Verifier<'_> {
    pub(super) async fn of_the_profiles(&self, found: &mut Vec<Difference>) {
        let (Some(records), Some(settings)) = (&self.services.records, &self.load.config.profiles)
        else {
            return;
        };
        let likeness = Likeness::new(&settings.attributes);
        let people = self.crew.people.chunks(Records::MOST);
        for (people, seen) in people.zip(self.observed.seen.chunks(Records::MOST)) {
            let subs: Vec<&str> = people.iter().map(|person| person.sub.as_str()).collect();
            let answer = self.persistence.call(|| records.read(&subs, true)).await;
            found.extend(people.iter().zip(seen).filter_map(|(person, seen)| {
                let (kind, detail) = match &answer {
                    Ok(now) => {
                        let now = now.get(person.sub.as_str());
                        self.of_the_profile(likeness, person, now, seen.as_ref())?
                    }
                    Err(failure) => (Kind::NotVerified, failure.to_string()),
                };
                Some(of(person, kind, detail))
            }));
        }
        found.extend(self.of_nobodys_profiles(records).await);
    }

    fn of_the_profile(
        &self,
        likeness: Likeness<'_>,
        person: &Person,
        now: Option<&Record>,
        seen: Option<&Seen>,
    ) -> Option<(Kind, String)> {
        let Some(record) = now else {
            let detail = seen.map_or("", |_| "it was there, and is gone");
            return Some((Kind::MissingProfile, detail.to_owned()));
        };
        let sign_up = self.sign_up(person)?;
        if let Some(attribute) = likeness.wrong(record, &sign_up, &person.sub) {
            return Some((Kind::WrongProfile, format!("attribute {attribute}")));
        }
        let is_changed = seen.is_some_and(|seen| seen.fingerprint != likeness.fingerprint(record));
        is_changed.then(|| {
            let detail = "written again after it was first seen";
            (Kind::ChangedProfile, detail.to_owned())
        })
    }

    /// Bystanders, and the `sub`s of sign-ups without a user: of an unknown user, and of a pool
    /// that is not ours.
    async fn of_nobodys_profiles(&self, records: &Records) -> Vec<Difference> {
        let load = self.load;
        let bystanders = self.crew.bystanders.iter();
        let mut nobody: Vec<(String, String)> = bystanders
            .map(|person| (name_of(person).to_owned(), person.sub.as_str().to_owned()))
            .collect();
        nobody.extend(
            (0..load.plan.poison)
                .filter(|n| Poison::of(*n, &load.config).has_stranger())
                .map(|n| (load.run.name(Tag::Poison(n)), stranger(&load.run, n))),
        );
        let mut found = Vec::new();
        for nobody in nobody.chunks(Records::MOST) {
            let subs: Vec<&str> = nobody.iter().map(|(_, sub)| sub.as_str()).collect();
            let answer = self.persistence.call(|| records.read(&subs, true)).await;
            found.extend(nobody.iter().filter_map(|(who, sub)| {
                let (kind, detail) = match &answer {
                    Ok(now) => {
                        now.get(sub)?;
                        (Kind::UnexpectedProfile, String::new())
                    }
                    Err(failure) => (Kind::NotVerified, failure.to_string()),
                };
                Some(Difference {
                    kind,
                    who: who.clone(),
                    sub: Some(sub.clone()),
                    detail,
                })
            }));
        }
        found
    }
}
