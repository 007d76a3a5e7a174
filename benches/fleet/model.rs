//! The model: the quota as Cognito may count it, the queue, and the workers.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::f64::consts::TAU;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep};
use usher::quota::RateBudget;
use usher::retry::redelivery_delay;

/// `AdminAddUserToGroup` calls a second, for the whole account.
pub(super) const QUOTA: f64 = 25.0;
/// The quota when others take half. A whole number, since a window grants whole calls.
pub(super) const HALF: f64 = 12.0;
/// `worker.concurrency`: sign-ups that each worker provisions at once.
pub(super) const CONCURRENCY: usize = 64;
/// `worker.max_attempts`.
pub(super) const ATTEMPTS: u32 = 8;
/// Calls of one attempt, and the first pause between them in seconds, as in
/// `retry::retry_inline`. That function is not used, since its jitter takes no seed.
pub(super) const CALLS_PER_ATTEMPT: u32 = 4;
pub(super) const FIRST_PAUSE: f64 = 0.1;
/// Median of a call's latency in seconds, and the spread of its logarithm.
pub(super) const LATENCY: f64 = 0.020;
pub(super) const SPREAD: f64 = 0.5;

/// The second in which the quota halves, where it does.
pub(super) const HALVED: usize = 200;
/// Seconds over which a fleet must perform well to count as recovered.
pub(super) const RECOVERY_WINDOW: usize = 10;

/// How AWS may count calls.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Counting {
    /// A token bucket that holds a second's calls.
    Bucket,
    /// A fixed number of calls in each second of the clock.
    Window,
    /// A token bucket that holds two calls.
    Strict,
}

pub(super) struct Cognito {
    pub(super) counting: Counting,
    pub(super) quota: f64,
    pub(super) left: f64,
    pub(super) at: Instant,
}

impl Cognito {
    pub(super) fn grants(&mut self) -> bool {
        let since = self.at.elapsed();
        match self.counting {
            Counting::Bucket | Counting::Strict => {
                let size = if self.counting == Counting::Strict {
                    2.0
                } else {
                    self.quota
                };
                self.left = (self.left + since.as_secs_f64() * self.quota).min(size);
                self.at += since;
            }
            Counting::Window if since.as_secs() > 0 => {
                self.left = self.quota;
                self.at += Duration::from_secs(since.as_secs());
            }
            Counting::Window => {}
        }
        let granted = self.left >= 1.0;
        self.left -= f64::from(u8::from(granted));
        granted
    }
}

/// Counts of calls, by second and by worker.
#[derive(Default, Clone)]
pub(super) struct Tally {
    pub(super) granted: Vec<u32>,
    pub(super) refused: Vec<u32>,
    pub(super) by_worker: Vec<u64>,
    /// Sign-ups that went to the dead-letter queue.
    pub(super) dead: u64,
    pub(super) settled: u64,
}

impl Tally {
    pub(super) fn record(&mut self, second: usize, worker: usize, granted: bool) {
        if self.granted.len() <= second {
            self.granted.resize(second + 1, 0);
            self.refused.resize(second + 1, 0);
        }
        if granted {
            self.granted[second] += 1;
            self.by_worker[worker] += 1;
            self.settled += 1;
        } else {
            self.refused[second] += 1;
        }
    }

    /// Successful calls as a share of the quota, and throttled ones as a share of all calls.
    pub(super) fn shares(&self, from: usize, to: usize, quota: f64) -> (f64, f64) {
        let sum = |counts: &[u32]| {
            let to = to.min(counts.len());
            f64::from(counts[from.min(to)..to].iter().sum::<u32>())
        };
        let (granted, refused) = (sum(&self.granted), sum(&self.refused));
        let share = granted / (quota * (to - from) as f64);
        (share, refused / (granted + refused).max(1.0))
    }

    /// Seconds until ten seconds begin in which the fleet used at least 95 % of the quota and
    /// at most 2 % of the calls were throttled, or 1.5 times the usual share.
    pub(super) fn recovery(&self, at: usize, until: usize, quota: f64) -> Option<usize> {
        let (_, usual) = self.shares(HALVED / 2, HALVED, QUOTA);
        (at..until - RECOVERY_WINDOW)
            .find(|from| {
                let (used, throttled) = self.shares(*from, from + RECOVERY_WINDOW, quota);
                used >= 0.95 && throttled <= (1.5 * usual).max(0.02)
            })
            .map(|from| from - at)
    }
}

/// Jain's index, and the fraction of a fair share that the least served worker got.
pub(super) fn fairness(counts: &[u64]) -> (f64, f64) {
    let sum: f64 = counts.iter().map(|count| *count as f64).sum();
    let squares: f64 = counts.iter().map(|count| (*count as f64).powi(2)).sum();
    let least = counts.iter().min().map_or(0.0, |least| *least as f64);
    let workers = counts.len() as f64;
    (sum * sum / (workers * squares), least * workers / sum)
}

pub(super) struct State {
    pub(super) cognito: Cognito,
    pub(super) tally: Tally,
    /// Sign-ups in the queue that no worker has received yet.
    pub(super) fresh: u64,
    /// When returned sign-ups are visible again, and their attempts so far.
    pub(super) hidden: BinaryHeap<Reverse<(Instant, u32)>>,
}

/// The queue and Cognito.
pub(super) struct World {
    pub(super) started: Instant,
    pub(super) sign_ups: u64,
    pub(super) done: Notify,
    pub(super) state: Mutex<State>,
}

impl World {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Receives the next sign-up; returns its attempts so far.
    pub(super) fn receive(&self) -> Option<u32> {
        let mut state = self.state();
        match state.hidden.peek() {
            Some(Reverse((at, _))) if *at <= Instant::now() => {
                state.hidden.pop().map(|Reverse((_, attempts))| attempts)
            }
            _ => {
                state.fresh = state.fresh.checked_sub(1)?;
                Some(0)
            }
        }
    }

    pub(super) fn add_to_group(&self, worker: usize) -> bool {
        let mut state = self.state();
        let granted = state.cognito.grants();
        let second = self.started.elapsed().as_secs() as usize;
        state.tally.record(second, worker, granted);
        self.notify_if_done(&state);
        granted
    }

    pub(super) fn return_to_queue(&self, attempts: u32) {
        let mut state = self.state();
        if attempts < ATTEMPTS {
            let visible = Instant::now() + redelivery_delay(attempts);
            state.hidden.push(Reverse((visible, attempts)));
        } else {
            state.tally.dead += 1;
            state.tally.settled += 1;
            self.notify_if_done(&state);
        }
    }

    pub(super) fn notify_if_done(&self, state: &State) {
        if state.tally.settled >= self.sign_ups {
            self.done.notify_one();
        }
    }
}

/// A log-normal latency, by the Box-Muller method.
pub(super) fn latency() -> Duration {
    let (one, two) = (1.0 - fastrand::f64(), fastrand::f64());
    let normal = (-2.0 * one.ln()).sqrt() * (TAU * two).cos();
    Duration::from_secs_f64(LATENCY * (SPREAD * normal).exp())
}

/// One attempt at a sign-up. Returns whether it succeeded.
pub(super) async fn attempt(world: &World, budget: &RateBudget, worker: usize) -> bool {
    let mut pause = FIRST_PAUSE;
    for call in 1..=CALLS_PER_ATTEMPT {
        let permit = budget.acquire().await;
        let half_latency = latency() / 2;
        sleep(half_latency).await;
        if world.add_to_group(worker) {
            return true;
        }
        sleep(half_latency).await;
        permit.record_throttle();
        if call < CALLS_PER_ATTEMPT {
            sleep(Duration::from_secs_f64(pause * (0.5 + fastrand::f64()))).await;
            pause *= 2.0;
        }
    }
    false
}

pub(super) async fn process_sign_ups(world: Arc<World>, budget: Arc<RateBudget>, worker: usize) {
    loop {
        match world.receive() {
            Some(attempts) if !attempt(&world, &budget, worker).await => {
                world.return_to_queue(attempts + 1);
            }
            Some(_) => {}
            None => sleep(Duration::from_secs(1)).await,
        }
    }
}

/// Starts a worker after a random delay of up to one second.
pub(super) fn start(world: &Arc<World>, worker: usize, limit: f64) -> JoinHandle<()> {
    let world = Arc::clone(world);
    let delay = Duration::from_secs_f64(fastrand::f64());
    tokio::spawn(async move {
        sleep(delay).await;
        let budget = Arc::new(RateBudget::new("fleet", limit));
        let mut tasks = JoinSet::new();
        for _ in 0..CONCURRENCY {
            tasks.spawn(process_sign_ups(
                Arc::clone(&world),
                Arc::clone(&budget),
                worker,
            ));
        }
        tasks.join_all().await;
    })
}
