//! Limits how many requests a second are let through.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::cache::Cache;

/// Names whose requests are counted, the ones that were used last.
const MAX_TRACKED_NAMES: usize = 10_000;

/// A token bucket: gains `rate` tokens a second, and holds at most `burst`.
#[derive(Debug)]
pub(crate) struct RateLimiter {
    rate: f64,
    burst: f64,
    state: Mutex<Bucket>,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    refilled_at: Instant,
}

impl RateLimiter {
    /// Lets a second's worth of requests through at once, but at least one.
    pub(crate) fn per_second(rate: f64) -> Self {
        Self::new(rate, rate.max(1.0))
    }

    pub(crate) fn new(rate: f64, burst: f64) -> Self {
        Self {
            rate,
            burst,
            state: Mutex::new(Bucket {
                tokens: burst,
                refilled_at: Instant::now(),
            }),
        }
    }

    /// Takes one token, or returns the time until there is one.
    pub(crate) fn try_acquire(&self) -> Result<(), Duration> {
        let mut bucket = self.refilled();
        if bucket.tokens < 1.0 {
            let wait = (1.0 - bucket.tokens) / self.rate;
            return Err(Duration::from_secs_f64(wait));
        }
        bucket.tokens -= 1.0;
        Ok(())
    }

    /// Whether [`Self::try_acquire`] would succeed now.
    pub(crate) fn has_token(&self) -> bool {
        self.refilled().tokens >= 1.0
    }

    /// Gives back the token of a request that had no effect.
    pub(crate) fn refund(&self) {
        let mut bucket = self.refilled();
        bucket.tokens = (bucket.tokens + 1.0).min(self.burst);
    }

    fn refilled(&self) -> MutexGuard<'_, Bucket> {
        let mut bucket = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let passed = now.saturating_duration_since(bucket.refilled_at);
        bucket.tokens = (bucket.tokens + passed.as_secs_f64() * self.rate).min(self.burst);
        bucket.refilled_at = now;
        bucket
    }
}

/// Limits the requests of each name, so that strangers with one name take nothing from others.
#[derive(Debug)]
pub(crate) struct KeyedRateLimiter {
    rate: f64,
    burst: f64,
    hasher: RandomState,
    limiters: Cache<u64, Arc<RateLimiter>>,
}

impl KeyedRateLimiter {
    /// At most `max` requests of a name at once, and as many in each `period` after that.
    pub(crate) fn new(max: u32, period: Duration) -> Self {
        Self {
            rate: f64::from(max) / period.as_secs_f64(),
            burst: max.into(),
            hasher: RandomState::new(),
            limiters: Cache::new(MAX_TRACKED_NAMES),
        }
    }

    /// Takes one token of this name, if there is one.
    pub(crate) fn try_acquire(&self, name: &str) -> bool {
        self.limiter(name).try_acquire().is_ok()
    }

    /// Whether [`Self::try_acquire`] would succeed now. Does not track a new name: names that
    /// strangers make up would end the tracking of others.
    pub(crate) fn has_token(&self, name: &str) -> bool {
        let tracked = self.limiters.get(&self.key(name));
        tracked.is_none_or(|limiter| limiter.has_token())
    }

    /// Gives back the token of a request that had no effect.
    pub(crate) fn refund(&self, name: &str) {
        self.limiter(name).refund();
    }

    fn limiter(&self, name: &str) -> Arc<RateLimiter> {
        let new = || Arc::new(RateLimiter::new(self.rate, self.burst));
        self.limiters.get_or_insert(&self.key(name), new)
    }

    fn key(&self, name: &str) -> u64 {
        self.hasher.hash_one(name.to_lowercase())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admitted(limiter: &RateLimiter) -> usize {
        (0..100).filter(|_| limiter.try_acquire().is_ok()).count()
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_below_one_a_second_admits_one_request_at_once() {
        let limiter = RateLimiter::per_second(0.1);
        assert_eq!(limiter.try_acquire(), Ok(()));
        tokio::time::advance(Duration::from_secs(4)).await;
        let wait = limiter.try_acquire().expect_err("ten seconds for each");
        assert!((5.9..6.1).contains(&wait.as_secs_f64()), "{wait:?}");
        tokio::time::advance(wait + Duration::from_millis(1)).await;
        assert_eq!(limiter.try_acquire(), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_is_enforced_after_the_first_second() {
        let limiter = RateLimiter::per_second(10.0);
        assert_eq!(admitted(&limiter), 10);
        tokio::time::advance(Duration::from_millis(500)).await;
        assert_eq!(admitted(&limiter), 5);
        tokio::time::advance(Duration::from_mins(1)).await;
        assert_eq!(admitted(&limiter), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_that_is_given_back_is_there_again() {
        let limiter = RateLimiter::new(0.1, 3.0);
        limiter.refund();
        assert_eq!(admitted(&limiter), 3);
        assert!(!limiter.has_token());
        limiter.refund();
        assert!(limiter.has_token());
        assert_eq!(admitted(&limiter), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_about_a_new_name_tracks_nothing() {
        let limiter = KeyedRateLimiter::new(1, Duration::from_mins(1));
        assert!(limiter.has_token("ada"));
        assert!(limiter.limiters.is_empty());
        assert!(limiter.try_acquire("ada"));
        assert!(!limiter.has_token("Ada"));
    }

    #[tokio::test(start_paused = true)]
    async fn each_name_has_its_own_limit() {
        let limiter = KeyedRateLimiter::new(2, Duration::from_mins(1));
        let admitted = |name| (0..5).filter(|_| limiter.try_acquire(name)).count();
        assert_eq!(
            (admitted("ada"), admitted("Ada"), admitted("grace")),
            (2, 0, 2)
        );
        let one = KeyedRateLimiter::new(1, Duration::from_mins(1));
        assert!(one.try_acquire("ada"));
        one.refund("ada");
        assert!(one.try_acquire("ada") && !one.try_acquire("ada"));
        // A refused request was not counted.
        one.refund("ada");
        assert!(one.try_acquire("ada"));
        tokio::time::advance(Duration::from_mins(1)).await;
        assert_eq!(admitted("ada"), 2);
    }
}
