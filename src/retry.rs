//! Retries: after a pause in this process, or later through the queue.
//!
//! The only user of the `backoff` crate.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff as _;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// An error that knows whether a retry may succeed.
pub trait Transient {
    /// True for throttles, time-outs, lost connections and faults of the service.
    fn is_transient(&self) -> bool;
}

/// Calls in a row before the message returns to the queue.
const MAX_INLINE_TRIES: u32 = 4;

/// Retries a transient error up to three times, after 100 ms, 200 ms and 400 ms, each ± 50 %.
/// The pauses cover a short fault without a redelivery, and fit into the visibility timeout.
///
/// # Errors
/// The last error.
pub async fn retry_inline<T, E, F, Fut>(mut call: F) -> Result<T, E>
where
    E: Transient,
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
    for _ in 1..MAX_INLINE_TRIES {
        match call().await {
            Err(error) if error.is_transient() => {
                tokio::time::sleep(backoff.next_pause()).await;
            }
            result => return result,
        }
    }
    call().await
}

/// Retries transient errors for many calls. All of them give up once no call has worked for
/// `limit`, or when `stop` is cancelled.
#[derive(Debug)]
pub(crate) struct SharedRetry {
    limit: Duration,
    stop: CancellationToken,
    /// The first failure since a call worked; `None` after a success.
    failing_since: Mutex<Option<Instant>>,
}

impl SharedRetry {
    pub(crate) fn new(limit: Duration, stop: &CancellationToken) -> Self {
        Self {
            limit,
            stop: stop.clone(),
            failing_since: Mutex::default(),
        }
    }

    /// Retries a transient error until all calls give up. A call in progress is not
    /// cancelled.
    ///
    /// # Errors
    /// The last error.
    pub(crate) async fn call<T, E, F, Fut>(&self, mut call: F) -> Result<T, E>
    where
        E: Transient,
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        let mut backoff = Backoff::default();
        loop {
            match call().await {
                Err(error) if error.is_transient() && self.wait_to_retry(&mut backoff).await => {}
                Err(error) => return Err(error),
                Ok(value) => {
                    self.record_success();
                    return Ok(value);
                }
            }
        }
    }

    pub(crate) fn record_success(&self) {
        *self.failing_since() = None;
    }

    /// Pauses after a failed call; false if the caller is to give up.
    pub(crate) async fn wait_to_retry(&self, backoff: &mut Backoff) -> bool {
        let failing_since = *self.failing_since().get_or_insert_with(Instant::now);
        if failing_since.elapsed() >= self.limit {
            return false;
        }
        let pause = backoff.next_pause().min(self.limit);
        tokio::select! {
            biased;
            () = self.stop.cancelled() => false,
            () = tokio::time::sleep(pause) => true,
        }
    }

    fn failing_since(&self) -> MutexGuard<'_, Option<Instant>> {
        self.failing_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Pauses that double up to a limit, each ± 50 %. By default from 250 ms up to 30 s, for a loop
/// that never gives up, such as the poll of an unreachable queue.
#[derive(Debug)]
pub(crate) struct Backoff(ExponentialBackoff);

impl Default for Backoff {
    fn default() -> Self {
        Self::new(Duration::from_millis(250), Duration::from_secs(30))
    }
}

impl Backoff {
    fn new(first: Duration, limit: Duration) -> Self {
        Self(ExponentialBackoff {
            current_interval: first,
            initial_interval: first,
            randomization_factor: 0.5,
            multiplier: 2.0,
            max_interval: limit,
            max_elapsed_time: None,
            ..ExponentialBackoff::default()
        })
    }

    pub(crate) fn next_pause(&mut self) -> Duration {
        self.0.next_backoff().unwrap_or(self.0.max_interval)
    }

    /// Called after a success: the next pause is the shortest again.
    pub(crate) fn reset(&mut self) {
        self.0.reset();
    }
}

const REDELIVERY_BASE: Duration = Duration::from_secs(2);
const REDELIVERY_CAP: Duration = Duration::from_mins(10);

/// How long a message stays hidden before its next attempt. Full jitter, at least 1 s, over
/// 4 s, 8 s, 16 s, … 10 min by the number of attempts so far.
///
/// <https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>
pub fn redelivery_delay(attempts: u32) -> Duration {
    let window = REDELIVERY_BASE
        .saturating_mul(1_u32.checked_shl(attempts).unwrap_or(u32::MAX))
        .min(REDELIVERY_CAP);
    Duration::from_secs(fastrand::u64(1..=window.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    struct Fails(bool);

    impl Transient for Fails {
        fn is_transient(&self) -> bool {
            self.0
        }
    }

    #[tokio::test(start_paused = true)]
    async fn transient_errors_are_tried_four_times_and_others_once() {
        for (transient, expected) in [(true, 4), (false, 1)] {
            let mut calls = 0;
            let result: Result<(), _> = retry_inline(|| {
                calls += 1;
                async move { Err(Fails(transient)) }
            })
            .await;
            assert_eq!(result, Err(Fails(transient)));
            assert_eq!(calls, expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn first_success_ends_the_retries() {
        let mut calls = 0;
        let result = retry_inline(|| {
            calls += 1;
            let result = if calls < 3 {
                Err(Fails(true))
            } else {
                Ok(calls)
            };
            async move { result }
        })
        .await;
        assert_eq!(result, Ok(3));
    }

    #[tokio::test(start_paused = true)]
    async fn shared_retry_ends_after_its_limit_without_a_success() {
        let stop = CancellationToken::new();
        let retry = SharedRetry::new(Duration::from_mins(1), &stop);
        let failing = || retry.call(|| async { Err::<(), _>(Fails(true)) });
        tokio::time::advance(Duration::from_mins(5)).await;
        let started = Instant::now();
        assert_eq!(failing().await, Err(Fails(true)));
        let first = started.elapsed();
        assert!((60..=120).contains(&first.as_secs()), "{first:?}");
        // A later failure does not restart the limit, and a success does.
        assert_eq!(failing().await, Err(Fails(true)));
        assert_eq!(started.elapsed(), first);
        let works = || async { Ok::<_, Fails>(1) };
        assert_eq!(retry.call(works).await, Ok(1));
        assert_eq!(failing().await, Err(Fails(true)));
        assert!(started.elapsed() > first + Duration::from_secs(59));
        let once = || async { Err::<(), _>(Fails(false)) };
        assert_eq!(retry.call(once).await, Err(Fails(false)));

        assert_eq!(retry.call(works).await, Ok(1));
        stop.cancel();
        let now = Instant::now();
        assert_eq!(failing().await, Err(Fails(true)));
        assert_eq!(now.elapsed(), Duration::ZERO, "stopped");
    }

    #[test]
    fn redelivery_delays_grow_and_stay_within_their_window() {
        for attempts in [0, 1, 5, 8, 31, 32, u32::MAX] {
            let delays: Vec<u64> = (0..200)
                .map(|_| redelivery_delay(attempts).as_secs())
                .collect();
            let window = 2_u64.saturating_mul(1 << attempts.min(40)).min(600);
            assert!(
                delays.iter().all(|delay| (1..=window).contains(delay)),
                "{attempts}"
            );
            assert!(delays.iter().any(|delay| delay * 2 >= window), "{attempts}");
        }
    }
}
