//! A fleet on paper: workers that share one quota, and how they come to share it.
//!
//! The real [`Budget`] on a paused clock, for 1 to 200 workers and up to ten million
//! sign-ups. "Told" workers know how many they are (`quota.processes`), "untold" ones
//! each believe that the whole quota is theirs. The rest is modelled: AWS does not say
//! how it counts, so there are three ways of counting, and a throttled sign-up goes
//! the way of `retry::quickly` and then back to the queue. Prints tables, writes
//! `target/fleet.json`, and asserts nothing.
//!
//!     cargo bench --bench fleet
//!     cargo bench --bench fleet -- --smoke    # some seconds, writes nothing
//!     python3 benches/fleet.py                # draws benches/fleet*.svg

#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "counts of calls and seconds"
)]

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::f64::consts::TAU;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};
use usher::quota::Budget;
use usher::retry::redelivery_delay;

/// `AdminAddUserToGroup` calls a second, of the whole account.
const QUOTA: f64 = 25.0;
/// What is left of it when others take half: whole calls, since a window grants no other.
const HALF: f64 = 12.0;
/// `worker.concurrency`: sign-ups in work at once in each worker.
const CONCURRENCY: usize = 64;
/// `worker.max_attempts`.
const ATTEMPTS: u32 = 8;
/// Calls of one attempt, and the first pause between them: as `retry::quickly` does,
/// whose jitter takes no seed.
const TRIES: u32 = 4;
const PAUSE: f64 = 0.1;
/// Median of a call's time in seconds, and the spread of its logarithm.
const LATENCY: f64 = 0.020;
const SPREAD: f64 = 0.5;
/// Seconds to look at when asking whether a fleet has recovered.
const LOOK: usize = 10;
const SEEDS: u64 = 10;

/// How AWS may count.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Counting {
    /// A token bucket that holds a second's calls.
    Bucket,
    /// So many calls in each second of the clock.
    Window,
    /// A token bucket that holds two calls.
    Strict,
}

struct Cognito {
    counting: Counting,
    quota: f64,
    left: f64,
    at: Instant,
}

impl Cognito {
    fn grants(&mut self) -> bool {
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
struct Tally {
    granted: Vec<u32>,
    refused: Vec<u32>,
    by_worker: Vec<u64>,
    /// Sign-ups that went to the dead-letter queue.
    dead: u64,
    settled: u64,
}

impl Tally {
    fn note(&mut self, second: usize, worker: usize, granted: bool) {
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
    fn shares(&self, from: usize, to: usize, quota: f64) -> (f64, f64) {
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
    fn recovery(&self, at: usize, until: usize, quota: f64) -> Option<usize> {
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
fn fairness(counts: &[u64]) -> (f64, f64) {
    let sum: f64 = counts.iter().map(|count| *count as f64).sum();
    let squares: f64 = counts.iter().map(|count| (*count as f64).powi(2)).sum();
    let least = counts.iter().min().map_or(0.0, |least| *least as f64);
    let workers = counts.len() as f64;
    (sum * sum / (workers * squares), least * workers / sum)
}

struct State {
    cognito: Cognito,
    tally: Tally,
    /// Sign-ups in the queue that nobody has received yet.
    fresh: u64,
    /// When those that came back are visible again, and their attempts so far.
    hidden: BinaryHeap<Reverse<(Instant, u32)>>,
}

/// The queue and Cognito.
struct World {
    begun: Instant,
    sign_ups: u64,
    done: Notify,
    state: Mutex<State>,
}

impl World {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The attempts so far of the next sign-up.
    fn receive(&self) -> Option<u32> {
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

    fn add_to_group(&self, worker: usize) -> bool {
        let mut state = self.state();
        let granted = state.cognito.grants();
        let second = self.begun.elapsed().as_secs() as usize;
        state.tally.note(second, worker, granted);
        self.look_whether_done(&state);
        granted
    }

    fn give_back(&self, attempts: u32) {
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

    fn look_whether_done(&self, state: &State) {
        if state.tally.settled >= self.sign_ups {
            self.done.notify_one();
        }
    }
}

/// Log-normal, by Box and Muller.
fn latency() -> Duration {
    let (one, two) = (1.0 - fastrand::f64(), fastrand::f64());
    let normal = (-2.0 * one.ln()).sqrt() * (TAU * two).cos();
    Duration::from_secs_f64(LATENCY * (SPREAD * normal).exp())
}

/// One attempt at a sign-up: whether it worked.
async fn attempt(world: &World, budget: &Budget, worker: usize) -> bool {
    let mut pause = PAUSE;
    for tried in 1..=TRIES {
        budget.turn().await;
        let way = latency() / 2;
        sleep(way).await;
        if world.add_to_group(worker) {
            return true;
        }
        sleep(way).await;
        budget.throttled();
        if tried < TRIES {
            sleep(Duration::from_secs_f64(pause * (0.5 + fastrand::f64()))).await;
            pause *= 2.0;
        }
    }
    false
}

async fn permit(world: Arc<World>, budget: Arc<Budget>, worker: usize) {
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
fn start(world: &Arc<World>, worker: usize, limit: f64) -> JoinHandle<()> {
    let world = Arc::clone(world);
    let late = Duration::from_secs_f64(fastrand::f64());
    tokio::spawn(async move {
        sleep(late).await;
        let budget = Arc::new(Budget::new("fleet", limit));
        let mut permits = JoinSet::new();
        for _ in 0..CONCURRENCY {
            permits.spawn(permit(Arc::clone(&world), Arc::clone(&budget), worker));
        }
        permits.join_all().await;
    })
}

#[derive(Debug, Clone, Copy)]
enum Change {
    /// Nothing but a look at the counts.
    Look,
    /// Others take of the quota, or leave it.
    Quota(f64),
    /// So many workers are gone at once.
    Vanish(usize),
}

#[derive(Clone)]
struct Fleet {
    workers: usize,
    /// What each takes for the quota.
    limit: f64,
    counting: Counting,
    sign_ups: u64,
    seconds: u64,
    changes: Vec<(u64, Change)>,
}

/// What came of it: to the end, and as it stood at each change.
struct Ran {
    seconds: f64,
    tally: Tally,
    before: Vec<Vec<u64>>,
}

impl Fleet {
    /// With so much to do that it never ends.
    fn busy(workers: usize, told: bool, counting: Counting, seconds: u64) -> Self {
        Self {
            workers,
            limit: if told { QUOTA / workers as f64 } else { QUOTA },
            counting,
            sign_ups: u64::MAX,
            seconds,
            changes: Vec::new(),
        }
    }

    fn run(&self, seed: u64) -> Ran {
        fastrand::seed(seed);
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime")
            .block_on(self.work())
    }

    async fn work(&self) -> Ran {
        let begun = Instant::now();
        let world = Arc::new(World {
            begun,
            sign_ups: self.sign_ups,
            done: Notify::new(),
            state: Mutex::new(State {
                cognito: Cognito {
                    counting: self.counting,
                    quota: QUOTA,
                    left: QUOTA,
                    at: begun,
                },
                tally: Tally {
                    by_worker: vec![0; self.workers],
                    ..Tally::default()
                },
                fresh: self.sign_ups,
                hidden: BinaryHeap::new(),
            }),
        });
        let mut workers: Vec<_> = (0..self.workers)
            .map(|worker| start(&world, worker, self.limit))
            .collect();
        let mut before = Vec::new();
        let course = async {
            for (at, change) in &self.changes {
                sleep_until(begun + Duration::from_secs(*at)).await;
                let mut state = world.state();
                before.push(state.tally.by_worker.clone());
                match *change {
                    Change::Look => {}
                    Change::Quota(quota) => {
                        state.cognito.quota = quota;
                        state.cognito.left = state.cognito.left.min(quota);
                    }
                    Change::Vanish(gone) => {
                        let left = workers.len() - gone;
                        workers.drain(left..).for_each(|worker| worker.abort());
                    }
                }
            }
            sleep_until(begun + Duration::from_secs(self.seconds)).await;
        };
        tokio::select! {
            biased;
            () = world.done.notified() => {}
            () = course => {}
        }
        let tally = world.state().tally.clone();
        Ran {
            seconds: begun.elapsed().as_secs_f64(),
            tally,
            before,
        }
    }
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len() as f64;
    values.sum::<f64>() / count
}

fn word(told: bool) -> &'static str {
    if told { "told" } else { "untold" }
}

/// Two thousand sign-ups at once, to the last one.
fn bursts(seeds: u64) -> Vec<Value> {
    println!("2,000 sign-ups, mean of {seeds} runs (the smallest share is of all runs)");
    println!("workers  each a second  counting   goodput  throttled  smallest share");
    let mut rows = Vec::new();
    for (workers, limit) in [(1, 24.5), (1, QUOTA), (4, QUOTA / 4.0), (4, QUOTA)] {
        for counting in [Counting::Bucket, Counting::Window, Counting::Strict] {
            let fleet = Fleet {
                limit,
                sign_ups: 2000,
                ..Fleet::busy(workers, true, counting, 100_000)
            };
            let runs: Vec<Ran> = (0..seeds).map(|seed| fleet.run(seed)).collect();
            let goodput = mean(runs.iter().map(|ran| 2000.0 / (QUOTA * ran.seconds)));
            let throttled = mean(
                runs.iter()
                    .map(|ran| ran.tally.shares(0, usize::MAX, QUOTA).1),
            );
            let least = runs
                .iter()
                .map(|ran| fairness(&ran.tally.by_worker).1)
                .fold(f64::INFINITY, f64::min);
            println!(
                "{workers:>7}  {limit:>13}  {:<8} {:>7.1} % {:>8.2} % {:>15.2}",
                format!("{counting:?}"),
                100.0 * goodput,
                100.0 * throttled,
                least
            );
            rows.push(json!({
                "workers": workers, "limit": limit, "counting": format!("{counting:?}"),
                "goodput": goodput, "throttled": throttled, "least": least,
            }));
        }
    }
    rows
}

/// Fleets of all sizes, once they have settled.
fn sizes(workers: &[usize], settle: u64, measure: u64) -> Vec<Value> {
    println!("\nsettled: {measure} s after the first {settle} s, which stand at the end");
    println!(
        "workers          counting   goodput  throttled   Jain  smallest share  first minute throttled"
    );
    let mut rows = Vec::new();
    for told in [true, false] {
        for counting in [Counting::Bucket, Counting::Window, Counting::Strict] {
            for workers in workers.iter().copied() {
                let fleet = Fleet {
                    changes: vec![(settle, Change::Look)],
                    ..Fleet::busy(workers, told, counting, settle + measure)
                };
                let ran = fleet.run(1);
                let end = (settle + measure) as usize;
                let (goodput, throttled) = ran.tally.shares(settle as usize, end, QUOTA);
                let (_, start) = ran.tally.shares(0, 60, QUOTA);
                let counts: Vec<u64> = std::iter::zip(&ran.tally.by_worker, &ran.before[0])
                    .map(|(after, before)| after - before)
                    .collect();
                let (jain, least) = fairness(&counts);
                println!(
                    "{workers:>7}  {:<6}  {:<8} {:>7.1} % {:>8.2} % {jain:>7.3} {least:>14.2} {:>22.1} %",
                    word(told),
                    format!("{counting:?}"),
                    100.0 * goodput,
                    100.0 * throttled,
                    100.0 * start
                );
                rows.push(json!({
                    "workers": workers, "told": told, "counting": format!("{counting:?}"),
                    "goodput": goodput, "throttled": throttled, "jain": jain, "least": least,
                    "start": start, "dead": ran.tally.dead,
                }));
            }
        }
    }
    rows
}

const HALVED: usize = 200;
const BACK: usize = 400;
const GONE: usize = 700;
const END: usize = 1000;

/// The middle one of the runs, where it recovered.
fn median(mut times: Vec<Option<usize>>) -> Option<usize> {
    times.sort_by_key(|time| time.unwrap_or(usize::MAX));
    times[times.len() / 2]
}

/// The quota halves, comes back, and then a third of the workers is gone.
fn changes(workers: &[usize], seeds: u64) -> Vec<Value> {
    println!("\nseconds until recovered, median of {seeds} runs");
    println!("workers          counting   halved   back   a third gone");
    let mut rows = Vec::new();
    for told in [true, false] {
        for counting in [Counting::Bucket, Counting::Window] {
            for workers in workers.iter().copied() {
                let fleet = Fleet {
                    changes: vec![
                        (HALVED as u64, Change::Quota(HALF)),
                        (BACK as u64, Change::Quota(QUOTA)),
                        (GONE as u64, Change::Vanish(workers / 3)),
                    ],
                    ..Fleet::busy(workers, told, counting, END as u64)
                };
                let runs: Vec<Tally> = (0..seeds).map(|seed| fleet.run(seed).tally).collect();
                let after = |at, until, quota| {
                    median(
                        runs.iter()
                            .map(|tally| tally.recovery(at, until, quota))
                            .collect(),
                    )
                };
                let halved = after(HALVED, BACK, HALF);
                let back = after(BACK, GONE, QUOTA);
                let gone = (workers > 2).then(|| after(GONE, END, QUOTA)).flatten();
                let text = |time: Option<usize>| time.map_or("-".to_owned(), |s| s.to_string());
                println!(
                    "{workers:>7}  {:<6}  {:<8} {:>8} {:>6} {:>14}",
                    word(told),
                    format!("{counting:?}"),
                    text(halved),
                    text(back),
                    text(gone)
                );
                rows.push(json!({
                    "workers": workers, "told": told, "counting": format!("{counting:?}"),
                    "halved": halved, "back": back, "gone": gone,
                    "granted": runs[0].granted, "refused": runs[0].refused,
                }));
            }
        }
    }
    rows
}

/// A backlog of days, to the last sign-up.
fn backlog(workers: &[usize], sign_ups: u64) -> Vec<Value> {
    println!("\n{sign_ups} sign-ups, bucket, to the last one");
    println!("workers          simulated   goodput  throttled  smallest share  took");
    let mut rows = Vec::new();
    for workers in workers.iter().copied() {
        for told in [true, false] {
            let fleet = Fleet {
                sign_ups,
                ..Fleet::busy(workers, told, Counting::Bucket, u64::from(u32::MAX))
            };
            let began = std::time::Instant::now();
            let ran = fleet.run(1);
            let goodput = sign_ups as f64 / (QUOTA * ran.seconds);
            let (_, throttled) = ran.tally.shares(0, usize::MAX, QUOTA);
            let (_, least) = fairness(&ran.tally.by_worker);
            println!(
                "{workers:>7}  {:<6} {:>10.0} s {:>7.1} % {:>8.2} % {least:>14.2} {:>6.1} s",
                word(told),
                ran.seconds,
                100.0 * goodput,
                100.0 * throttled,
                began.elapsed().as_secs_f64()
            );
            rows.push(json!({
                "workers": workers, "told": told, "sign_ups": sign_ups,
                "seconds": ran.seconds, "goodput": goodput, "throttled": throttled,
                "least": least, "dead": ran.tally.dead,
            }));
        }
    }
    rows
}

fn main() {
    if std::env::args().any(|arg| arg == "--smoke") {
        bursts(1);
        sizes(&[1, 4, 16], 60, 120);
        changes(&[4], 1);
        backlog(&[4], 5000);
        return;
    }
    let figures = json!({
        "quota": QUOTA,
        "half": HALF,
        "bursts": bursts(SEEDS),
        "sizes": sizes(&[1, 2, 4, 8, 16, 32, 64, 128, 200], 600, 1200),
        "changes": changes(&[1, 4, 6, 12, 30, 200], SEEDS),
        "backlog": backlog(&[4, 200], 10_000_000),
    });
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/target/fleet.json");
    std::fs::write(path, format!("{figures}\n")).expect("written");
}
