//! All that is wrong with a file, said at once. Names lines and columns, and never what
//! stands there.

use std::fmt::Write;

/// More are counted and not told.
const MAX_SHOWN_ERRORS: usize = 20;

#[derive(Debug, Default)]
pub(super) struct FileErrors(Vec<String>);

impl FileErrors {
    pub(super) fn add_line_error(&mut self, line: u64, what: &str) {
        self.0.push(format!("line {line}: {what}"));
    }

    pub(super) fn add_column_error(&mut self, line: u64, column: &str, what: &str) {
        self.0.push(format!("line {line}, column {column}: {what}"));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// For people, below the name of the file.
    pub(super) fn text(&self, file: &str) -> String {
        let count = self.0.len();
        let errors = if count == 1 { "error" } else { "errors" };
        let mut text = format!("{file}: {count} {errors}; nothing was sent");
        for wrong in self.0.iter().take(MAX_SHOWN_ERRORS) {
            let _ = write!(text, "\n  {wrong}");
        }
        if count > MAX_SHOWN_ERRORS {
            let _ = write!(text, "\n  and {} more", count - MAX_SHOWN_ERRORS);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twenty_are_told_and_all_are_counted() {
        let mut wrongs = FileErrors::default();
        for line in 2..27 {
            wrongs.add_column_error(line, "email", "must be an e-mail address");
        }
        let text = wrongs.text("people.csv");
        assert!(text.starts_with("people.csv: 25 errors; nothing was sent\n  line 2, column"));
        assert!(text.ends_with("\n  and 5 more"));
        assert_eq!(text.lines().count(), 22);
    }
}
