use std::cell::Cell;

use super::*;

/// A budget with the same random numbers in each run.
fn seeded(limit: f64) -> RateBudget {
    fastrand::seed(1);
    RateBudget::new("test", limit)
}

/// A throttle of a call that was made just before.
fn throttle(budget: &RateBudget) {
    let cut_count = budget.state().cut_count;
    budget.record_throttle(cut_count);
}

#[tokio::test(start_paused = true)]
async fn late_throttles_from_before_a_cut_do_not_cut_again() {
    let budget = seeded(25.0);
    permits_in(&budget, Duration::from_secs(2)).await;
    let mut late = Vec::new();
    for _ in 0..25 {
        late.push(budget.acquire().await);
    }
    for permit in late {
        permit.record_throttle();
        // Calls at the new rate, which succeed.
        permits_in(&budget, Duration::from_millis(50)).await;
    }
    assert!(budget.rate() > 21.0, "{}", budget.rate());
    // Nor do they turn the next small cut into a deep one.
    permits_in(&budget, Duration::from_secs(1)).await;
    let before = budget.rate();
    throttle(&budget);
    assert!(budget.rate() > 0.89 * before, "{}", budget.rate());
}

async fn permits_in(budget: &RateBudget, time: Duration) -> u32 {
    let end = Instant::now() + time;
    let mut permits = 0;
    while tokio::time::timeout_at(end, budget.acquire()).await.is_ok() {
        permits += 1;
    }
    permits
}

#[tokio::test(start_paused = true)]
async fn permits_come_at_the_limit_and_not_above_it() {
    let budget = seeded(25.0);
    let permits = permits_in(&budget, Duration::from_secs(20)).await;
    assert!((500..=503).contains(&permits), "{permits} permits in 20 s");
}

#[tokio::test(start_paused = true)]
async fn unused_permits_are_not_saved_up() {
    let budget = seeded(25.0);
    tokio::time::advance(Duration::from_mins(1)).await;
    let permits = permits_in(&budget, Duration::from_secs(1)).await;
    assert!(permits <= 26, "{permits} permits in a second after a pause");
}

#[tokio::test(start_paused = true)]
async fn throttles_cut_the_rate_once_and_quiet_time_raises_it() {
    let budget = seeded(20.0);
    let permits = permits_in(&budget, Duration::from_secs(2)).await;
    assert!(
        permits < 100,
        "a throttle after {permits} permits costs a tenth"
    );
    for _ in 0..10 {
        throttle(&budget);
    }
    assert!((budget.rate() - 18.0).abs() < 0.01, "{}", budget.rate());
    permits_in(&budget, Duration::from_millis(500)).await;
    throttle(&budget);
    assert!(
        budget.rate() < 13.0,
        "the next throttle cuts again: {}",
        budget.rate()
    );
    permits_in(&budget, Duration::from_mins(1)).await;
    assert!((budget.rate() - 20.0).abs() < 0.01, "{}", budget.rate());
}

#[tokio::test(start_paused = true)]
async fn one_throttle_among_many_calls_costs_little() {
    let budget = seeded(25.0);
    permits_in(&budget, Duration::from_secs(20)).await;
    throttle(&budget);
    assert!(budget.rate() > 24.5, "{}", budget.rate());
    let permits = permits_in(&budget, Duration::from_secs(1)).await;
    assert!(permits >= 23, "{permits} permits in the second after it");
}

#[tokio::test(start_paused = true)]
async fn no_second_exceeds_the_rate_after_late_permits() {
    let budget = seeded(24.5);
    let mut taken = std::collections::VecDeque::new();
    for _ in 0..2000 {
        budget.acquire().await;
        taken.push_back(Instant::now());
        if taken.len() > 26 {
            taken.pop_front();
            let second = taken[25] - taken[0];
            assert!(second >= Duration::from_secs(1), "26 calls in {second:?}");
        }
        // The process is busy meanwhile.
        if fastrand::u8(..16) == 0 {
            tokio::time::advance(Duration::from_millis(fastrand::u64(..300))).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_permit_during_the_cooldown_after_a_deep_cut() {
    let budget = seeded(100.0);
    budget.acquire().await;
    let waits = budget.acquire();
    throttle(&budget);
    let before = Instant::now();
    waits.await;
    assert!(before.elapsed() >= COOLDOWN, "{:?}", before.elapsed());
}

#[tokio::test(start_paused = true)]
async fn due_permit_needs_no_timer() {
    let budget = seeded(100_000.0);
    tokio::time::advance(MIN_SLACK).await;
    let before = Instant::now();
    for _ in 0..1000 {
        budget.acquire().await;
    }
    assert_eq!(before.elapsed(), Duration::ZERO);
}

/// The rate after 200 permits that were all throttled.
async fn rate_in_an_outage(budget: &RateBudget) -> f64 {
    for _ in 0..200 {
        budget.acquire().await.record_throttle();
    }
    budget.rate()
}

#[tokio::test(start_paused = true)]
async fn outage_leaves_a_rate_that_detects_its_end() {
    for (limit, expected) in [(20.0, 0.4), (100.0, 2.0), (100_000.0, 4.0)] {
        let budget = seeded(limit);
        let rate = rate_in_an_outage(&budget).await;
        assert!(
            (0.99 * expected..1.01 * expected).contains(&rate),
            "{limit}: {rate}"
        );
    }
    let budget = seeded(20.0);
    rate_in_an_outage(&budget).await;
    permits_in(&budget, Duration::from_mins(2)).await;
    assert!(budget.rate() > 19.9, "after an outage: {}", budget.rate());
}

#[tokio::test(start_paused = true)]
async fn tiny_quota_leaves_a_minimum_rate() {
    for (limit, expected) in [(25.0, 0.1), (1000.0, 4.0), (100_000.0, 4.0)] {
        let budget = seeded(limit);
        for _ in 0..200 {
            budget.acquire().await;
            budget.acquire().await.record_throttle();
        }
        let rate = budget.rate();
        assert!(
            (0.99 * expected..1.01 * expected).contains(&rate),
            "{limit}: {rate}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn cancelled_wait_loses_no_permit() {
    let budget = seeded(1.0);
    budget.acquire().await;
    for _ in 0..3 {
        let wait = tokio::time::timeout(Duration::from_millis(100), budget.acquire());
        assert!(wait.await.is_err());
    }
    let before = Instant::now();
    budget.acquire().await;
    assert!(before.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_permit_that_cannot_come_in_time_is_refused_at_once() {
    let budget = seeded(1.0);
    let started = Instant::now();
    budget.acquire().await;
    let soon = started + Duration::from_millis(900);
    assert_eq!(budget.acquire_by(soon).await.err(), Some(NoPermit));
    // Two callers wait: the third permit is due after three seconds.
    let (first, second) = (budget.acquire(), budget.acquire());
    let third = async {
        let too_soon = budget
            .acquire_by(started + Duration::from_millis(2900))
            .await;
        assert_eq!(too_soon.err(), Some(NoPermit));
        assert_eq!(started.elapsed(), Duration::ZERO, "at once");
        budget.acquire_by(started + Duration::from_secs(3)).await
    };
    let (_, _, third) = tokio::join!(biased; first, second, third);
    assert!(third.is_ok());
    assert_eq!(started.elapsed(), Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn caller_at_its_deadline_leaves_the_queue_to_the_next() {
    let budget = seeded(1.0);
    let started = Instant::now();
    budget.acquire().await;
    let results = Mutex::new(Vec::new());
    let caller = |name: &'static str, deadline: Option<u64>| {
        let (budget, results) = (&budget, &results);
        async move {
            let permit = match deadline {
                Some(millis) => {
                    budget
                        .acquire_by(started + Duration::from_millis(millis))
                        .await
                }
                None => Ok(budget.acquire().await),
            };
            let at = started.elapsed().as_millis();
            let got = permit.is_ok();
            results.lock().expect("not poisoned").push((name, got, at));
        }
    };
    // As a throttle does while all of them wait.
    let delay_permits = async { budget.state().next_permit = started + Duration::from_secs(5) };
    tokio::join!(
        biased;
        caller("head", Some(1000)),
        caller("first", None),
        caller("given up", Some(3000)),
        caller("second", None),
        delay_permits,
    );
    let expected = [
        ("head", false, 1000),
        ("given up", false, 3000),
        ("first", true, 5000),
        ("second", true, 6000),
    ];
    assert_eq!(*results.lock().expect("not poisoned"), expected);
    assert_eq!(budget.waiting.load(Ordering::Relaxed), 0);
    // The queue is empty: the next permit is one gap after the last.
    budget.acquire().await;
    assert_eq!(started.elapsed(), Duration::from_secs(7));
}

/// Twice the rate for a minute: each caller gets a permit or an error.
#[tokio::test(start_paused = true)]
async fn queue_with_deadlines_stays_short() {
    let budget = std::sync::Arc::new(seeded(10.0));
    let mut max_waiting = 0;
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..1200 {
        let shared = std::sync::Arc::clone(&budget);
        let deadline = Instant::now() + Duration::from_secs(2);
        callers.spawn(async move { shared.acquire_by(deadline).await.is_ok() });
        tokio::time::sleep(Duration::from_millis(50)).await;
        max_waiting = max_waiting.max(budget.waiting.load(Ordering::Relaxed));
    }
    let served = callers
        .join_all()
        .await
        .into_iter()
        .filter(|got| *got)
        .count();
    assert!((600..=622).contains(&served), "{served} permits in 60 s");
    assert!(max_waiting <= 21, "{max_waiting} waited");
}

/// A model of Cognito's limit: a bucket that refills at the quota.
struct TokenBucket {
    tokens: f64,
    size: f64,
    at: Instant,
}

impl TokenBucket {
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
async fn simulate(workers: u8, size: f64, limit: f64, quota: f64) -> (u32, u32) {
    // The same numbers in each run, so that a failure can be reproduced.
    fastrand::seed(1);
    let bucket = std::sync::Arc::new(Mutex::new((
        TokenBucket {
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
                let budget = RateBudget::new("test", limit);
                loop {
                    let permit = budget.acquire().await;
                    let mut bucket = bucket.lock().expect("not poisoned");
                    if bucket.0.take(quota) {
                        bucket.1 += 1;
                    } else {
                        bucket.2 += 1;
                        permit.record_throttle();
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
async fn one_process_uses_its_quota_and_is_rarely_throttled() {
    assert_used(25.0, simulate(1, 2.0, 25.0, 25.0).await, 0.97, 0.01);
}

#[tokio::test(start_paused = true)]
async fn processes_with_configured_parts_are_rarely_throttled() {
    assert_used(25.0, simulate(4, 25.0, 6.25, 25.0).await, 0.97, 0.01);
}

#[tokio::test(start_paused = true)]
async fn processes_with_the_whole_quota_each_learn_to_share_it() {
    assert_used(25.0, simulate(2, 2.0, 25.0, 25.0).await, 0.9, 0.03);
    assert_used(25.0, simulate(4, 25.0, 25.0, 25.0).await, 0.95, 0.03);
    assert_used(25.0, simulate(32, 25.0, 25.0, 25.0).await, 0.95, 0.15);
}

#[tokio::test(start_paused = true)]
async fn limit_far_above_the_quota_is_detected() {
    let budget = seeded(100_000.0);
    let mut quota = TokenBucket {
        tokens: 25.0,
        size: 25.0,
        at: Instant::now(),
    };
    let end = Instant::now() + Duration::from_mins(1);
    while let Ok(permit) = tokio::time::timeout_at(end, budget.acquire()).await {
        if !quota.take(25.0) {
            permit.record_throttle();
        }
    }
    assert!(budget.rate() < 50.0, "{}", budget.rate());
}

/// A thousand callers get answers after a second. In the second minute, few are throttled.
#[tokio::test(start_paused = true)]
async fn limit_far_above_the_quota_is_detected_by_slow_answers() {
    let budget = seeded(1000.0);
    let started = Instant::now();
    let quota = Mutex::new(TokenBucket {
        tokens: 25.0,
        size: 25.0,
        at: started,
    });
    let (calls, refused) = (Cell::new(0_u32), Cell::new(0_u32));
    let callers = (0..1000).map(|_| async {
        loop {
            let permit = budget.acquire().await;
            let granted = quota.lock().expect("not poisoned").take(25.0);
            if started.elapsed() > Duration::from_mins(1) {
                calls.set(calls.get() + 1);
                refused.set(refused.get() + u32::from(!granted));
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
            if !granted {
                permit.record_throttle();
            }
        }
    });
    let end = started + Duration::from_mins(2);
    let ended: Result<Vec<()>, _> =
        tokio::time::timeout_at(end, futures_util::future::join_all(callers)).await;
    assert!(ended.is_err());
    assert!(calls.get() > 1000, "{calls:?}");
    assert!(refused.get() * 20 < calls.get(), "{refused:?} of {calls:?}");
}

#[tokio::test(start_paused = true)]
async fn quota_that_others_use_half_of_is_detected() {
    assert_used(12.5, simulate(1, 2.0, 25.0, 12.5).await, 0.9, 0.02);
}
