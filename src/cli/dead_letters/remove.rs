//! Deleting letters, with a line for each.

use std::borrow::Borrow;

use crate::dead_letter::{AuditLog, DeadLetterSummary, Selection};

/// How many letters are gone, and how many are not.
#[derive(Debug, Default)]
pub(super) struct RemovalCounts {
    pub(super) deleted: u64,
    pub(super) failed: u64,
}

/// Deletes letters that a selection handed out; `done` is the audit's word for it.
pub(super) async fn remove<T: Borrow<DeadLetterSummary>>(
    selection: &Selection,
    letters: &[T],
    audit: &AuditLog,
    done: &str,
    removed: &mut RemovalCounts,
) {
    let letters: Vec<&DeadLetterSummary> = letters.iter().map(Borrow::borrow).collect();
    let ids: Vec<&str> = letters.iter().map(|letter| letter.id.as_str()).collect();
    let failed = selection.delete(&ids).await;
    for letter in letters {
        if let Some((_, failure)) = failed.iter().find(|(id, _)| *id == letter.id) {
            removed.failed += 1;
            audit.log(letter, &format!("not {done}: {}", failure.reason));
        } else {
            removed.deleted += 1;
            audit.log(letter, done);
        }
    }
}
