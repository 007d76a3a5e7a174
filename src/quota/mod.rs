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

/// The budgets of one process. Every Cognito call for a user or a group takes a permit here.
#[derive(Debug)]
pub struct Quota {
    /// `UserUpdate`: `AdminAddUserToGroup`, `AdminRemoveUserFromGroup`. 25 a second,
    /// not adjustable.
    pub user_update: RateBudget,
    /// `UserRead`: `AdminGetUser`. 120 a second; usher uses half at most.
    pub user_read: RateBudget,
    /// `CreateGroup`: 5 a second for one pool.
    pub(crate) group_create: RateBudget,
    /// `GetGroup`: 5 a second for one pool.
    pub(crate) group_read: RateBudget,
    /// `UserList`: `ListUsers`, `ListUsersInGroup`. 30 a second, not adjustable.
    pub user_list: RateBudget,
    /// `UserResourceRead`: `AdminListGroupsForUser`. 50 a second unless raised.
    pub user_resource_read: RateBudget,
    /// `UserCreation`: `AdminCreateUser`. 50 a second unless raised; sign-ups of
    /// users need it, too.
    pub user_creation: RateBudget,
    /// `UserAuthentication`: `InitiateAuth`. 120 a second unless raised; every sign-in
    /// needs it, too. usher uses 20 at most.
    pub(crate) user_authentication: RateBudget,
    /// `UserAccountRecovery`: `RespondToAuthChallenge` with a new password. 30 a
    /// second, not adjustable; users who forgot theirs need it, too. usher uses 10 at
    /// most.
    pub(crate) account_recovery: RateBudget,
}

/// The configurable rates, in calls a second for all processes together.
#[derive(Debug, Clone, Copy)]
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

impl Quota {
    /// Budgets with this process's part of each rate; the rates not in `limits` are fixed.
    pub fn new(limits: Limits) -> Self {
        let budget = |category, rate| RateBudget::new(category, limits.part_of(rate));
        Self {
            user_update: budget("user_update", limits.user_update),
            user_read: budget("user_read", 60.0),
            group_create: budget("group_create", 5.0),
            group_read: budget("group_read", 5.0),
            user_list: budget("user_list", limits.user_list),
            user_resource_read: budget("user_resource_read", limits.user_resource_read),
            user_creation: budget("user_creation", limits.user_creation),
            user_authentication: budget("user_authentication", 20.0),
            account_recovery: budget("account_recovery", 10.0),
        }
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
            &quota.user_update,
            &quota.user_list,
            &quota.user_resource_read,
            &quota.user_creation,
            &quota.user_read,
            &quota.account_recovery,
        ]
        .map(|budget| budget.rate().to_string());
        assert_eq!(rates, ["5", "4", "6", "2", "15", "2.5"]);
    }
}
