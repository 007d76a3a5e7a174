//! The plots over the time of the run.

use super::axis::Axis;
use super::legend::LineStyle;
use super::number::{decimal, rate as a_second, seconds, to_f64};
use super::plot::{Plot, PlotLine};
use super::series::{gauge, highest, rate, step_seconds};
use super::{LoadReport, Sample};

pub(super) const TALL_PLOT_PX: f64 = 220.0;
const LOW_PLOT_PX: f64 = 120.0;

impl LoadReport {
    /// The plots over time, with the same time axis.
    pub(super) fn timeline_charts(&self) -> String {
        let times = self.timeline.iter().map(|sample| sample.second);
        let times = times.chain([self.seconds]).filter(|time| time.is_finite());
        let end = times.fold(0.0, f64::max);
        [
            self.throughput_chart(end),
            self.queue_chart(end),
            self.age_chart(end),
            self.throttle_chart(end),
        ]
        .concat()
    }

    fn throughput_chart(&self, end: f64) -> String {
        let step = step_seconds(end, self.finished.sign_ups);
        let line = |name, style, count: fn(&Sample) -> u64| {
            // All counts begin at zero.
            let mut points = vec![(0.0, 0.0)];
            points.extend(
                self.timeline
                    .iter()
                    .map(|at| (at.second, to_f64(count(at)))),
            );
            let segments = rate(&points, step);
            PlotLine {
                name,
                style,
                peak: highest(&segments).map_or_else(String::new, a_second),
                segments,
            }
        };
        let lines = [
            line("planned", LineStyle::Band, |at| at.planned),
            line("injected", LineStyle::Second, |at| at.injected),
            line("finished", LineStyle::First, |at| at.finished),
        ];
        Plot {
            title: "Throughput",
            unit: format!("messages and sign-ups a second, {}", mean_label(step)),
            height: TALL_PLOT_PX,
            x: Axis::time(end),
            y: Axis::amounts(highest_of_lines(&lines), 6.0),
        }
        .lines(&lines)
    }

    fn queue_chart(&self, end: f64) -> String {
        let line = |name, style, depth: fn(&Sample) -> Option<u64>| {
            let segments = gauge(&self.timeline, |at| depth(at).map(to_f64));
            PlotLine {
                name,
                style,
                peak: highest(&segments).map_or_else(|| "unknown".to_owned(), |n| decimal(n, 0)),
                segments,
            }
        };
        let lines = [
            line("waiting", LineStyle::First, |at| at.visible),
            line("in work", LineStyle::Second, |at| at.hidden),
            line("delayed", LineStyle::Third, |at| at.delayed),
        ];
        Plot {
            title: "Queue",
            unit: "messages, as SQS counts them".to_owned(),
            height: TALL_PLOT_PX,
            x: Axis::time(end),
            y: Axis::amounts(highest_of_lines(&lines).max(4.0), 6.0),
        }
        .lines(&lines)
    }

    fn age_chart(&self, end: f64) -> String {
        let segments = gauge(&self.timeline, |at| Some(at.oldest_seconds));
        let oldest = highest(&segments).unwrap_or(0.0);
        Plot {
            title: "Oldest sign-up",
            unit: "age of the oldest that was due and not finished".to_owned(),
            height: LOW_PLOT_PX,
            x: Axis::time(end),
            y: Axis::ages(oldest, 3.0),
        }
        .lines(&[PlotLine {
            name: "age",
            style: LineStyle::Area,
            peak: seconds(oldest),
            segments,
        }])
    }

    /// Empty if the workers' metrics were not read.
    fn throttle_chart(&self, end: f64) -> String {
        let points: Vec<(f64, f64)> = self
            .timeline
            .iter()
            .filter_map(|at| Some((at.second, to_f64(at.throttled?))))
            .collect();
        let title = "Throttled calls";
        if points.is_empty() {
            return String::new();
        }
        let step = step_seconds(end, self.finished.sign_ups);
        let segments = rate(&points, step);
        match highest(&segments) {
            Some(max) if max > 0.0 => Plot {
                title,
                unit: format!(
                    "calls a second that Cognito throttled, {}",
                    mean_label(step)
                ),
                height: LOW_PLOT_PX,
                x: Axis::time(end),
                y: Axis::amounts(max, 3.0),
            }
            .lines(&[PlotLine {
                name: "throttled",
                style: LineStyle::Area,
                peak: a_second(max),
                segments,
            }]),
            // The totals may hold throttled calls from before the first sample.
            _ if self.has_throttles() => Plot::placeholder(title, "No figures over time."),
            _ => Plot::placeholder(title, "Cognito throttled no call."),
        }
    }

    fn has_throttles(&self) -> bool {
        let by_workers = self
            .worker
            .iter()
            .flat_map(|worker| worker.throttled.values());
        let over_time = self.timeline.iter().filter_map(|at| at.throttled.as_ref());
        by_workers.chain(over_time).any(|count| *count > 0)
    }
}

/// The highest value of all lines, for their axis.
pub(super) fn highest_of_lines(lines: &[PlotLine]) -> f64 {
    let max = lines.iter().filter_map(|line| highest(&line.segments));
    max.fold(0.0, f64::max)
}

fn mean_label(step: f64) -> String {
    format!("mean of {}", seconds(step))
}

#[cfg(test)]
mod tests {
    use crate::load::report::fixtures;

    #[test]
    fn each_series_is_drawn() {
        let report = fixtures::full();
        let page = report.timeline_charts() + &report.latency_charts();
        for series in [
            "planned <span>at most 106.0/s",
            "injected <span>at most 106.0/s",
            "finished <span>at most 20.0/s",
            "waiting <span>at most 1,720",
            "in work <span>at most 40",
            "delayed <span>at most 5",
            "age <span>at most 80.8 s",
            "throttled <span>at most 1.0/s",
            "p50 <span>at most 38.0 s",
            "p90 <span>at most 68.4 s",
            "p99 <span>at most 75.2 s",
        ] {
            assert!(page.contains(series), "{series}");
        }
        assert_eq!(page.matches("<rect class=\"bar\"").count(), 11);
        assert_eq!(page.matches("role=\"img\"").count(), 6);
    }

    #[test]
    fn no_throttle_plot_without_worker_metrics() {
        let mut report = fixtures::full();
        for sample in &mut report.timeline {
            sample.throttled = None;
        }
        assert!(!report.timeline_charts().contains("Throttled"));
        for sample in &mut report.timeline {
            sample.throttled = Some(0);
        }
        assert!(report.timeline_charts().contains("No figures over time."));
        report.worker = None;
        assert!(
            report
                .timeline_charts()
                .contains("Cognito throttled no call.")
        );
    }
}
