//! The text form of the report, for a terminal.

use super::facts::LATENCY_COLUMNS;
use super::format::plural;
use super::model::{LoadReport, RequirementResult};

/// Width of the name column.
const MARGIN: usize = 13;

/// More groups of differences would push the figures off the screen.
const MAX_TEXT_GROUPS: usize = 10;
const MAX_TEXT_NAMES: usize = 3;

impl LoadReport {
    /// The figures, the differences, the limit, the verdict and the requirements; ends with a
    /// newline.
    pub(crate) fn text(&self) -> String {
        let mut lines: Vec<String> = Vec::new();
        let facts = self.identity().into_iter().chain(self.facts());
        lines.extend(facts.map(|(name, text)| entry(name, &text)));
        lines.extend([String::new(), row("", &LATENCY_COLUMNS)]);
        lines.extend(self.latency_rows().map(|latency| match &latency.cells {
            Some(cells) => row(latency.step, cells),
            None => entry(latency.step, latency.absent),
        }));
        lines.push(String::new());
        let groups = self.difference_groups();
        for group in groups.iter().take(MAX_TEXT_GROUPS) {
            let names = group.names[..group.names.len().min(MAX_TEXT_NAMES)].join(", ");
            let more = if group.count > MAX_TEXT_NAMES {
                ", …"
            } else {
                ""
            };
            lines.push(format!("{}: {names}{more}", group.title));
        }
        let hidden = groups.len().saturating_sub(MAX_TEXT_GROUPS);
        if hidden > 0 {
            lines.push(format!("and {}", plural(hidden as u64, "more kind")));
        }
        if !groups.is_empty() {
            lines.extend(["--output json lists all of them".to_owned(), String::new()]);
        }
        lines.extend([self.limit(), self.verdict()]);
        lines.extend(self.requirements.iter().map(RequirementResult::describe));
        lines.push(String::new());
        lines.join("\n")
    }
}

/// Further lines of the text begin below the first.
fn entry(name: &str, text: &str) -> String {
    let text = text.replace('\n', &format!("\n{:MARGIN$}", ""));
    format!("{name:MARGIN$}{text}")
}

/// Right-aligned cells of equal width.
fn row(name: &str, cells: &[impl AsRef<str>]) -> String {
    let cells = cells.iter().map(|cell| format!("{:>10}", cell.as_ref()));
    format!("{name:MARGIN$}{}", cells.collect::<String>())
}
