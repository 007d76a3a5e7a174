//! Checks that each user has their profile, unchanged since it was first seen, and
//! that no other profile was written.

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
        let (Some(profiles), Some(settings)) =
            (&self.services.profiles, &self.load.config.profiles)
        else {
            return;
        };
        let matcher = ProfileMatcher::new(&settings.attributes);
        let users = self.users.users.chunks(TestProfiles::MAX_READ_KEYS);
        for (users, seen) in users.zip(
            self.observation
                .profiles
                .chunks(TestProfiles::MAX_READ_KEYS),
        ) {
            let subs: Vec<&str> = users.iter().map(|user| user.sub.as_str()).collect();
            let answer = self.retry.call(|| profiles.read(&subs, true)).await;
            found.extend(users.iter().zip(seen).filter_map(|(user, seen)| {
                let (kind, detail) = match &answer {
                    Ok(now) => {
                        let now = now.get(user.sub.as_str());
                        self.check_profile(matcher, user, now, seen.as_ref())?
                    }
                    Err(failure) => (DifferenceKind::NotVerified, failure.to_string()),
                };
                Some(user_difference(user, kind, detail))
            }));
        }
        found.extend(self.check_unexpected_profiles(profiles).await);
    }

    fn check_profile(
        &self,
        matcher: ProfileMatcher<'_>,
        user: &TestUser,
        now: Option<&ProfileAttributes>,
        seen: Option<&ObservedProfile>,
    ) -> Option<(DifferenceKind, String)> {
        let Some(profile) = now else {
            let detail = seen.map_or("", |_| "it existed and is gone");
            return Some((DifferenceKind::MissingProfile, detail.to_owned()));
        };
        let sign_up = self.sign_up(user)?;
        if let Some(attribute) = matcher.first_mismatch(profile, &sign_up, &user.sub) {
            return Some((
                DifferenceKind::WrongProfile,
                format!("attribute {attribute}"),
            ));
        }
        let is_changed = seen.is_some_and(|seen| seen.fingerprint != matcher.fingerprint(profile));
        is_changed.then(|| {
            let detail = "written again after it was first seen";
            (DifferenceKind::ChangedProfile, detail.to_owned())
        })
    }

    /// Profiles of bystanders, and of the `sub`s of sign-ups without a user: of an unknown
    /// user, or of a foreign pool.
    async fn check_unexpected_profiles(&self, profiles: &TestProfiles) -> Vec<Difference> {
        let load = self.load;
        let bystanders = self.users.bystanders.iter();
        let mut without_profile: Vec<(String, String)> = bystanders
            .map(|user| (name_of(user).to_owned(), user.sub.as_str().to_owned()))
            .collect();
        without_profile.extend(
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
        for batch in without_profile.chunks(TestProfiles::MAX_READ_KEYS) {
            let subs: Vec<&str> = batch.iter().map(|(_, sub)| sub.as_str()).collect();
            let answer = self.retry.call(|| profiles.read(&subs, true)).await;
            found.extend(batch.iter().filter_map(|(who, sub)| {
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
