//! What was found out about a deployment, one thing after the other.

use serde::Serialize;

use crate::aws::Failure;
use crate::reason::Reason;

/// The name of what a section leaves out after its first check failed.
const OTHER_CHECKS: &str = "all other checks";

/// Findings in the order in which they are shown.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    section: String,
    findings: Vec<Finding>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Finding {
    /// The heading above it, where there are several.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) section: String,
    pub(crate) what: String,
    pub(crate) state: State,
    pub(crate) detail: String,
    /// Advice, also with a command that lacks a value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) note: Option<String>,
    /// The command that shows more, or repairs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    Ok,
    /// It works, and needs attention.
    Warn,
    Fail,
    /// Unknown: a check would change something, a read is denied, or an earlier check failed.
    Skipped,
}

/// All findings, counted.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) time: jiff::Timestamp,
    pub(crate) warnings: u64,
    pub(crate) failures: u64,
    pub(crate) findings: Vec<Finding>,
}

impl Findings {
    /// Begins a section. One without findings is not shown.
    pub(crate) fn section(&mut self, heading: impl Into<String>) {
        self.section = heading.into();
    }

    pub(crate) fn ok(&mut self, what: impl Into<String>, detail: impl Into<String>) {
        self.add(State::Ok, what, detail);
    }

    pub(crate) fn warn(&mut self, what: impl Into<String>, detail: impl Into<String>) {
        self.add(State::Warn, what, detail);
    }

    pub(crate) fn fail(&mut self, what: impl Into<String>, detail: impl Into<String>) {
        self.add(State::Fail, what, detail);
    }

    pub(crate) fn skip(&mut self, what: impl Into<String>, detail: impl Into<String>) {
        self.add(State::Skipped, what, detail);
    }

    fn add(&mut self, state: State, what: impl Into<String>, detail: impl Into<String>) {
        self.findings.push(Finding {
            section: self.section.clone(),
            what: what.into(),
            state,
            detail: detail.into(),
            note: None,
            next: None,
        });
    }

    /// Adds advice to the last finding.
    pub(crate) fn note(&mut self, advice: impl Into<String>) {
        if let Some(last) = self.findings.last_mut() {
            last.note = Some(advice.into());
        }
    }

    /// Adds the next command to the last finding.
    pub(crate) fn next(&mut self, command: impl Into<String>) {
        if let Some(last) = self.findings.last_mut() {
            last.next = Some(command.into());
        }
    }

    /// Leaves out the rest of the section.
    pub(crate) fn skip_others(&mut self, why: impl Into<String>) {
        self.skip(OTHER_CHECKS, why);
    }

    /// A denied read, or a cause that was reported before, leaves the check undone.
    pub(crate) fn failure(&mut self, what: impl Into<String>, failure: &Failure) {
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
    pub(crate) fn stops(&mut self, what: &str, failure: Option<&Failure>) -> bool {
        let Some(failure) = failure.filter(|failure| failure.fails_every_call()) else {
            return false;
        };
        self.failure(what, failure);
        self.skip_others("need this one");
        true
    }

    /// An error with one of `expected_codes` shows that the call was allowed.
    pub(crate) fn allowed<T>(
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

    pub(crate) fn into_report(self) -> Report {
        let count = |state| {
            let counted = self.findings.iter().filter(|it| it.state == state);
            counted.map(|_| 1).sum()
        };
        Report {
            time: jiff::Timestamp::now(),
            warnings: count(State::Warn),
            failures: count(State::Fail),
            findings: self.findings,
        }
    }
}
