//! Each user in exactly their groups. Asked user by user: a list of members would
//! show who is in a group, and not who is in another that they should not be in.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use tokio::time::Instant;

use super::{LoadVerifier, user_difference};
use crate::aws::Class;
use crate::config::GroupName;
use crate::load::difference::{Difference, DifferenceKind};
use crate::load::test_users::TestUser;
use crate::provision::groups_for;

/// Calls that are out at once; the budget sets the pace.
const GROUP_READS_IN_PARALLEL: usize = 16;
const GROUP_CHECK_PAUSE: Duration = Duration::from_secs(2);

impl LoadVerifier<'_> {
    /// Those who differ are looked at again for the time of `settle`: what Cognito has
    /// just written may not be seen everywhere yet.
    pub(super) async fn check_groups(&self, found: &mut Vec<Difference>, looked: impl Fn(u64)) {
        let people = self.users.users.iter().map(|person| (person, true));
        let bystanders = self.users.bystanders.iter().map(|person| (person, false));
        let mut open: Vec<(&TestUser, bool)> = people.chain(bystanders).collect();
        let all = open.len() as u64;
        let mut until = None;
        loop {
            let before = all - open.len() as u64;
            let mut looking = stream::iter(open)
                .map(|(person, is_expected)| async move {
                    let found = self.check_groups_of(person, is_expected).await;
                    (person, is_expected, found)
                })
                .buffer_unordered(GROUP_READS_IN_PARALLEL);
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
            let until = *until.get_or_insert_with(|| Instant::now() + self.load.quiet_period);
            if differ.is_empty() || Instant::now() > until {
                return;
            }
            open = differ;
            tokio::time::sleep(GROUP_CHECK_PAUSE).await;
        }
    }

    async fn check_groups_of(&self, person: &TestUser, is_expected: bool) -> Vec<Difference> {
        let (pool, listing) = (&self.load.pool, &self.services.listing);
        let groups = || listing.groups_of(pool, &person.username);
        let is = match self.retry.call(groups).await {
            Ok(groups) => groups,
            Err(failure) if failure.class == Class::NotYet => {
                return vec![user_difference(
                    person,
                    DifferenceKind::NotVerified,
                    "the user is gone",
                )];
            }
            Err(failure) => {
                return vec![user_difference(
                    person,
                    DifferenceKind::NotVerified,
                    failure.to_string(),
                )];
            }
        };
        let sign_up = is_expected.then(|| self.sign_up(person)).flatten();
        let must: BTreeSet<GroupName> = sign_up
            .map(|sign_up| groups_for(&self.load.config.groups, &sign_up))
            .into_iter()
            .flatten()
            .collect();
        let missing = must
            .difference(&is)
            .map(|group| (DifferenceKind::MissingGroup, group));
        let extra = is
            .difference(&must)
            .map(|group| (DifferenceKind::ExtraGroup, group));
        missing
            .chain(extra)
            .map(|(kind, group)| user_difference(person, kind, group.as_str()))
            .collect()
    }
}
