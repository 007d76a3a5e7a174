//! One user, whom an operator names. A run checks each of its users alike.

use super::incomplete_user::{IncompleteUser, ProfileState};
use super::other_ids::{OtherIdSearch, OwnerSet};
use crate::aws::{Failure, ListedUser, Outgoing, ProfileTable};
use crate::config::GroupName;
use crate::event::{PoolId, Scope};

/// What one user lacks.
#[derive(Debug)]
pub(crate) struct SingleUser {
    /// The user; empty once the search has shown that they lack nothing.
    incomplete: Vec<IncompleteUser>,
    owners: OwnerSet,
}

/// The sign-up that gives a user what they lack.
pub(crate) struct Repair {
    pub(crate) scope: Scope,
    pub(crate) message: Outgoing,
}

impl SingleUser {
    /// `groups` are the default groups that the user is not in. `has_profile` says whether there
    /// is one under their `sub`; it is true if profiles are switched off.
    pub(crate) fn new(user: ListedUser, groups: Vec<GroupName>, has_profile: bool) -> Self {
        let profile = if has_profile {
            ProfileState::Present
        } else {
            ProfileState::Missing
        };
        Self {
            incomplete: vec![IncompleteUser {
                user,
                groups,
                profile,
            }],
            owners: OwnerSet::default(),
        }
    }

    /// Looks for a missing profile under other ids. False if it read a page of the table instead:
    /// call it again, also after a failure.
    pub(crate) async fn search(
        &mut self,
        search: &OtherIdSearch,
        table: &ProfileTable,
        pool: &PoolId,
    ) -> Result<bool, Failure> {
        let users = &mut self.incomplete;
        self.owners.find_profiles(search, table, pool, users).await
    }

    pub(crate) fn profile(&self) -> ProfileState {
        let user = self.incomplete.first();
        user.map_or(ProfileState::Present, |user| user.profile)
    }

    /// `None` if no sign-up would add anything.
    pub(crate) fn repair(&self, pool: &PoolId) -> Option<Repair> {
        let user = self.incomplete.first()?;
        user.is_queueable().then(|| Repair {
            scope: user.scope(),
            message: user.to_outgoing(pool),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::UserStatus;
    use crate::event::{Event, UserAttributes, Username, parse};

    fn user(groups: &[&str], has_profile: bool) -> SingleUser {
        let groups = groups.iter().filter_map(|name| GroupName::new(name));
        let listed = ListedUser {
            username: Username::new("ada").expect("a name"),
            sub: None,
            attributes: UserAttributes::default(),
            status: UserStatus::Confirmed,
            cognito_status: "CONFIRMED".to_owned(),
            enabled: true,
            created: None,
            modified: None,
        };
        SingleUser::new(listed, groups.collect(), has_profile)
    }

    #[test]
    fn the_sign_up_of_one_user_has_the_scope_of_a_run() {
        let pool = PoolId::new("eu-west-1_x").expect("an id");
        let everyone = GroupName::new("EVERYONE").expect("a name");
        for (groups, has_profile, expected) in [
            (&[][..], true, None),
            (&[], false, Some(Scope::NoProfile)),
            (&["EVERYONE"], false, Some(Scope::NoProfile)),
            (&["EVERYONE"], true, Some(Scope::Groups(vec![everyone]))),
        ] {
            let repair = user(groups, has_profile).repair(&pool);
            let sent = repair.as_ref().map(|repair| parse(&repair.message.body));
            let sent = sent.map(|event| match event {
                Ok(Event::SignUp(sign_up)) => sign_up.scope,
                other => panic!("not a sign-up: {other:?}"),
            });
            assert_eq!(sent, expected, "{groups:?} {has_profile}");
            assert_eq!(repair.map(|repair| repair.scope), expected);
        }
    }
}
