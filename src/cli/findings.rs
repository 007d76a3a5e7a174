//! Draws what `usher check` and `usher status` have found, and gives their exit status.

use std::fmt::Write as _;
use std::io::{self, IsTerminal};

use clap::ColorChoice;
use clap::builder::styling::{AnsiColor, Effects, Style};

use super::{CommandStatus, Global, has_colors, plural};
use crate::status::{Finding, Report, State};

/// Columns of the text on a terminal; only a longer word exceeds them. Elsewhere each finding is
/// one line, so that a filter of a log finds a name with its cause.
const TERMINAL_COLUMNS: usize = 80;
/// A longer name does not widen its column.
const MAX_NAME_WIDTH: usize = 40;
/// Columns before a name, and before a detail or next command on a line of its own.
const NAME_INDENT: usize = 8;
const DETAIL_INDENT: usize = 10;
/// Problems of one name and state that are shown.
const MAX_ALIKE: usize = 2;

/// Prints a report. Returns its exit status.
pub(super) fn print(
    global: &Global,
    report: &Report,
    strict: bool,
) -> anyhow::Result<CommandStatus> {
    global.output.print(report, || text(global.color, report))?;
    let is_good = report.failures == 0 && (report.warnings == 0 || !strict);
    Ok(CommandStatus::success_if(is_good))
}

/// The report for standard output: on a terminal in 80 columns.
pub(super) fn text(color: ColorChoice, report: &Report) -> String {
    let is_terminal = io::stdout().is_terminal();
    let colors = has_colors(color, is_terminal);
    text_in(report, colors, is_terminal.then_some(TERMINAL_COLUMNS))
}

/// A finding that is longer than `max_columns` takes several lines.
fn text_in(report: &Report, colors: bool, max_columns: Option<usize>) -> String {
    let mut text = String::new();
    let sections = report.findings.chunk_by(|a, b| a.section == b.section);
    for findings in sections {
        if !findings[0].section.is_empty() {
            let style = styled(Effects::BOLD.into(), colors);
            let _ = writeln!(text, "{style}{}{style:#}", findings[0].section);
        }
        let widths = findings.iter().map(|it| it.what.chars().count());
        let width = widths.filter(|width| *width <= MAX_NAME_WIDTH).max();
        let width = width.unwrap_or_default();
        for (index, finding) in findings.iter().enumerate() {
            let is_alike = |other: &&Finding| is_alike_problem(finding, other);
            let before = findings[..index].iter().filter(is_alike).count();
            if before < MAX_ALIKE {
                push_finding(&mut text, finding, width, colors, max_columns);
            } else if !findings[index + 1..].iter().any(|it| is_alike(&it)) {
                let more = before + 1 - MAX_ALIKE;
                let _ = writeln!(text, "{:DETAIL_INDENT$}and {more} more (all: -o json)", "");
            }
        }
        text.push('\n');
    }
    let warnings = plural(report.warnings, "warning");
    let failures = plural(report.failures, "failure");
    let _ = writeln!(text, "{warnings}, {failures}");
    text
}

/// Whether both are problems of one name, such as those of several workers.
fn is_alike_problem(one: &Finding, other: &Finding) -> bool {
    let is_problem = matches!(one.state, State::Warn | State::Fail);
    is_problem && one.state == other.state && one.what == other.what
}

fn push_finding(
    text: &mut String,
    finding: &Finding,
    width: usize,
    colors: bool,
    max_columns: Option<usize>,
) {
    let (mark, style) = mark(finding.state);
    let style = styled(style, colors);
    let _ = write!(text, "  {style}{mark}{style:#}{:1$}", "", 6 - mark.len());
    let Finding { what, detail, .. } = finding;
    let width = width.max(what.chars().count());
    let columns = NAME_INDENT + width + 2 + detail.chars().count();
    match max_columns.filter(|max| columns > *max) {
        None => {
            let _ = writeln!(text, "{what:width$}  {detail}");
        }
        Some(max_columns) => {
            let _ = writeln!(text, "{what}");
            for line in wrap(detail, max_columns - DETAIL_INDENT) {
                let _ = writeln!(text, "{:DETAIL_INDENT$}{line}", "");
            }
        }
    }
    // A command is never broken, so that it can be copied.
    if let Some(note) = &finding.note {
        let _ = writeln!(text, "{:DETAIL_INDENT$}note: {note}", "");
    }
    if let Some(next) = &finding.next {
        let _ = writeln!(text, "{:DETAIL_INDENT$}next: {next}", "");
    }
}

fn styled(style: Style, colors: bool) -> Style {
    if colors { style } else { Style::new() }
}

fn mark(state: State) -> (&'static str, Style) {
    match state {
        State::Ok => ("ok", AnsiColor::Green.on_default()),
        State::Warn => ("WARN", AnsiColor::Yellow.on_default()),
        State::Fail => ("FAIL", AnsiColor::Red.on_default()),
        State::Skipped => ("skip", Effects::DIMMED.into()),
    }
}

/// Breaks a text between words.
fn wrap(text: &str, width: usize) -> Vec<String> {
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
    use crate::status::Findings;

    fn report() -> Report {
        let mut findings = Findings::default();
        findings.section("Queue usher");
        findings.ok("queue", "0 waiting, 0 in flight");
        findings.warn("dead-letter queue", "2 dead letters");
        findings.next("usher dead-letters list");
        findings.section("Table Profiles");
        findings.fail("dynamodb:PutItem", "word ".repeat(20).trim());
        findings.skip("a".repeat(41), "short");
        findings.into_report()
    }

    #[test]
    fn on_a_terminal_lines_have_at_most_80_characters() {
        let words = ["word"; 14].join(" ");
        let rest = ["word"; 6].join(" ");
        let long = "a".repeat(41);
        let expected = format!(
            "Queue usher\n  \
               ok    queue              0 waiting, 0 in flight\n  \
               WARN  dead-letter queue  2 dead letters\n          \
                       next: usher dead-letters list\n\
             \n\
             Table Profiles\n  \
               FAIL  dynamodb:PutItem\n          {words}\n          {rest}\n  \
               skip  {long}  short\n\
             \n\
             1 warning, 1 failure\n"
        );
        assert_eq!(text_in(&report(), false, Some(TERMINAL_COLUMNS)), expected);
    }

    #[test]
    fn without_a_terminal_each_finding_is_one_line() {
        let words = ["word"; 20].join(" ");
        let text = text_in(&report(), false, None);
        let line = format!("\n  FAIL  dynamodb:PutItem  {words}\n");
        assert!(text.contains(&line), "{text}");
        assert_eq!(text.lines().count(), 10, "{text}");
    }

    #[test]
    fn findings_without_a_section_have_no_heading() {
        let mut findings = Findings::default();
        findings.ok("queue", "0 waiting, 0 in flight");
        let text = text_in(&findings.into_report(), false, None);
        let expected = "  ok    queue  0 waiting, 0 in flight\n\n0 warnings, 0 failures\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn problems_of_one_name_are_counted_after_two() {
        let mut findings = Findings::default();
        for worker in 0..5 {
            findings.fail("workers", format!("no answer from {worker}"));
            findings.ok("trigger", "attached");
        }
        let text = text_in(&findings.into_report(), false, None);
        assert_eq!(text.matches("FAIL").count(), MAX_ALIKE, "{text}");
        assert!(text.contains("\n          and 3 more (all: -o json)\n"));
        assert_eq!(text.matches("attached").count(), 5, "{text}");
        assert!(text.ends_with("\n0 warnings, 5 failures\n"), "{text}");
    }

    #[test]
    fn colors_mark_states_and_headings() {
        let text = text_in(&report(), true, None);
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
