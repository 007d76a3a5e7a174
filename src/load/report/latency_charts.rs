//! Latency as plots: over the run, and its distribution.

use super::axis::Axis;
use super::charts::{TALL_PLOT_PX, highest_of_lines};
use super::histogram::{HistogramBar, QuantileMarker};
use super::legend::LineStyle;
use super::number::{group_digits, milliseconds, to_f64};
use super::plot::{Plot, PlotLine};
use super::series::{LineSegments, highest};
use super::{LatencyBin, LatencyWindow, LoadReport, Quantiles};

impl LoadReport {
    /// What it was like for the users.
    pub(super) fn latency_charts(&self) -> String {
        [
            self.latency_over_time_chart(),
            self.latency_distribution_chart(),
        ]
        .concat()
    }

    fn latency_over_time_chart(&self) -> String {
        let windows = &self.latency_over_time;
        let end = windows.iter().map(|window| window.to_second);
        let line = |name, look, of: fn(&Quantiles) -> f64| {
            let runs = step_line(windows, of);
            PlotLine {
                name,
                style: look,
                peak: highest(&runs).map_or_else(String::new, milliseconds),
                segments: runs,
            }
        };
        let lines = [
            line("p50", LineStyle::First, |latency| latency.p50),
            line("p90", LineStyle::Second, |latency| latency.p90),
            line("p99", LineStyle::Third, |latency| latency.p99),
        ];
        Plot {
            title: "Latency over time",
            unit: "by the time for which the sign-ups were scheduled".to_owned(),
            height: TALL_PLOT_PX,
            x: Axis::time(end.fold(0.0, f64::max)),
            y: Axis::durations(highest_of_lines(&lines), 6.0),
        }
        .lines(&lines)
    }

    fn latency_distribution_chart(&self) -> String {
        let title = "Distribution of latency";
        // The outer bars without a sign-up would only narrow the others.
        let bars = &self.histogram;
        let first = bars.iter().position(|bar| bar.count > 0).unwrap_or(0);
        let after = bars.iter().rposition(|bar| bar.count > 0);
        let bars = &bars[first..after.map_or(first, |last| last + 1)];
        let columns: Vec<HistogramBar> = bars.iter().filter_map(histogram_bar).collect();
        let start = columns.iter().map(|bar| bar.from).reduce(f64::min);
        let end = columns.iter().map(|bar| bar.to).reduce(f64::max);
        let (Some(start), Some(end)) = (start, end) else {
            return Plot::placeholder(title, "No profile record was seen.");
        };
        let highest = columns.iter().map(|bar| bar.height).fold(0.0, f64::max);
        Plot {
            title,
            unit: "sign-ups by how long they took".to_owned(),
            height: TALL_PLOT_PX,
            x: Axis::logarithmic(start, end),
            y: Axis::amounts(highest.max(4.0), 6.0),
        }
        .histogram(&columns, &self.quantile_markers())
    }

    fn quantile_markers(&self) -> Vec<QuantileMarker> {
        let rules = self.latency_ms.map(|latency| {
            [
                ("p50", LineStyle::First, latency.p50),
                ("p90", LineStyle::Second, latency.p90),
                ("p99", LineStyle::Third, latency.p99),
            ]
        });
        let rules = rules.into_iter().flatten();
        rules
            .map(|(name, look, at)| QuantileMarker {
                name,
                style: look,
                at,
                value: milliseconds(at),
            })
            .collect()
    }
}

/// A bar that has a place on a logarithmic axis. The first may begin at zero.
fn histogram_bar(bar: &LatencyBin) -> Option<HistogramBar> {
    let from = if bar.from_ms > 0.0 {
        bar.from_ms
    } else {
        bar.to_ms / 2.0
    };
    let drawable = from.is_normal() && bar.to_ms.is_finite() && bar.to_ms > from;
    drawable.then(|| HistogramBar {
        from,
        to: bar.to_ms,
        height: to_f64(bar.count),
        title: format!(
            "{} to {}: {}",
            milliseconds(bar.from_ms),
            milliseconds(bar.to_ms),
            group_digits(bar.count)
        ),
    })
}

/// A level line for each window; what follows without a gap is joined.
fn step_line(windows: &[LatencyWindow], of: fn(&Quantiles) -> f64) -> LineSegments {
    let mut runs = LineSegments::new();
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
    use crate::load::report::fixtures;

    #[test]
    fn a_window_without_sign_ups_is_a_gap() {
        let mut windows = fixtures::full().latency_over_time;
        windows[4].latency_ms.count = 0;
        let runs = step_line(&windows, |latency| latency.p50);
        assert_eq!(runs.len(), 2);
        assert_eq!(runs[1].first().map(|point| point.0), Some(10.0));
    }

    #[test]
    fn a_bar_from_zero_has_a_place() {
        let bar = |from_ms, to_ms| LatencyBin {
            from_ms,
            to_ms,
            count: 1,
        };
        assert_eq!(
            histogram_bar(&bar(0.0, 10.0)).map(|bar| bar.from),
            Some(5.0)
        );
        assert!(histogram_bar(&bar(0.0, 0.0)).is_none());
        assert!(histogram_bar(&bar(5.0, f64::INFINITY)).is_none());
        assert_eq!(
            histogram_bar(&bar(f64::NAN, 5.0)).map(|bar| bar.from),
            Some(2.5)
        );
    }
}
