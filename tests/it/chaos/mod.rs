//! Random faults at random times, with workers that are killed in the middle: the
//! guarantees hold at the end.
//!
//! A seed determines a run. `sign_ups` makes the sign-ups, `killed_workers` starts and kills workers
//! under a [`Schedule`], and `guarantees` checks the result.

pub(crate) mod guarantees;
mod killed_workers;
pub(crate) mod seeds;
pub(crate) mod sign_ups;

use std::time::Duration;

use tokio::task::{JoinError, JoinHandle};
use usher::config::{Config, Layers};
use usher::worker::Until;

use crate::faults::schedule::Schedule;
use crate::world::World;
use killed_workers::KillableWorker;
use sign_ups::SignUps;

/// Concurrent runs; a run spends most of its time waiting.
const AT_ONCE: usize = 12;
/// The number of seeds that `cargo test` runs.
const FIXED: u64 = 6;
/// The time lapse shortens back-offs, and nothing else takes this long.
const PATIENCE: Duration = Duration::from_mins(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_any_faults_each_user_is_provisioned_or_dead_lettered() {
    let command = "cargo test --test it under_any_faults -- --nocapture";
    killed_workers::count_panics();
    let seeds = seeds::seeds(FIXED);
    if let [seed] = seeds[..] {
        println!("{}", describe(seed));
    }
    seeds::run_all(&seeds, AT_ONCE, command, describe, run).await;
}

#[test]
fn a_seed_is_deterministic_and_every_kind_of_fault_occurs() {
    let all: String = (0..200).map(describe).collect();
    assert_eq!(all, (0..200).map(describe).collect::<String>());
    for kind in [
        "Throttling",
        "Overload",
        "Uniform",
        "Exponential",
        "LongTail",
        "LostConnections",
        "TimeOuts",
        "Garbled",
        "UserLag",
        "GroupLag",
        "NoPool",
        "NoTable",
        "NoQueue",
        "AccessDenied",
        "ExpiredToken",
        "ClockSkew",
        "Refusals",
        "Duplicates",
        "PartialBatches",
        "LostWrites",
        "OverLimit",
        "EmptyPolls",
    ] {
        assert!(all.contains(kind), "{kind} never occurs");
    }
}

fn describe(seed: u64) -> String {
    schedule(seed).to_string()
}

fn schedule(seed: u64) -> Schedule {
    let lasts = fastrand::Rng::with_seed(seed).u64(7_000..15_000);
    Schedule::new(seed, Duration::from_millis(lasts))
}

/// One run: returns the violations of the guarantees.
async fn run(seed: u64) -> Vec<String> {
    let mut random = fastrand::Rng::with_seed(seed.rotate_left(32));
    let world = World::new().await;
    let schedule = schedule(seed);
    let sign_ups = SignUps::sign_up(&world, &mut random).await;
    let folder = tempfile::tempdir().expect("a folder");
    let config = config(&world, &folder, &mut random);
    world.faults.time_lapse();
    world.faults.plan(schedule.plan());

    let slots: Vec<_> = (0..random.usize(1..3))
        .map(|_| {
            let workers =
                killed_workers::run_and_restart(world.url.clone(), config.clone(), random.fork());
            tokio::spawn(workers)
        })
        .collect();
    let sending = sign_ups.arrive(&world, schedule.lasts(), &mut random);
    tokio::join!(sending, tokio::time::sleep(schedule.lasts()));
    // The workers that run when the faults end may continue or not.
    if random.bool() {
        slots.iter().for_each(JoinHandle::abort);
    }
    world.faults.clear();
    let last = KillableWorker::start(world.url.clone(), config, Until::Empty);
    let mut violations = Vec::from_iter(last.end(PATIENCE).await.err());
    for slot in slots {
        slot.abort();
        let ended = slot.await.err().filter(JoinError::is_panic);
        violations.extend(ended.map(|panic| panic.to_string()));
    }
    guarantees::check(&world, &sign_ups, &mut violations).await;
    violations.extend(killed_workers::panics());
    if !violations.is_empty() {
        violations.push(format!("{} faults in all", world.faults.total()));
    }
    violations
}

/// A random configuration, because deployments differ.
fn config(world: &World, folder: &tempfile::TempDir, random: &mut fastrand::Rng) -> Config {
    let file = folder.path().join("usher.toml");
    std::fs::write(&file, sign_ups::RULES).expect("written");
    let attempts = random.u32(3..10).to_string();
    let concurrency = [1, 8, 64][random.usize(..3)].to_string();
    let mut settings = world.settings();
    let mut set = |key: &str, value: &str| settings.push((key.to_owned(), value.to_owned()));
    set("worker.max_attempts", &attempts);
    set("worker.concurrency", &concurrency);
    set("worker.drain", "6s");
    set("quota.user_update", "500");
    if random.bool() {
        set("pools.allowed", &world.pool.id);
    }
    if random.bool() {
        set("queue.dead_letter_url", world.dead_letters.url());
    }
    let flags: Vec<String> = settings
        .into_iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    Config::from_layers(&Layers::defaults().file(&file).flags(&flags)).expect("valid")
}
