//! Each user with exactly their profile, as it was first seen, and nobody else with
//! one.

use super::{LoadVerifier, name_of, user_difference};
use crate::aws::{ProfileAttributes, TestProfiles};
use crate::load::difference::{Difference, DifferenceKind};
use crate::load::poison::{Poison, unknown_sub};
use crate::load::profile_matcher::ProfileMatcher;
use crate::load::profile_poller::ObservedProfile;
use crate::load::run_id::Tag;
use crate::load::test_users::TestUser;

impl LoadVerifier<'_> {
    pub(super) async fn check_profiles(&self, found: &mut Vec<Difference>) {
        let (Some(records), Some(settings)) = (&self.services.profiles, &self.load.config.profiles)
        else {
            return;
        };
        let likeness = ProfileMatcher::new(&settings.attributes);
        let people = self.users.users.chunks(TestProfiles::MAX_READ_KEYS);
        for (people, seen) in people.zip(
            self.observation
                .profiles
                .chunks(TestProfiles::MAX_READ_KEYS),
        ) {
            let subs: Vec<&str> = people.iter().map(|person| person.sub.as_str()).collect();
            let answer = self.retry.call(|| records.read(&subs, true)).await;
            found.extend(people.iter().zip(seen).filter_map(|(person, seen)| {
                let (kind, detail) = match &answer {
                    Ok(now) => {
                        let now = now.get(person.sub.as_str());
                        self.check_profile(likeness, person, now, seen.as_ref())?
                    }
                    Err(failure) => (DifferenceKind::NotVerified, failure.to_string()),
                };
                Some(user_difference(person, kind, detail))
            }));
        }
        found.extend(self.check_unexpected_profiles(records).await);
    }

    fn check_profile(
        &self,
        likeness: ProfileMatcher<'_>,
        person: &TestUser,
        now: Option<&ProfileAttributes>,
        seen: Option<&ObservedProfile>,
    ) -> Option<(DifferenceKind, String)> {
        let Some(record) = now else {
            let detail = seen.map_or("", |_| "it was there, and is gone");
            return Some((DifferenceKind::MissingProfile, detail.to_owned()));
        };
        let sign_up = self.sign_up(person)?;
        if let Some(attribute) = likeness.first_mismatch(record, &sign_up, &person.sub) {
            return Some((
                DifferenceKind::WrongProfile,
                format!("attribute {attribute}"),
            ));
        }
        let is_changed = seen.is_some_and(|seen| seen.fingerprint != likeness.fingerprint(record));
        is_changed.then(|| {
            let detail = "written again after it was first seen";
            (DifferenceKind::ChangedProfile, detail.to_owned())
        })
    }

    /// Bystanders, and the `sub`s of sign-ups without a user: of an unknown user, and of a pool
    /// that is not ours.
    async fn check_unexpected_profiles(&self, records: &TestProfiles) -> Vec<Difference> {
        let load = self.load;
        let bystanders = self.users.bystanders.iter();
        let mut nobody: Vec<(String, String)> = bystanders
            .map(|person| (name_of(person).to_owned(), person.sub.as_str().to_owned()))
            .collect();
        nobody.extend(
            (0..load.plan.poison)
                .filter(|n| Poison::of(*n, &load.config).has_unknown_sub())
                .map(|n| {
                    (
                        load.run_id.name(Tag::Poison(n)),
                        unknown_sub(&load.run_id, n),
                    )
                }),
        );
        let mut found = Vec::new();
        for nobody in nobody.chunks(TestProfiles::MAX_READ_KEYS) {
            let subs: Vec<&str> = nobody.iter().map(|(_, sub)| sub.as_str()).collect();
            let answer = self.retry.call(|| records.read(&subs, true)).await;
            found.extend(nobody.iter().filter_map(|(who, sub)| {
                let (kind, detail) = match &answer {
                    Ok(now) => {
                        now.get(sub)?;
                        (DifferenceKind::UnexpectedProfile, String::new())
                    }
                    Err(failure) => (DifferenceKind::NotVerified, failure.to_string()),
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
