//! What a run measures: `--require` bounds it, and `usher load compare` shows it side by side.

use serde::Serialize;

use super::facts::peak;
use super::format::{decimal, durations, rate, to_f64};
use super::model::LoadReport;

#[derive(Debug)]
pub(super) struct Measure {
    pub(super) name: &'static str,
    pub(super) unit: Unit,
    pub(super) source: Source,
    value: fn(&LoadReport) -> Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) enum Unit {
    #[serde(rename = "ms")]
    Milliseconds,
    #[serde(rename = "%")]
    Percent,
    #[serde(rename = "/s")]
    PerSecond,
    #[serde(rename = "")]
    Number,
}

/// Where a measure comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// Every run.
    Run,
    /// The profiles, which may be switched off.
    Profiles,
    /// The metrics of the workers that `--worker` names.
    Workers,
}

/// In the order in which they are shown.
pub(super) static MEASURES: [Measure; 13] = {
    use Source::{Profiles, Run, Workers};
    use Unit::{Milliseconds, Number, PerSecond, Percent};
    [
        measure("p50", Milliseconds, Profiles, |it| Some(it.latency_ms?.p50)),
        measure("p90", Milliseconds, Profiles, |it| Some(it.latency_ms?.p90)),
        measure("p99", Milliseconds, Profiles, |it| Some(it.latency_ms?.p99)),
        measure("p99.9", Milliseconds, Profiles, |it| {
            Some(it.latency_ms?.p99_9)
        }),
        measure("max", Milliseconds, Profiles, |it| Some(it.latency_ms?.max)),
        measure("finished", Percent, Run, LoadReport::finished_percent),
        measure("rate", PerSecond, Run, |it| Some(it.finished.per_second)),
        measure("duration", Milliseconds, Run, |it| {
            Some(it.finished.seconds * 1_000.0)
        }),
        measure("waiting", Number, Run, |it| {
            let (_, depth) = peak(&it.timeline, |sample| sample.visible)?;
            Some(to_f64(depth))
        }),
        measure("late", Milliseconds, Run, |it| {
            Some(it.injected.late_ms?.p99)
        }),
        measure("calls", Number, Workers, |it| {
            it.worker.as_ref()?.calls_per_message
        }),
        measure("throttled", Number, Workers, |it| {
            let throttled = it.worker.as_ref()?.throttled.as_ref()?;
            Some(to_f64(throttled.values().sum()))
        }),
        measure("differences", Number, Run, |it| {
            Some(to_f64(it.differences.len() as u64))
        }),
    ]
};

const fn measure(
    name: &'static str,
    unit: Unit,
    source: Source,
    value: fn(&LoadReport) -> Option<f64>,
) -> Measure {
    Measure {
        name,
        unit,
        source,
        value,
    }
}

impl Measure {
    /// `None` if the run does not know it.
    pub(super) fn of(&self, report: &LoadReport) -> Option<f64> {
        (self.value)(report)
    }
}

impl LoadReport {
    fn finished_percent(&self) -> Option<f64> {
        let planned = self.planned.sign_ups;
        // One division: 1,999 of 2,000 is exactly 99.95.
        (planned > 0).then(|| 100.0 * to_f64(self.finished.sign_ups) / to_f64(planned))
    }
}

impl Unit {
    /// A value without rounding that would hide on which side of a bound it is.
    pub(super) fn exact(self, value: f64) -> String {
        match self {
            Self::Milliseconds if value < 1_000.0 => format!("{} ms", decimal(value, 3)),
            Self::Milliseconds => format!("{} s", decimal(value / 1_000.0, 3)),
            // One of a million sign-ups shows.
            Self::Percent => format!("{}%", decimal(value, 4)),
            Self::PerSecond => format!("{}/s", decimal(value, 3)),
            Self::Number => decimal(value, 3),
        }
    }

    /// Values that stand in one row, so that they can be compared.
    pub(super) fn row(self, values: [f64; 3]) -> [String; 3] {
        match self {
            Self::Milliseconds => durations(values.map(|ms| ms / 1_000.0)),
            Self::Percent => values.map(|value| self.exact(value)),
            Self::PerSecond => values.map(rate),
            Self::Number => values.map(|value| decimal(value, 2)),
        }
    }

    /// A bound as a person writes it, or what to write.
    pub(super) fn parse(self, text: &str) -> Result<f64, &'static str> {
        let number = |suffix: &str| {
            let number = text.strip_suffix(suffix)?.trim().parse::<f64>().ok();
            number.filter(|number| number.is_finite() && *number >= 0.0)
        };
        match self {
            Self::Milliseconds => humantime::parse_duration(text)
                .map(|time| time.as_secs_f64() * 1_000.0)
                .map_err(|_| "a time, such as 500ms or 2s"),
            Self::Percent => number("%").ok_or("a percentage, such as 99.5%"),
            Self::PerSecond => number("/s").ok_or("a rate, such as 50/s"),
            Self::Number => number("").ok_or("a number, such as 0"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::report::tests::{empty, full};

    #[test]
    fn every_measure_is_read_from_the_report() {
        let report = full();
        let measured = MEASURES.iter().map(|it| {
            format!(
                "{} {}",
                it.name,
                it.unit.exact(it.of(&report).expect(it.name))
            )
        });
        assert_eq!(
            measured.collect::<Vec<_>>(),
            [
                "p50 40 s",
                "p90 72 s",
                "p99 79.2 s",
                "p99.9 80 s",
                "max 80.8 s",
                "finished 100%",
                "rate 19.92/s",
                "duration 100.4 s",
                "waiting 1,720",
                "late 9.9 ms",
                "calls 2.83",
                "throttled 31",
                "differences 0",
            ]
        );
        let known = MEASURES.iter().filter(|it| it.of(&empty()).is_some());
        let known: Vec<&str> = known.map(|it| it.name).collect();
        assert_eq!(known, ["rate", "duration", "differences"]);
    }

    #[test]
    fn one_missing_sign_up_of_a_million_shows() {
        let mut report = full();
        report.planned.sign_ups = 1_000_000;
        report.finished.sign_ups = 999_999;
        let finished = report.finished_percent().expect("planned");
        assert_eq!(Unit::Percent.exact(finished), "99.9999%");
    }
}
