//! Removes everything that a run left: messages, dead letters, profiles, users, in
//! this order. So the worker cannot create a removed item again, and a clean-up after an
//! interrupted one still finds the rest by the users' names.

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
use crate::dead_letter::{Filter, ReceivedDeadLetter, SQS_COUNTS_LAG, Selection, SelectionEnd};
use crate::event::{PoolId, Sub, Username};
use crate::retry::{Backoff, SharedRetry, Transient};

/// The budget limits the rate of these calls.
const USER_REMOVALS_IN_PARALLEL: usize = 16;
/// `ListUsers` is eventually consistent: it is called until two listings in a row lead
/// to no removal, or until the maximum.
const REQUIRED_EMPTY_LISTINGS: u32 = 2;
const MAX_USER_LISTINGS: u32 = 12;
/// Limits the scans of the source queue while further messages arrive.
const MAX_SOURCE_SCANS: u32 = 5;
const CLEANUP_PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Cleaner<'a> {
    /// Clients for the resources to remove.
    pub services: &'a LoadServices,
    pub(crate) run_id: &'a RunId,
    pub pool: &'a PoolId,
    /// How long SQS must count no message of the run: its counts may be a minute old.
    pub(crate) quiet_period: Duration,
    pub retry: &'a SharedRetry,
    /// Ends the clean-up early and incomplete.
    pub stop: &'a CancellationToken,
}

/// Whether messages of the run may still be on the source queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SourceQueueState {
    /// The run sent no message.
    Unused,
    /// Messages may be there: the queue must be scanned.
    Unknown,
    /// The queue was seen empty, and nothing was sent since.
    Empty,
}

/// The result of the scan of one queue.
#[derive(Debug, Default)]
struct QueueCleanup {
    /// Number of messages that do not belong to the run.
    other_messages: u64,
    /// Whether all messages were seen, and all of the run deleted.
    is_complete: bool,
}

impl Cleaner<'_> {
    /// Removes everything; `removed` gets the number of users so far. If the worker may
    /// receive messages of the run again, profiles and users stay, and the result is
    /// incomplete. Otherwise the worker could write a profile that no clean-up would find.
    ///
    /// After a failed call it returns the failure too; another clean-up continues.
    pub(crate) async fn clean(
        &self,
        test_users: &TestUsers,
        source: SourceQueueState,
        removed: impl Fn(u64),
    ) -> (Cleaned, Option<Failure>) {
        let mut cleaned = Cleaned::default();
        let result = self.run(test_users, source, removed, &mut cleaned).await;
        (cleaned, result.err())
    }

    async fn run(
        &self,
        test_users: &TestUsers,
        source: SourceQueueState,
        removed: impl Fn(u64),
        cleaned: &mut Cleaned,
    ) -> Result<(), Failure> {
        let mut are_queues_clean = true;
        if source != SourceQueueState::Unused {
            // SQS's counts may have been old then; these are newer.
            let attributes = || self.services.queue.attributes();
            let is_empty = source == SourceQueueState::Empty
                && self.retry.call(attributes).await?.depth.is_empty();
            if !is_empty && !self.empty_source(cleaned).await? {
                return Ok(());
            }
            let dead_letters = &self.services.dead_letters;
            let cleanup = self.delete_messages(
                dead_letters,
                &mut cleaned.dead_letters,
                &mut cleaned.profiles,
            );
            are_queues_clean = cleanup.await?.is_complete;
        }
        let known = test_users.users.iter().chain(&test_users.bystanders);
        let known: Vec<(Username, Option<Sub>)> = known
            .map(|user| (user.username.clone(), Some(user.sub.clone())))
            .collect();
        self.remove_users(known, cleaned, &removed).await?;
        let (mut listings, mut empty_listings) = (0, 0);
        while empty_listings < REQUIRED_EMPTY_LISTINGS
            && listings < MAX_USER_LISTINGS
            && !self.stop.is_cancelled()
        {
            if listings > 0 {
                tokio::time::sleep(CLEANUP_PAUSE).await;
            }
            listings += 1;
            let before = cleaned.users;
            self.remove_users(self.list_users().await?, cleaned, &removed)
                .await?;
            empty_listings = if cleaned.users == before {
                empty_listings + 1
            } else {
                0
            };
        }
        cleaned.complete = empty_listings == REQUIRED_EMPTY_LISTINGS
            && are_queues_clean
            && !self.stop.is_cancelled();
        Ok(())
    }

    /// Deletes the run's messages until SQS counts only messages of others for the time
    /// of `quiet_period`. Returns false if messages of the run may remain.
    async fn empty_source(&self, cleaned: &mut Cleaned) -> Result<bool, Failure> {
        let queue = &self.services.queue;
        for _ in 0..MAX_SOURCE_SCANS {
            let cleanup = self
                .delete_messages(queue, &mut cleaned.messages, &mut cleaned.profiles)
                .await?;
            if !cleanup.is_complete {
                return Ok(false);
            }
            let until = Instant::now() + self.quiet_period;
            loop {
                let depth = self.retry.call(|| queue.attributes()).await?.depth;
                if depth.total() > cleanup.other_messages {
                    break;
                }
                if Instant::now() >= until {
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

    /// Deletes the run's messages from one queue, each after its user's profile, since
    /// the user may be deleted already. Makes the others visible again. Ends when the
    /// queue is exhausted, or has given only messages of others for a while.
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
        let mut cleanup = QueueCleanup {
            is_complete: true,
            ..QueueCleanup::default()
        };
        let (mut last_own_at, mut backoff) = (Instant::now(), Backoff::default());
        let result = loop {
            match selection.next(|_| true, |_| {}).await {
                Ok(Some(found)) => {
                    self.retry.record_success();
                    let (own, others): (Vec<&ReceivedDeadLetter>, Vec<&ReceivedDeadLetter>) = found
                        .iter()
                        .partition(|held| self.run_id.find(&held.message.body).is_some());
                    cleanup.other_messages += others.len() as u64;
                    for batch in own.chunks(MAX_BATCH_ENTRIES) {
                        last_own_at = Instant::now();
                        match self.remove_profiles_of(batch).await {
                            Ok(removed) => *profiles += removed,
                            Err(failure) => {
                                selection.finish().await;
                                return Err(failure);
                            }
                        }
                        let ids: Vec<&str> = batch
                            .iter()
                            .map(|message| message.summary.id.as_str())
                            .collect();
                        let left = selection.delete(&ids).await;
                        if let Some((_, failure)) = left.first().filter(|_| cleanup.is_complete) {
                            tracing::warn!(error = %failure, "messages of the load run could not be deleted");
                        }
                        cleanup.is_complete &= left.is_empty();
                        *count += (ids.len() - left.len()) as u64;
                    }
                    if last_own_at.elapsed() > SQS_COUNTS_LAG {
                        break Ok(());
                    }
                }
                Ok(None) => break Ok(()),
                Err(failure)
                    if failure.is_transient() && self.retry.wait_to_retry(&mut backoff).await => {}
                Err(failure) => break Err(failure),
            }
        };
        match selection.finish().await {
            SelectionEnd::Exhausted(unseen) => {
                cleanup.is_complete &= unseen.hidden_elsewhere + unseen.not_received == 0;
            }
            SelectionEnd::Limit | SelectionEnd::Stopped => cleanup.is_complete = false,
        }
        result.map(|()| cleanup)
    }

    async fn remove_profiles_of(&self, messages: &[&ReceivedDeadLetter]) -> Result<u64, Failure> {
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
            Some(profiles) => self.retry.call(|| profiles.delete(sub)).await,
            None => Ok(false),
        }
    }

    /// Removes each profile before its user, since a profile is found by its user.
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
                let delete = || self.services.cognito.delete_user(self.pool, &username);
                Ok::<_, Failure>((profile, self.retry.call(delete).await?))
            })
            .buffer_unordered(USER_REMOVALS_IN_PARALLEL);
        loop {
            let removal = tokio::select! {
                removal = removing.next() => removal,
                () = self.stop.cancelled() => None,
            };
            let Some(removal) = removal else {
                return Ok(());
            };
            let (profile, user) = removal?;
            cleaned.profiles += u64::from(profile);
            cleaned.users += u64::from(user);
            removed(cleaned.users);
        }
    }

    async fn list_users(&self) -> Result<Vec<(Username, Option<Sub>)>, Failure> {
        let prefix = self.run_id.prefix();
        let is_own = |user: &ListedUser| {
            let email = user.attributes.get("email").unwrap_or_default();
            email.starts_with(&prefix) || user.username.reveal().starts_with(&prefix)
        };
        let (mut found, mut token) = (Vec::new(), None::<String>);
        loop {
            let list = || {
                self.services
                    .cognito
                    .list_by_email_prefix(self.pool, &prefix, token.as_deref())
            };
            let page = self.retry.call(list).await?;
            let own = page.items.into_iter().filter(is_own);
            found.extend(own.map(|user| (user.username, user.sub)));
            token = page.next;
            if token.is_none() {
                return Ok(found);
            }
        }
    }
}
