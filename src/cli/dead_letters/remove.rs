//! Deletes dead letters and writes an audit line for each.

use std::borrow::Borrow;

use crate::dead_letter::{AuditLog, DeadLetterSummary, Selection};

#[derive(Debug, Default)]
pub(super) struct RemovalCounts {
    pub(super) deleted: u64,
    pub(super) failed: u64,
}

/// Deletes dead letters that `selection` holds; `done` is the result in the audit line.
pub(super) async fn remove<T: Borrow<DeadLetterSummary>>(
    selection: &Selection,
    dead_letters: &[T],
    audit: &AuditLog,
    done: &str,
    removed: &mut RemovalCounts,
) {
    let dead_letters: Vec<&DeadLetterSummary> = dead_letters.iter().map(Borrow::borrow).collect();
    let ids: Vec<&str> = dead_letters
        .iter()
        .map(|dead_letter| dead_letter.id.as_str())
        .collect();
    let failed = selection.delete(&ids).await;
    for dead_letter in dead_letters {
        if let Some((_, failure)) = failed.iter().find(|(id, _)| *id == dead_letter.id) {
            removed.failed += 1;
            audit.log(dead_letter, &format!("not {done}: {}", failure.reason));
        } else {
            removed.deleted += 1;
            audit.log(dead_letter, done);
        }
    }
}
