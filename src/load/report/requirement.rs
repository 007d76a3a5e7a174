//! The bounds of `--require`.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use super::measure::{MEASURES, Measure, Source};
use super::model::{LoadReport, RequirementResult};

/// Whether an operator allows this order of the measured value and the bound.
type IsMet = fn(Ordering) -> bool;

/// What a run must show, such as `p99<2s`.
#[derive(Debug, Clone)]
pub(crate) struct Requirement {
    text: String,
    measure: &'static Measure,
    is_met: IsMet,
    bound: f64,
}

/// The longer operator first, where one begins with the other.
const OPERATORS: [(&str, IsMet); 5] = [
    ("<=", Ordering::is_le),
    (">=", Ordering::is_ge),
    ("<", Ordering::is_lt),
    (">", Ordering::is_gt),
    ("=", Ordering::is_eq),
];

impl FromStr for Requirement {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let at = text.find(['<', '>', '=']);
        let (name, rest) = text.split_at(at.unwrap_or(text.len()));
        let name = name.trim();
        let operator = OPERATORS.iter().find_map(|(operator, is_met)| {
            let bound = rest.strip_prefix(operator)?;
            Some((bound.trim(), *is_met))
        });
        let Some((bound, is_met)) = operator else {
            return Err("write a measure, one of < <= = >= > and a value, such as p99<2s".into());
        };
        let measure = MEASURES.iter().find(|it| it.name == name).ok_or_else(|| {
            let names: Vec<&str> = MEASURES.iter().map(|it| it.name).collect();
            format!(
                "there is no measure {name:?}; the measures are {}",
                names.join(", ")
            )
        })?;
        let bound = measure.unit.parse(bound);
        let bound = bound.map_err(|expected| format!("{name} needs {expected}"))?;
        Ok(Self {
            text: text.to_owned(),
            measure,
            is_met,
            bound,
        })
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Requirement {
    /// Where its measure comes from.
    pub(crate) fn source(&self) -> Source {
        self.measure.source
    }

    fn result(&self, report: &LoadReport) -> RequirementResult {
        let value = self.measure.of(report);
        RequirementResult {
            requirement: self.text.clone(),
            measured: value.map(|value| self.measure.unit.exact(value)),
            met: value.is_some_and(|value| (self.is_met)(value.total_cmp(&self.bound))),
        }
    }
}

impl LoadReport {
    /// Adds the result of each requirement.
    pub(crate) fn with_requirements(mut self, requirements: &[Requirement]) -> Self {
        self.requirements = requirements.iter().map(|it| it.result(&self)).collect();
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::report::tests::{empty, full};

    fn results(report: LoadReport, requirements: &[&str]) -> Vec<(bool, Option<String>)> {
        let parsed = requirements.iter().map(|it| it.parse().expect(it));
        let parsed: Vec<Requirement> = parsed.collect();
        let results = report.with_requirements(&parsed).requirements;
        let results = results.into_iter();
        results.map(|it| (it.met, it.measured)).collect()
    }

    #[test]
    fn each_operator_decides_at_its_bound() {
        // It took 100.4 s.
        for (operator, met) in [
            ("<", [false, false, true]),
            ("<=", [false, true, true]),
            ("=", [false, true, false]),
            (">=", [true, true, false]),
            (">", [true, false, false]),
        ] {
            let all =
                ["100399ms", "100.4s", "1m 41s"].map(|it| format!("duration {operator} {it}"));
            let results = results(full(), &all.each_ref().map(String::as_str));
            let results: Vec<bool> = results.into_iter().map(|it| it.0).collect();
            assert_eq!(results, met, "{all:?}");
        }
    }

    #[test]
    fn units_are_those_of_the_measures() {
        let mut report = full();
        report.finished.sign_ups = 1_999;
        let all = [
            "finished=99.95%",
            "finished>=99.96%",
            "rate>19.9/s",
            "throttled=0",
            "calls<3",
        ];
        let measured = |met, text: &str| (met, Some(text.to_owned()));
        assert_eq!(
            results(report, &all),
            [
                measured(true, "99.95%"),
                measured(false, "99.95%"),
                measured(true, "19.92/s"),
                measured(false, "31"),
                measured(true, "2.83"),
            ]
        );
    }

    #[test]
    fn text_and_page_end_with_the_verdict_on_each() {
        let requirements = ["finished=100%", "p99<2s"];
        let requirements = requirements.map(|it| it.parse::<Requirement>().expect(it));
        let report = full().with_requirements(&requirements);
        let unmet = "Required p99<2s: not met, measured 79.2 s";
        let end = format!(
            "Verified: every group, profile and dead letter is right\n\
             Required finished=100%: met, measured 100%\n{unmet}\n"
        );
        assert!(report.text().ends_with(&end), "{}", report.text());
        assert_eq!(report.unmet_requirements(), [unmet]);
        let page = report.html();
        for part in [
            "<title>Verified, 1 requirement not met: load test of 2,000 sign-ups</title>",
            "<header class=\"bad\">",
            "<p>Required p99&#60;2s: not met, measured 79.2 s</p>",
        ] {
            assert!(page.contains(part), "{part}: {page}");
        }
        assert!(full().html().contains("<header class=\"good\">"));
    }

    #[test]
    fn an_unknown_measure_is_not_met() {
        let all = ["p99<2s", "throttled=0"];
        assert_eq!(results(empty(), &all), [(false, None), (false, None)]);
    }

    #[test]
    fn a_requirement_that_is_not_understood_is_refused_with_what_to_write() {
        let names = "the measures are p50, p90, p99, p99.9, max, finished, rate, duration, \
                     waiting, late, calls, throttled, differences";
        let unknown = format!("there is no measure \"p98\"; {names}");
        for (text, error) in [
            ("p98<2s", unknown.as_str()),
            (
                "p99",
                "write a measure, one of < <= = >= > and a value, such as p99<2s",
            ),
            (
                "",
                "write a measure, one of < <= = >= > and a value, such as p99<2s",
            ),
            ("p99<2", "p99 needs a time, such as 500ms or 2s"),
            ("p99==2s", "p99 needs a time, such as 500ms or 2s"),
            ("finished=100", "finished needs a percentage, such as 99.5%"),
            ("finished>-1%", "finished needs a percentage, such as 99.5%"),
            ("rate>50", "rate needs a rate, such as 50/s"),
            ("throttled=none", "throttled needs a number, such as 0"),
            ("calls<NaN", "calls needs a number, such as 0"),
        ] {
            let refused = text.parse::<Requirement>().map(|it| it.to_string());
            assert_eq!(refused, Err(error.to_owned()), "{text}");
        }
    }
}
