//! Two runs side by side.

use std::fmt::Write;

use jiff::Timestamp;
use serde::Serialize;

use super::format::{count, decimal, duration};
use super::measure::{MEASURES, Unit};
use super::model::{LoadReport, Planned};
use crate::dead_letter::printable;

/// What `usher load compare` shows. Its JSON form is a stable interface.
#[derive(Debug, Serialize)]
pub(crate) struct Comparison {
    a: ComparedRun,
    b: ComparedRun,
    measures: Vec<Row>,
}

/// Which run it is, and what was asked of it.
#[derive(Debug, Serialize)]
struct ComparedRun {
    run: String,
    began: Timestamp,
    planned: Planned,
    verified: bool,
}

#[derive(Debug, Serialize)]
struct Row {
    measure: &'static str,
    unit: Unit,
    /// Absent if the run does not know it.
    a: Option<f64>,
    b: Option<f64>,
    /// From `a` to `b`.
    difference: Option<f64>,
    /// The difference in per cent of `a`; absent if `a` is 0 or a percentage itself.
    percent: Option<f64>,
}

impl Comparison {
    pub(crate) fn new(a: &LoadReport, b: &LoadReport) -> Self {
        let rows = MEASURES.iter().map(|measure| {
            let (a, b) = (measure.of(a), measure.of(b));
            let difference = a.zip(b).map(|(a, b)| b - a);
            let base = a.filter(|a| *a > 0.0 && measure.unit != Unit::Percent);
            Row {
                measure: measure.name,
                unit: measure.unit,
                a,
                b,
                difference,
                percent: base.zip(difference).map(|(a, by)| 100.0 * by / a),
            }
        });
        Self {
            measures: rows.collect(),
            a: ComparedRun::new(a),
            b: ComparedRun::new(b),
        }
    }

    /// In 80 columns.
    pub(crate) fn text(&self) -> String {
        let mut text = row("", ["A", "B", "difference", ""]);
        let both = |describe: fn(&ComparedRun) -> String| [describe(&self.a), describe(&self.b)];
        for (name, [a, b]) in [
            ("run", both(|it| printable(&it.run))),
            (
                "began",
                both(|it| it.began.strftime("%F %H:%M UTC").to_string()),
            ),
            ("sign-ups", both(|it| count(it.planned.sign_ups))),
            ("schedule", both(|it| duration(it.planned.seconds))),
            (
                "verified",
                both(|it| if it.verified { "yes" } else { "no" }.to_owned()),
            ),
        ] {
            text += &row(name, [&a, &b, "", ""]);
        }
        text.push('\n');
        for it in &self.measures {
            let cells = it.cells();
            text += &row(it.measure, cells.each_ref().map(String::as_str));
        }
        if self.a.planned != self.b.planned {
            text +=
                "\nThe runs had different plans, so their figures differ for that reason, too.\n";
        }
        text
    }
}

impl ComparedRun {
    fn new(report: &LoadReport) -> Self {
        Self {
            run: report.run.clone(),
            began: report.began,
            planned: report.planned,
            verified: report.verified,
        }
    }
}

impl Row {
    /// The two values, their difference, and the difference in per cent.
    fn cells(&self) -> [String; 4] {
        let size = |value: Option<f64>| value.unwrap_or_default().abs();
        let [a, b, by] = self.unit.row([self.a, self.b, self.difference].map(size));
        let percent = format!("{}%", decimal(size(self.percent), 1));
        [
            self.a.map_or_else(unknown, |_| a),
            self.b.map_or_else(unknown, |_| b),
            self.difference
                .map_or_else(unknown, |value| signed(value, &by)),
            self.percent
                .map_or_else(String::new, |value| signed(value, &percent)),
        ]
    }
}

fn unknown() -> String {
    "-".to_owned()
}

/// The text of a size with the sign of its value.
fn signed(value: f64, size: &str) -> String {
    let is_zero = !size.contains(|c: char| ('1'..='9').contains(&c));
    let sign = match value {
        _ if is_zero => "",
        _ if value < 0.0 => "-",
        _ => "+",
    };
    format!("{sign}{size}")
}

/// A name and right-aligned cells. The id of a run has 20 characters.
fn row(name: &str, [a, b, difference, percent]: [&str; 4]) -> String {
    let mut line = String::new();
    let _ = write!(line, "{name:12}{a:>22}{b:>22}{difference:>14}{percent:>10}");
    format!("{}\n", line.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::report::tests::{empty, full};

    fn faster() -> LoadReport {
        let mut report = full();
        report.run = "20261121-150344-tnkt".to_owned();
        report.finished.per_second = 25.0;
        report.finished.seconds = 80.0;
        report.finished.sign_ups = 1_999;
        report.verified = false;
        if let Some(latency) = &mut report.latency_ms {
            latency.p50 = 38_000.0;
            latency.p99 = 80_000.0;
        }
        report.worker = None;
        report
    }

    #[test]
    fn two_runs_stand_side_by_side_in_80_columns() {
        let text = Comparison::new(&full(), &faster()).text();
        assert_eq!(
            text,
            "                                 A                     B    difference
run                        lt-7f3a  20261121-150344-tnkt
began         2026-03-01 10:00 UTC  2026-03-01 10:00 UTC
sign-ups                     2,000                 2,000
schedule                      20 s                  20 s
verified                       yes                    no

p50                           40 s                  38 s          -2 s       -5%
p90                           72 s                  72 s           0 s        0%
p99                         79.2 s                  80 s        +0.8 s       +1%
p99.9                         80 s                  80 s           0 s        0%
max                         80.8 s                80.8 s           0 s        0%
finished                      100%                99.95%        -0.05%
rate                        19.9/s                  25/s        +5.1/s    +25.5%
duration                   100.4 s                  80 s       -20.4 s    -20.3%
waiting                      1,720                 1,720             0        0%
late                        9.9 ms                9.9 ms          0 ms        0%
calls                         2.83                     -             -
throttled                       31                     -             -
differences                      0                     0             0
"
        );
        let widest = text.lines().map(|line| line.chars().count()).max();
        assert!(widest.is_some_and(|width| width <= 80), "{widest:?}");
    }

    #[test]
    fn different_plans_are_pointed_out() {
        let text = Comparison::new(&full(), &empty()).text();
        let end =
            "\n\nThe runs had different plans, so their figures differ for that reason, too.\n";
        assert!(text.ends_with(end), "{text}");
    }

    #[test]
    fn the_json_form_has_plain_numbers() {
        let comparison = serde_json::to_value(Comparison::new(&full(), &faster())).expect("JSON");
        assert_eq!(comparison["b"]["run"], "20261121-150344-tnkt");
        let expected = serde_json::json!({
            "measure": "p50", "unit": "ms",
            "a": 40_000.0, "b": 38_000.0, "difference": -2_000.0, "percent": -5.0,
        });
        assert_eq!(comparison["measures"][0], expected);
    }

    #[test]
    fn a_report_is_read_as_it_was_written() {
        let mut report = full();
        let written = serde_json::to_string(&report).expect("JSON");
        let read: LoadReport = serde_json::from_str(&written).expect("a report");
        report.settings = read.settings.clone();
        assert_eq!(format!("{read:?}"), format!("{report:?}"));
    }
}
