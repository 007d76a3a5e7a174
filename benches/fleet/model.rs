//! The quota as Cognito may count it, the queue, and the workers before them.

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

/// `AdminAddUserToGroup` calls a second, of the whole account.
pub(super) const QUOTA: f64 = 25.0;
/// What is left of it when others take half: whole calls, since a window grants no other.
pub(super) const HALF: f64 = 12.0;
/// `worker.concurrency`: sign-ups in work at once in each worker.
pub(super) const CONCURRENCY: usize = 64;
/// `worker.max_attempts`.
pub(super) const ATTEMPTS: u32 = 8;
/// Calls of one attempt, and the first pause between them: as `retry::quickly` does,
/// whose jitter takes no seed.
pub(super) const TRIES: u32 = 4;
pub(super) const PAUSE: f64 = 0.1;
/// Median of a call's time in seconds, and the spread of its logarithm.
pub(super) const LATENCY: f64 = 0.020;
pub(super) const SPREAD: f64 = 0.5;

/// The second in which the quota halves, where it does.
pub(super) const HALVED: usize = 200;
/// Seconds to look at when asking whether a fleet has recovered.
pub(super) const LOOK: usize = 10;

/// How AWS may count.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Counting {
    /// A token bucket that holds a second's calls.
    Bucket,
    /// So many calls in each second of the clock.
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

/// What happened, second by second and worker by worker.
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
    pub(super) fn note(&mut self, second: usize, worker: usize, granted: bool) {
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

    /// Successful calls as a share of the quota, and throttled ones of all calls.
    pub(super) fn shares(&self, from: usize, to: usize, quota: f64) -> (f64, f64) {
        let sum = |counts: &[u32]| {
            let to = to.min(counts.len());
            f64::from(counts[from.min(to)..to].iter().sum::<u32>())
        };
        let (granted, refused) = (sum(&self.granted), sum(&self.refused));
        let share = granted / (quota * (to - from) as f64);
        (share, refused / (granted + refused).max(1.0))
    }

    /// Seconds until ten seconds begin in which at least 95 % of the quota was used and at
    /// most 2 % throttled, or what is usual in a fleet that is throttled more anyway.
    pub(super) fn recovery(&self, at: usize, until: usize, quota: f64) -> Option<usize> {
        let (_, usual) = self.shares(HALVED / 2, HALVED, QUOTA);
        (at..until - LOOK)
            .find(|from| {
                let (used, throttled) = self.shares(*from, from + LOOK, quota);
                used >= 0.95 && throttled <= (1.5 * usual).max(0.02)
            })
            .map(|from| from - at)
    }
}

/// Jain's index, and what the worst-off got of its fair share.
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
    /// Sign-ups in the queue that nobody has received yet.
    pub(super) fresh: u64,
    /// When those that came back are visible again, and their attempts so far.
    pub(super) hidden: BinaryHeap<Reverse<(Instant, u32)>>,
}

/// The queue and Cognito.
pub(super) struct World {
    pub(super) begun: Instant,
    pub(super) sign_ups: u64,
    pub(super) done: Notify,
    pub(super) state: Mutex<State>,
}

impl World {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The attempts so far of the next sign-up.
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
        let second = self.begun.elapsed().as_secs() as usize;
        state.tally.note(second, worker, granted);
        self.look_whether_done(&state);
        granted
    }

    pub(super) fn give_back(&self, attempts: u32) {
        let mut state = self.state();
        if attempts < ATTEMPTS {
            let visible = Instant::now() + redelivery_delay(attempts);
            state.hidden.push(Reverse((visible, attempts)));
        } else {
            state.tally.dead += 1;
            state.tally.settled += 1;
            self.look_whether_done(&state);
        }
    }

    pub(super) fn look_whether_done(&self, state: &State) {
        if state.tally.settled >= self.sign_ups {
            self.done.notify_one();
        }
    }
}

/// Log-normal, by Box and Muller.
pub(super) fn latency() -> Duration {
    let (one, two) = (1.0 - fastrand::f64(), fastrand::f64());
    let normal = (-2.0 * one.ln()).sqrt() * (TAU * two).cos();
    Duration::from_secs_f64(LATENCY * (SPREAD * normal).exp())
}

/// One attempt at a sign-up: whether it worked.
pub(super) async fn attempt(world: &World, budget: &RateBudget, worker: usize) -> bool {
    let mut pause = PAUSE;
    for tried in 1..=TRIES {
        let turn = budget.acquire().await;
        let way = latency() / 2;
        sleep(way).await;
        if world.add_to_group(worker) {
            return true;
        }
        sleep(way).await;
        turn.record_throttle();
        if tried < TRIES {
            sleep(Duration::from_secs_f64(pause * (0.5 + fastrand::f64()))).await;
            pause *= 2.0;
        }
    }
    false
}

pub(super) async fn permit(world: Arc<World>, budget: Arc<RateBudget>, worker: usize) {
    loop {
        match world.receive() {
            Some(attempts) if !attempt(&world, &budget, worker).await => {
                world.give_back(attempts + 1);
            }
            Some(_) => {}
            None => sleep(Duration::from_secs(1)).await,
        }
    }
}

/// Starts within a second of the others.
pub(super) fn start(world: &Arc<World>, worker: usize, limit: f64) -> JoinHandle<()> {
    let world = Arc::clone(world);
    let late = Duration::from_secs_f64(fastrand::f64());
    tokio::spawn(async move {
        sleep(late).await;
        let budget = Arc::new(RateBudget::new("fleet", limit));
        let mut permits = JoinSet::new();
        for _ in 0..CONCURRENCY {
            permits.spawn(permit(Arc::clone(&world), Arc::clone(&budget), worker));
        }
        permits.join_all().await;
    })
}
