//! Peak memory of `usher reconcile` by the number of users, without and with `--groups`.
//!
//! The real program runs as its own process, against user pools of 10,000, 100,000
//! and 300,000 users. One user in a hundred has no profile. Prints figures and
//! asserts none.
//!
//!     cargo bench --bench reconcile

#![allow(
    dead_code,
    unreachable_pub,
    reason = "shared with the integration tests"
)]

#[path = "../tests/it/faults/mod.rs"]
mod faults;
#[path = "../tests/it/large_pool.rs"]
mod large_pool;
#[path = "../tests/it/process.rs"]
mod process;
#[path = "../tests/it/world.rs"]
mod world;

use std::time::{Duration, Instant};

use large_pool::{PoolContents, sub};
use world::World;

#[tokio::main]
async fn main() {
    println!("   users              peak memory   seconds");
    for users in [10_000, 100_000, 300_000] {
        let world = World::new().await;
        let mut population = PoolContents::whole(users);
        for n in (0..users).step_by(100) {
            population.profiles.remove(&sub(n));
        }
        world.large_pool.fill(population);
        for groups in [&[][..], &["--groups"]] {
            let (kib, took) = peak(&world, groups).await;
            let (with, took) = (groups.concat(), took.as_secs_f64());
            println!("{users:>8}  {with:<8}  {kib:>9} KiB  {took:>8.1}");
        }
    }
}

/// Peak memory of a run in KiB, as the kernel counts it, and the run's duration.
async fn peak(world: &World, options: &[&str]) -> (u64, Duration) {
    let started = Instant::now();
    let mut run = world
        .usher(&["reconcile", "--dry-run", "--output", "json"])
        .args(["--pool", &world.pool.id, "--set", "quota.user_list=1000"])
        .args(options)
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("starts");
    let status = format!("/proc/{}/status", run.id().expect("it runs"));
    let mut peak = 0;
    loop {
        tokio::select! {
            ended = run.wait() => {
                assert!(ended.expect("waited").success());
                return (peak, started.elapsed());
            }
            () = tokio::time::sleep(Duration::from_millis(20)) => {}
        }
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        peak = peak.max(kib.unwrap_or(0));
    }
}
