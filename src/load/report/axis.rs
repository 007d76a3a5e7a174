//! Axes: their ranges and ticks.

use super::number::decimal;

/// Few enough ticks for a phone, where every other label is left out.
const MAX_TIME_TICKS: f64 = 8.0;

/// A range with ticks, from zero (or, on a logarithmic axis, from `start`) to `end`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Axis {
    pub(super) start: f64,
    pub(super) end: f64,
    pub(super) ticks: Vec<Tick>,
}

/// A position on an axis, in the axis's unit, with its label.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tick {
    pub(super) at: f64,
    pub(super) label: String,
}

impl Axis {
    /// From zero up to a round number that is not below `max`.
    pub(super) fn amounts(max: f64, ticks: f64) -> Self {
        Self::rounded_up(max, ticks, 1.0, "")
    }

    /// Like [`Axis::amounts`], for milliseconds, labelled in ms, s or min.
    pub(super) fn durations(max_ms: f64, ticks: f64) -> Self {
        let (size, unit) = match max_ms {
            ms if ms < 10_000.0 => (1.0, " ms"),
            ms if ms < 600_000.0 => (1_000.0, " s"),
            _ => (60_000.0, " min"),
        };
        Self::rounded_up(max_ms, ticks, size, unit)
    }

    /// Like [`Axis::amounts`], for seconds, labelled in s or min.
    pub(super) fn ages(max: f64, ticks: f64) -> Self {
        if max < 600.0 {
            Self::rounded_up(max, ticks, 1.0, " s")
        } else {
            Self::rounded_up(max, ticks, 60.0, " min")
        }
    }

    fn rounded_up(max: f64, ticks: f64, size: f64, unit: &str) -> Self {
        let max = if max.is_finite() && max > 0.0 {
            max / size
        } else {
            1.0
        };
        let step = round_step(max, ticks);
        // Tolerance for rounding errors: 0.1 has no exact form.
        let count = (1..100)
            .find(|n| f64::from(*n) * step >= max * (1.0 - 1e-9))
            .unwrap_or(100);
        let end = f64::from(count) * step;
        Self {
            start: 0.0,
            end: end * size,
            ticks: ticks_at(step, end, size, unit),
        }
    }

    /// From zero to exactly `end` seconds, with ticks at round times.
    pub(super) fn time(end: f64) -> Self {
        let end = if end.is_finite() && end > 0.0 {
            end
        } else {
            1.0
        };
        let (step, size, unit) = if end < 600.0 {
            (round_step(end, MAX_TIME_TICKS), 1.0, " s")
        } else {
            // Hours are divided into quarters, not into tenths.
            let minutes = end / 60.0;
            let round = [2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 240.0, 480.0];
            let fits = round
                .into_iter()
                .find(|step| minutes / step <= MAX_TIME_TICKS);
            (
                fits.unwrap_or_else(|| round_step(minutes, MAX_TIME_TICKS)),
                60.0,
                " min",
            )
        };
        Self {
            start: 0.0,
            end,
            ticks: ticks_at(step, end / size, size, unit),
        }
    }

    /// A logarithmic axis from `start` to `end` milliseconds, both above zero. Ticks are
    /// at powers of ten, and at 2 and 5 times them if there is space.
    pub(super) fn logarithmic(start: f64, end: f64) -> Self {
        let within = |steps: &[f64]| -> Vec<f64> {
            (-3..10)
                .flat_map(|power| steps.iter().map(move |step| step * 10_f64.powi(power)))
                .filter(|at| *at >= start * (1.0 - 1e-9) && *at <= end * (1.0 + 1e-9))
                .collect()
        };
        let fine = within(&[1.0, 2.0, 5.0]);
        let chosen = if fine.len() <= 8 {
            fine
        } else {
            within(&[1.0])
        };
        let ticks = chosen
            .into_iter()
            .map(|at| Tick {
                at,
                label: short_duration(at),
            })
            .collect();
        Self { start, end, ticks }
    }
}

/// 1, 2 or 5 times a power of ten, at least a thousandth, so that at most `ticks` steps
/// reach `max`.
fn round_step(max: f64, ticks: f64) -> f64 {
    let mut step = 0.001;
    for factor in [2.0, 2.5, 2.0].into_iter().cycle().take(900) {
        if max / step <= ticks {
            break;
        }
        step *= factor;
    }
    step
}

fn ticks_at(step: f64, end: f64, size: f64, unit: &str) -> Vec<Tick> {
    let places = match step {
        step if step > 0.99 => 0,
        step if step > 0.099 => 1,
        step if step > 0.0099 => 2,
        _ => 3,
    };
    (0..100)
        .map(|n| f64::from(n) * step)
        .take_while(|at| *at <= end * (1.0 + 1e-9))
        .map(|at| Tick {
            at: at * size,
            label: format!("{}{unit}", compact_number(at, places)),
        })
        .collect()
}

/// Abbreviates millions, which would not fit into the margin.
fn compact_number(value: f64, places: usize) -> String {
    if value < 1e6 {
        decimal(value, places)
    } else {
        let millions = decimal(value / 1e6, 2);
        let millions = millions.trim_end_matches('0').trim_end_matches('.');
        format!("{millions} M")
    }
}

/// `500 ms`, `2 s`: round values without decimals.
fn short_duration(ms: f64) -> String {
    let (value, unit) = if ms < 999.0 {
        (ms, "ms")
    } else {
        (ms / 1_000.0, "s")
    };
    let places = if value < 0.099 {
        2
    } else {
        usize::from(value < 0.99)
    };
    format!("{} {unit}", decimal(value, places))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|tick| tick.label.as_str()).collect()
    }

    #[test]
    fn ticks_are_round_and_begin_at_zero() {
        for (max, expected) in [
            (1.0, &["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"][..]),
            (4.0, &["0", "1", "2", "3", "4"]),
            (104.0, &["0", "20", "40", "60", "80", "100", "120"]),
            (1_700.0, &["0", "500", "1,000", "1,500", "2,000"]),
            (2e6, &["0", "500,000", "1 M", "1.5 M", "2 M"]),
        ] {
            let axis = Axis::amounts(max, 6.0);
            assert_eq!(labels(&axis), expected);
            assert!(axis.end >= max);
        }
    }

    #[test]
    fn an_axis_without_values_still_has_a_range() {
        for max in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(Axis::amounts(max, 6.0), Axis::amounts(1.0, 6.0));
            assert!(Axis::time(max).end > 0.0);
        }
    }

    #[test]
    fn durations_take_the_unit_of_their_size() {
        assert_eq!(
            labels(&Axis::durations(950.0, 3.0)),
            ["0 ms", "500 ms", "1,000 ms"]
        );
        assert_eq!(
            labels(&Axis::durations(80_300.0, 3.0)),
            ["0 s", "50 s", "100 s"]
        );
        assert_eq!(
            labels(&Axis::durations(3_000_000.0, 3.0)),
            ["0 min", "20 min", "40 min", "60 min"]
        );
    }

    #[test]
    fn long_times_have_ticks_at_round_minutes() {
        assert_eq!(
            labels(&Axis::time(101.3)),
            ["0 s", "20 s", "40 s", "60 s", "80 s", "100 s"]
        );
        assert_eq!(
            labels(&Axis::time(14_500.0)),
            ["0 min", "60 min", "120 min", "180 min", "240 min"]
        );
    }

    #[test]
    fn a_logarithmic_axis_is_not_crowded() {
        assert_eq!(
            labels(&Axis::logarithmic(80.0, 1_500.0)),
            ["100 ms", "200 ms", "500 ms", "1 s"]
        );
        assert_eq!(
            labels(&Axis::logarithmic(1.0, 100_000.0)),
            ["1 ms", "10 ms", "100 ms", "1 s", "10 s", "100 s"]
        );
    }
}
