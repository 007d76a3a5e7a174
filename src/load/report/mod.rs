//! The report of a load test: one model with a JSON form, a text for the terminal, a page
//! (`templates/load_report.html`) and the XML of `JUnit` (`templates/junit.xml`).

mod chart;
mod comparison;
mod facts;
mod format;
mod junit;
mod measure;
mod model;
mod page;
mod requirement;
#[cfg(test)]
mod tests;
mod text;
mod verdict;

pub(crate) use comparison::Comparison;
pub(super) use format::plural;
pub(crate) use measure::Source;
pub use model::Quantiles;
pub(crate) use model::{
    Cleaned, Finished, Injected, LatencyBin, LatencyWindow, LoadReport, Planned, RunSettings,
    Sample, WorkerTotals,
};
pub(crate) use requirement::Requirement;
