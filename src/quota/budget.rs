//! One rate that is shared with whoever else there is, found by being throttled.
//!
//! Why each number is what it is: `benches/fleet/`, which simulates fleets of workers.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

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
    /// How often it was lowered.
    lowerings: u64,
    /// Turns taken since it was lowered.
    turns: u32,
    /// Throttles since then, those that tell no news among them.
    refused: u32,
}

/// The right to one call.
#[derive(Debug)]
pub struct Turn<'a> {
    budget: &'a Budget,
    /// Of the rate at which it was taken.
    lowerings: u64,
}

impl Turn<'_> {
    /// The call was throttled: slow down.
    pub fn throttled(self) {
        self.budget.throttled(self.lowerings);
    }
}

/// Turns that were not taken are not saved up beyond this share of the time between two,
/// so that no second holds a call more than its part of the rate.
const SLACK: f64 = 0.3;
/// Nor is less saved up than this, or what a timer is late would be lost at high rates.
const LATE: Duration = Duration::from_millis(10);
/// Nobody takes a turn for this long after a throttle that few calls went before. What
/// is under way comes back meanwhile, and its throttles tell the same news.
const ECHO: Duration = Duration::from_millis(250);
/// A throttle that many calls went before lowers the rate by so many times the share of
/// them that it is: we touched the edge. One of 300 costs a thirtieth, so that whoever
/// touches it now and then hardly notices.
const NEWS: f64 = 10.0;
/// But by no more than this. A slow process is throttled sooner than a fast one where both
/// meet, and would be cut to nothing.
const TOUCH: f64 = 0.1;
/// Lowering after a throttle that few went before: the quota is smaller than we think.
const SHRINK: f64 = 0.3;
/// So many turns are few. Counted and not timed: a process with a small part of
/// the quota makes few calls in any time.
const FEW: u32 = 10;
/// Where one turn of so many is refused, a fast process is far above the quota, however
/// many turns it takes.
const FAR: u32 = 4;
/// Share of itself by which the rate rises in a second.
const RISE: f64 = 0.008;
/// After this time without a throttle it rises twice as fast, after twice the
/// time five times as fast: the quota is larger than we think.
const QUIET: Duration = Duration::from_secs(20);
/// Below this share of the limit time counts for less: many processes share the
/// quota, each sees few throttles, and their rises add up.
const CROWD: f64 = 0.04;
/// Share of the limit that the rate never falls below. Of a limit that is above any quota
/// it is a share of the usual one.
const FLOOR: f64 = 0.004;
const USUAL: f64 = 20.0;
/// The same while nothing goes through at all. That is no share of a quota but
/// an outage, and a slower rate would only learn later that it is over. More than one call
/// for each [`ECHO`] there cannot be.
const OUTAGE: f64 = 0.02;

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
                lowerings: 0,
                turns: 0,
                refused: 0,
            }),
        }
    }

    /// Waits for the next turn. Cancel-safe: a turn that is not taken is not
    /// lost.
    pub async fn turn(&self) -> Turn<'_> {
        let _place = self.queue.lock().await;
        loop {
            match self.take() {
                Ok(turn) => return turn,
                // A throttle may put it off meanwhile.
                Err(due) => tokio::time::sleep_until(due).await,
            }
        }
    }

    /// Takes the turn if it is due, without a timer, or says when it is.
    fn take(&self) -> Result<Turn<'_>, Instant> {
        let now = Instant::now();
        let mut state = self.state();
        if now < state.next {
            return Err(state.next);
        }
        self.rise(&mut state, now);
        let gap = Duration::from_secs_f64(1.0 / state.rate);
        let slack = gap.mul_f64(SLACK).max(LATE);
        let from = state.next.max(now.checked_sub(slack).unwrap_or(now));
        state.next = from + gap;
        state.turns = state.turns.saturating_add(1);
        Ok(Turn {
            budget: self,
            lowerings: state.lowerings,
        })
    }

    fn throttled(&self, lowerings: u64) {
        metrics::counter!("usher_quota_throttled_total", "category" => self.category).increment(1);
        let now = Instant::now();
        let mut state = self.state();
        state.refused = state.refused.saturating_add(1);
        let since = state.lowered.map(|at| now.saturating_duration_since(at));
        // Late answers to calls from before the lowering are its echo as well.
        if lowerings < state.lowerings || since.is_some_and(|since| since < ECHO) {
            return;
        }
        self.rise(&mut state, now);
        let far = state.refused.saturating_mul(FAR) > state.turns;
        let touched = state.turns > FEW && !far;
        let cut = if touched {
            (NEWS / f64::from(state.turns)).min(TOUCH)
        } else {
            SHRINK
        };
        // The one that was throttled is a turn, too.
        let floor = if state.turns > 1 {
            self.limit.min(USUAL) * FLOOR
        } else {
            (self.limit * OUTAGE).min(1.0 / ECHO.as_secs_f64())
        };
        state.rate = (state.rate * (1.0 - cut)).max(floor.min(state.rate));
        // Processes that met shall not meet again.
        let gap = Duration::from_secs_f64((0.5 + fastrand::f64()) / state.rate);
        state.next = now + if touched { gap } else { gap.max(ECHO) };
        state.lowered = Some(now);
        state.lowerings += 1;
        (state.turns, state.refused) = (0, 0);
        self.publish(&state);
    }

    /// The present rate in calls a second.
    pub fn rate(&self) -> f64 {
        self.state().rate
    }

    fn rise(&self, state: &mut State, now: Instant) {
        let time = now.saturating_duration_since(state.raised).as_secs_f64();
        state.raised = now;
        let Some(lowered) = state.lowered.filter(|_| state.rate < self.limit) else {
            return;
        };
        let pace = (state.rate / (self.limit * CROWD)).sqrt().min(1.0);
        let quiet = now.saturating_duration_since(lowered).as_secs_f64();
        let quiet = pace * quiet / QUIET.as_secs_f64();
        let rise = RISE * pace * time * (1.0 + quiet * quiet);
        // No further in one step than to the double, however long nobody called.
        state.rate = (state.rate * (1.0 + rise.min(1.0))).min(self.limit);
        self.publish(state);
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

    /// A throttle of a call that was made just now.
    fn throttle(budget: &Budget) {
        let lowerings = budget.state().lowerings;
        budget.throttled(lowerings);
    }

    #[tokio::test(start_paused = true)]
    async fn late_answers_to_calls_from_before_a_lowering_do_not_lower_again() {
        let budget = Budget::new("test", 25.0);
        turns_in(&budget, Duration::from_secs(2)).await;
        let mut late = Vec::new();
        for _ in 0..25 {
            late.push(budget.turn().await);
        }
        for turn in late {
            turn.throttled();
            // Calls of now, which work.
            turns_in(&budget, Duration::from_millis(50)).await;
        }
        assert!(budget.rate() > 21.0, "{}", budget.rate());
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
        let turns = turns_in(&budget, Duration::from_secs(2)).await;
        assert!(turns < 100, "a touch among {turns} costs a tenth");
        for _ in 0..10 {
            throttle(&budget);
        }
        assert!((budget.rate() - 18.0).abs() < 0.01, "{}", budget.rate());
        turns_in(&budget, Duration::from_millis(500)).await;
        throttle(&budget);
        assert!(budget.rate() < 13.0, "it goes on: {}", budget.rate());
        turns_in(&budget, Duration::from_mins(1)).await;
        assert!((budget.rate() - 20.0).abs() < 0.01, "{}", budget.rate());
    }

    #[tokio::test(start_paused = true)]
    async fn one_throttle_among_many_calls_costs_little() {
        let budget = Budget::new("test", 25.0);
        turns_in(&budget, Duration::from_secs(20)).await;
        throttle(&budget);
        assert!(budget.rate() > 24.5, "{}", budget.rate());
        let turns = turns_in(&budget, Duration::from_secs(1)).await;
        assert!(turns >= 23, "{turns} turns in the second after it");
    }

    #[tokio::test(start_paused = true)]
    async fn no_second_holds_a_call_more_than_its_part_however_late_the_turns_are_taken() {
        let budget = Budget::new("test", 24.5);
        let mut taken = std::collections::VecDeque::new();
        for _ in 0..2000 {
            budget.turn().await;
            taken.push_back(Instant::now());
            if taken.len() > 26 {
                taken.pop_front();
                let second = taken[25] - taken[0];
                assert!(second >= Duration::from_secs(1), "26 calls in {second:?}");
            }
            // The process does something else meanwhile.
            if fastrand::u8(..16) == 0 {
                tokio::time::advance(Duration::from_millis(fastrand::u64(..300))).await;
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_takes_a_turn_right_after_a_throttle() {
        let budget = Budget::new("test", 100.0);
        budget.turn().await;
        let waits = budget.turn();
        throttle(&budget);
        let before = Instant::now();
        waits.await;
        assert!(before.elapsed() >= ECHO, "{:?}", before.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_that_is_due_needs_no_timer() {
        let budget = Budget::new("test", 100_000.0);
        tokio::time::advance(LATE).await;
        let before = Instant::now();
        for _ in 0..1000 {
            budget.turn().await;
        }
        assert_eq!(before.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn the_rate_never_reaches_zero() {
        let budget = Budget::new("test", 20.0);
        for _ in 0..200 {
            throttle(&budget);
            tokio::time::advance(Duration::from_millis(600)).await;
        }
        assert!(budget.rate() >= 0.4, "{}", budget.rate());
        turns_in(&budget, Duration::from_mins(2)).await;
        assert!(budget.rate() > 19.9, "after an outage: {}", budget.rate());
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

    /// Calls of `workers` in five minutes against `quota`: granted and throttled.
    async fn share(workers: u8, size: f64, limit: f64, quota: f64) -> (u32, u32) {
        let bucket = std::sync::Arc::new(Mutex::new((
            Bucket {
                tokens: size,
                size,
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
                        let turn = budget.turn().await;
                        let mut bucket = bucket.lock().expect("not poisoned");
                        if bucket.0.take(quota) {
                            bucket.1 += 1;
                        } else {
                            bucket.2 += 1;
                            turn.throttled();
                        }
                    }
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_mins(5)).await;
        tasks.iter().for_each(tokio::task::JoinHandle::abort);
        let bucket = bucket.lock().expect("not poisoned");
        (bucket.1, bucket.2)
    }

    fn assert_used(quota: f64, (granted, throttled): (u32, u32), at_least: f64, at_most: f64) {
        let (used, refused) = (f64::from(granted), f64::from(throttled));
        assert!(used >= at_least * quota * 300.0, "{granted} granted");
        assert!(
            refused <= at_most * (used + refused),
            "{throttled} throttled, {granted} granted"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn one_process_uses_the_quota_it_was_given_and_is_hardly_throttled() {
        assert_used(25.0, share(1, 2.0, 25.0, 25.0).await, 0.97, 0.01);
    }

    #[tokio::test(start_paused = true)]
    async fn processes_that_were_told_their_part_are_hardly_throttled() {
        assert_used(25.0, share(4, 25.0, 6.25, 25.0).await, 0.97, 0.01);
    }

    #[tokio::test(start_paused = true)]
    async fn processes_with_the_whole_quota_each_settle_on_sharing_it() {
        assert_used(25.0, share(2, 2.0, 25.0, 25.0).await, 0.9, 0.03);
        assert_used(25.0, share(4, 25.0, 25.0, 25.0).await, 0.95, 0.03);
        assert_used(25.0, share(32, 25.0, 25.0, 25.0).await, 0.95, 0.15);
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_far_above_the_quota_is_found_out() {
        let budget = Budget::new("test", 100_000.0);
        let mut quota = Bucket {
            tokens: 25.0,
            size: 25.0,
            at: Instant::now(),
        };
        let end = Instant::now() + Duration::from_mins(1);
        while let Ok(turn) = tokio::time::timeout_at(end, budget.turn()).await {
            if !quota.take(25.0) {
                turn.throttled();
            }
        }
        assert!(budget.rate() < 50.0, "{}", budget.rate());
    }

    #[tokio::test(start_paused = true)]
    async fn a_quota_of_which_others_take_half_is_found_out() {
        assert_used(12.5, share(1, 2.0, 25.0, 12.5).await, 0.9, 0.02);
    }
}
