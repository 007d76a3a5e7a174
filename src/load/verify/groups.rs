//! Each user in exactly their groups. Asked user by user: a list of members would
//! show who is in a group, and not who is in another that they should not be in.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use tokio::time::Instant;

use super::{Verifier, of};
use crate::aws::Class;
use crate::config::GroupName;
use crate::load::crew::Person;
use crate::load::difference::{Difference, Kind};
use crate::provision::groups_for;

/// Calls that are out at once; the budget sets the pace.
const PARALLEL: usize = 16;
const AGAIN: Duration = Duration::from_secs(2);

impl Verifier<'_> {
    /// Those who differ are looked at again for the time of `settle`: what Cognito has
    /// just written may not be seen everywhere yet.
    pub(super) async fn of_the_groups(&self, found: &mut Vec<Difference>, looked: impl Fn(u64)) {
        let people = self.crew.people.iter().map(|person| (person, true));
        let bystanders = self.crew.bystanders.iter().map(|person| (person, false));
        let mut open: Vec<(&Person, bool)> = people.chain(bystanders).collect();
        let all = open.len() as u64;
        let mut until = None;
        loop {
            let before = all - open.len() as u64;
            let mut looking = stream::iter(open)
                .map(|(person, is_expected)| async move {
                    let found = self.of_the_groups_of(person, is_expected).await;
                    (person, is_expected, found)
                })
                .buffer_unordered(PARALLEL);
            let (mut differ, mut now, mut count) = (Vec::new(), Vec::new(), 0);
            while let Some((person, is_expected, differences)) = looking.next().await {
                if !differences.is_empty() {
                    differ.push((person, is_expected));
                }
                now.extend(differences);
                count += 1;
                looked(before + count);
            }
            drop(looking);
            *found = now;
            let until = *until.get_or_insert_with(|| Instant::now() + self.load.settle);
            if differ.is_empty() || Instant::now() > until {
                return;
            }
            open = differ;
            tokio::time::sleep(AGAIN).await;
        }
    }

    async fn of_the_groups_of(&self, person: &Person, is_expected: bool) -> Vec<Difference> {
        let (pool, listing) = (&self.load.pool, &self.services.listing);
        let groups = || listing.groups_of(pool, &person.username);
        let is = match self.persistence.call(groups).await {
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
