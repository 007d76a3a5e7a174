//! Plots of the latency: over the run, and its distribution.

use super::axis::Axis;
use super::charts::{TALL_PLOT_PX, highest_of_lines};
use super::histogram::{HistogramBar, QuantileMarker};
use super::legend::LineStyle;
use super::number::{group_digits, milliseconds, to_f64};
use super::plot::{Plot, PlotLine};
use super::series::{LineSegments, highest};
use super::{LatencyBin, LatencyWindow, LoadReport, Quantiles};

impl LoadReport {
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
        let line = |name, style, quantile: fn(&Quantiles) -> f64| {
            let segments = step_line(windows, quantile);
            PlotLine {
                name,
                style,
                peak: highest(&segments).map_or_else(String::new, milliseconds),
                segments,
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
        // Empty bins at both ends would only narrow the others.
        let bins = &self.histogram;
        let first = bins.iter().position(|bin| bin.count > 0).unwrap_or(0);
        let last = bins.iter().rposition(|bin| bin.count > 0);
        let bins = &bins[first..last.map_or(first, |last| last + 1)];
        let bars: Vec<HistogramBar> = bins.iter().filter_map(histogram_bar).collect();
        let start = bars.iter().map(|bar| bar.from).reduce(f64::min);
        let end = bars.iter().map(|bar| bar.to).reduce(f64::max);
        let (Some(start), Some(end)) = (start, end) else {
            return Plot::placeholder(title, "No profile record was seen.");
        };
        let highest = bars.iter().map(|bar| bar.height).fold(0.0, f64::max);
        Plot {
            title,
            unit: "sign-ups by how long they took".to_owned(),
            height: TALL_PLOT_PX,
            x: Axis::logarithmic(start, end),
            y: Axis::amounts(highest.max(4.0), 6.0),
        }
        .histogram(&bars, &self.quantile_markers())
    }

    fn quantile_markers(&self) -> Vec<QuantileMarker> {
        let markers = self.latency_ms.map(|latency| {
            [
                ("p50", LineStyle::First, latency.p50),
                ("p90", LineStyle::Second, latency.p90),
                ("p99", LineStyle::Third, latency.p99),
            ]
        });
        let markers = markers.into_iter().flatten();
        markers
            .map(|(name, style, at)| QuantileMarker {
                name,
                style,
                at,
                value: milliseconds(at),
            })
            .collect()
    }
}

/// The bar of a bin, or `None` if a logarithmic axis cannot show it. A bin that begins
/// at zero is drawn from half of its end.
fn histogram_bar(bin: &LatencyBin) -> Option<HistogramBar> {
    let from = if bin.from_ms > 0.0 {
        bin.from_ms
    } else {
        bin.to_ms / 2.0
    };
    let drawable = from.is_normal() && bin.to_ms.is_finite() && bin.to_ms > from;
    drawable.then(|| HistogramBar {
        from,
        to: bin.to_ms,
        height: to_f64(bin.count),
        title: format!(
            "{} to {}: {}",
            milliseconds(bin.from_ms),
            milliseconds(bin.to_ms),
            group_digits(bin.count)
        ),
    })
}

/// One level line for each window; adjacent windows are joined.
fn step_line(windows: &[LatencyWindow], quantile: fn(&Quantiles) -> f64) -> LineSegments {
    let mut segments = LineSegments::new();
    let mut end = f64::NAN;
    for window in windows {
        let value = quantile(&window.latency_ms);
        if !value.is_finite() || window.latency_ms.count == 0 {
            continue;
        }
        let points = [(window.from_second, value), (window.to_second, value)];
        match segments.last_mut() {
            Some(segment) if (window.from_second - end).abs() < 1e-6 => segment.extend(points),
            _ => segments.push(points.to_vec()),
        }
        end = window.to_second;
    }
    segments
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::report::fixtures;

    #[test]
    fn a_window_without_sign_ups_is_a_gap() {
        let mut windows = fixtures::full().latency_over_time;
        windows[4].latency_ms.count = 0;
        let segments = step_line(&windows, |latency| latency.p50);
        assert_eq!(segments.len(), 2);
        assert_eq!(segments[1].first().map(|point| point.0), Some(10.0));
    }

    #[test]
    fn a_bin_from_zero_is_drawn() {
        let bin = |from_ms, to_ms| LatencyBin {
            from_ms,
            to_ms,
            count: 1,
        };
        assert_eq!(
            histogram_bar(&bin(0.0, 10.0)).map(|bar| bar.from),
            Some(5.0)
        );
        assert!(histogram_bar(&bin(0.0, 0.0)).is_none());
        assert!(histogram_bar(&bin(5.0, f64::INFINITY)).is_none());
        assert_eq!(
            histogram_bar(&bin(f64::NAN, 5.0)).map(|bar| bar.from),
            Some(2.5)
        );
    }
}
