//! Cognito's request rates as budgets.
//!
//! Cognito limits calls per second by category, for the whole account and
//! Region. A [`Budget`] hands out evenly spaced turns at its present rate. A
//! throttled call lowers the rate (multiplicative decrease), quiet time raises
//! it again up to the configured limit (additive increase), so that several
//! processes share one quota without talking to each other.
//!
//! <https://docs.aws.amazon.com/cognito/latest/developerguide/quotas.html>

use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The budgets of one process. Every Cognito call that provisions takes its turn
/// here, whatever it is made for.
#[derive(Debug)]
pub struct Quota {
    /// `UserUpdate`: `AdminAddUserToGroup`, `AdminRemoveUserFromGroup`. 25 a second,
    /// not adjustable.
    pub user_update: Budget,
    /// `UserRead`: `AdminGetUser`. 120 a second; half of it is ours at most.
    pub user_read: Budget,
    /// `CreateGroup`: 5 a second for one pool.
    pub group_create: Budget,
    /// `GetGroup`: 5 a second for one pool.
    pub group_read: Budget,
    /// `UserList`: `ListUsers`, `ListUsersInGroup`. 30 a second, not adjustable.
    pub user_list: Budget,
    /// `UserResourceRead`: `AdminListGroupsForUser`. 50 a second unless raised.
    pub user_resource_read: Budget,
    /// `UserCreation`: `AdminCreateUser`. 50 a second unless raised, and people who
    /// sign up need it, too.
    pub user_creation: Budget,
    /// `UserAuthentication`: `InitiateAuth`. 120 a second unless raised, and everybody
    /// who signs in needs it.
    pub user_authentication: Budget,
    /// `UserAccountRecovery`: `RespondToAuthChallenge` with a new password. 30 a
    /// second, not adjustable, and everybody who forgot theirs needs it.
    pub account_recovery: Budget,
}

/// Calls per second that may be made, where that is configured.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How many processes share these rates, this one among them: each takes its part
    /// of every budget.
    pub processes: NonZeroU32,
    /// In `UserUpdate`.
    pub user_update: f64,
    /// In `UserList`.
    pub user_list: f64,
    /// In `UserResourceRead`.
    pub user_resource_read: f64,
    /// In `UserCreation`.
    pub user_creation: f64,
}

impl Limits {
    /// This process's part of a rate that all of them share.
    pub fn part_of(&self, rate: f64) -> f64 {
        rate / f64::from(self.processes.get())
    }
}

impl Quota {
    /// Budgets with this process's part of the configured rates.
    pub fn new(limits: Limits) -> Self {
        let budget = |category, rate| Budget::new(category, limits.part_of(rate));
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

/// One rate: an adaptive pacer.
#[derive(Debug)]
pub struct Budget {
    category: &'static str,
    limit: f64,
    /// First come, first served; whoever holds it waits for the next turn, so a
    /// lowered rate takes effect for everybody behind at once.
    queue: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    rate: f64,
    next: Instant,
    raised: Instant,
    lowered: Option<Instant>,
}

/// Turns that were not taken are not saved up beyond this, so a burst after
/// silence cannot run into the quota.
const SLACK: Duration = Duration::from_millis(100);
/// Share of the limit by which the rate rises in a second.
const RISE: f64 = 0.02;
/// Lowering after a throttle that follows quiet time: we touched the edge.
const TOUCH: f64 = 0.9;
/// Lowering while throttles go on: the quota is smaller than we think.
const SHRINK: f64 = 0.7;
/// Throttles within this time tell the same news.
const ECHO: Duration = Duration::from_millis(500);
/// Throttles within this time after a lowering say that it was not enough.
const AGAIN: Duration = Duration::from_secs(2);
/// The rate never falls below this share of the limit, or it could not learn
/// that the quota is back.
const FLOOR: f64 = 0.02;

impl Budget {
    /// A budget of `limit` calls a second, starting at the full rate.
    pub fn new(category: &'static str, limit: f64) -> Self {
        let now = Instant::now();
        metrics::gauge!("usher_quota_rate", "category" => category).set(limit);
        Self {
            category,
            limit,
            queue: tokio::sync::Mutex::new(()),
            state: Mutex::new(State {
                rate: limit,
                next: now,
                raised: now,
                lowered: None,
            }),
        }
    }

    /// Waits for the next turn. Cancel-safe: a turn that is not taken is not
    /// lost.
    pub async fn turn(&self) {
        let _place = self.queue.lock().await;
        let at = self.state().next;
        tokio::time::sleep_until(at).await;
        let now = Instant::now();
        let mut state = self.state();
        self.rise(&mut state, now);
        let from = state.next.max(now.checked_sub(SLACK).unwrap_or(now));
        state.next = from + Duration::from_secs_f64(1.0 / state.rate);
    }

    /// A call was throttled: slow down.
    pub fn throttled(&self) {
        metrics::counter!("usher_quota_throttled_total", "category" => self.category).increment(1);
        let now = Instant::now();
        let mut state = self.state();
        let since = state.lowered.map(|at| now.saturating_duration_since(at));
        let factor = match since {
            Some(since) if since < ECHO => return,
            Some(since) if since < AGAIN => SHRINK,
            _ => TOUCH,
        };
        self.rise(&mut state, now);
        state.rate = (state.rate * factor).max(self.limit * FLOOR);
        state.lowered = Some(now);
        state.next = state
            .next
            .max(now + Duration::from_secs_f64(1.0 / state.rate));
        self.publish(&state);
    }

    /// The present rate in calls a second.
    pub fn rate(&self) -> f64 {
        self.state().rate
    }

    fn rise(&self, state: &mut State, now: Instant) {
        let quiet = now.saturating_duration_since(state.raised).as_secs_f64();
        state.raised = now;
        if state.rate < self.limit {
            state.rate = (state.rate + quiet * RISE * self.limit).min(self.limit);
            self.publish(state);
        }
    }

    fn publish(&self, state: &State) {
        metrics::gauge!("usher_quota_rate", "category" => self.category).set(state.rate);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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

    async fn turns_in(budget: &Budget, time: Duration) -> u32 {
        let end = Instant::now() + time;
        let mut turns = 0;
        while tokio::time::timeout_at(end, budget.turn()).await.is_ok() {
            turns += 1;
        }
        turns
    }

    #[tokio::test(start_paused = true)]
    async fn turns_come_at_the_limit_and_not_above_it() {
        let budget = Budget::new("test", 25.0);
        let turns = turns_in(&budget, Duration::from_secs(20)).await;
        assert!((500..=503).contains(&turns), "{turns} turns in 20 s");
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_not_saved_up() {
        let budget = Budget::new("test", 25.0);
        tokio::time::advance(Duration::from_mins(1)).await;
        let turns = turns_in(&budget, Duration::from_secs(1)).await;
        assert!(turns <= 29, "{turns} turns in a second after silence");
    }

    #[tokio::test(start_paused = true)]
    async fn a_throttle_lowers_the_rate_once_and_quiet_time_raises_it() {
        let budget = Budget::new("test", 20.0);
        for _ in 0..10 {
            budget.throttled();
        }
        assert!((budget.rate() - 18.0).abs() < 0.01, "{}", budget.rate());
        tokio::time::advance(Duration::from_secs(1)).await;
        budget.throttled();
        assert!(budget.rate() < 13.0, "it goes on: {}", budget.rate());
        turns_in(&budget, Duration::from_secs(30)).await;
        assert!((budget.rate() - 20.0).abs() < 0.01, "{}", budget.rate());
    }

    #[tokio::test(start_paused = true)]
    async fn the_rate_never_reaches_zero() {
        let budget = Budget::new("test", 20.0);
        for _ in 0..200 {
            budget.throttled();
            tokio::time::advance(Duration::from_millis(600)).await;
        }
        assert!(budget.rate() >= 0.4, "{}", budget.rate());
    }

    #[tokio::test(start_paused = true)]
    async fn a_cancelled_wait_loses_no_turn() {
        let budget = Budget::new("test", 1.0);
        budget.turn().await;
        for _ in 0..3 {
            let wait = tokio::time::timeout(Duration::from_millis(100), budget.turn());
            assert!(wait.await.is_err());
        }
        let before = Instant::now();
        budget.turn().await;
        assert!(before.elapsed() < Duration::from_secs(1));
    }

    /// Cognito as far as it can be known: a bucket that refills at the quota.
    struct Bucket {
        tokens: f64,
        size: f64,
        at: Instant,
    }

    impl Bucket {
        fn take(&mut self, quota: f64) -> bool {
            let now = Instant::now();
            let refill = now.saturating_duration_since(self.at).as_secs_f64() * quota;
            self.at = now;
            self.tokens = (self.tokens + refill).min(self.size);
            let granted = self.tokens >= 1.0;
            self.tokens -= f64::from(u8::from(granted));
            granted
        }
    }

    /// Calls of `workers` for `seconds` against `quota`: granted and throttled.
    async fn share(workers: usize, limit: f64, quota: f64, seconds: u64) -> (u32, u32) {
        let bucket = std::sync::Arc::new(Mutex::new((
            Bucket {
                tokens: 2.0,
                size: 2.0,
                at: Instant::now(),
            },
            0_u32,
            0_u32,
        )));
        let tasks: Vec<_> = (0..workers)
            .map(|_| {
                let bucket = std::sync::Arc::clone(&bucket);
                tokio::spawn(async move {
                    let budget = Budget::new("test", limit);
                    loop {
                        budget.turn().await;
                        let mut bucket = bucket.lock().expect("not poisoned");
                        if bucket.0.take(quota) {
                            bucket.1 += 1;
                        } else {
                            bucket.2 += 1;
                            budget.throttled();
                        }
                    }
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        tasks.iter().for_each(tokio::task::JoinHandle::abort);
        let bucket = bucket.lock().expect("not poisoned");
        (bucket.1, bucket.2)
    }

    #[tokio::test(start_paused = true)]
    async fn one_process_uses_the_quota_it_was_given_and_is_hardly_throttled() {
        let (granted, throttled) = share(1, 25.0, 25.0, 60).await;
        assert!(
            f64::from(granted) >= 0.97 * 25.0 * 60.0,
            "{granted} granted"
        );
        assert!(
            f64::from(throttled) <= 0.01 * f64::from(granted),
            "{throttled} throttled"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn two_processes_with_the_whole_quota_each_settle_on_sharing_it() {
        let (granted, throttled) = share(2, 25.0, 25.0, 300).await;
        assert!(
            f64::from(granted) >= 0.9 * 25.0 * 300.0,
            "{granted} granted"
        );
        assert!(
            f64::from(throttled) <= 0.05 * f64::from(granted),
            "{throttled} throttled"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_quota_of_which_others_take_half_is_found_out() {
        let (granted, throttled) = share(1, 25.0, 12.5, 300).await;
        assert!(
            f64::from(granted) >= 0.9 * 12.5 * 300.0,
            "{granted} granted"
        );
        assert!(
            f64::from(throttled) <= 0.05 * f64::from(granted),
            "{throttled} throttled"
        );
    }
}
