//! Which seeds to run, and what is said of one that fails.

use std::collections::BTreeMap;

use tokio::task::JoinSet;

/// `USHER_SEED=1234` runs that one, `USHER_SEEDS=200` so many that nobody has
/// seen, and neither the first few, the same ones each time.
pub(crate) fn seeds(fixed: u64) -> Vec<u64> {
    let number = |name| -> Option<u64> { std::env::var(name).ok()?.parse().ok() };
    if let Some(seed) = number("USHER_SEED") {
        // The whole log of one run, if it is asked for.
        let filter = tracing_subscriber::EnvFilter::from_default_env();
        let _ = tracing_subscriber::fmt().with_env_filter(filter).try_init();
        return vec![seed];
    }
    match number("USHER_SEEDS") {
        Some(count) => (0..count).map(|_| fastrand::u32(..).into()).collect(),
        None => (1..=fixed).collect(),
    }
}

/// Runs every seed, a few at once, and fails with what it takes to run the
/// failed ones again.
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
        let (id, broken) = match ended {
            Ok(ended) => ended,
            Err(error) => (error.id(), vec![format!("the run itself: {error}")]),
        };
        done += 1;
        let seed = names[&id];
        if seeds.len() > 1 {
            println!("{done} of {}: seed {seed}", seeds.len());
        }
        if !broken.is_empty() {
            println!("{}\n  {}", describe(seed), broken.join("\n  "));
            println!("again: USHER_SEED={seed} {command}");
            failed.push(seed);
        }
    }
    assert!(failed.is_empty(), "seeds that failed: {failed:?}");
}
