//! The users whose sign-in was sent a short time ago.

use std::time::Duration;

use tokio::time::Instant;

use crate::cache::Cache;

/// A user is sent once in this time by each instance of the Lambda: apps get several tokens.
const INTERVAL: Duration = Duration::from_mins(1);
/// One entry is a `sub` and a time.
const MAX_RECENT_USERS: usize = 10_000;

/// The users who were sent a short time ago, by `sub`.
#[derive(Debug)]
pub(super) struct RecentUsers(Cache<String, Instant>);

impl Default for RecentUsers {
    fn default() -> Self {
        Self(Cache::new(MAX_RECENT_USERS))
    }
}

impl RecentUsers {
    /// Whether the user was not sent within [`INTERVAL`]; counts as sent from now on.
    pub(super) fn add(&self, sub: &str) -> bool {
        let now = Instant::now();
        let is_old = |sent: &Instant| now.duration_since(*sent) >= INTERVAL;
        let mut is_new = false;
        self.0.get_or_replace(&sub.to_owned(), is_old, || {
            is_new = true;
            now
        });
        is_new
    }

    /// The next sign-in is sent: this one was not.
    pub(super) fn remove(&self, sub: &str) {
        self.0.remove(&sub.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_user_is_sent_once_a_minute() {
        let recent = RecentUsers::default();
        assert!(recent.add("a") && recent.add("b"));
        tokio::time::advance(Duration::from_secs(59)).await;
        assert!(!recent.add("a"));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(recent.add("a") && !recent.add("a"));
        recent.remove("a");
        assert!(recent.add("a"));
    }
}
