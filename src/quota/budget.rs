//! One rate that is shared with whoever else there is, found by being throttled.
//!
//! Why each number is what it is: `benches/fleet/`, which simulates fleets of workers.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// One rate: an adaptive pacer.
#[derive(Debug)]
pub struct RateBudget {
    category: &'static str,
    limit: f64,
    /// First come, first served; whoever holds it waits for the next turn, so a
    /// lowered rate takes effect for everybody behind at once.
    queue: tokio::sync::Mutex<()>,
    /// How many callers wait, the one that holds `queue` among them.
    waiting: AtomicU32,
    state: Mutex<BudgetState>,
}

#[derive(Debug)]
struct BudgetState {
    rate: f64,
    next_permit: Instant,
    raised_at: Instant,
    lowered_at: Option<Instant>,
    /// How often it was lowered.
    cut_count: u64,
    /// Calls since it was lowered.
    calls: CallCounts,
    /// Those before that, whose answers may still come, where it was lowered by a touch.
    calls_before_small_cut: Option<CallCounts>,
}

/// Turns at one rate, and how many of them are known to have been throttled.
#[derive(Debug, Default, Clone, Copy)]
struct CallCounts {
    permits: u32,
    throttled: u32,
}

/// The right to one call.
#[derive(Debug)]
pub struct Permit<'a> {
    budget: &'a RateBudget,
    /// Of the rate at which it was taken.
    cut_count: u64,
}

impl Permit<'_> {
    /// The call was throttled: slow down.
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
    count: &'a AtomicU32,
    /// Callers that came before and still wait.
    ahead: u32,
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Turns that were not taken are not saved up beyond this share of the time between two,
/// so that no second holds a call more than its part of the rate.
const SLACK_SHARE: f64 = 0.3;
/// Nor is less saved up than this, or what a timer is late would be lost at high rates.
const MIN_SLACK: Duration = Duration::from_millis(10);
/// Nobody takes a turn for this long after a throttle that few calls went before: what
/// is under way comes back meanwhile. Nor is the rate lowered again within it, but for
/// [`LATE_THROTTLE_RATIO`].
const COOLDOWN: Duration = Duration::from_millis(250);
/// After many calls a throttle lowers the rate by so many times its share of them: we
/// touched the edge. One in 300 costs a thirtieth, so that whoever touches it now and then
/// hardly notices.
const SMALL_CUT_GAIN: f64 = 10.0;
/// But by no more than this. A slow process is throttled sooner than a fast one where both
/// meet, and would be cut to nothing.
const MAX_SMALL_CUT: f64 = 0.1;
/// Lowering after a throttle that few went before: the quota is smaller than we think.
const DEEP_CUT: f64 = 0.3;
/// So many turns are few. Counted and not timed: a process with a small part of
/// the quota makes few calls in any time.
const SMALL_CUT_MIN_CALLS: u32 = 10;
/// Where one turn of so many is refused, a fast process is far above the quota, however
/// many turns it takes.
const DEEP_THROTTLE_RATIO: u32 = 4;
/// Where one turn of so many before a touch turns out refused, it was none: the answers
/// take longer than the turns, and the quota is smaller than we think.
const LATE_THROTTLE_RATIO: u32 = 2;
/// Share of itself by which the rate rises in a second.
const RISE_PER_SECOND: f64 = 0.008;
/// After this time without a throttle it rises twice as fast, after twice the
/// time five times as fast: the quota is larger than we think.
const QUIET_PERIOD: Duration = Duration::from_secs(20);
/// Below this share of the limit time counts for less: many processes share the
/// quota, each sees few throttles, and their rises add up.
const CROWDED_SHARE: f64 = 0.04;
/// Share of the limit that the rate never falls below; one call for each [`COOLDOWN`] at most,
/// so that a limit that is above any quota is found out.
const MIN_RATE_SHARE: f64 = 0.004;
/// The same while nothing goes through at all. That is no share of a quota but
/// an outage, and a slower rate would only learn later that it is over.
const OUTAGE_MIN_RATE_SHARE: f64 = 0.02;

impl RateBudget {
    /// A budget of `limit` calls a second, starting at the full rate.
    pub fn new(category: &'static str, limit: f64) -> Self {
        let now = Instant::now();
        metrics::gauge!("usher_quota_rate", "category" => category).set(limit);
        Self {
            category,
            limit,
            queue: tokio::sync::Mutex::new(()),
            waiting: AtomicU32::new(0),
            state: Mutex::new(BudgetState {
                rate: limit,
                next_permit: now,
                raised_at: now,
                lowered_at: None,
                cut_count: 0,
                calls: CallCounts::default(),
                calls_before_small_cut: None,
            }),
        }
    }

    /// Waits for the next turn. Cancel-safe: a turn that is not taken is not
    /// lost.
    pub async fn acquire(&self) -> Permit<'_> {
        let _waiting = self.enqueue();
        let _place = self.queue.lock().await;
        loop {
            match self.try_acquire() {
                Ok(turn) => return turn,
                // A throttle may put it off meanwhile.
                Err(due) => tokio::time::sleep_until(due).await,
            }
        }
    }

    /// As [`Self::acquire`], for a caller that needs it by `deadline`. Gives up at once when
    /// those who wait already take all turns until then, at the present rate.
    ///
    /// # Errors
    /// [`NoPermit`].
    pub(crate) async fn acquire_by(&self, deadline: Instant) -> Result<Permit<'_>, NoPermit> {
        let waiting = self.enqueue();
        if self.due_after(waiting.ahead) > deadline {
            return Err(NoPermit);
        }
        let place = tokio::time::timeout_at(deadline, self.queue.lock()).await;
        let _place = place.map_err(|_| NoPermit)?;
        loop {
            match self.try_acquire() {
                Ok(turn) => return Ok(turn),
                Err(due) if due > deadline => return Err(NoPermit),
                Err(due) => tokio::time::sleep_until(due).await,
            }
        }
    }

    fn enqueue(&self) -> Waiter<'_> {
        Waiter {
            count: &self.waiting,
            ahead: self.waiting.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// When the turn is due that comes after `ahead` others.
    fn due_after(&self, ahead: u32) -> Instant {
        let state = self.state();
        state.next_permit.max(Instant::now())
            + Duration::from_secs_f64(f64::from(ahead) / state.rate)
    }

    /// Takes the turn if it is due, without a timer, or says when it is.
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

    fn record_throttle(&self, lowerings: u64) {
        metrics::counter!("usher_quota_throttled_total", "category" => self.category).increment(1);
        let now = Instant::now();
        let mut state = self.state();
        if lowerings == state.cut_count {
            state.calls.throttled = state.calls.throttled.saturating_add(1);
            let since = state.lowered_at.map(|at| now.saturating_duration_since(at));
            if since.is_none_or(|since| since >= COOLDOWN) {
                let calls = state.calls;
                self.lower(&mut state, now, calls, calls.is_small_cut());
            }
        } else if lowerings + 1 == state.cut_count
            && let Some(mut calls) = state.calls_before_small_cut
        {
            // A late answer to a call from before the lowering is known already, but for how
            // many there are of them.
            calls.throttled = calls.throttled.saturating_add(1);
            state.calls_before_small_cut = Some(calls);
            if calls.is_throttled_above(LATE_THROTTLE_RATIO) {
                self.lower(&mut state, now, calls, false);
            }
        }
    }

    /// For what became of `calls`: a touch of the edge, or a quota that is far below.
    fn lower(&self, state: &mut BudgetState, now: Instant, calls: CallCounts, touch: bool) {
        self.raise(state, now);
        let cut = if touch {
            (SMALL_CUT_GAIN / f64::from(calls.permits)).min(MAX_SMALL_CUT)
        } else {
            DEEP_CUT
        };
        // The one that was throttled is a turn, too.
        let floor = if calls.permits > 1 {
            MIN_RATE_SHARE
        } else {
            OUTAGE_MIN_RATE_SHARE
        };
        let floor = (self.limit * floor).min(1.0 / COOLDOWN.as_secs_f64());
        state.rate = (state.rate * (1.0 - cut)).max(floor.min(state.rate));
        // Processes that met shall not meet again.
        let gap = Duration::from_secs_f64((0.5 + fastrand::f64()) / state.rate);
        state.next_permit = now + if touch { gap } else { gap.max(COOLDOWN) };
        state.lowered_at = Some(now);
        state.cut_count += 1;
        state.calls_before_small_cut = touch.then_some(calls);
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
        let time = now.saturating_duration_since(state.raised_at).as_secs_f64();
        state.raised_at = now;
        let Some(lowered) = state.lowered_at.filter(|_| state.rate < self.limit) else {
            return;
        };
        let pace = (state.rate / (self.limit * CROWDED_SHARE)).sqrt().min(1.0);
        let quiet = now.saturating_duration_since(lowered).as_secs_f64();
        let quiet = pace * quiet / QUIET_PERIOD.as_secs_f64();
        let rise = RISE_PER_SECOND * pace * time * (1.0 + quiet * quiet);
        // No further in one step than to the double, however long nobody called.
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

    /// More than one turn of so many.
    fn is_throttled_above(self, of: u32) -> bool {
        self.throttled.saturating_mul(of) > self.permits
    }
}

#[cfg(test)]
mod tests;
