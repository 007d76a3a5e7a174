//! Histograms of latencies.

use std::time::Duration;

use hdrhistogram::Histogram;

use super::report::{LatencyBin, Quantiles};

/// Histogram with three significant digits, from a microsecond to two days.
#[derive(Debug, Clone)]
pub struct LatencyHistogram(Histogram<u64>);

const MAX_LATENCY_MICROS: u64 = 48 * 3600 * 1_000_000;

impl Default for LatencyHistogram {
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(1, MAX_LATENCY_MICROS, 3);
        Self(histogram.expect("these bounds are valid"))
    }
}

impl LatencyHistogram {
    /// Adds a value; one above two days counts as two days.
    pub(crate) fn record(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(MAX_LATENCY_MICROS);
        self.0.saturating_record(micros);
    }

    /// Quantiles in milliseconds; `None` without values.
    pub fn quantiles(&self) -> Option<Quantiles> {
        let at = |quantile| millis(self.0.value_at_quantile(quantile));
        (!self.0.is_empty()).then(|| Quantiles {
            count: self.0.len(),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p99_9: at(0.999),
            max: millis(self.0.max()),
        })
    }

    /// Counts in bins that grow by a constant factor, ten for each power of ten.
    pub(crate) fn bins(&self) -> Vec<LatencyBin> {
        const FACTOR: f64 = 1.258_925_411_794_167_3;
        if self.0.is_empty() {
            return Vec::new();
        }
        let mut bins = Vec::new();
        let mut from = FACTOR.powf((millis(self.0.min()).max(0.001)).log(FACTOR).floor());
        let mut below = 0;
        let micros = |ms: f64| {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "positive, and saturates"
            )]
            let micros = (ms * 1000.0) as u64;
            micros
        };
        while below < self.0.len() {
            let to = from * FACTOR;
            let upto = self.0.count_between(0, micros(to));
            bins.push(LatencyBin {
                from_ms: from,
                to_ms: to,
                count: upto - below,
            });
            (from, below) = (to, upto);
        }
        bins
    }
}

fn millis(micros: u64) -> f64 {
    Duration::from_micros(micros).as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_match_the_recorded_values() {
        let mut latency = LatencyHistogram::default();
        assert_eq!(latency.quantiles(), None);
        for ms in 1..=1000 {
            latency.record(Duration::from_millis(ms));
        }
        let quantiles = latency.quantiles().expect("values");
        assert_eq!(quantiles.count, 1000);
        for (value, right) in [
            (quantiles.p50, 500.0),
            (quantiles.p90, 900.0),
            (quantiles.p99, 990.0),
            (quantiles.p99_9, 999.0),
            (quantiles.max, 1000.0),
        ] {
            assert!((value / right - 1.0).abs() < 0.002, "{value} for {right}");
        }
    }

    #[test]
    fn every_value_is_in_exactly_one_bin() {
        let mut latency = LatencyHistogram::default();
        for micros in [1, 900, 12_000, 12_500, 4_000_000, u64::MAX] {
            latency.record(Duration::from_micros(micros));
        }
        let bins = latency.bins();
        assert_eq!(bins.iter().map(|bin| bin.count).sum::<u64>(), 6);
        assert!(
            bins.windows(2)
                .all(|pair| (pair[0].to_ms - pair[1].from_ms).abs() < 1e-9)
        );
        assert!(bins.len() < 150, "{}", bins.len());
        assert!(LatencyHistogram::default().bins().is_empty());
    }
}
