//! The letters of a run, among all that lie in the dead-letter queue.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::run_id::{RunId, Tag};
use crate::aws::{Failure, Queue};
use crate::dead_letter::{Filter, Selection, SelectionEnd};
use crate::retry::{Backoff, SharedRetry, Transient};

/// What lies there.
#[derive(Debug, Default)]
pub(super) struct RunDeadLetters {
    /// Reasons of the run's letters; a message may have become several.
    reasons: BTreeMap<Tag, Vec<String>>,
    /// Ids and reasons of letters that came since the run began and are not of it.
    pub(super) others: Vec<(String, String)>,
    /// Letters that could not be looked at, about.
    pub(super) unread: u64,
    /// Whether it was stopped on the way: what is missing may be there.
    pub(super) is_incomplete: bool,
}

/// Receives that are out at once.
pub(super) const SCAN_RECEIVES_IN_PARALLEL: usize = 8;
const DEAD_LETTER_SCAN_PAUSE: Duration = Duration::from_secs(2);

impl RunDeadLetters {
    /// Looks at all letters and leaves them there; looks again for the
    /// time of `settle` while one of `must_be` is missing.
    pub(super) async fn read(
        queue: &Queue,
        run: &RunId,
        since: jiff::Timestamp,
        must_be: &BTreeSet<Tag>,
        settle: Duration,
        persistence: &SharedRetry,
        stop: &CancellationToken,
    ) -> Result<Self, Failure> {
        let mut until = None;
        loop {
            let letters = Self::scan(queue, run, since, persistence, stop).await?;
            let is_complete = must_be.iter().all(|tag| letters.reasons.contains_key(tag));
            let until = *until.get_or_insert_with(|| Instant::now() + settle);
            if is_complete || Instant::now() > until || stop.is_cancelled() {
                return Ok(letters);
            }
            tokio::select! {
                () = tokio::time::sleep(DEAD_LETTER_SCAN_PAUSE) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// Never dropped on the way: letters in its hand would stay hidden.
    async fn scan(
        queue: &Queue,
        run: &RunId,
        since: jiff::Timestamp,
        persistence: &SharedRetry,
        stop: &CancellationToken,
    ) -> Result<Self, Failure> {
        let mut pace = Backoff::default();
        let mut selection = Selection::new(
            queue,
            SCAN_RECEIVES_IN_PARALLEL,
            Filter::default(),
            stop.clone(),
        );
        let mut letters = Self::default();
        let result = loop {
            match selection.next(|_| true, |_| {}).await {
                Ok(Some(found)) => {
                    persistence.record_success();
                    for letter in found {
                        let about = letter.summary;
                        match run.find(&letter.message.body) {
                            Some(tag) => letters.reasons.entry(tag).or_default().push(about.reason),
                            // Another run's are its own affair.
                            None if RunId::contains_run_name(&letter.message.body) => {}
                            None if about.dead_lettered_at.is_some_and(|at| at >= since) => {
                                letters.others.push((about.id, about.reason));
                            }
                            None => {}
                        }
                    }
                }
                Ok(None) => break Ok(()),
                Err(failure)
                    if failure.is_transient() && persistence.wait_to_retry(&mut pace).await => {}
                Err(failure) => break Err(failure),
            }
        };
        match selection.finish().await {
            SelectionEnd::Exhausted(unseen) => {
                letters.unread = unseen.hidden_elsewhere + unseen.not_received;
            }
            SelectionEnd::Limit | SelectionEnd::Stopped => letters.is_incomplete = true,
        }
        result.map(|()| letters)
    }

    /// Reasons of one message's letters.
    pub(super) fn reasons_of(&self, tag: Tag) -> &[String] {
        self.reasons.get(&tag).map_or(&[], Vec::as_slice)
    }

    /// Letters of users, none of whom should have any.
    pub(super) fn reasons_of_users(&self) -> impl Iterator<Item = (Tag, &String)> {
        let of_users = self
            .reasons
            .iter()
            .filter(|(tag, _)| !matches!(tag, Tag::Poison(_)));
        of_users.flat_map(|(tag, reasons)| reasons.iter().map(|reason| (*tag, reason)))
    }
}
