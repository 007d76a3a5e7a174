//! Processes that are stopped or killed at random times.

use std::time::Duration;

use rustix::process::Signal;

use crate::chaos::sign_ups::{RULES, SignUps};
use crate::chaos::{guarantees, seeds};
use crate::process::Process;
use crate::world::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_are_ended_at_any_moment_keep_the_guarantees() {
    let command = "cargo test --test it processes_that_are_ended -- --nocapture";
    let seed = |seed| format!("seed {seed}");
    seeds::run_all(&seeds::seeds(1), 2, command, seed, run).await;
}

async fn run(seed: u64) -> Vec<String> {
    let mut random = fastrand::Rng::with_seed(seed);
    let world = World::new().await;
    world.faults.time_lapse();
    let sign_ups = SignUps::sign_up(&world, &mut random).await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("usher.toml");
    std::fs::write(&file, RULES).expect("written");
    let start = |arguments: &[&str]| {
        let mut command = world.usher(arguments);
        command
            .env("USHER_CONFIG", &file)
            // Slow enough that messages are in progress at each end.
            .env("USHER_QUOTA__USER_UPDATE", "40")
            .env("USHER_WORKER__DRAIN", "6s");
        Process::start(command)
    };

    let mut violations = Vec::new();
    let within = Duration::from_secs(6);
    let mut arrivals = random.fork();
    let rounds = async {
        for round in 0..random.usize(4..7) {
            let mut processes: Vec<Process> = (0..random.usize(1..3))
                .map(|_| start(&["worker"]))
                .collect();
            for process in &mut processes {
                let gently = random.bool();
                if gently {
                    // From here on the process handles signals.
                    process.http().await;
                }
                tokio::time::sleep(Duration::from_millis(random.u64(..1500))).await;
                if !gently {
                    process.signal(Signal::KILL);
                    process.exit().await;
                    continue;
                }
                process.signal(Signal::TERM);
                // The others are killed while they drain, when the round ends.
                if random.u8(..3) > 0 {
                    let status = process.exit().await;
                    if !status.success() {
                        let log = process.log();
                        violations.push(format!("SIGTERM in round {round}: {status}\n{log}"));
                    }
                }
            }
        }
    };
    tokio::join!(sign_ups.arrive(&world, within, &mut arrivals), rounds);

    let mut last = start(&["worker", "--until-empty"]);
    let status = last.exit().await;
    if !status.success() {
        violations.push(format!("the last one: {status}\n{}", last.log()));
    }
    guarantees::check(&world, &sign_ups, &mut violations).await;
    violations
}
