//! Deletes dead letters that a selection holds.

use super::audit::AuditLog;
use super::received_dead_letter::DeadLetterSummary;
use super::selection::Selection;
use crate::aws::MAX_BATCH_ENTRIES;

/// The dead letters that a command has deleted.
#[derive(Debug, Default)]
pub(crate) struct RemovalCounts {
    pub(crate) deleted: u64,
    pub(crate) failed: u64,
}

impl RemovalCounts {
    /// Deletes dead letters that `selection` holds, and writes an audit line for each.
    pub(crate) async fn remove(
        &mut self,
        selection: &mut Selection,
        dead_letters: &[DeadLetterSummary],
        audit: &AuditLog,
    ) {
        let ids: Vec<&str> = dead_letters.iter().map(|it| it.id.as_str()).collect();
        let failed = selection.delete(&ids).await;
        for dead_letter in dead_letters {
            if let Some((_, failure)) = failed.iter().find(|(id, _)| *id == dead_letter.id) {
                self.failed += 1;
                audit.log(dead_letter, &format!("not deleted: {}", failure.reason));
            } else {
                self.deleted += 1;
                audit.log(dead_letter, "deleted");
            }
        }
    }

    /// [`Self::remove`] in batches, until the stop signal of `selection`.
    pub(crate) async fn drop_all(
        &mut self,
        selection: &mut Selection,
        dead_letters: &[DeadLetterSummary],
        audit: &AuditLog,
        mut progress: impl FnMut(&Self),
    ) {
        for dead_letters in dead_letters.chunks(MAX_BATCH_ENTRIES) {
            if selection.is_stopped() {
                break;
            }
            self.remove(selection, dead_letters, audit).await;
            progress(self);
        }
    }
}
