//! Latency as plots: over the run, and its distribution.

use super::charts::{TALL, most};
use super::histogram::{Column, Rule};
use super::legend::Look;
use super::number::{float, grouped, milliseconds};
use super::plot::{Line, Plot};
use super::scale::Axis;
use super::series::{Runs, highest};
use super::{Bar, LatencyWindow, Quantiles, Report};

impl Report {
    /// What it was like for the users.
    pub(super) fn charts_of_latency(&self) -> String {
        [self.latency_by_schedule(), self.latencies()].concat()
    }

    fn latency_by_schedule(&self) -> String {
        let windows = &self.latency_over_time;
        let end = windows.iter().map(|window| window.to_second);
        let line = |name, look, of: fn(&Quantiles) -> f64| {
            let runs = steps(windows, of);
            Line {
                name,
                look,
                most: highest(&runs).map_or_else(String::new, milliseconds),
                runs,
            }
        };
        let lines = [
            line("p50", Look::First, |latency| latency.p50),
            line("p90", Look::Second, |latency| latency.p90),
            line("p99", Look::Third, |latency| latency.p99),
        ];
        Plot {
            title: "Latency over time",
            unit: "by the time for which the sign-ups were scheduled".to_owned(),
            height: TALL,
            x: Axis::time(end.fold(0.0, f64::max)),
            y: Axis::durations(most(&lines), 6.0),
        }
        .lines(&lines)
    }

    fn latencies(&self) -> String {
        let title = "Distribution of latency";
        // The outer bars without a sign-up would only narrow the others.
        let bars = &self.histogram;
        let first = bars.iter().position(|bar| bar.count > 0).unwrap_or(0);
        let after = bars.iter().rposition(|bar| bar.count > 0);
        let bars = &bars[first..after.map_or(first, |last| last + 1)];
        let columns: Vec<Column> = bars.iter().filter_map(column).collect();
        let start = columns.iter().map(|bar| bar.from).reduce(f64::min);
        let end = columns.iter().map(|bar| bar.to).reduce(f64::max);
        let (Some(start), Some(end)) = (start, end) else {
            return Plot::sentence(title, "No profile record was seen.");
        };
        let highest = columns.iter().map(|bar| bar.height).fold(0.0, f64::max);
        Plot {
            title,
            unit: "sign-ups by how long they took".to_owned(),
            height: TALL,
            x: Axis::logarithmic(start, end),
            y: Axis::amounts(highest.max(4.0), 6.0),
        }
        .columns(&columns, &self.quantile_rules())
    }

    fn quantile_rules(&self) -> Vec<Rule> {
        let rules = self.latency_ms.map(|latency| {
            [
                ("p50", Look::First, latency.p50),
                ("p90", Look::Second, latency.p90),
                ("p99", Look::Third, latency.p99),
            ]
        });
        let rules = rules.into_iter().flatten();
        rules
            .map(|(name, look, at)| Rule {
                name,
                look,
                at,
                value: milliseconds(at),
            })
            .collect()
    }
}

/// A bar that has a place on a logarithmic axis. The first may begin at zero.
fn column(bar: &Bar) -> Option<Column> {
    let from = if bar.from_ms > 0.0 {
        bar.from_ms
    } else {
        bar.to_ms / 2.0
    };
    let drawable = from.is_normal() && bar.to_ms.is_finite() && bar.to_ms > from;
    drawable.then(|| Column {
        from,
        to: bar.to_ms,
        height: float(bar.count),
        title: format!(
            "{} to {}: {}",
            milliseconds(bar.from_ms),
            milliseconds(bar.to_ms),
            grouped(bar.count)
        ),
    })
}

/// A level line for each window; what follows without a gap is joined.
fn steps(windows: &[LatencyWindow], of: fn(&Quantiles) -> f64) -> Runs {
    let mut runs = Runs::new();
    let mut end = f64::NAN;
    for window in windows {
        let value = of(&window.latency_ms);
        if !value.is_finite() || window.latency_ms.count == 0 {
            continue;
        }
        let points = [(window.from_second, value), (window.to_second, value)];
        match runs.last_mut() {
            Some(run) if (window.from_second - end).abs() < 1e-6 => run.extend(points),
            _ => runs.push(points.to_vec()),
        }
        end = window.to_second;
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::report::sample;

    #[test]
    fn a_window_without_sign_ups_is_a_gap() {
        let mut windows = sample::full().latency_over_time;
        windows[4].latency_ms.count = 0;
        let runs = steps(&windows, |latency| latency.p50);
        assert_eq!(runs.len(), 2);
        assert_eq!(runs[1].first().map(|point| point.0), Some(10.0));
    }

    #[test]
    fn a_bar_from_zero_has_a_place() {
        let bar = |from_ms, to_ms| Bar {
            from_ms,
            to_ms,
            count: 1,
        };
        assert_eq!(column(&bar(0.0, 10.0)).map(|bar| bar.from), Some(5.0));
        assert!(column(&bar(0.0, 0.0)).is_none());
        assert!(column(&bar(5.0, f64::INFINITY)).is_none());
        assert_eq!(column(&bar(f64::NAN, 5.0)).map(|bar| bar.from), Some(2.5));
    }
}
