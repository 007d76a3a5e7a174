//! Writes aligned lines for a terminal.

use std::collections::BTreeMap;

use super::Quantiles;
use super::number::{group_digits, milliseconds};
use crate::dead_letter::printable;

/// Width of the name column.
const MARGIN: usize = 13;

pub(super) struct Lines(pub(super) String);

impl Lines {
    pub(super) fn line(&mut self, line: &str) {
        self.0.push_str(&printable(line.trim_end()));
        self.0.push('\n');
    }

    pub(super) fn blank_line(&mut self) {
        self.0.push('\n');
    }

    pub(super) fn entry(&mut self, name: &str, text: &str) {
        self.line(&format!("{name:MARGIN$}{text}"));
    }

    /// Writes right-aligned cells of equal width.
    pub(super) fn row(&mut self, name: &str, cells: &[String]) {
        let cells: Vec<String> = cells.iter().map(|cell| format!("{cell:>8}")).collect();
        self.entry(name, &cells.join("  "));
    }

    pub(super) fn quantiles(&mut self, name: &str, values: Option<Quantiles>, absent: &str) {
        match values {
            Some(q) => {
                let cells = [q.p50, q.p90, q.p99, q.p99_9, q.max].map(milliseconds);
                self.row(name, &cells);
            }
            None => self.entry(name, absent),
        }
    }

    pub(super) fn counts(&mut self, name: &str, counts: &BTreeMap<String, u64>) {
        if counts.is_empty() {
            self.entry(name, "none");
        }
        let counts: Vec<_> = counts.iter().map(|(of, n)| (of, group_digits(n))).collect();
        let name_width = counts.iter().map(|(of, _)| of.chars().count()).max();
        let count_width = counts.iter().map(|(_, n)| n.len()).max();
        let (name_width, count_width) = (name_width.unwrap_or(0), count_width.unwrap_or(0));
        for (at, (counted, count)) in counts.iter().enumerate() {
            let name = if at == 0 { name } else { "" };
            self.entry(
                name,
                &format!("{counted:name_width$}  {count:>count_width$}"),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        let mut lines = Lines(String::new());
        lines.entry("who", "a\u{1b}[2Jb\nc\u{202e}d  ");
        assert_eq!(lines.0, "who          a\u{fffd}[2Jb\u{fffd}c\u{fffd}d\n");
    }

    #[test]
    fn counts_end_in_one_column() {
        let mut lines = Lines(String::new());
        let counts = [("long name", 1), ("a", 1_000)].map(|(of, n)| (of.to_owned(), n));
        lines.counts("calls", &BTreeMap::from(counts));
        lines.counts("none", &BTreeMap::new());
        assert_eq!(
            lines.0,
            "\
calls        a          1,000
             long name      1
none         none
"
        );
    }
}
