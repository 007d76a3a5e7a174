//! All errors of a file at once. They name lines and columns, and never a value.

use std::fmt::Write;

/// More errors are counted and not printed.
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

    /// The file and the number of errors, and one line for each error.
    pub(super) fn text(&self, file: &str) -> String {
        let count = self.0.len();
        let errors = if count == 1 { "error" } else { "errors" };
        let mut text = format!("{file}: {count} {errors}; nothing was sent");
        for error in self.0.iter().take(MAX_SHOWN_ERRORS) {
            let _ = write!(text, "\n  {error}");
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
    fn shows_twenty_errors_and_counts_all() {
        let mut errors = FileErrors::default();
        for line in 2..27 {
            errors.add_column_error(line, "email", "must be an e-mail address");
        }
        let text = errors.text("people.csv");
        assert!(text.starts_with("people.csv: 25 errors; nothing was sent\n  line 2, column"));
        assert!(text.ends_with("\n  and 5 more"));
        assert_eq!(text.lines().count(), 22);
    }
}
