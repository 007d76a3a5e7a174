//! Whether the process is alive, and whether it does its work.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Shared view of the loops that must make progress and of what is in the way.
#[derive(Debug, Clone, Default)]
pub struct Health(Arc<Mutex<HealthState>>);

#[derive(Debug, Default)]
struct HealthState {
    loops: BTreeMap<&'static str, Heartbeat>,
    unready: BTreeMap<String, String>,
}

#[derive(Debug)]
struct Heartbeat {
    last: Instant,
    limit: Duration,
}

impl Health {
    /// A loop begins or made progress, and means to do so again within `limit`.
    pub(crate) fn heartbeat(&self, name: &'static str, limit: Duration) {
        self.state().loops.insert(
            name,
            Heartbeat {
                last: Instant::now(),
                limit,
            },
        );
    }

    /// A loop ended, as it should.
    pub(crate) fn end_heartbeat(&self, name: &'static str) {
        self.state().loops.remove(name);
    }

    /// Something keeps the worker from its work; readiness drops until
    /// [`clear_unready`](Self::clear_unready) is called with the same name.
    pub(crate) fn set_unready(&self, name: impl Into<String>, why: impl Into<String>) {
        self.state().unready.insert(name.into(), why.into());
    }

    /// It is out of the way.
    pub(crate) fn clear_unready(&self, name: &str) {
        self.state().unready.remove(name);
    }

    /// The loops that have not made progress in time; empty means alive.
    pub(crate) fn stuck(&self) -> Vec<&'static str> {
        let now = Instant::now();
        self.state()
            .loops
            .iter()
            .filter(|(_, pulse)| now.saturating_duration_since(pulse.last) > pulse.limit)
            .map(|(name, _)| *name)
            .collect()
    }

    /// What is in the way; empty means ready.
    pub fn unready_reasons(&self) -> Vec<String> {
        self.state().unready.values().cloned().collect()
    }

    fn state(&self) -> MutexGuard<'_, HealthState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_loop_without_a_beat_is_stuck_after_its_limit() {
        let health = Health::default();
        health.heartbeat("intake", Duration::from_secs(30));
        tokio::time::advance(Duration::from_secs(30)).await;
        assert!(health.stuck().is_empty());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(health.stuck(), ["intake"]);
        health.heartbeat("intake", Duration::from_secs(30));
        assert!(health.stuck().is_empty());
        health.end_heartbeat("intake");
    }

    #[test]
    fn an_obstacle_stays_until_it_is_cleared_by_name() {
        let health = Health::default();
        health.set_unready("queue", "ReceiveMessage: QueueDoesNotExist");
        health.set_unready("start", "starting");
        health.clear_unready("start");
        assert_eq!(
            health.unready_reasons(),
            ["ReceiveMessage: QueueDoesNotExist"]
        );
        health.clear_unready("queue");
        assert!(health.unready_reasons().is_empty());
    }
}
