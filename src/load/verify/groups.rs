//! Checks that each user is in exactly their groups. It reads user by user, since a list
//! of members does not show that a user is in a further group. The cost does not depend
//! on the size of the pool.

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

/// The budget limits the rate of these calls.
const GROUP_READS_IN_PARALLEL: usize = 16;
const GROUP_CHECK_PAUSE: Duration = Duration::from_secs(2);

impl LoadVerifier<'_> {
    /// Users who differ are checked again for the time of `quiet_period`, since Cognito's
    /// reads may not show recent writes yet.
    pub(super) async fn check_groups(&self, found: &mut Vec<Difference>, checked: impl Fn(u64)) {
        let with_sign_up = self.users.users.iter().map(|user| (user, true));
        let bystanders = self.users.bystanders.iter().map(|user| (user, false));
        let mut open: Vec<(&TestUser, bool)> = with_sign_up.chain(bystanders).collect();
        let all = open.len() as u64;
        let mut deadline = None;
        loop {
            let before = all - open.len() as u64;
            let mut checks = stream::iter(open)
                .map(|(user, is_expected)| async move {
                    let found = self.check_groups_of(user, is_expected).await;
                    (user, is_expected, found)
                })
                .buffer_unordered(GROUP_READS_IN_PARALLEL);
            let (mut differing, mut now, mut count) = (Vec::new(), Vec::new(), 0);
            while let Some((user, is_expected, differences)) = checks.next().await {
                if !differences.is_empty() {
                    differing.push((user, is_expected));
                }
                now.extend(differences);
                count += 1;
                checked(before + count);
            }
            drop(checks);
            *found = now;
            let deadline = *deadline.get_or_insert_with(|| Instant::now() + self.load.quiet_period);
            if differing.is_empty() || Instant::now() > deadline {
                return;
            }
            open = differing;
            tokio::time::sleep(GROUP_CHECK_PAUSE).await;
        }
    }

    async fn check_groups_of(&self, user: &TestUser, is_expected: bool) -> Vec<Difference> {
        let (pool, cognito) = (&self.load.pool, &self.services.cognito);
        let groups = || cognito.groups_of(pool, &user.username);
        let actual = match self.retry.call(groups).await {
            Ok(groups) => groups,
            Err(failure) if failure.class == Class::NotYet => {
                return vec![user_difference(
                    user,
                    DifferenceKind::NotVerified,
                    "the user is gone",
                )];
            }
            Err(failure) => {
                return vec![user_difference(
                    user,
                    DifferenceKind::NotVerified,
                    failure.to_string(),
                )];
            }
        };
        let sign_up = is_expected.then(|| self.sign_up(user)).flatten();
        let expected: BTreeSet<GroupName> = sign_up
            .map(|sign_up| groups_for(&self.load.config.groups, &sign_up))
            .into_iter()
            .flatten()
            .collect();
        let missing = expected
            .difference(&actual)
            .map(|group| (DifferenceKind::MissingGroup, group));
        let extra = actual
            .difference(&expected)
            .map(|group| (DifferenceKind::ExtraGroup, group));
        missing
            .chain(extra)
            .map(|(kind, group)| user_difference(user, kind, group.as_str()))
            .collect()
    }
}
