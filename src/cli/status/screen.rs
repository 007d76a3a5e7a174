//! What `usher status` shows: findings under labels, in at most 24 rows of 80 columns.

use std::fmt::Write as _;

use clap::builder::styling::Style;
use serde::Serialize;

use crate::aws::Failure;
use crate::cli::check::{State, wrap};
use crate::reason::Reason;

const WIDTH: usize = 80;
const LABEL_WIDTH: usize = 14;
/// Lines of one finding.
const MAX_LINES: usize = 2;
/// Findings under one label that are not `ok`.
const MAX_PROBLEMS: usize = 2;

#[derive(Debug, Serialize)]
pub(super) struct Finding {
    /// The label; findings with the same label stand together.
    what: &'static str,
    pub(super) state: State,
    /// Where the state is `skipped`, why it is not known.
    pub(super) detail: String,
    /// The command that shows more, or repairs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<&'static str>,
}

impl Finding {
    pub(super) fn new(what: &'static str, state: State, detail: impl Into<String>) -> Self {
        Self {
            what,
            state,
            detail: detail.into(),
            next: None,
        }
    }

    /// A denied read says nothing about the deployment.
    pub(super) fn of_failure(what: &'static str, failure: &Failure) -> Self {
        let state = if failure.reason == Reason::AccessDenied {
            State::Skipped
        } else {
            State::Fail
        };
        let next = (!failure.fails_every_call()).then_some("usher check");
        Self {
            next,
            ..Self::new(what, state, failure.to_string())
        }
    }

    pub(super) fn with_next(self, next: impl Into<Option<&'static str>>) -> Self {
        Self {
            next: next.into(),
            ..self
        }
    }

    fn prefix(&self) -> (&'static str, Style) {
        let (_, style) = self.state.mark();
        match self.state {
            State::Ok => ("", Style::new()),
            State::Warn => ("WARN ", style),
            State::Fail => ("FAIL ", style),
            State::Skipped => ("not known: ", style),
        }
    }

    fn lines(&self, label: &str, colors: bool) -> String {
        let (prefix, style) = self.prefix();
        let style = if colors { style } else { Style::new() };
        let indent = LABEL_WIDTH + prefix.len();
        let mut lines = wrap(&self.detail, WIDTH - indent);
        if lines.len() > MAX_LINES {
            lines.truncate(MAX_LINES);
            lines[MAX_LINES - 1].push_str(" …");
        }
        let lines: Vec<String> = lines.iter().map(|line| cut(line, WIDTH - indent)).collect();
        let mut text = format!("{label:LABEL_WIDTH$}{style}{prefix}{style:#}{}", lines[0]);
        let next = self.next.map(|command| format!("next: {command}"));
        let next = next.unwrap_or_default();
        let space = WIDTH - indent - lines[0].chars().count();
        if lines.len() == 1 && !next.is_empty() && next.chars().count() + 2 <= space {
            let _ = writeln!(text, "{next:>space$}");
            return text;
        }
        text.push('\n');
        for line in &lines[1..] {
            let _ = writeln!(text, "{:indent$}{line}", "");
        }
        if !next.is_empty() {
            let next = cut(&next, WIDTH - LABEL_WIDTH);
            let _ = writeln!(text, "{:LABEL_WIDTH$}{next}", "");
        }
        text
    }
}

/// A cause that was reported before is not reported again.
pub(super) fn skip_repeated(findings: &mut [Finding]) {
    let mut failed: Vec<String> = Vec::new();
    for finding in findings {
        if finding.state != State::Fail {
            continue;
        }
        if failed.contains(&finding.detail) {
            finding.state = State::Skipped;
            "see the failure above".clone_into(&mut finding.detail);
            finding.next = None;
        } else {
            failed.push(finding.detail.clone());
        }
    }
}

pub(super) fn text(findings: &[Finding], colors: bool) -> String {
    let mut text = String::new();
    for group in findings.chunk_by(|a, b| a.what == b.what) {
        let most = MAX_PROBLEMS + usize::from(group[0].state == State::Ok);
        let mut label = group[0].what;
        for finding in group.iter().take(most) {
            text.push_str(&finding.lines(label, colors));
            label = "";
        }
        if group.len() > most {
            let _ = writeln!(text, "{:LABEL_WIDTH$}and {} more", "", group.len() - most);
        }
    }
    text
}

fn cut(line: &str, width: usize) -> String {
    if line.chars().count() <= width {
        return line.to_owned();
    }
    let kept: String = line.chars().take(width - 1).collect();
    format!("{}…", kept.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_fits(text: &str) {
        for line in text.lines() {
            assert!(line.chars().count() <= WIDTH, "{line}");
        }
        // One row more has the time.
        assert!(text.lines().count() < 24, "{text}");
    }

    #[test]
    fn each_label_has_a_line_and_problems_name_the_next_command() {
        let trigger = "no trigger set: sign-ups do not reach usher (eu-west-1_AbCdEf123)";
        let findings = [
            Finding::new("queue", State::Ok, "245 waiting, 75 in flight"),
            Finding::new("dead letters", State::Warn, "5: throttled 5")
                .with_next("usher dead-letters list"),
            Finding::new("workers", State::Skipped, "no answer"),
            Finding::new("trigger", State::Warn, trigger).with_next("usher trigger attach"),
        ];
        let expected = "\
queue         245 waiting, 75 in flight
dead letters  WARN 5: throttled 5                  next: usher dead-letters list
workers       not known: no answer
trigger       WARN no trigger set: sign-ups do not reach usher
                   (eu-west-1_AbCdEf123)
              next: usher trigger attach
";
        assert_eq!(text(&findings, false), expected);
        let colored = text(&findings, true);
        assert!(colored.contains("\u{1b}[33mWARN \u{1b}[0m5: throttled"));
        assert_fits(expected);
    }

    #[test]
    fn the_longest_findings_fit_the_screen() {
        let (words, word) = ("word ".repeat(99), "w".repeat(199));
        let mut findings = Vec::new();
        for what in ["queue", "dead letters", "workers", "limited by", "trigger"] {
            let count = if what == "workers" || what == "trigger" {
                findings.push(Finding::new(what, State::Ok, "2 ready"));
                9
            } else {
                1
            };
            for n in 0..count {
                let detail = if n == 0 { &words } else { &word };
                let finding = Finding::new(what, State::Warn, detail.trim());
                findings.push(if n == 0 {
                    finding.with_next("usher trigger attach")
                } else {
                    finding
                });
            }
        }
        let text = text(&findings, false);
        assert_fits(&text);
        assert!(text.contains("and 7 more"), "{text}");
    }

    #[test]
    fn one_cause_is_one_failure() {
        let mut findings =
            ["queue", "trigger"].map(|what| Finding::new(what, State::Fail, "cannot reach SQS"));
        skip_repeated(&mut findings);
        assert_eq!(
            findings.each_ref().map(|it| it.state),
            [State::Fail, State::Skipped]
        );
        assert_eq!(findings[1].detail, "see the failure above");
    }
}
