//! The choice of seeds, and the report of a failed one.

use std::collections::BTreeMap;

use tokio::task::JoinSet;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{fmt, registry};

/// `USHER_SEED=1234` selects that seed, `USHER_SEEDS=200` as many random ones. Without
/// either, the first `fixed` seeds are used each time.
pub(crate) fn seeds(fixed: u64) -> Vec<u64> {
    let number = |name| -> Option<u64> { std::env::var(name).ok()?.parse().ok() };
    if let Some(seed) = number("USHER_SEED") {
        // The log of one run, if `RUST_LOG` asks for it.
        let filter = std::env::var("RUST_LOG")
            .ok()
            .and_then(|it| it.parse().ok());
        let filter: Targets = filter.unwrap_or_default();
        let _ = registry().with(fmt::layer()).with(filter).try_init();
        return vec![seed];
    }
    match number("USHER_SEEDS") {
        Some(count) => (0..count).map(|_| fastrand::u32(..).into()).collect(),
        None => (1..=fixed).collect(),
    }
}

/// Runs every seed, `at_once` concurrently. Prints the command that repeats a failed one.
pub(crate) async fn run_all<Fut>(
    seeds: &[u64],
    at_once: usize,
    command: &str,
    describe: impl Fn(u64) -> String,
    run: impl Fn(u64) -> Fut,
) where
    Fut: Future<Output = Vec<String>> + Send + 'static,
{
    let mut running = JoinSet::new();
    let mut names = BTreeMap::new();
    let mut failed = Vec::new();
    let mut waiting = seeds.iter();
    let mut done = 0;
    loop {
        while running.len() < at_once
            && let Some(seed) = waiting.next()
        {
            names.insert(running.spawn(run(*seed)).id(), *seed);
        }
        let Some(ended) = running.join_next_with_id().await else {
            break;
        };
        let (id, violations) = match ended {
            Ok(ended) => ended,
            Err(error) => (error.id(), vec![format!("the run itself: {error}")]),
        };
        done += 1;
        let seed = names[&id];
        if seeds.len() > 1 {
            println!("{done} of {}: seed {seed}", seeds.len());
        }
        if !violations.is_empty() {
            println!("{}\n  {}", describe(seed), violations.join("\n  "));
            println!("again: USHER_SEED={seed} {command}");
            failed.push(seed);
        }
    }
    assert!(failed.is_empty(), "seeds that failed: {failed:?}");
}
