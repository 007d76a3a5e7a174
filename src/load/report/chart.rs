//! The charts over the time of a run: scales, ticks and points. The template draws them.
//!
//! Lines stretch with the page and text keeps its size, without a script. So points are
//! in units of a drawing, and horizontal ticks in per cent.

use super::format::{count, decimal, rate, to_f64};
use super::model::{LoadReport, Sample};

/// The size of the drawing; `load_report.html` stretches its width.
const WIDTH: f64 = 1_000.0;
const HEIGHT: f64 = 220.0;
/// More points would show noise.
const MAX_POINTS: usize = 120;
/// Few enough for a phone.
const MAX_TICKS: f64 = 6.0;
/// Samples are taken each second, with a little jitter.
const MIN_RATE_SECONDS: f64 = 0.9;

pub(super) struct Chart {
    pub(super) title: &'static str,
    pub(super) unit: &'static str,
    pub(super) lines: Vec<Line>,
    /// Seconds of the run.
    end: f64,
    /// Between two ticks of the vertical axis.
    y_step: f64,
    /// The greatest value of the vertical axis.
    top: f64,
}

pub(super) struct Line {
    pub(super) name: &'static str,
    /// CSS class: colour and dashes.
    pub(super) style: &'static str,
    /// The greatest value, for the legend.
    pub(super) value: String,
    /// Seconds and values; a gap in the figures begins a new segment.
    pub(super) segments: Vec<Vec<(f64, f64)>>,
}

pub(super) struct Tick {
    /// Per cent of the width, or units from the top.
    pub(super) at: String,
    pub(super) label: String,
}

impl Chart {
    /// Messages and sign-ups a second, and how many sign-ups the quota allows. A rate far
    /// above the others is only in the legend.
    pub(super) fn throughput(report: &LoadReport) -> Self {
        let timeline = active(&report.timeline);
        let line = |name, style, counter: fn(&Sample) -> u64| {
            let segments = vec![rates(timeline, counter)];
            let value = format!("at most {}", rate(highest(&segments)));
            Line {
                name,
                style,
                value,
                segments,
            }
        };
        let mut lines = vec![
            line("sent", "second", |sample| sample.injected),
            line("provisioned", "first", |sample| sample.finished),
        ];
        if let Some(allowed) = report.allowed_rate() {
            let highest = lines.iter().map(|line| highest(&line.segments));
            let is_near = allowed <= 2.0 * highest.fold(0.5, f64::max);
            let level = vec![(0.0, allowed), (f64::MAX, allowed)];
            lines.push(Line {
                name: "allowed",
                style: "limit",
                value: rate(allowed),
                segments: is_near.then_some(level).into_iter().collect(),
            });
        }
        let unit = "messages and sign-ups a second";
        Self::new("Throughput", unit, timeline, lines)
    }

    /// The depths of the queue.
    pub(super) fn queue(report: &LoadReport) -> Self {
        let timeline = active(&report.timeline);
        let line = |name, style, depth: fn(&Sample) -> Option<u64>| Line {
            name,
            style,
            value: timeline.iter().filter_map(depth).max().map_or_else(
                || "unknown".to_owned(),
                |most| format!("at most {}", count(most)),
            ),
            segments: depths(timeline, depth),
        };
        let lines = vec![
            line("waiting", "first", |sample| sample.visible),
            line("in progress", "second", |sample| sample.hidden),
            line("delayed", "third", |sample| sample.delayed),
        ];
        let unit = "messages, as SQS counts them";
        Self::new("Queue depth", unit, timeline, lines)
    }

    fn new(title: &'static str, unit: &'static str, timeline: &[Sample], lines: Vec<Line>) -> Self {
        let highest = lines.iter().map(|line| highest(&line.segments));
        let highest = highest.fold(1.0, f64::max);
        let y_step = round_step(highest);
        Self {
            title,
            unit,
            lines,
            end: timeline.last().map_or(1.0, |sample| sample.second.max(1.0)),
            y_step,
            top: (highest / y_step).ceil() * y_step,
        }
    }

    /// For screen readers.
    pub(super) fn label(&self) -> String {
        let lines = self.lines.iter();
        let lines: Vec<String> = lines
            .map(|line| format!("{} {}", line.name, line.value))
            .collect();
        format!("{}, {}: {}", self.title, self.unit, lines.join(", "))
    }

    /// The `points` of a `polyline`. A line of zero length is drawn as its round end, so
    /// one point becomes two.
    pub(super) fn points(&self, segment: &[(f64, f64)]) -> String {
        let points = segment.first().into_iter().chain(segment);
        let points = points.map(|(second, value)| {
            let x = (second / self.end).min(1.0) * WIDTH;
            format!("{x:.1},{:.1}", self.y(*value))
        });
        points.collect::<Vec<_>>().join(" ")
    }

    pub(super) fn y_ticks(&self) -> Vec<Tick> {
        let tick = |at| Tick {
            at: format!("{:.1}", self.y(at)),
            label: decimal(at, 2),
        };
        multiples(self.y_step, self.top).map(tick).collect()
    }

    pub(super) fn x_ticks(&self) -> Vec<Tick> {
        let (unit, name) = match self.end {
            end if end < 600.0 => (1.0, "s"),
            end if end < 36_000.0 => (60.0, "min"),
            _ => (3_600.0, "h"),
        };
        let end = self.end / unit;
        let tick = |at| Tick {
            at: format!("{:.2}", 100.0 * at / end),
            label: format!("{} {name}", decimal(at, 2)),
        };
        multiples(round_step(end), end).map(tick).collect()
    }

    /// Units from the top.
    fn y(&self, value: f64) -> f64 {
        HEIGHT * (1.0 - value / self.top)
    }
}

/// The timeline up to the end of the work: the wait for SQS's counts after it would
/// fill most of a short run's chart.
fn active(timeline: &[Sample]) -> &[Sample] {
    let last = timeline.last().copied().unwrap_or_default();
    let is_active = |sample: &Sample| {
        let depths = [sample.visible, sample.hidden, sample.delayed];
        (sample.injected, sample.finished) != (last.injected, last.finished)
            || depths.into_iter().flatten().any(|depth| depth > 0)
    };
    let end = timeline.iter().rposition(is_active).map_or(0, |at| at + 2);
    &timeline[..end.min(timeline.len())]
}

fn highest(segments: &[Vec<(f64, f64)>]) -> f64 {
    let values = segments.iter().flatten().map(|point| point.1);
    values.fold(0.0, f64::max)
}

/// 1, 2 or 5 times a power of ten, so that at most [`MAX_TICKS`] steps reach `max`.
fn round_step(max: f64) -> f64 {
    let power = 10_f64.powf((max / MAX_TICKS).log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power);
    let fits = steps.into_iter().find(|step| max / step <= MAX_TICKS);
    fits.unwrap_or(10.0 * power)
}

/// From zero to `end`; the tolerance is for rounding errors.
fn multiples(step: f64, end: f64) -> impl Iterator<Item = f64> {
    let all = (0..=10).map(move |n| f64::from(n) * step);
    all.take_while(move |at| *at <= end * (1.0 + 1e-9))
}

/// The rate of a counter, at the middle of each step.
fn rates(timeline: &[Sample], counter: impl Fn(&Sample) -> u64) -> Vec<(f64, f64)> {
    let end = timeline.last().map_or(0.0, |sample| sample.second);
    let step = (end / to_f64(MAX_POINTS as u64)).max(MIN_RATE_SECONDS);
    let (mut points, mut from, mut before) = (Vec::new(), 0.0, 0);
    for sample in timeline {
        let seconds = sample.second - from;
        if seconds >= step {
            let now = counter(sample);
            let middle = f64::midpoint(from, sample.second);
            points.push((middle, to_f64(now.saturating_sub(before)) / seconds));
            (from, before) = (sample.second, now);
        }
    }
    points
}

/// The greatest depth of each chunk of the timeline, with gaps where none is known.
fn depths(timeline: &[Sample], depth: impl Fn(&Sample) -> Option<u64>) -> Vec<Vec<(f64, f64)>> {
    let chunk = timeline.len().div_ceil(MAX_POINTS).max(1);
    let greatest = |samples: &[Sample]| {
        let known = samples
            .iter()
            .filter_map(|sample| Some((depth(sample)?, sample.second)));
        let greatest = known.reduce(|best, next| if next.0 > best.0 { next } else { best });
        greatest.map(|(depth, second)| (second, to_f64(depth)))
    };
    let points: Vec<Option<(f64, f64)>> = timeline.chunks(chunk).map(greatest).collect();
    let segments = points.split(Option::is_none);
    let segments = segments.map(|segment| segment.iter().copied().flatten().collect());
    segments
        .filter(|segment: &Vec<_>| !segment.is_empty())
        .collect()
}
