//! `--file`: reads it, and prints its errors.

use std::fmt::Write;
use std::path::Path;

use crate::cli::{Usage, plural};
use crate::users::{Row, RowError, parse_invitations};

/// More errors are counted and not printed.
const MAX_SHOWN_ERRORS: usize = 20;

/// The rows in the order of the file.
pub(super) fn read(path: &Path) -> anyhow::Result<Vec<Row>> {
    let name = path.display().to_string();
    let bytes = std::fs::read(path)
        .map_err(|error| Usage::error(format!("--file {name} cannot be read: {error}")))?;
    match parse_invitations(&bytes) {
        (rows, errors) if errors.is_empty() => Ok(rows),
        (_, errors) => Err(Usage::error(errors_text(&name, &errors))),
    }
}

/// The file and the number of errors, and one line for each error.
fn errors_text(file: &str, errors: &[RowError]) -> String {
    let count = errors.len();
    let number = plural(count as u64, "error");
    let mut text = format!("{file}: {number}; nothing was sent");
    for error in errors.iter().take(MAX_SHOWN_ERRORS) {
        let _ = write!(text, "\n  {error}");
    }
    if count > MAX_SHOWN_ERRORS {
        let _ = write!(text, "\n  and {} more", count - MAX_SHOWN_ERRORS);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_twenty_errors_and_counts_all() {
        let error = |line| RowError {
            line,
            column: Some("email".to_owned()),
            rule: "must be an e-mail address".to_owned(),
        };
        let errors: Vec<RowError> = (2..27).map(error).collect();
        let text = errors_text("people.csv", &errors);
        assert!(text.starts_with("people.csv: 25 errors; nothing was sent\n  line 2, column"));
        assert!(text.ends_with("\n  and 5 more"));
        assert_eq!(text.lines().count(), 22);
    }
}
