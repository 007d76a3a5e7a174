//! Cognito's request rates as budgets.
//!
//! Cognito limits calls per second by category, for the whole account and Region. A
//! [`RateBudget`] grants evenly spaced permits at its present rate. A throttled call cuts
//! the rate by a share of it. Time without a cut raises the rate by a share of it, faster
//! the longer it lasts, up to the configured limit. A fast process is throttled more often
//! than a slow one. So several processes come to share one quota without communication
//! (`benches/fleet/`).
//!
//! <https://docs.aws.amazon.com/cognito/latest/developerguide/quotas.html>

mod budget;

use std::num::NonZeroU32;

pub use budget::RateBudget;

/// The categories of Cognito's requests that usher makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Category {
    /// `UserUpdate`: `AdminAddUserToGroup`, `AdminRemoveUserFromGroup`, and the calls that disable,
    /// enable and sign out a user. 25 a second, not adjustable.
    UserUpdate,
    /// `UserRead`: `AdminGetUser`. 120 a second; usher uses half at most.
    UserRead,
    /// `CreateGroup`: 5 a second for one pool.
    GroupCreate,
    /// `GetGroup`, `ListGroups`: 5 a second for one pool.
    GroupRead,
    /// `UserList`: `ListUsers`, `ListUsersInGroup`. 30 a second, not adjustable.
    UserList,
    /// `UserResourceRead`: `AdminListGroupsForUser`. 50 a second unless raised.
    UserResourceRead,
    /// `UserCreation`: `AdminCreateUser`. 50 a second unless raised; sign-ups of
    /// users need it, too.
    UserCreation,
    /// `UserAuthentication`: `InitiateAuth`. 120 a second unless raised; every sign-in
    /// needs it, too. usher uses 20 at most.
    UserAuthentication,
    /// `UserAccountRecovery`: `RespondToAuthChallenge` with a new password. 30 a
    /// second, not adjustable; users who forgot theirs need it, too. usher uses 10 at
    /// most.
    AccountRecovery,
    /// `UserToken`: `RevokeToken`. usher uses 10 a second at most.
    UserToken,
    /// `UserPoolRead`: `DescribeUserPool`. 15 a second, not adjustable; usher uses 5 at most.
    /// `GetUserPoolMfaConfig` counts here as well.
    PoolRead,
    /// `UserPoolUpdate`: `UpdateUserPool`. 15 a second, not adjustable; usher uses 5 at most.
    /// `SetUserPoolMfaConfig` counts here as well.
    PoolUpdate,
}

impl Category {
    const ALL: [Self; 12] = [
        Self::UserUpdate,
        Self::UserRead,
        Self::GroupCreate,
        Self::GroupRead,
        Self::UserList,
        Self::UserResourceRead,
        Self::UserCreation,
        Self::UserAuthentication,
        Self::AccountRecovery,
        Self::UserToken,
        Self::PoolRead,
        Self::PoolUpdate,
    ];

    /// The name in metrics, and the rate of all processes together.
    fn name_and_rate(self, limits: &Limits) -> (&'static str, f64) {
        match self {
            Self::UserUpdate => ("user_update", limits.user_update),
            Self::UserRead => ("user_read", 60.0),
            Self::GroupCreate => ("group_create", 5.0),
            Self::GroupRead => ("group_read", 5.0),
            Self::UserList => ("user_list", limits.user_list),
            Self::UserResourceRead => ("user_resource_read", limits.user_resource_read),
            Self::UserCreation => ("user_creation", limits.user_creation),
            Self::UserAuthentication => ("user_authentication", 20.0),
            Self::AccountRecovery => ("account_recovery", 10.0),
            Self::UserToken => ("user_token", 10.0),
            Self::PoolRead => ("pool_read", 5.0),
            Self::PoolUpdate => ("pool_update", 5.0),
        }
    }
}

/// The budgets of one process. Every Cognito call takes a permit here.
#[derive(Debug)]
pub struct Quota([RateBudget; Category::ALL.len()]);

/// The configurable rates, in calls a second for all processes together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// How many processes share these rates, including this one. Each takes an equal part
    /// of every budget.
    pub processes: NonZeroU32,
    /// The rate of the category `UserUpdate`.
    pub user_update: f64,
    /// The rate of the category `UserList`.
    pub user_list: f64,
    /// The rate of the category `UserResourceRead`.
    pub user_resource_read: f64,
    /// The rate of the category `UserCreation`.
    pub user_creation: f64,
}

impl Limits {
    /// This process's part of a rate that all processes share.
    pub(crate) fn part_of(&self, rate: f64) -> f64 {
        rate / f64::from(self.processes.get())
    }
}

/// The defaults of `config/usher.toml`, for one process.
impl Default for Limits {
    fn default() -> Self {
        Self {
            processes: NonZeroU32::MIN,
            user_update: 20.0,
            user_list: 15.0,
            user_resource_read: 25.0,
            user_creation: 25.0,
        }
    }
}

impl Quota {
    /// Budgets with this process's part of each rate; the rates not in `limits` are fixed.
    pub fn new(limits: Limits) -> Self {
        Self(Category::ALL.map(|category| {
            let (name, rate) = category.name_and_rate(&limits);
            RateBudget::new(name, limits.part_of(rate))
        }))
    }

    /// The budget of a category.
    pub fn budget(&self, category: Category) -> &RateBudget {
        &self.0[category as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn processes_that_share_a_rate_take_their_part_of_each_budget() {
        let quota = Quota::new(Limits {
            processes: NonZeroU32::new(4).expect("not zero"),
            user_update: 20.0,
            user_list: 16.0,
            user_resource_read: 24.0,
            user_creation: 8.0,
        });
        let rates = [
            Category::UserUpdate,
            Category::UserList,
            Category::UserResourceRead,
            Category::UserCreation,
            Category::UserRead,
            Category::AccountRecovery,
        ]
        .map(|category| quota.budget(category).rate().to_string());
        assert_eq!(rates, ["5", "4", "6", "2", "15", "2.5"]);
    }

    #[test]
    fn each_category_has_its_own_budget() {
        for (index, category) in Category::ALL.into_iter().enumerate() {
            assert_eq!(category as usize, index);
        }
    }
}
