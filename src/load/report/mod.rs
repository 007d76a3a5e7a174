//! The report of a load test: one model with a JSON form, a text for the terminal and a
//! page (`templates/load_report.html`).

mod chart;
mod facts;
mod format;
mod model;
mod page;
#[cfg(test)]
mod tests;
mod text;
mod verdict;

pub(super) use format::plural;
pub use model::Quantiles;
pub(crate) use model::{
    Cleaned, Finished, Injected, LatencyBin, LatencyWindow, LoadReport, Planned, RunSettings,
    Sample, WorkerTotals,
};
