//! What the checks have found, by section.

use std::fmt::Write as _;
use std::io::{self, IsTerminal};

use clap::builder::styling::{AnsiColor, Effects, Style};
use serde::Serialize;

use crate::aws::Failure;
use crate::cli::{CommandStatus, Output, plural};
use crate::config::allows_colors;
use crate::reason::Reason;

/// A name that no user has. It is an address, since a pool may use addresses as user names, and
/// no mail can be sent to it.
///
/// <https://www.rfc-editor.org/rfc/rfc2606>
pub(super) const NO_SUCH_USER: &str = "usher-check-no-such-user@example.invalid";

/// The name of what a section leaves out after its first check failed.
const OTHER_CHECKS: &str = "all other checks";
/// Columns of the text on a terminal; only a longer word exceeds them. Elsewhere each finding is
/// one line, so that a filter of a log finds a name with its cause.
const TERMINAL_COLUMNS: usize = 80;
/// A longer name does not widen its column.
const MAX_NAME_WIDTH: usize = 40;
/// Columns before a name, and before a detail on a line of its own.
const NAME_INDENT: usize = 8;
const DETAIL_INDENT: usize = 10;

#[derive(Debug, Default)]
pub(super) struct Findings {
    section: String,
    findings: Vec<Finding>,
}

#[derive(Debug, Serialize)]
struct Finding {
    section: String,
    what: String,
    state: State,
    detail: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::cli) enum State {
    Ok,
    /// It works, and needs attention.
    Warn,
    Fail,
    /// Unknown: a check would change something, a read is denied, or an earlier check failed.
    Skipped,
}

#[derive(Serialize)]
struct Report<'a> {
    warnings: u64,
    failures: u64,
    findings: &'a [Finding],
}

impl Findings {
    /// Begins a section. One without findings is not shown.
    pub(super) fn section(&mut self, heading: impl Into<String>) {
        self.section = heading.into();
    }

    pub(super) fn ok(&mut self, what: impl Into<String>, detail: impl Into<String>) {
        self.add(State::Ok, what.into(), detail.into());
    }

    pub(super) fn warn(&mut self, what: impl Into<String>, detail: impl Into<String>) {
        self.add(State::Warn, what.into(), detail.into());
    }

    pub(super) fn fail(&mut self, what: impl Into<String>, detail: impl Into<String>) {
        self.add(State::Fail, what.into(), detail.into());
    }

    pub(super) fn skip(&mut self, what: impl Into<String>, detail: impl Into<String>) {
        self.add(State::Skipped, what.into(), detail.into());
    }

    /// Leaves out the rest of the section.
    pub(super) fn skip_others(&mut self, why: impl Into<String>) {
        self.skip(OTHER_CHECKS, why);
    }

    /// A denied read, or a cause that was reported before, leaves the check undone.
    pub(super) fn failure(&mut self, what: impl Into<String>, failure: &Failure) {
        let detail = failure.to_string();
        if failure.reason == Reason::AccessDenied {
            self.skip(what, detail);
        } else if self.has_failed_with(&detail) {
            self.skip(what, "see the failure above");
        } else {
            self.fail(what, detail);
        }
    }

    /// Reports the failure of a section's first call if all its calls would fail alike; then
    /// returns true.
    pub(super) fn stops(&mut self, what: &str, failure: Option<&Failure>) -> bool {
        let Some(failure) = failure.filter(|failure| failure.fails_every_call()) else {
            return false;
        };
        self.failure(what, failure);
        self.skip_others("need this one");
        true
    }

    /// An error with one of `expected_codes` shows that the call was allowed.
    pub(super) fn allowed<T>(
        &mut self,
        what: impl Into<String>,
        result: Result<T, Failure>,
        expected_codes: &[&str],
    ) {
        match result {
            Err(failure) if expected_codes.contains(&failure.code.as_str()) => {
                self.ok(what, "allowed");
            }
            Err(failure) if failure.fails_every_call() => self.failure(what, &failure),
            // The name has the operation, and the section the resource.
            Err(failure) => self.fail(what, failure.code),
            Ok(_) => self.ok(what, "allowed"),
        }
    }

    fn has_failed_with(&self, detail: &str) -> bool {
        let mut failed = self.findings.iter();
        failed.any(|finding| finding.state == State::Fail && finding.detail == detail)
    }

    pub(super) fn add(&mut self, state: State, what: String, detail: String) {
        self.findings.push(Finding {
            section: self.section.clone(),
            what,
            state,
            detail,
        });
    }

    /// Prints all findings. `strict` makes a warning a failure of the command.
    pub(super) fn print(&self, output: Output, strict: bool) -> anyhow::Result<CommandStatus> {
        let report = Report {
            warnings: self.count(State::Warn),
            failures: self.count(State::Fail),
            findings: &self.findings,
        };
        output.print(&report, || {
            let is_terminal = io::stdout().is_terminal();
            let colors = is_terminal && allows_colors();
            let text = self.text(colors, is_terminal.then_some(TERMINAL_COLUMNS));
            let warnings = plural(report.warnings, "warning");
            let failures = plural(report.failures, "failure");
            format!("{text}\n{warnings}, {failures}\n")
        })?;
        let is_good = report.failures == 0 && (report.warnings == 0 || !strict);
        Ok(CommandStatus::success_if(is_good))
    }

    fn count(&self, state: State) -> u64 {
        let counted = self.findings.iter().filter(|it| it.state == state);
        counted.map(|_| 1).sum()
    }

    /// A finding that is longer than `max_columns` takes several lines.
    fn text(&self, colors: bool, max_columns: Option<usize>) -> String {
        let styled = |style: Style| if colors { style } else { Style::new() };
        let sections = self.findings.chunk_by(|a, b| a.section == b.section);
        let sections = sections.map(|findings| {
            let widths = findings.iter().map(|it| it.what.chars().count());
            let width = widths.filter(|width| *width <= MAX_NAME_WIDTH).max();
            let heading = styled(Effects::BOLD.into());
            let mut text = format!("{heading}{}{heading:#}\n", findings[0].section);
            for Finding {
                what,
                state,
                detail,
                ..
            } in findings
            {
                let (mark, style) = state.mark();
                let style = styled(style);
                let _ = write!(text, "  {style}{mark}{style:#}{:1$}", "", 6 - mark.len());
                let width = width.unwrap_or_default().max(what.chars().count());
                let columns = NAME_INDENT + width + 2 + detail.chars().count();
                let Some(max_columns) = max_columns.filter(|max| columns > *max) else {
                    let _ = writeln!(text, "{what:width$}  {detail}");
                    continue;
                };
                let _ = writeln!(text, "{what}");
                for line in wrap(detail, max_columns - DETAIL_INDENT) {
                    let _ = writeln!(text, "{:DETAIL_INDENT$}{line}", "");
                }
            }
            text
        });
        sections.collect::<Vec<_>>().join("\n")
    }
}

impl State {
    pub(in crate::cli) fn mark(self) -> (&'static str, Style) {
        match self {
            Self::Ok => ("ok", AnsiColor::Green.on_default()),
            Self::Warn => ("WARN", AnsiColor::Yellow.on_default()),
            Self::Fail => ("FAIL", AnsiColor::Red.on_default()),
            Self::Skipped => ("skip", Effects::DIMMED.into()),
        }
    }
}

/// Breaks a text between words.
pub(in crate::cli) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings() -> Findings {
        let mut findings = Findings::default();
        findings.section("Queue usher");
        findings.ok("queue", "0 waiting, 0 in flight");
        findings.warn("dead-letter queue", "2 letters");
        findings.section("Table Profiles");
        findings.fail("dynamodb:PutItem", "word ".repeat(20).trim());
        findings.skip("a".repeat(41), "short");
        findings
    }

    #[test]
    fn on_a_terminal_lines_have_at_most_80_characters() {
        let words = ["word"; 14].join(" ");
        let rest = ["word"; 6].join(" ");
        let long = "a".repeat(41);
        let expected = format!(
            "Queue usher\n  \
               ok    queue              0 waiting, 0 in flight\n  \
               WARN  dead-letter queue  2 letters\n\
             \n\
             Table Profiles\n  \
               FAIL  dynamodb:PutItem\n          {words}\n          {rest}\n  \
               skip  {long}  short\n"
        );
        assert_eq!(findings().text(false, Some(TERMINAL_COLUMNS)), expected);
    }

    #[test]
    fn without_a_terminal_each_finding_is_one_line() {
        let words = ["word"; 20].join(" ");
        let text = findings().text(false, None);
        let line = format!("\n  FAIL  dynamodb:PutItem  {words}\n");
        assert!(text.contains(&line), "{text}");
        assert_eq!(text.lines().count(), 7, "{text}");
    }

    #[test]
    fn colors_mark_states_and_headings() {
        let text = findings().text(true, None);
        for part in [
            "\u{1b}[1mQueue usher\u{1b}[0m\n",
            "  \u{1b}[32mok\u{1b}[0m    queue",
            "  \u{1b}[33mWARN\u{1b}[0m  dead",
            "  \u{1b}[31mFAIL\u{1b}[0m  dynamodb",
            "  \u{1b}[2mskip\u{1b}[0m  a",
        ] {
            assert!(text.contains(part), "{part:?} in {text:?}");
        }
    }
}
