//! A simulated fleet: workers that share one quota, and how they adapt to it.
//!
//! The real `RateBudget` on a paused clock, for 1 to 200 workers and up to ten million
//! sign-ups. Informed workers know how many they are (`quota.processes`); each of the
//! others assumes that the whole quota is its own. The rest is modelled. AWS does not
//! document how it counts, so there are three methods of counting. A throttled sign-up
//! is retried as by `retry::retry_inline`, and then returns to the queue. Prints tables,
//! writes `target/fleet.json`, and asserts nothing.
//!
//!     cargo bench --bench fleet
//!     cargo bench --bench fleet -- --smoke    # some seconds, writes nothing
//!     python3 benches/fleet.py                # draws docs/internals/{fleet,rate}.svg

#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "counts of calls and seconds"
)]

mod model;

use std::collections::BinaryHeap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use model::{Cognito, Counting, HALF, HALVED, QUOTA, State, Tally, World, fairness, start};

const SEEDS: u64 = 10;

#[derive(Debug, Clone, Copy)]
enum Change {
    /// Only records the counts.
    Snapshot,
    /// The quota that other programs leave to the fleet.
    Quota(f64),
    /// This many workers stop at the same time.
    Vanish(usize),
}

#[derive(Clone)]
struct Fleet {
    workers: usize,
    /// Calls a second that each worker assumes as the quota.
    limit: f64,
    counting: Counting,
    sign_ups: u64,
    seconds: u64,
    changes: Vec<(u64, Change)>,
}

/// The result of a run, and the counts by worker before each change.
struct RunResult {
    seconds: f64,
    tally: Tally,
    before: Vec<Vec<u64>>,
}

impl Fleet {
    /// A fleet with more sign-ups than it can process.
    fn busy(workers: usize, informed: bool, counting: Counting, seconds: u64) -> Self {
        Self {
            workers,
            limit: if informed {
                QUOTA / workers as f64
            } else {
                QUOTA
            },
            counting,
            sign_ups: u64::MAX,
            seconds,
            changes: Vec::new(),
        }
    }

    fn run(&self, seed: u64) -> RunResult {
        fastrand::seed(seed);
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime")
            .block_on(self.work())
    }

    async fn work(&self) -> RunResult {
        let started = Instant::now();
        let world = Arc::new(World {
            started,
            sign_ups: self.sign_ups,
            done: Notify::new(),
            state: Mutex::new(State {
                cognito: Cognito {
                    counting: self.counting,
                    quota: QUOTA,
                    left: QUOTA,
                    at: started,
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
        let apply_changes = async {
            for (at, change) in &self.changes {
                sleep_until(started + Duration::from_secs(*at)).await;
                let mut state = world.state();
                before.push(state.tally.by_worker.clone());
                match *change {
                    Change::Snapshot => {}
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
            sleep_until(started + Duration::from_secs(self.seconds)).await;
        };
        tokio::select! {
            biased;
            () = world.done.notified() => {}
            () = apply_changes => {}
        }
        let tally = world.state().tally.clone();
        RunResult {
            seconds: started.elapsed().as_secs_f64(),
            tally,
            before,
        }
    }
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len() as f64;
    values.sum::<f64>() / count
}

fn label(informed: bool) -> &'static str {
    if informed { "set" } else { "unset" }
}

/// Two thousand sign-ups at once, until the last one is done.
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
            let runs: Vec<RunResult> = (0..seeds).map(|seed| fleet.run(seed)).collect();
            let goodput = mean(runs.iter().map(|result| 2000.0 / (QUOTA * result.seconds)));
            let throttled = mean(
                runs.iter()
                    .map(|result| result.tally.shares(0, usize::MAX, QUOTA).1),
            );
            let least = runs
                .iter()
                .map(|result| fairness(&result.tally.by_worker).1)
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
    for informed in [true, false] {
        for counting in [Counting::Bucket, Counting::Window, Counting::Strict] {
            for workers in workers.iter().copied() {
                let fleet = Fleet {
                    changes: vec![(settle, Change::Snapshot)],
                    ..Fleet::busy(workers, informed, counting, settle + measure)
                };
                let result = fleet.run(1);
                let end = (settle + measure) as usize;
                let (goodput, throttled) = result.tally.shares(settle as usize, end, QUOTA);
                let (_, start) = result.tally.shares(0, 60, QUOTA);
                let counts: Vec<u64> = std::iter::zip(&result.tally.by_worker, &result.before[0])
                    .map(|(after, before)| after - before)
                    .collect();
                let (jain, least) = fairness(&counts);
                println!(
                    "{workers:>7}  {:<6}  {:<8} {:>7.1} % {:>8.2} % {jain:>7.3} {least:>14.2} {:>22.1} %",
                    label(informed),
                    format!("{counting:?}"),
                    100.0 * goodput,
                    100.0 * throttled,
                    100.0 * start
                );
                rows.push(json!({
                    "workers": workers, "informed": informed, "counting": format!("{counting:?}"),
                    "goodput": goodput, "throttled": throttled, "jain": jain, "least": least,
                    "start": start, "dead": result.tally.dead,
                }));
            }
        }
    }
    rows
}

const BACK: usize = 400;
const GONE: usize = 700;
const END: usize = 1000;

/// The median of the runs; `None` if that run did not recover.
fn median(mut times: Vec<Option<usize>>) -> Option<usize> {
    times.sort_by_key(|time| time.unwrap_or(usize::MAX));
    times[times.len() / 2]
}

/// The quota halves and is restored, and then a third of the workers stops.
fn changes(workers: &[usize], seeds: u64) -> Vec<Value> {
    println!("\nseconds until recovered, median of {seeds} runs");
    println!("workers          counting   halved   throttled 30 s on   back   a third gone");
    let mut rows = Vec::new();
    for informed in [true, false] {
        for counting in [Counting::Bucket, Counting::Window] {
            for workers in workers.iter().copied() {
                let fleet = Fleet {
                    changes: vec![
                        (HALVED as u64, Change::Quota(HALF)),
                        (BACK as u64, Change::Quota(QUOTA)),
                        (GONE as u64, Change::Vanish(workers / 3)),
                    ],
                    ..Fleet::busy(workers, informed, counting, END as u64)
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
                // The cost of a quota that stays below the assumed one.
                let throttled = mean(
                    runs.iter()
                        .map(|tally| tally.shares(HALVED + 30, BACK, HALF).1),
                );
                let text = |time: Option<usize>| time.map_or("-".to_owned(), |s| s.to_string());
                println!(
                    "{workers:>7}  {:<6}  {:<8} {:>8} {:>17.1} % {:>6} {:>14}",
                    label(informed),
                    format!("{counting:?}"),
                    text(halved),
                    100.0 * throttled,
                    text(back),
                    text(gone)
                );
                rows.push(json!({
                    "workers": workers, "informed": informed, "counting": format!("{counting:?}"),
                    "halved": halved, "throttled": throttled, "back": back, "gone": gone,
                    "granted": runs[0].granted, "refused": runs[0].refused,
                }));
            }
        }
    }
    rows
}

/// A backlog of several days, until the last sign-up is done.
fn backlog(workers: &[usize], sign_ups: u64) -> Vec<Value> {
    println!("\n{sign_ups} sign-ups, bucket, to the last one");
    println!("workers          simulated   goodput  throttled  smallest share  took");
    let mut rows = Vec::new();
    for workers in workers.iter().copied() {
        for informed in [true, false] {
            let fleet = Fleet {
                sign_ups,
                ..Fleet::busy(workers, informed, Counting::Bucket, u64::from(u32::MAX))
            };
            let began = std::time::Instant::now();
            let result = fleet.run(1);
            let goodput = sign_ups as f64 / (QUOTA * result.seconds);
            let (_, throttled) = result.tally.shares(0, usize::MAX, QUOTA);
            let (_, least) = fairness(&result.tally.by_worker);
            println!(
                "{workers:>7}  {:<6} {:>10.0} s {:>7.1} % {:>8.2} % {least:>14.2} {:>6.1} s",
                label(informed),
                result.seconds,
                100.0 * goodput,
                100.0 * throttled,
                began.elapsed().as_secs_f64()
            );
            rows.push(json!({
                "workers": workers, "informed": informed, "sign_ups": sign_ups,
                "seconds": result.seconds, "goodput": goodput, "throttled": throttled,
                "least": least, "dead": result.tally.dead,
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
