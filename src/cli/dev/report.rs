//! The result of `usher dev`.

use std::fmt::Write;

use serde::Serialize;

use crate::cli::{plural, table};
use crate::dead_letter::printable;
use crate::dev::{DevSummary, RunningDev};

/// Users in the table; the others are counted.
const MAX_USER_ROWS: usize = 5;
/// A longer file name overflows its column.
const MAX_CELL_WIDTH: usize = 40;

#[derive(Serialize)]
pub(super) struct DevReport<'a> {
    #[serde(flatten)]
    pub(super) summary: &'a DevSummary,
    #[serde(flatten)]
    pub(super) running: &'a RunningDev,
}

impl DevReport<'_> {
    pub(super) fn text(&self) -> String {
        let mut text = if self.summary.events.is_empty() {
            self.users()
        } else {
            self.events()
        };
        text.push_str(&self.totals());
        if !self.summary.complete {
            text.push_str(
                "\nNOT COMPLETE: a user lacks a group or a profile, or an event has no result",
            );
        }
        text
    }

    fn users(&self) -> String {
        let users = &self.summary.users;
        if users.is_empty() {
            return String::new();
        }
        let header = ["user", "sub", "profile", "groups"].map(str::to_owned);
        let rows = users.iter().take(MAX_USER_ROWS).map(|(name, user)| {
            let profile = match user.profile {
                Some(true) => "yes",
                Some(false) => "no",
                None => "off",
            };
            let groups = user.groups.join(", ");
            [
                printable(name),
                printable(&user.sub),
                profile.to_owned(),
                groups,
            ]
        });
        let rows: Vec<_> = std::iter::once(header).chain(rows).collect();
        let mut text = table(&rows, MAX_CELL_WIDTH);
        if users.len() > MAX_USER_ROWS {
            let more = users.len() - MAX_USER_ROWS;
            let _ = writeln!(text, "... and {more} more");
        }
        text
    }

    fn events(&self) -> String {
        let header = ["outcome", "reason", "file"].map(str::to_owned);
        let rows = self.summary.events.iter().map(|event| {
            let outcome = event.outcome.name().to_owned();
            [outcome, event.reason.clone(), printable(&event.file)]
        });
        table(
            &std::iter::once(header).chain(rows).collect::<Vec<_>>(),
            MAX_CELL_WIDTH,
        )
    }

    /// The counts that are not 0; all of them if something is missing.
    fn totals(&self) -> String {
        let DevSummary {
            signed_up,
            provisioned,
            already_done,
            passed_through,
            ignored,
            rejected,
            ..
        } = *self.summary;
        let is_shown = |count: usize| count > 0 || !self.summary.complete;
        let outcomes = [
            (signed_up, "signed up"),
            (provisioned, "provisioned"),
            (already_done, "already done"),
            (passed_through, "passed through"),
            (ignored, "ignored"),
            (rejected, "rejected"),
        ];
        let mut outcomes: Vec<String> = outcomes
            .into_iter()
            .filter(|(count, _)| is_shown(*count))
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        if outcomes.is_empty() {
            outcomes.push("0 signed up".to_owned());
        }
        let groups = self.summary.groups.iter();
        let groups: Vec<String> = groups.map(|(name, n)| format!("{n} in {name}")).collect();
        let state = [
            (self.summary.profiles, "profile"),
            (self.summary.dead_letters, "dead letter"),
        ];
        let state = state.into_iter().filter(|(count, _)| is_shown(*count));
        let parts = [outcomes.join(", "), groups.join(", ")];
        let parts = parts.into_iter().filter(|part| !part.is_empty());
        let state = state.map(|(count, noun)| plural(count as u64, noun));
        parts.chain(state).collect::<Vec<_>>().join("; ")
    }
}
