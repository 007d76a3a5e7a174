//! The page form of the report: one file without scripts and external resources.

use askama::Template;

use super::chart::Chart;
use super::facts::{Fact, LATENCY_COLUMNS};
use super::format::{count, plural};
use super::model::LoadReport;

/// More groups of differences would not make the page more useful.
const MAX_PAGE_GROUPS: usize = 100;

#[derive(Template)]
#[template(path = "load_report.html")]
struct ReportPage<'a> {
    report: &'a LoadReport,
    charts: [Chart; 2],
}

impl LoadReport {
    /// The page; its `Content-Security-Policy` forbids scripts and other resources.
    pub(crate) fn html(&self) -> String {
        let page = ReportPage {
            report: self,
            charts: [Chart::throughput(self), Chart::queue(self)],
        };
        page.to_string()
    }
}

impl ReportPage<'_> {
    fn title(&self) -> String {
        let sign_ups = plural(self.report.planned.sign_ups, "sign-up");
        let unmet = match self.report.unmet_requirements().len() as u64 {
            0 => String::new(),
            unmet => format!(", {} not met", plural(unmet, "requirement")),
        };
        format!("{}{unmet}: load test of {sign_ups}", self.report.headline())
    }

    /// The class of the header.
    fn class(&self) -> &'static str {
        let is_good = self.report.verified && self.report.unmet_requirements().is_empty();
        if is_good { "good" } else { "bad" }
    }

    /// How to repeat the run.
    fn origin(&self) -> Vec<Fact> {
        let mut facts = self.report.identity().to_vec();
        facts.push(("version", format!("usher {}", env!("CARGO_PKG_VERSION"))));
        facts.push(("command", self.report.settings.command_line.clone()));
        facts
    }
}
