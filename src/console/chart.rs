//! Two small charts of the last hour, from what this process has seen.

use std::fmt::Write;

use super::now::{INTERVAL, MAX_SAMPLES, Sample, increase};
use super::text::count;

const WIDTH: f64 = 360.0;
const HEIGHT: f64 = 60.0;

pub(super) struct Chart {
    pub(super) title: &'static str,
    /// The last value, and the highest.
    pub(super) latest: String,
    pub(super) max: String,
    /// The points of an SVG `polyline`; empty with fewer than two values.
    pub(super) points: String,
}

impl Chart {
    pub(super) fn of(samples: &[Sample]) -> Vec<Self> {
        #[expect(clippy::cast_precision_loss, reason = "a number of messages")]
        let waiting = samples.iter().map(|it| Some(it.waiting? as f64));
        let waiting: Vec<_> = waiting.collect();
        let rates = samples.windows(2).map(|pair| {
            let time = pair[1].at.duration_since(pair[0].at).as_secs_f64();
            let settled = increase([&pair[0], &pair[1]], |it| it.settled)?;
            (time > 0.0).then_some(settled / time)
        });
        let rates: Vec<_> = std::iter::once(None).chain(rates).collect();
        vec![
            Self::new("Waiting on the queue", &waiting, |value| {
                format!("{value:.0}")
            }),
            Self::new("Settled per second", &rates, |value| format!("{value:.1}")),
        ]
    }

    /// `values` are [`INTERVAL`] apart; the last one is of now.
    fn new(title: &'static str, values: &[Option<f64>], format: fn(f64) -> String) -> Self {
        let known = || values.iter().flatten().copied();
        let max = known().fold(0.0, f64::max);
        let mut points = String::new();
        let first = MAX_SAMPLES.saturating_sub(values.len());
        if known().count() > 1 {
            for (at, value) in (first..).zip(values) {
                let Some(value) = value else { continue };
                #[expect(clippy::cast_precision_loss, reason = "at most 360")]
                let x = WIDTH * at as f64 / (MAX_SAMPLES - 1) as f64;
                let y = HEIGHT * (1.0 - value / max.max(1.0));
                let _ = write!(points, "{x:.1},{y:.1} ");
            }
        }
        let latest = values.last().copied().flatten();
        Self {
            title,
            latest: latest.map_or_else(|| "not known".to_owned(), format),
            max: format(max),
            points,
        }
    }

    /// What a screen reader says.
    pub(super) fn label(&self) -> String {
        let Self {
            title, latest, max, ..
        } = self;
        format!("{title}: {latest} now, at most {max} in the last hour")
    }

    /// Says when the line begins.
    pub(super) fn pause() -> String {
        format!(
            "One point every {} s while this console runs.",
            count(INTERVAL.as_secs())
        )
    }
}
