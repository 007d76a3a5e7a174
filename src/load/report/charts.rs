//! Which figures become which plot.

use super::legend::Look;
use super::number::{decimal, float, rate as a_second, seconds};
use super::plot::{Line, Plot};
use super::scale::Axis;
use super::series::{gauge, highest, rate, step_seconds};
use super::{Moment, Report};

/// Pixels.
pub(super) const TALL: f64 = 220.0;
const LOW: f64 = 120.0;

impl Report {
    /// What happened over the run, below each other on the same time axis.
    pub(super) fn charts_over_time(&self) -> String {
        let times = self.timeline.iter().map(|moment| moment.second);
        let times = times.chain([self.seconds]).filter(|time| time.is_finite());
        let end = times.fold(0.0, f64::max);
        [
            self.throughput(end),
            self.queue(end),
            self.age(end),
            self.throttles(end),
        ]
        .concat()
    }

    fn throughput(&self, end: f64) -> String {
        let step = step_seconds(end, self.finished.sign_ups);
        let line = |name, look, count: fn(&Moment) -> u64| {
            // Before the first figure nothing had happened.
            let mut points = vec![(0.0, 0.0)];
            points.extend(self.timeline.iter().map(|at| (at.second, float(count(at)))));
            let runs = rate(&points, step);
            Line {
                name,
                look,
                most: highest(&runs).map_or_else(String::new, a_second),
                runs,
            }
        };
        let lines = [
            line("planned", Look::Band, |at| at.planned),
            line("injected", Look::Second, |at| at.injected),
            line("finished", Look::First, |at| at.finished),
        ];
        Plot {
            title: "Throughput",
            unit: format!("messages and sign-ups a second, {}", mean_of(step)),
            height: TALL,
            x: Axis::time(end),
            y: Axis::amounts(most(&lines), 6.0),
        }
        .lines(&lines)
    }

    fn queue(&self, end: f64) -> String {
        let line = |name, look, depth: fn(&Moment) -> Option<u64>| {
            let runs = gauge(&self.timeline, |at| depth(at).map(float));
            Line {
                name,
                look,
                most: highest(&runs).map_or_else(|| "unknown".to_owned(), |n| decimal(n, 0)),
                runs,
            }
        };
        let lines = [
            line("waiting", Look::First, |at| at.visible),
            line("in work", Look::Second, |at| at.hidden),
            line("delayed", Look::Third, |at| at.delayed),
        ];
        Plot {
            title: "Queue",
            unit: "messages, as SQS counts them".to_owned(),
            height: TALL,
            x: Axis::time(end),
            y: Axis::amounts(most(&lines).max(4.0), 6.0),
        }
        .lines(&lines)
    }

    fn age(&self, end: f64) -> String {
        let runs = gauge(&self.timeline, |at| Some(at.oldest_seconds));
        let oldest = highest(&runs).unwrap_or(0.0);
        Plot {
            title: "Oldest sign-up",
            unit: "age of the oldest that was due and not finished".to_owned(),
            height: LOW,
            x: Axis::time(end),
            y: Axis::ages(oldest, 3.0),
        }
        .lines(&[Line {
            name: "age",
            look: Look::Area,
            most: seconds(oldest),
            runs,
        }])
    }

    /// Only where the workers said something of it.
    fn throttles(&self, end: f64) -> String {
        let points: Vec<(f64, f64)> = self
            .timeline
            .iter()
            .filter_map(|at| Some((at.second, float(at.throttled?))))
            .collect();
        let title = "Throttled calls";
        if points.is_empty() {
            return String::new();
        }
        let step = step_seconds(end, self.finished.sign_ups);
        let runs = rate(&points, step);
        match highest(&runs) {
            Some(most) if most > 0.0 => Plot {
                title,
                unit: format!("calls a second that Cognito throttled, {}", mean_of(step)),
                height: LOW,
                x: Axis::time(end),
                y: Axis::amounts(most, 3.0),
            }
            .lines(&[Line {
                name: "throttled",
                look: Look::Area,
                most: a_second(most),
                runs,
            }]),
            // A few at the very begin are in the workers' figures and not on the timeline.
            _ if self.throttled_any() => Plot::sentence(title, "No figures over time."),
            _ => Plot::sentence(title, "Cognito throttled no call."),
        }
    }

    fn throttled_any(&self) -> bool {
        let by_workers = self
            .worker
            .iter()
            .flat_map(|worker| worker.throttled.values());
        let over_time = self.timeline.iter().filter_map(|at| at.throttled.as_ref());
        by_workers.chain(over_time).any(|count| *count > 0)
    }
}

/// The highest of all lines, for their axis.
pub(super) fn most(lines: &[Line]) -> f64 {
    let most = lines.iter().filter_map(|line| highest(&line.runs));
    most.fold(0.0, f64::max)
}

fn mean_of(step: f64) -> String {
    format!("mean of {}", seconds(step))
}

#[cfg(test)]
mod tests {
    use crate::load::report::sample;

    #[test]
    fn each_series_is_drawn() {
        let report = sample::full();
        let page = report.charts_over_time() + &report.charts_of_latency();
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
    fn workers_that_were_not_asked_have_no_plot_of_throttles() {
        let mut report = sample::full();
        for moment in &mut report.timeline {
            moment.throttled = None;
        }
        assert!(!report.charts_over_time().contains("Throttled"));
        for moment in &mut report.timeline {
            moment.throttled = Some(0);
        }
        assert!(report.charts_over_time().contains("No figures over time."));
        report.worker = None;
        assert!(
            report
                .charts_over_time()
                .contains("Cognito throttled no call.")
        );
    }
}
