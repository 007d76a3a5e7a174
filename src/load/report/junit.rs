//! A run as test cases: the exit status, and the XML of `JUnit` for a CI system.

use askama::Template;

use super::model::LoadReport;

#[derive(Template)]
#[template(path = "junit.xml")]
struct JunitFile<'a> {
    report: &'a LoadReport,
    cases: Vec<TestCase<'a>>,
}

struct TestCase<'a> {
    /// The same in every run, so that a CI system can show its history.
    name: &'a str,
    failure: Option<String>,
    /// Lines about the failure.
    details: String,
}

impl LoadReport {
    /// Whether every result is right, nothing is left and all requirements are met.
    pub(crate) fn has_passed(&self) -> bool {
        self.test_cases().iter().all(|case| case.failure.is_none())
    }

    /// The XML of `JUnit`: one test case for the results, one for the clean-up and one for each
    /// requirement.
    pub(crate) fn junit(&self) -> String {
        let file = JunitFile {
            report: self,
            cases: self.test_cases(),
        };
        file.to_string()
    }

    fn test_cases(&self) -> Vec<TestCase<'_>> {
        let groups = self.difference_groups().into_iter();
        let titles: Vec<String> = groups.map(|group| group.title).collect();
        let results = TestCase {
            name: "results",
            failure: (!self.verified).then(|| self.verdict()),
            details: titles.join("\n"),
        };
        let cleaned = self.cleaned.iter().map(|cleaned| TestCase {
            name: "clean-up",
            failure: (!cleaned.complete).then(|| "something may be left".to_owned()),
            details: format!("usher load clean {}", self.run),
        });
        let requirements = self.requirements.iter().map(|it| TestCase {
            name: &it.requirement,
            failure: (!it.met).then(|| it.describe()),
            details: String::new(),
        });
        let results = std::iter::once(results);
        results.chain(cleaned).chain(requirements).collect()
    }
}

impl JunitFile<'_> {
    fn failures(&self) -> usize {
        let failed = self.cases.iter().filter(|case| case.failure.is_some());
        failed.count()
    }

    fn began(&self) -> String {
        let began = self.report.began.strftime("%Y-%m-%dT%H:%M:%SZ");
        began.to_string()
    }

    fn seconds(&self) -> String {
        format!("{:.3}", self.report.seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::report::tests::{assert_well_formed, full, unhealthy};
    use crate::load::report::{Cleaned, Requirement};

    fn with_requirements(report: LoadReport) -> LoadReport {
        let requirements = ["finished=100%", "p99<2s"];
        let requirements = requirements.map(|it| it.parse::<Requirement>().expect(it));
        report.with_requirements(&requirements)
    }

    #[test]
    fn each_requirement_is_a_test_case() {
        let report = with_requirements(full());
        assert!(!report.has_passed());
        assert_eq!(
            report.junit(),
            r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuites>
  <testsuite name="usher load run" tests="4" failures="1" errors="0" skipped="0" time="101.300" timestamp="2026-03-01T10:00:00Z">
    <properties>
      <property name="run" value="lt-7f3a"/>
      <property name="pool" value="eu-central-1_Example"/>
      <property name="seed" value="42"/>
      <property name="began" value="2026-03-01 10:00:00 UTC, took 101.3 s"/>
    </properties>
    <testcase classname="usher.load" name="results" time="0"/>
    <testcase classname="usher.load" name="clean-up" time="0"/>
    <testcase classname="usher.load" name="finished=100%" time="0"/>
    <testcase classname="usher.load" name="p99&#60;2s" time="0">
      <failure message="Required p99&#60;2s: not met, measured 79.2 s"></failure>
    </testcase>
  </testsuite>
</testsuites>"#
        );
    }

    #[test]
    fn hostile_text_leaves_the_file_well_formed() {
        let mut report = with_requirements(unhealthy());
        report.run = "<run \"&'>".to_owned();
        report.cleaned = Some(Cleaned::default());
        let file = report.junit();
        let (_, body) = file.split_once("?>\n").expect("a declaration");
        assert_well_formed(body, Vec::new());
        assert!(
            !file.contains(|c: char| c.is_control() && c != '\n'),
            "{file}"
        );
        for part in [
            "tests=\"4\" failures=\"3\"",
            "<failure message=\"161 differences: not every result is right\">members missing for 160 of 2,000 users\nwrong reason",
            "&#39;bad&#39; &#38; \u{fffd}[31m</failure>",
            "<failure message=\"something may be left\">usher load clean &#60;run &#34;&#38;&#39;&#62;</failure>",
        ] {
            assert!(file.contains(part), "{part}: {file}");
        }
    }

    #[test]
    fn a_run_without_clean_up_has_no_test_case_for_it() {
        let mut report = full();
        assert!(report.has_passed());
        report.cleaned = Some(Cleaned::default());
        assert!(!report.has_passed());
        report.cleaned = None;
        assert!(report.has_passed());
        assert!(!report.junit().contains("clean-up"));
    }
}
