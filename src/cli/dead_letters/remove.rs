//! Deleting letters, with a line for each.

use std::borrow::Borrow;

use crate::dead_letter::{About, Audit, Selection};

/// How many letters are gone, and how many are not.
#[derive(Debug, Default)]
pub(super) struct Removed {
    pub(super) gone: u64,
    pub(super) still_there: u64,
}

/// Deletes letters that a selection handed out; `done` is the audit's word for it.
pub(super) async fn remove<T: Borrow<About>>(
    selection: &Selection,
    letters: &[T],
    audit: &Audit,
    done: &str,
    removed: &mut Removed,
) {
    let letters: Vec<&About> = letters.iter().map(Borrow::borrow).collect();
    let ids: Vec<&str> = letters.iter().map(|letter| letter.id.as_str()).collect();
    let failed = selection.delete(&ids).await;
    for letter in letters {
        if let Some((_, failure)) = failed.iter().find(|(id, _)| *id == letter.id) {
            removed.still_there += 1;
            audit.line(letter, &format!("not {done}: {}", failure.reason));
        } else {
            removed.gone += 1;
            audit.line(letter, done);
        }
    }
}
