//! The liveness and the readiness of the process.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Heartbeats of the loops that must make progress, and the reasons for being unready.
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
    /// Notes progress of a loop. Without the next heartbeat within `limit` it is stuck.
    pub(crate) fn heartbeat(&self, name: &'static str, limit: Duration) {
        self.state().loops.insert(
            name,
            Heartbeat {
                last: Instant::now(),
                limit,
            },
        );
    }

    /// Forgets a loop that ended normally.
    pub(crate) fn end_heartbeat(&self, name: &'static str) {
        self.state().loops.remove(name);
    }

    /// Drops readiness until [`clear_unready`](Self::clear_unready) is called with the same
    /// name.
    pub(crate) fn set_unready(&self, name: impl Into<String>, reason: impl Into<String>) {
        self.state().unready.insert(name.into(), reason.into());
    }

    /// Removes the reason with this name.
    pub(crate) fn clear_unready(&self, name: &str) {
        self.state().unready.remove(name);
    }

    /// The loops that have not made progress in time; empty means alive.
    pub(crate) fn stuck(&self) -> Vec<&'static str> {
        let now = Instant::now();
        self.state()
            .loops
            .iter()
            .filter(|(_, heartbeat)| {
                now.saturating_duration_since(heartbeat.last) > heartbeat.limit
            })
            .map(|(name, _)| *name)
            .collect()
    }

    /// Why the process is not ready; empty means ready.
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
    async fn loop_without_heartbeat_is_stuck_after_its_limit() {
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
    fn unready_reason_stays_until_cleared_by_name() {
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
