//! Peak memory of `usher reconcile` by the number of users, without and with `--groups`.
//!
//! The real program as a process of its own, against a user pool of 10,000, of
//! 100,000 and of 300,000 users, of whom one in a hundred has no profile. Prints
//! figures and asserts none.
//!
//!     cargo bench --bench reconcile

#![allow(
    dead_code,
    unreachable_pub,
    reason = "shared with the integration tests"
)]

#[path = "../tests/it/crowd.rs"]
mod crowd;
#[path = "../tests/it/faults/mod.rs"]
mod faults;
#[path = "../tests/it/process.rs"]
mod process;
#[path = "../tests/it/world.rs"]
mod world;

use std::time::{Duration, Instant};

use crowd::{People, sub};
use world::World;

#[tokio::main]
async fn main() {
    println!("   users              peak memory   seconds");
    for users in [10_000, 100_000, 300_000] {
        let world = World::new().await;
        let mut people = People::whole(users);
        for n in (0..users).step_by(100) {
            people.profiles.remove(&sub(n));
        }
        world.crowd.fill(people);
        for groups in [&[][..], &["--groups"]] {
            let (kib, took) = peak(&world, groups).await;
            let (with, took) = (groups.concat(), took.as_secs_f64());
            println!("{users:>8}  {with:<8}  {kib:>9} KiB  {took:>8.1}");
        }
    }
}

/// The most memory that a run ever had, as the kernel counts it.
async fn peak(world: &World, more: &[&str]) -> (u64, Duration) {
    let begun = Instant::now();
    let mut run = world
        .usher(&["reconcile", "--dry-run", "--output", "json"])
        .args(["--pool", &world.pool.id, "--set", "quota.user_list=1000"])
        .args(more)
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("starts");
    let status = format!("/proc/{}/status", run.id().expect("it runs"));
    let mut peak = 0;
    loop {
        tokio::select! {
            ended = run.wait() => {
                assert!(ended.expect("waited").success());
                return (peak, begun.elapsed());
            }
            () = tokio::time::sleep(Duration::from_millis(20)) => {}
        }
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        peak = peak.max(kib.unwrap_or(0));
    }
}
