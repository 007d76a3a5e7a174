//! What the checks have found.

use serde::Serialize;

use crate::aws::Failure;
use crate::cli::{CommandStatus, Output, table};
use crate::reason::Reason;

/// A name that no user has. It is an address, since a pool may use addresses as user names, and
/// no mail can be sent to it.
///
/// <https://www.rfc-editor.org/rfc/rfc2606>
pub(super) const NO_SUCH_USER: &str = "usher-check-no-such-user@example.invalid";

#[derive(Debug, Default, Serialize)]
pub(super) struct Findings(Vec<Finding>);

#[derive(Debug, Serialize)]
struct Finding {
    what: String,
    state: FindingState,
    detail: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum FindingState {
    Right,
    Wrong,
    /// Unknown: a test would change something, or a read is denied.
    NotTested,
}

impl Findings {
    pub(super) fn right(&mut self, what: impl Into<String>, detail: impl Into<String>) {
        self.add(what.into(), FindingState::Right, detail.into());
    }

    pub(super) fn wrong(&mut self, what: impl Into<String>, detail: impl Into<String>) {
        self.add(what.into(), FindingState::Wrong, detail.into());
    }

    pub(super) fn untested(&mut self, what: impl Into<String>, detail: impl Into<String>) {
        self.add(what.into(), FindingState::NotTested, detail.into());
    }

    /// A denied read leaves the finding untested.
    pub(super) fn failure(&mut self, what: impl Into<String>, failure: &Failure) {
        if failure.reason == Reason::AccessDenied {
            self.untested(what, failure.to_string());
        } else {
            self.wrong(what, failure.to_string());
        }
    }

    /// An error with one of `expected_codes` shows that the call was allowed.
    pub(super) fn allowed<T>(
        &mut self,
        what: impl Into<String>,
        result: Result<T, Failure>,
        expected_codes: &[&str],
    ) {
        match result {
            Err(failure) if !expected_codes.contains(&failure.code.as_str()) => {
                self.wrong(what, failure.to_string());
            }
            _ => self.right(what, "allowed"),
        }
    }

    fn add(&mut self, what: String, state: FindingState, detail: String) {
        self.0.push(Finding {
            what,
            state,
            detail,
        });
    }

    pub(super) fn print(&self, output: Output) -> anyhow::Result<CommandStatus> {
        output.print(self, || {
            let rows = self.0.iter().map(Finding::cells);
            table(&rows.collect::<Vec<_>>(), usize::MAX)
        })?;
        let is_wrong = |finding: &Finding| finding.state == FindingState::Wrong;
        Ok(CommandStatus::success_if(!self.0.iter().any(is_wrong)))
    }
}

impl Finding {
    fn cells(&self) -> [String; 2] {
        let mark = match self.state {
            FindingState::Right => "ok",
            FindingState::Wrong => "WRONG",
            FindingState::NotTested => "-",
        };
        [format!("{mark:<6}{}", self.what), self.detail.clone()]
    }
}
