//! The dead letters of the person, among all on the queue.

use super::person::{Person, Relation};
use crate::aws::Failure;
use crate::dead_letter::{DeadLetterSummary, ReceivedDeadLetter, Selection};
use crate::users::OnProgress;

#[derive(Debug, Default)]
pub(super) struct Letters {
    pub(super) theirs: Vec<DeadLetterSummary>,
    /// Ids of those that may be about another user.
    pub(super) doubtful: Vec<String>,
}

impl Letters {
    pub(super) async fn read(
        selection: &mut Selection,
        person: &Person,
        on_progress: OnProgress<'_>,
    ) -> Result<Self, Failure> {
        let mut letters = Self::default();
        let relation = |it: &ReceivedDeadLetter| person.relation(&it.summary, &it.message.body);
        let accept = |it: &_| relation(it) != Relation::None;
        let wait = |hidden| on_progress(hidden, "dead letters in flight elsewhere");
        while let Some(found) = selection.next(accept, wait).await? {
            for letter in found {
                if relation(&letter) == Relation::Theirs {
                    letters.theirs.push(letter.summary);
                } else {
                    letters.doubtful.push(letter.summary.id);
                }
            }
        }
        Ok(letters)
    }
}
