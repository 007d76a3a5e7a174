//! The limit of a category of calls. AWS does not document how it counts, so there are two
//! models.

use std::time::Instant;

use serde::Deserialize;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Model {
    /// A fixed number of calls in each second of the clock. Unused calls are lost.
    #[default]
    Window,
    /// A bucket that holds one second of calls, full at the start.
    Bucket,
}

/// Calls a second in one category, for all callers together.
#[derive(Debug)]
pub(crate) struct Quota {
    model: Model,
    rate: f64,
    left: f64,
    since: Instant,
}

impl Quota {
    pub(crate) fn new(model: Model, rate: f64, now: Instant) -> Self {
        Self {
            model,
            rate,
            left: rate,
            since: now,
        }
    }

    /// Takes one call, and returns whether the quota allows it.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.since);
        match self.model {
            Model::Window if passed.as_secs() > 0 => {
                self.since += std::time::Duration::from_secs(passed.as_secs());
                self.left = self.rate;
            }
            Model::Window => {}
            Model::Bucket => {
                self.since = now;
                self.left = (self.left + passed.as_secs_f64() * self.rate).min(self.rate);
            }
        }
        let free = self.left >= 1.0;
        if free {
            self.left -= 1.0;
        }
        free
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn taken(model: Model, calls_at: impl Iterator<Item = u64>) -> usize {
        let start = Instant::now();
        let mut quota = Quota::new(model, 25.0, start);
        calls_at
            .filter(|at| quota.take(start + Duration::from_millis(*at)))
            .count()
    }

    #[test]
    fn a_burst_gets_one_second_of_calls() {
        for model in [Model::Window, Model::Bucket] {
            assert_eq!(taken(model, std::iter::repeat_n(0, 100)), 25);
        }
    }

    #[test]
    fn long_run_does_not_exceed_the_rate() {
        // A thousand calls a second for ten seconds.
        assert_eq!(taken(Model::Window, 0..10_000), 250);
        // Plus the bucket, which was full at the start.
        assert_eq!(taken(Model::Bucket, 0..10_000), 274);
    }

    #[test]
    fn unused_calls_of_a_window_are_lost() {
        let calls = std::iter::repeat_n(0, 10).chain(std::iter::repeat_n(1500, 100));
        assert_eq!(taken(Model::Window, calls), 10 + 25);
    }
}
