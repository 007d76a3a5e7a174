//! Whether the process is alive, and whether it does its work.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Shared view of the loops that must make progress and of what is in the way.
#[derive(Debug, Clone, Default)]
pub struct Health(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    loops: BTreeMap<&'static str, Pulse>,
    obstacles: BTreeMap<String, String>,
}

#[derive(Debug)]
struct Pulse {
    last: Instant,
    limit: Duration,
}

impl Health {
    /// A loop begins or made progress, and means to do so again within `limit`.
    pub fn beat(&self, name: &'static str, limit: Duration) {
        self.state().loops.insert(
            name,
            Pulse {
                last: Instant::now(),
                limit,
            },
        );
    }

    /// A loop ended, as it should.
    pub fn ended(&self, name: &'static str) {
        self.state().loops.remove(name);
    }

    /// Something keeps the worker from its work; readiness drops until
    /// [`clear`](Self::clear) is called with the same name.
    pub fn obstacle(&self, name: impl Into<String>, why: impl Into<String>) {
        self.state().obstacles.insert(name.into(), why.into());
    }

    /// It is out of the way.
    pub fn clear(&self, name: &str) {
        self.state().obstacles.remove(name);
    }

    /// The loops that have not made progress in time; empty means alive.
    pub fn stuck(&self) -> Vec<&'static str> {
        let now = Instant::now();
        self.state()
            .loops
            .iter()
            .filter(|(_, pulse)| now.saturating_duration_since(pulse.last) > pulse.limit)
            .map(|(name, _)| *name)
            .collect()
    }

    /// What is in the way; empty means ready.
    pub fn obstacles(&self) -> Vec<String> {
        self.state().obstacles.values().cloned().collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_loop_without_a_beat_is_stuck_after_its_limit() {
        let health = Health::default();
        health.beat("intake", Duration::from_secs(30));
        tokio::time::advance(Duration::from_secs(30)).await;
        assert!(health.stuck().is_empty());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(health.stuck(), ["intake"]);
        health.beat("intake", Duration::from_secs(30));
        assert!(health.stuck().is_empty());
        health.ended("intake");
    }

    #[test]
    fn an_obstacle_stays_until_it_is_cleared_by_name() {
        let health = Health::default();
        health.obstacle("queue", "ReceiveMessage: QueueDoesNotExist");
        health.obstacle("start", "starting");
        health.clear("start");
        assert_eq!(health.obstacles(), ["ReceiveMessage: QueueDoesNotExist"]);
        health.clear("queue");
        assert!(health.obstacles().is_empty());
    }
}
