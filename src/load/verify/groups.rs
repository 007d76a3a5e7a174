//! Each user in exactly their groups. Asked user by user: a list of members would
//! show who is in a group, and not who is in another that they should not be in.

use std::collections::BTreeSet;

use futures_util::stream::{self, StreamExt};

use super::{Verifier, of};
use crate::aws::Class;
use crate::config::GroupName;
use crate::load::crew::Person;
use crate::load::difference::{Difference, Kind};
use crate::provision::groups_for;
use crate::retry::patiently;

/// Calls that are out at once; the budget sets the pace.
const PARALLEL: usize = 16;

impl Verifier<'_> {
    pub(super) async fn of_the_groups(&self, looked: impl Fn(u64)) -> Vec<Difference> {
        let people = self.crew.people.iter().map(|person| (person, true));
        let all = people.chain(self.crew.bystanders.iter().map(|person| (person, false)));
        let mut looking = stream::iter(all)
            .map(|(person, is_expected)| self.of_the_groups_of(person, is_expected))
            .buffer_unordered(PARALLEL);
        let (mut found, mut count) = (Vec::new(), 0);
        while let Some(differences) = looking.next().await {
            found.extend(differences);
            count += 1;
            looked(count);
        }
        found
    }

    async fn of_the_groups_of(&self, person: &Person, is_expected: bool) -> Vec<Difference> {
        let (pool, listing) = (&self.load.pool, &self.services.listing);
        let is = match patiently(|| listing.groups_of(pool, &person.username)).await {
            Ok(groups) => groups,
            Err(failure) if failure.class == Class::NotYet => {
                return vec![of(person, Kind::NotVerified, "the user is gone")];
            }
            Err(failure) => return vec![of(person, Kind::NotVerified, failure.to_string())],
        };
        let sign_up = is_expected.then(|| self.sign_up(person)).flatten();
        let must: BTreeSet<GroupName> = sign_up
            .map(|sign_up| groups_for(&self.load.config.groups, &sign_up))
            .into_iter()
            .flatten()
            .collect();
        let missing = must
            .difference(&is)
            .map(|group| (Kind::MissingGroup, group));
        let extra = is.difference(&must).map(|group| (Kind::ExtraGroup, group));
        missing
            .chain(extra)
            .map(|(kind, group)| of(person, kind, group.as_str()))
            .collect()
    }
}
