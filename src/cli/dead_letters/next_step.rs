//! What to do about a dead letter: the row of the runbook's table ("Dead letters") for its reason.

use super::context::short_id;
use crate::dead_letter::DeadLetterSummary;

pub(super) fn next_step(dead_letter: &DeadLetterSummary) -> String {
    special_step(dead_letter).unwrap_or_else(|| replay_of(dead_letter))
}

/// `None` if a replay is all that it needs.
pub(in crate::cli) fn special_step(dead_letter: &DeadLetterSummary) -> Option<String> {
    let (reason, id) = (dead_letter.reason.as_str(), short_id(&dead_letter.id));
    let replay = replay_of(dead_letter);
    let drop = usher(&format!("drop {id}"));
    let body = usher(&format!("show {id} --body"));
    let step = match (reason, dead_letter.class.as_deref()) {
        ("foreign_pool", _) => {
            format!("if the pool is yours, add it to pools.allowed, then {replay}; else {drop}")
        }
        ("user_not_found", _) => format!("{replay}; if it comes back, {drop}"),
        ("group_not_found" | "access_denied" | "limit_exceeded" | "table_mismatch", _) => {
            format!("fix the cause, then {replay}")
        }
        ("repeated_token", _) => format!("usher reconcile --dry-run; if it ends, {replay}"),
        ("invalid_parameter", _) => {
            let export = usher("export FILE --reason invalid_parameter --remove");
            format!("{export}, edit, import and replay")
        }
        ("ambiguous_user", _) => format!("{drop}, check the user, repeat by e-mail address"),
        ("not_administrator", _) => format!("{drop}, or make the requester one and {replay}"),
        (_, Some("malformed")) => format!("find the sender ({body}), then {drop}"),
        (_, Some("forbidden" | "conflict")) => {
            format!("inform the administrator (requestedBy in {body}), then {drop}")
        }
        _ => return None,
    };
    Some(step)
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

    use super::*;
    use crate::cli::reasons::REASONS;
    use crate::event::Malformed;
    use crate::message::attribute;

    const RUNBOOK: &str = include_str!("../../../docs/OPERATIONS.md");

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

    fn next_steps(reason: &str) -> BTreeSet<String> {
        let attributes = [
            (attribute::REASON, reason),
            (attribute::CLASS, class(reason)),
        ];
        let attributes = attributes.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let attributes = BTreeMap::from(attributes);
        let dead_letter = DeadLetterSummary::new("91e29d26-c230", "{", &attributes);
        steps(&next_step(&dead_letter))
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
