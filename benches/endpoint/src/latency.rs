//! Latency: the time that a call takes.

use std::time::Duration;

use serde::Deserialize;

/// A log-normal distribution by its median and its 99th percentile, in milliseconds.
/// If both are equal, the latency is constant.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Latency {
    p50_ms: f64,
    p99_ms: f64,
}

/// The 99th percentile of the standard normal distribution.
const Z99: f64 = 2.326_347_9;

impl Latency {
    pub(crate) fn draw(self, random: &mut fastrand::Rng) -> Duration {
        if self.p50_ms <= 0.0 {
            return Duration::ZERO;
        }
        let sigma = (self.p99_ms / self.p50_ms).max(1.0).ln() / Z99;
        let factor = if sigma > 0.0 {
            (sigma * normal(random)).exp()
        } else {
            1.0
        };
        Duration::from_secs_f64(self.p50_ms * factor / 1000.0)
    }
}

/// A standard normal value, by the Box-Muller method.
fn normal(random: &mut fastrand::Rng) -> f64 {
    let radius = (-2.0 * (1.0 - random.f64()).ln()).sqrt();
    radius * (std::f64::consts::TAU * random.f64()).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_and_99th_percentile_are_as_configured() {
        let latency = Latency {
            p50_ms: 20.0,
            p99_ms: 80.0,
        };
        let mut random = fastrand::Rng::with_seed(1);
        let mut drawn: Vec<f64> = (0..100_000)
            .map(|_| latency.draw(&mut random).as_secs_f64() * 1000.0)
            .collect();
        drawn.sort_by(f64::total_cmp);
        assert!((drawn[50_000] - 20.0).abs() < 0.5, "{}", drawn[50_000]);
        assert!((drawn[99_000] - 80.0).abs() < 4.0, "{}", drawn[99_000]);
    }

    #[test]
    fn a_fixed_latency_is_fixed() {
        let latency = Latency {
            p50_ms: 5.0,
            p99_ms: 5.0,
        };
        let drawn = latency.draw(&mut fastrand::Rng::with_seed(1));
        assert_eq!(drawn, Duration::from_millis(5));
    }
}
