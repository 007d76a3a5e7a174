//! What to do about a dead letter: the row of the runbook's table ("Dead letters") for its reason.

use std::fmt;

use super::received_dead_letter::{DeadLetterSummary, short_id};

/// What to know, and commands that can be copied.
#[derive(Debug)]
pub(crate) struct NextStep {
    pub(crate) note: Option<&'static str>,
    /// Each with its label: `next`, `then` or `or`.
    pub(crate) commands: Vec<(&'static str, String)>,
}

pub(crate) fn next_step(dead_letter: &DeadLetterSummary) -> NextStep {
    special_step(dead_letter).unwrap_or_else(|| NextStep {
        note: None,
        commands: vec![("next", replay_of(dead_letter))],
    })
}

/// Whether a replay is all that it needs.
pub(crate) fn needs_only_replay(dead_letter: &DeadLetterSummary) -> bool {
    special_step(dead_letter).is_none()
}

/// `None` if a replay is all that it needs.
fn special_step(dead_letter: &DeadLetterSummary) -> Option<NextStep> {
    let (reason, id) = (dead_letter.reason.as_str(), short_id(&dead_letter.id));
    let replay = replay_of(dead_letter);
    let drop = usher(&format!("drop {id}"));
    let body = usher(&format!("show {id} --body"));
    let (note, commands) = match (reason, dead_letter.class.as_deref()) {
        ("foreign_pool", _) => (
            "if the pool is yours, add it to pools.allowed and replay; otherwise drop",
            vec![("next", replay), ("or", drop)],
        ),
        ("user_not_found", _) => (
            "if it comes back after a replay, the user is deleted: drop it",
            vec![("next", replay), ("or", drop)],
        ),
        ("group_not_found" | "access_denied" | "limit_exceeded" | "table_mismatch", _) => {
            ("fix the cause", vec![("next", replay)])
        }
        ("repeated_token", _) => (
            "replay once the dry run ends without an error",
            vec![
                ("next", "usher reconcile --dry-run".to_owned()),
                ("then", replay),
            ],
        ),
        ("invalid_parameter", _) => {
            let file = "invalid.jsonl";
            (
                "edit the file before the import",
                vec![
                    (
                        "next",
                        usher(&format!("export {file} --reason {reason} --delete")),
                    ),
                    ("then", usher(&format!("import {file}"))),
                    ("then", usher(&format!("replay --reason {reason}"))),
                ],
            )
        }
        ("ambiguous_user", _) => (
            "check the user, and repeat the command by e-mail address",
            vec![("next", drop)],
        ),
        ("not_administrator", _) => (
            "if the requester should be an administrator, make them one and replay; otherwise drop",
            vec![("next", drop), ("or", replay)],
        ),
        (_, Some("malformed")) => (
            "find and fix the sender",
            vec![("next", body), ("then", drop)],
        ),
        (_, Some("forbidden" | "conflict")) => (
            "inform the administrator: requestedBy in the body",
            vec![("next", body), ("then", drop)],
        ),
        _ => return None,
    };
    Some(NextStep {
        note: Some(note),
        commands,
    })
}

impl fmt::Display for NextStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(note) = self.note {
            writeln!(f, "note: {note}")?;
        }
        for (label, command) in &self.commands {
            writeln!(f, "{label}: {command}")?;
        }
        Ok(())
    }
}

fn replay_of(dead_letter: &DeadLetterSummary) -> String {
    usher(&format!("replay {}", short_id(&dead_letter.id)))
}

fn usher(arguments: &str) -> String {
    format!("usher dead-letters {arguments}")
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use clap::Parser;

    use super::*;
    use crate::cli::Cli;
    use crate::event::Malformed;
    use crate::message::attribute;
    use crate::reason::REASONS;

    const RUNBOOK: &str = include_str!("../../docs/OPERATIONS.md");

    /// The steps of a text, without those that only look.
    fn steps(text: &str) -> BTreeSet<String> {
        let words = text.split(|c: char| !c.is_ascii_alphabetic());
        words
            .map(str::to_lowercase)
            .filter(|word| ["replay", "drop", "import", "reconcile"].contains(&word.as_str()))
            .collect()
    }

    fn class(reason: &str) -> &'static str {
        match reason {
            "foreign_pool" | "group_not_grantable" | "not_administrator" => "forbidden",
            "alias_exists" | "already_accepted" | "ambiguous_user" | "user_disabled"
            | "username_taken" => "conflict",
            "no_sub" => "malformed",
            _ if Malformed::ALL.iter().any(|it| it.code() == reason) => "malformed",
            _ => "permanent",
        }
    }

    /// The steps of the commands, which the program accepts.
    fn next_steps(reason: &str) -> BTreeSet<String> {
        let attributes = [
            (attribute::REASON, reason),
            (attribute::CLASS, class(reason)),
        ];
        let attributes = attributes.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let attributes = BTreeMap::from(attributes);
        let dead_letter = DeadLetterSummary::new("91e29d26-c230", "{", &attributes);
        let commands = next_step(&dead_letter).commands;
        let commands = commands.iter().map(|(_, command)| {
            let parsed = Cli::try_parse_from(command.split(' '));
            assert!(parsed.is_ok(), "{command}: {:?}", parsed.err());
            command.as_str()
        });
        steps(&commands.collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn the_next_step_is_that_of_the_runbook() {
        let section = RUNBOOK
            .split("\n## Dead letters\n")
            .nth(1)
            .expect("a section");
        let table = section
            .split("\n| reason | do |\n")
            .nth(1)
            .expect("a table");
        let rows = table
            .lines()
            .skip(1)
            .take_while(|line| line.starts_with('|'));
        let mut in_table = BTreeSet::new();
        for row in rows {
            let (reasons, advice) = row[1..].split_once('|').expect("two cells");
            for reason in reasons.split('`').skip(1).step_by(2) {
                in_table.insert(reason);
                assert_eq!(next_steps(reason), steps(advice), "{reason}");
            }
        }
        assert!(in_table.len() > 15, "{in_table:?}");
        // A row with "…" is for the others of its class, or those that only need a replay.
        for (reason, _) in REASONS {
            let usual = match class(reason) {
                "malformed" | "forbidden" | "conflict" => "drop",
                _ => "replay",
            };
            let is_usual = next_steps(reason) == steps(usual);
            assert!(is_usual || in_table.contains(reason), "{reason}");
        }
    }
}
