//! Takes away what a run left: messages, letters, profiles, users, in this order,
//! so that nothing makes anew what is gone already, and a clean-up that was cut off
//! still finds what is left by the users' names.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::dead_letters::SCAN_RECEIVES_IN_PARALLEL;
use super::report::Cleaned;
use super::run::LoadServices;
use super::run_id::RunId;
use super::test_users::TestUsers;
use crate::aws::{Failure, ListedUser, MAX_BATCH_ENTRIES, Queue};
use crate::dead_letter::{Filter, HeldDeadLetter, SQS_COUNTS_LAG, Selection, SelectionEnd};
use crate::event::{PoolId, Sub, Username};
use crate::retry::{Backoff, SharedRetry, Transient};

/// Users that are removed at once; the budget sets the pace.
const USER_REMOVALS_IN_PARALLEL: usize = 16;
/// `ListUsers` is eventually consistent: it is asked until it shows nobody who is
/// there, twice, and so many times at most.
const REQUIRED_EMPTY_LISTINGS: u32 = 2;
const MAX_USER_LISTINGS: u32 = 12;
/// The source queue is looked through so many times at most, while more keeps coming.
const MAX_SOURCE_SCANS: u32 = 5;
const CLEANUP_PAUSE: Duration = Duration::from_secs(1);

/// A clean-up.
#[derive(Debug)]
pub(crate) struct Cleaner<'a> {
    /// Where the run left what it left.
    pub services: &'a LoadServices,
    /// Whose.
    pub(crate) run_id: &'a RunId,
    /// The pool.
    pub pool: &'a PoolId,
    /// How long SQS has to count nothing of the run's: its counts may be a minute old.
    pub(crate) quiet_period: Duration,
    /// Gives up once nothing works any more.
    pub retry: &'a SharedRetry,
    /// Leaves the rest, which is then not complete.
    pub stop: &'a CancellationToken,
}

/// Whether messages of the run may still be on the source queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SourceQueueState {
    /// None was ever sent.
    Unused,
    /// They may: it has to be looked through.
    Unknown,
    /// It was seen empty, and nothing was sent since.
    Empty,
}

/// What a look through one queue found.
#[derive(Debug, Default)]
struct QueueCleanup {
    /// Messages that are not of the run.
    other_messages: u64,
    /// Whether all was seen, and all of the run's deleted.
    is_complete: bool,
}

impl Cleaner<'_> {
    /// Removes everything. `removed` hears how many users are gone. Where messages of
    /// the run may come back to a worker, profiles and users stay, and it is not
    /// complete: the worker would make a profile anew that nobody could find.
    ///
    /// Answers also with the first call that could not be made: running it again goes
    /// on.
    pub(crate) async fn clean(
        &self,
        crew: &TestUsers,
        source: SourceQueueState,
        removed: impl Fn(u64),
    ) -> (Cleaned, Option<Failure>) {
        let mut cleaned = Cleaned::default();
        let result = self.run(crew, source, removed, &mut cleaned).await;
        (cleaned, result.err())
    }

    async fn run(
        &self,
        crew: &TestUsers,
        source: SourceQueueState,
        removed: impl Fn(u64),
        cleaned: &mut Cleaned,
    ) -> Result<(), Failure> {
        let mut is_whole = true;
        if source != SourceQueueState::Unused {
            // SQS's counts were a little old then, and are not now.
            let facts = || self.services.queue.attributes();
            let is_empty =
                source == SourceQueueState::Empty && self.retry.call(facts).await?.depth.is_empty();
            if !is_empty && !self.empty_source(cleaned).await? {
                return Ok(());
            }
            let letters = &self.services.dead_letters;
            let taken =
                self.delete_messages(letters, &mut cleaned.dead_letters, &mut cleaned.profiles);
            is_whole = taken.await?.is_complete;
        }
        let known = crew.users.iter().chain(&crew.bystanders);
        let known: Vec<(Username, Option<Sub>)> = known
            .map(|person| (person.username.clone(), Some(person.sub.clone())))
            .collect();
        self.remove_users(known, cleaned, &removed).await?;
        let (mut looks, mut empty) = (0, 0);
        while empty < REQUIRED_EMPTY_LISTINGS
            && looks < MAX_USER_LISTINGS
            && !self.stop.is_cancelled()
        {
            if looks > 0 {
                tokio::time::sleep(CLEANUP_PAUSE).await;
            }
            looks += 1;
            let before = cleaned.users;
            self.remove_users(self.list_users().await?, cleaned, &removed)
                .await?;
            empty = if cleaned.users == before {
                empty + 1
            } else {
                0
            };
        }
        cleaned.complete =
            empty == REQUIRED_EMPTY_LISTINGS && is_whole && !self.stop.is_cancelled();
        Ok(())
    }

    /// Takes the run's messages off the source queue until SQS has counted no others
    /// than those of others for the time of `settle`. False when some may come back.
    async fn empty_source(&self, cleaned: &mut Cleaned) -> Result<bool, Failure> {
        let queue = &self.services.queue;
        for _ in 0..MAX_SOURCE_SCANS {
            let taken = self
                .delete_messages(queue, &mut cleaned.messages, &mut cleaned.profiles)
                .await?;
            if !taken.is_complete {
                return Ok(false);
            }
            let settled = Instant::now() + self.quiet_period;
            loop {
                let depth = self.retry.call(|| queue.attributes()).await?.depth;
                if depth.total() > taken.other_messages {
                    break;
                }
                if Instant::now() >= settled {
                    return Ok(true);
                }
                tokio::select! {
                    () = tokio::time::sleep(CLEANUP_PAUSE) => {}
                    () = self.stop.cancelled() => return Ok(false),
                }
            }
        }
        Ok(false)
    }

    /// Deletes the run's messages of one queue, each after the profile of the user whom
    /// it is about, who may be gone; shows the others again. Ends when there are no
    /// more, or when only others have come for a while.
    async fn delete_messages(
        &self,
        queue: &Queue,
        count: &mut u64,
        profiles: &mut u64,
    ) -> Result<QueueCleanup, Failure> {
        let mut selection = Selection::new(
            queue,
            SCAN_RECEIVES_IN_PARALLEL,
            Filter::default(),
            self.stop.clone(),
        );
        let mut taken = QueueCleanup {
            is_complete: true,
            ..QueueCleanup::default()
        };
        let (mut ours_at, mut pace) = (Instant::now(), Backoff::default());
        let result = loop {
            match selection.next(|_| true, |_| {}).await {
                Ok(Some(found)) => {
                    self.retry.record_success();
                    let (ours, others): (Vec<&HeldDeadLetter>, Vec<&HeldDeadLetter>) = found
                        .iter()
                        .partition(|found| self.run_id.find(&found.message.body).is_some());
                    taken.other_messages += others.len() as u64;
                    for batch in ours.chunks(MAX_BATCH_ENTRIES) {
                        ours_at = Instant::now();
                        match self.remove_profiles_of(batch).await {
                            Ok(removed) => *profiles += removed,
                            Err(failure) => {
                                selection.finish().await;
                                return Err(failure);
                            }
                        }
                        let ids: Vec<&str> =
                            batch.iter().map(|one| one.summary.id.as_str()).collect();
                        let left = selection.delete(&ids).await;
                        if let Some((_, failure)) = left.first().filter(|_| taken.is_complete) {
                            tracing::warn!(error = %failure, "messages of the run could not be deleted");
                        }
                        taken.is_complete &= left.is_empty();
                        *count += (ids.len() - left.len()) as u64;
                    }
                    if ours_at.elapsed() > SQS_COUNTS_LAG {
                        break Ok(());
                    }
                }
                Ok(None) => break Ok(()),
                Err(failure)
                    if failure.is_transient() && self.retry.wait_to_retry(&mut pace).await => {}
                Err(failure) => break Err(failure),
            }
        };
        match selection.finish().await {
            SelectionEnd::Exhausted(unseen) => {
                taken.is_complete &= unseen.hidden_elsewhere + unseen.not_received == 0;
            }
            SelectionEnd::Limit | SelectionEnd::Stopped => taken.is_complete = false,
        }
        result.map(|()| taken)
    }

    async fn remove_profiles_of(&self, messages: &[&HeldDeadLetter]) -> Result<u64, Failure> {
        let subs: BTreeSet<&str> = messages
            .iter()
            .filter_map(|message| message.summary.sub.as_deref())
            .collect();
        let removed = join_all(subs.iter().map(|sub| self.remove_profile(sub))).await;
        removed
            .into_iter()
            .try_fold(0, |sum, removed| Ok(sum + u64::from(removed?)))
    }

    async fn remove_profile(&self, sub: &str) -> Result<bool, Failure> {
        match &self.services.profiles {
            Some(records) => self.retry.call(|| records.delete(sub)).await,
            None => Ok(false),
        }
    }

    /// Each profile before its user: the user is how it is found.
    async fn remove_users(
        &self,
        users: Vec<(Username, Option<Sub>)>,
        cleaned: &mut Cleaned,
        removed: &impl Fn(u64),
    ) -> Result<(), Failure> {
        let mut removing = stream::iter(users)
            .map(|(username, sub)| async move {
                let profile = match &sub {
                    Some(sub) => self.remove_profile(sub.as_str()).await?,
                    None => false,
                };
                let delete = || self.services.users.delete(self.pool, &username);
                Ok::<_, Failure>((profile, self.retry.call(delete).await?))
            })
            .buffer_unordered(USER_REMOVALS_IN_PARALLEL);
        loop {
            let gone = tokio::select! {
                gone = removing.next() => gone,
                () = self.stop.cancelled() => None,
            };
            let Some(gone) = gone else {
                return Ok(());
            };
            let (profile, user) = gone?;
            cleaned.profiles += u64::from(profile);
            cleaned.users += u64::from(user);
            removed(cleaned.users);
        }
    }

    async fn list_users(&self) -> Result<Vec<(Username, Option<Sub>)>, Failure> {
        let prefix = self.run_id.prefix();
        let ours = |user: &ListedUser| {
            let email = user.attributes.get("email").unwrap_or_default();
            email.starts_with(&prefix) || user.username.reveal().starts_with(&prefix)
        };
        let (mut found, mut token) = (Vec::new(), None::<String>);
        loop {
            let list = || {
                self.services
                    .users
                    .with_email_prefix(self.pool, &prefix, token.as_deref())
            };
            let page = self.retry.call(list).await?;
            let of_page = page.items.into_iter().filter(ours);
            found.extend(of_page.map(|user| (user.username, user.sub)));
            token = page.next;
            if token.is_none() {
                return Ok(found);
            }
        }
    }
}
