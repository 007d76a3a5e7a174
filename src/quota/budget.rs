//! An adaptive rate that shares a quota with other processes and learns it from throttles.
//!
//! The formula, the cuts and the rejected alternatives are in `docs/internals/rate.md`. The
//! rate rises and falls by a factor (multiplicative increase and decrease): with fixed steps,
//! the total step would grow with the number of processes. Permits are counted, not seconds,
//! since a process with a hundredth of the quota makes four calls in 16 seconds.
//! `benches/fleet/` simulates fleets of workers and justifies each number.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// An adaptive rate limiter for one category of calls.
#[derive(Debug)]
pub struct RateBudget {
    category: &'static str,
    wait_seconds: metrics::Histogram,
    waiting_calls: metrics::Gauge,
    limit: f64,
    /// First come, first served. Only its holder waits for the next permit, so a cut
    /// applies at once to every caller behind.
    fifo_lock: tokio::sync::Mutex<()>,
    /// Waiting callers, including the holder of `fifo_lock`.
    waiting: AtomicU32,
    state: Mutex<BudgetState>,
}

#[derive(Debug)]
struct BudgetState {
    rate: f64,
    next_permit: Instant,
    updated_at: Instant,
    cut_at: Option<Instant>,
    cut_count: u64,
    /// Calls since the last cut.
    calls: CallCounts,
    /// Calls before the last cut, if it was a small one: their throttles may come late.
    calls_before_small_cut: Option<CallCounts>,
}

/// Permits between two cuts, and how many of their calls are known to be throttled.
#[derive(Debug, Default, Clone, Copy)]
struct CallCounts {
    permits: u32,
    throttled: u32,
}

/// The right to make one call now.
#[derive(Debug)]
pub struct Permit<'a> {
    budget: &'a RateBudget,
    /// The budget's count of cuts when the permit was taken.
    cut_count: u64,
}

impl Permit<'_> {
    /// Reports that the call was throttled, which may cut the rate.
    pub fn record_throttle(self) {
        self.budget.record_throttle(self.cut_count);
    }
}

/// No permit by the caller's deadline. The caller has left the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the budget of calls has no permit by the deadline")]
pub(crate) struct NoPermit;

/// A caller in the queue, counted until it is dropped.
struct Waiter<'a> {
    budget: &'a RateBudget,
    /// Callers that already waited.
    ahead: u32,
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.budget.waiting.fetch_sub(1, Ordering::Relaxed);
        self.budget.waiting_calls.decrement(1.0);
    }
}

/// Burst tolerance: after idle time a permit may be taken early by this share of the gap
/// between two permits. So no second has more calls than the rate, rounded up, except for
/// [`MIN_SLACK`].
const SLACK_SHARE: f64 = 0.3;
/// Least time that is saved up: late timers would otherwise lower a high rate.
const MIN_SLACK: Duration = Duration::from_millis(10);
/// No permit for this long after a deep cut: calls in progress return meanwhile. Nor is the
/// rate cut again within this time after any cut, except for [`LATE_THROTTLE_RATIO`].
const COOLDOWN: Duration = Duration::from_millis(250);
/// Small cut: one throttle in n permits cuts the rate by this divided by n, since the rate
/// is near the quota. One in 300 costs a thirtieth, so rare throttles cost little.
const SMALL_CUT_GAIN: f64 = 10.0;
/// Largest small cut. When a slow and a fast process exceed the quota together, the slow
/// one is throttled after fewer permits, and would be cut to nothing.
const MAX_SMALL_CUT: f64 = 0.1;
/// Deep cut: a throttle after few permits shows that the quota is far below the rate.
const DEEP_CUT: f64 = 0.3;
/// Up to this many permits since the last cut are few. Counted, not timed: a process with a
/// small part of the quota makes few calls in any time.
const SMALL_CUT_MIN_CALLS: u32 = 10;
/// If more than one permit in this many is throttled, the cut is deep after any number of
/// permits. This detects a fast process, which takes many permits before its first throttle
/// returns.
const DEEP_THROTTLE_RATIO: u32 = 4;
/// If more than one permit in this many before a small cut was throttled, a deep cut
/// follows. The answers are slow, and the quota is far below the rate.
const LATE_THROTTLE_RATIO: u32 = 2;
/// Share of the rate that is added in a second.
const RISE_PER_SECOND: f64 = 0.008;
/// After this time without a cut the rate rises twice as fast, after twice the time five
/// times as fast. The quota is then larger than the rate.
const QUIET_PERIOD: Duration = Duration::from_secs(20);
/// Below this share of the limit the rate rises more slowly: many processes share the
/// quota, each sees few throttles, and their rises add up.
const CROWDED_SHARE: f64 = 0.04;
/// Lowest rate, as a share of the limit. It never exceeds one call for each [`COOLDOWN`], so
/// that the rate adapts even if the limit is far above the quota.
const MIN_RATE_SHARE: f64 = 0.004;
/// The same while every call is throttled. That is an outage and not a shared quota, and a
/// lower rate would only detect its end later.
const OUTAGE_MIN_RATE_SHARE: f64 = 0.02;

impl RateBudget {
    /// A budget of `limit` calls a second, starting at the full rate.
    pub fn new(category: &'static str, limit: f64) -> Self {
        let now = Instant::now();
        metrics::gauge!("usher_quota_limit", "category" => category).set(limit);
        metrics::gauge!("usher_quota_rate", "category" => category).set(limit);
        Self {
            category,
            wait_seconds: metrics::histogram!("usher_quota_wait_seconds", "category" => category),
            waiting_calls: metrics::gauge!("usher_quota_waiting", "category" => category),
            limit,
            fifo_lock: tokio::sync::Mutex::new(()),
            waiting: AtomicU32::new(0),
            state: Mutex::new(BudgetState {
                rate: limit,
                next_permit: now,
                updated_at: now,
                cut_at: None,
                cut_count: 0,
                calls: CallCounts::default(),
                calls_before_small_cut: None,
            }),
        }
    }

    /// Waits for the next permit. Cancel-safe: a cancelled wait uses no permit.
    pub async fn acquire(&self) -> Permit<'_> {
        let enqueued = Instant::now();
        let _waiter = self.enqueue();
        let _queue = self.fifo_lock.lock().await;
        loop {
            match self.try_acquire() {
                Ok(permit) => {
                    self.wait_seconds.record(enqueued.elapsed());
                    return permit;
                }
                // A throttle may delay it meanwhile.
                Err(due) => tokio::time::sleep_until(due).await,
            }
        }
    }

    /// Like [`Self::acquire`], with a deadline. Fails at once if the callers that already
    /// wait take all permits until then, at the present rate.
    ///
    /// # Errors
    /// [`NoPermit`].
    pub(crate) async fn acquire_by(&self, deadline: Instant) -> Result<Permit<'_>, NoPermit> {
        let enqueued = Instant::now();
        let waiter = self.enqueue();
        if self.due_after(waiter.ahead) > deadline {
            return Err(NoPermit);
        }
        let queue = tokio::time::timeout_at(deadline, self.fifo_lock.lock()).await;
        let _queue = queue.map_err(|_| NoPermit)?;
        loop {
            match self.try_acquire() {
                Ok(permit) => {
                    self.wait_seconds.record(enqueued.elapsed());
                    return Ok(permit);
                }
                Err(due) if due > deadline => return Err(NoPermit),
                Err(due) => tokio::time::sleep_until(due).await,
            }
        }
    }

    fn enqueue(&self) -> Waiter<'_> {
        self.waiting_calls.increment(1.0);
        Waiter {
            budget: self,
            ahead: self.waiting.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// When the permit after `ahead` others is due.
    fn due_after(&self, ahead: u32) -> Instant {
        let state = self.state();
        state.next_permit.max(Instant::now())
            + Duration::from_secs_f64(f64::from(ahead) / state.rate)
    }

    /// Takes the permit if it is due, without a timer, or returns when it is.
    fn try_acquire(&self) -> Result<Permit<'_>, Instant> {
        let now = Instant::now();
        let mut state = self.state();
        if now < state.next_permit {
            return Err(state.next_permit);
        }
        self.raise(&mut state, now);
        let gap = Duration::from_secs_f64(1.0 / state.rate);
        let slack = gap.mul_f64(SLACK_SHARE).max(MIN_SLACK);
        let from = state.next_permit.max(now.checked_sub(slack).unwrap_or(now));
        state.next_permit = from + gap;
        state.calls.permits = state.calls.permits.saturating_add(1);
        Ok(Permit {
            budget: self,
            cut_count: state.cut_count,
        })
    }

    fn record_throttle(&self, cut_count: u64) {
        metrics::counter!("usher_quota_throttled_total", "category" => self.category).increment(1);
        let now = Instant::now();
        let mut state = self.state();
        if cut_count == state.cut_count {
            state.calls.throttled = state.calls.throttled.saturating_add(1);
            let since = state.cut_at.map(|at| now.saturating_duration_since(at));
            if since.is_none_or(|since| since >= COOLDOWN) {
                let calls = state.calls;
                self.cut(&mut state, now, calls, calls.is_small_cut());
            }
        } else if cut_count + 1 == state.cut_count
            && let Some(mut calls) = state.calls_before_small_cut
        {
            // A late throttle of a call from before the cut does not cut again, unless there
            // are many.
            calls.throttled = calls.throttled.saturating_add(1);
            state.calls_before_small_cut = Some(calls);
            if calls.is_throttled_above(LATE_THROTTLE_RATIO) {
                self.cut(&mut state, now, calls, false);
            }
        }
    }

    /// Cuts the rate after `calls`, by a small or a deep cut.
    fn cut(&self, state: &mut BudgetState, now: Instant, calls: CallCounts, is_small: bool) {
        self.raise(state, now);
        let cut = if is_small {
            (SMALL_CUT_GAIN / f64::from(calls.permits)).min(MAX_SMALL_CUT)
        } else {
            DEEP_CUT
        };
        // One permit is that of the throttled call itself: then no call has succeeded.
        let floor = if calls.permits > 1 {
            MIN_RATE_SHARE
        } else {
            OUTAGE_MIN_RATE_SHARE
        };
        let floor = (self.limit * floor).min(1.0 / COOLDOWN.as_secs_f64());
        state.rate = (state.rate * (1.0 - cut)).max(floor.min(state.rate));
        // A random gap keeps processes from colliding again.
        let gap = Duration::from_secs_f64((0.5 + fastrand::f64()) / state.rate);
        state.next_permit = now + if is_small { gap } else { gap.max(COOLDOWN) };
        state.cut_at = Some(now);
        state.cut_count += 1;
        state.calls_before_small_cut = is_small.then_some(calls);
        state.calls = CallCounts::default();
        self.publish(state);
    }

    /// The highest rate in calls a second: this process's share of the configured one.
    pub fn limit(&self) -> f64 {
        self.limit
    }

    /// The present rate in calls a second.
    pub fn rate(&self) -> f64 {
        self.state().rate
    }

    fn raise(&self, state: &mut BudgetState, now: Instant) {
        let time = now
            .saturating_duration_since(state.updated_at)
            .as_secs_f64();
        state.updated_at = now;
        let Some(cut_at) = state.cut_at.filter(|_| state.rate < self.limit) else {
            return;
        };
        let rise_factor = (state.rate / (self.limit * CROWDED_SHARE)).sqrt().min(1.0);
        let quiet = now.saturating_duration_since(cut_at).as_secs_f64();
        let quiet_periods = rise_factor * quiet / QUIET_PERIOD.as_secs_f64();
        let rise = RISE_PER_SECOND * rise_factor * time * (1.0 + quiet_periods * quiet_periods);
        // One step doubles the rate at most, however long no call was made.
        state.rate = (state.rate * (1.0 + rise.min(1.0))).min(self.limit);
        self.publish(state);
    }

    fn publish(&self, state: &BudgetState) {
        metrics::gauge!("usher_quota_rate", "category" => self.category).set(state.rate);
    }

    fn state(&self) -> MutexGuard<'_, BudgetState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CallCounts {
    fn is_small_cut(self) -> bool {
        self.permits > SMALL_CUT_MIN_CALLS && !self.is_throttled_above(DEEP_THROTTLE_RATIO)
    }

    /// Whether more than one permit in `ratio` was throttled.
    fn is_throttled_above(self, ratio: u32) -> bool {
        self.throttled.saturating_mul(ratio) > self.permits
    }
}

#[cfg(test)]
mod tests;
