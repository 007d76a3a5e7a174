//! The letters of a run, among all that lie in the dead-letter queue.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::run_id::{RunId, Tag};
use crate::aws::{Failure, Queue};
use crate::dead_letter::{Ended, Filter, Selection};
use crate::retry::{Patience, Persistence, Transient};

/// What lies there.
#[derive(Debug, Default)]
pub(super) struct Letters {
    /// Reasons of the run's letters; a message may have become several.
    ours: BTreeMap<Tag, Vec<String>>,
    /// Ids and reasons of letters that came since the run began and are not of it.
    pub(super) others: Vec<(String, String)>,
    /// Letters that could not be looked at, about.
    pub(super) unseen: u64,
    /// Whether it was stopped on the way: what is missing may be there.
    pub(super) is_cut_off: bool,
}

/// Receives that are out at once.
pub(super) const WIDTH: usize = 8;
const AGAIN: Duration = Duration::from_secs(2);

impl Letters {
    /// Looks at all letters and leaves them there; looks again for the
    /// time of `settle` while one of `must_be` is missing.
    pub(super) async fn read(
        queue: &Queue,
        run: &RunId,
        since: jiff::Timestamp,
        must_be: &BTreeSet<Tag>,
        settle: Duration,
        persistence: &Persistence,
        stop: &CancellationToken,
    ) -> Result<Self, Failure> {
        let mut until = None;
        loop {
            let letters = Self::look(queue, run, since, persistence, stop).await?;
            let is_complete = must_be.iter().all(|tag| letters.ours.contains_key(tag));
            let until = *until.get_or_insert_with(|| Instant::now() + settle);
            if is_complete || Instant::now() > until || stop.is_cancelled() {
                return Ok(letters);
            }
            tokio::select! {
                () = tokio::time::sleep(AGAIN) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// Never dropped on the way: letters in its hand would stay hidden.
    async fn look(
        queue: &Queue,
        run: &RunId,
        since: jiff::Timestamp,
        persistence: &Persistence,
        stop: &CancellationToken,
    ) -> Result<Self, Failure> {
        let mut pace = Patience::default();
        let mut selection = Selection::new(queue, WIDTH, Filter::default(), stop.clone());
        let mut letters = Self::default();
        let result = loop {
            match selection.next(|_| true, |_| {}).await {
                Ok(Some(found)) => {
                    persistence.worked();
                    for letter in found {
                        let about = letter.about;
                        match run.find(&letter.message.body) {
                            Some(tag) => letters.ours.entry(tag).or_default().push(about.reason),
                            // Another run's are its own affair.
                            None if RunId::is_in(&letter.message.body) => {}
                            None if about.dead_lettered_at.is_some_and(|at| at >= since) => {
                                letters.others.push((about.id, about.reason));
                            }
                            None => {}
                        }
                    }
                }
                Ok(None) => break Ok(()),
                Err(failure) if failure.is_transient() && persistence.again(&mut pace).await => {}
                Err(failure) => break Err(failure),
            }
        };
        match selection.finish().await {
            Ended::All(unseen) => letters.unseen = unseen.elsewhere + unseen.beyond,
            Ended::Limit | Ended::Stopped => letters.is_cut_off = true,
        }
        result.map(|()| letters)
    }

    /// Reasons of one message's letters.
    pub(super) fn of(&self, tag: Tag) -> &[String] {
        self.ours.get(&tag).map_or(&[], Vec::as_slice)
    }

    /// Letters of users, none of whom should have any.
    pub(super) fn of_users(&self) -> impl Iterator<Item = (Tag, &String)> {
        let of_users = self
            .ours
            .iter()
            .filter(|(tag, _)| !matches!(tag, Tag::Poison(_)));
        of_users.flat_map(|(tag, reasons)| reasons.iter().map(|reason| (*tag, reason)))
    }
}
