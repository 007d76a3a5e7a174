//! One run over one pool, a page of users at a time.

use std::time::Duration;

use tokio::time::Instant;

use super::incomplete_user::{IncompleteUser, ProfileState, why_not_queued};
use super::memberships::{MembershipSet, Restarts};
use super::other_ids::OwnerSet;
use super::plan::{ReconcilePlan, ReconcileServices};
use crate::aws::{Class, Failure, ListedUser, Outgoing, UserStatus};
use crate::config::GroupName;
use crate::event::{Cursor, Sub};
use crate::retry::retry_inline;

/// Pause before the next check of a queue that is too long.
const BACKLOG_POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Memory grows with the number of users only if memberships are compared, and with the
/// number of profiles only if their owners are read.
#[derive(Debug)]
pub(crate) struct ReconcileRun {
    services: ReconcileServices,
    plan: ReconcilePlan,
    cursor: Cursor,
    /// Where this run started. Its counts are those of earlier parts.
    start: Cursor,
    /// Whether the last page of users is done.
    finished: bool,
    cache: ReconcileCache,
    pending: Option<UserPage>,
    /// Earliest time to queue more users, so that `plan.rate` holds.
    next_queue_at: Instant,
    refused: u64,
    restarts: Restarts,
}

/// The lists that a run has read, except the users. The next part of the run reuses them.
#[derive(Debug, Default)]
pub(crate) struct ReconcileCache {
    memberships: MembershipSet,
    owners: OwnerSet,
}

/// A page of users that is not queued yet.
#[derive(Debug)]
struct UserPage {
    users: u64,
    incomplete: Vec<IncompleteUser>,
    next: Option<String>,
    /// Whether profiles under other ids were looked for, and the limit was applied.
    is_ready: bool,
    /// Whether the limit excludes some users of the page.
    is_truncated: bool,
}

/// The result of one [`ReconcileRun::step`].
#[derive(Debug)]
pub(crate) enum ReconcileStep {
    /// Read a page of the members of a group.
    Members,
    /// Read a page of the owners of profiles.
    Owners,
    /// Checked a page of users. These lack something, and are queued now, or have their
    /// profile under another id.
    Users(Vec<IncompleteUser>),
    /// Queued nothing: call again at this time. The number is of the visible messages, or 0
    /// for the pause that the rate demands.
    Wait(Instant, u64),
    /// All users were checked, or the limit is reached.
    Done,
}

impl ReconcileRun {
    /// Starts at `cursor`, which is the default for a new run.
    pub(crate) fn new(services: ReconcileServices, plan: ReconcilePlan, cursor: Cursor) -> Self {
        Self {
            services,
            plan,
            start: cursor.clone(),
            cursor,
            finished: false,
            cache: ReconcileCache::default(),
            pending: None,
            next_queue_at: Instant::now(),
            refused: 0,
            restarts: Restarts::default(),
        }
    }

    /// Reuses the lists that an earlier part of this run has read.
    #[must_use]
    pub(crate) fn with_cache(self, cache: ReconcileCache) -> Self {
        Self { cache, ..self }
    }

    /// Where the next part continues: after the last page whose users are queued.
    pub(crate) fn cursor(&self) -> &Cursor {
        &self.cursor
    }

    /// The cursor with the counts of this part of the run only.
    pub(crate) fn counts(&self) -> Cursor {
        Cursor {
            users: self.cursor.users - self.start.users,
            queued: self.cursor.queued - self.start.queued,
            elsewhere: self.cursor.elsewhere - self.start.elsewhere,
            ..self.cursor.clone()
        }
    }

    /// For the next part of this run.
    pub(crate) fn into_cache(self) -> ReconcileCache {
        self.cache
    }

    /// Whether a list is read in part: another process would read it again.
    pub(crate) fn is_reading(&self) -> bool {
        !self.has_memberships() || self.cache.owners.is_reading()
    }

    /// Reads or queues one page. A step that failed may be repeated.
    pub(crate) async fn step(&mut self) -> Result<ReconcileStep, Failure> {
        if self.remaining() == 0 || self.is_finished() {
            return Ok(ReconcileStep::Done);
        }
        if !self.has_memberships() {
            let (pool, groups) = (&self.plan.pool, &self.plan.groups);
            let cognito = &self.services.cognito;
            self.cache
                .memberships
                .read_page(cognito, pool, groups)
                .await?;
            return Ok(ReconcileStep::Members);
        }
        let mut page = match self.pending.take() {
            Some(page) => page,
            None => self.read_users().await?,
        };
        let unfinished = match self.queue_page(&mut page).await {
            Ok(None) => return Ok(ReconcileStep::Users(page.incomplete)),
            Ok(Some(step)) => Ok(step),
            Err(failure) => Err(failure),
        };
        self.pending = Some(page);
        unfinished
    }

    /// Returns what the page waits for; `None` once its users are queued.
    async fn queue_page(&mut self, page: &mut UserPage) -> Result<Option<ReconcileStep>, Failure> {
        if !page.is_ready && !self.prepare(page).await? {
            return Ok(Some(ReconcileStep::Owners));
        }
        if let Some((at, waiting)) = self.check_backlog(page).await? {
            return Ok(Some(ReconcileStep::Wait(at, waiting)));
        }
        self.queue_users(&page.incomplete).await?;
        self.advance(page);
        Ok(None)
    }

    /// Users whose sign-up SQS refused for good.
    pub(crate) fn refused(&self) -> u64 {
        self.refused
    }

    /// Whether every user was checked.
    pub(crate) fn is_finished(&self) -> bool {
        self.finished
    }

    fn has_memberships(&self) -> bool {
        self.cache.memberships.is_complete(&self.plan.groups)
    }

    fn remaining(&self) -> u64 {
        let limit = self.plan.limit.unwrap_or(u64::MAX);
        limit.saturating_sub(self.cursor.queued - self.start.queued)
    }

    /// Starts the list again if its page token has expired.
    async fn read_users(&mut self) -> Result<UserPage, Failure> {
        match self.read_users_at_cursor().await {
            Err(failure)
                if self
                    .restarts
                    .restart_if_expired(&failure, &mut self.cursor.token) =>
            {
                tracing::info!(
                    "page token of the user list has expired; the list is read again from its start"
                );
                for counts in [&mut self.cursor, &mut self.start] {
                    counts.users = 0;
                    counts.elsewhere = 0;
                }
                self.read_users_at_cursor().await
            }
            page => page,
        }
    }

    async fn read_users_at_cursor(&self) -> Result<UserPage, Failure> {
        let (pool, token) = (&self.plan.pool, self.cursor.token.as_deref());
        let page = retry_inline(|| self.services.cognito.list_users(pool, token)).await?;
        let users: Vec<ListedUser> = page
            .items
            .into_iter()
            .filter(|user| self.is_selected(user))
            .collect();
        let subs: Vec<&str> = users
            .iter()
            .filter_map(|user| user.sub.as_ref().map(Sub::as_str))
            .collect();
        let present = match &self.services.profiles {
            Some(profiles) => Some(retry_inline(|| profiles.existing(&subs)).await?),
            None => None,
        };
        let checked = users.len() as u64;
        let mut incomplete = Vec::new();
        for user in users {
            let compared = self.plan.groups.iter().enumerate();
            let groups: Vec<GroupName> = compared
                .filter(|(index, _)| !self.cache.memberships.has(*index, &user.username))
                .map(|(_, group)| group.clone())
                .collect();
            let is_missing = present.as_ref().is_some_and(|present| {
                let sub = user.sub.as_ref();
                !sub.is_some_and(|sub| present.contains(sub.as_str()))
            });
            let profile = if is_missing {
                ProfileState::Missing
            } else {
                ProfileState::Present
            };
            if is_missing || !groups.is_empty() {
                incomplete.push(IncompleteUser {
                    user,
                    groups,
                    profile,
                });
            }
        }
        Ok(UserPage {
            users: checked,
            incomplete,
            next: page.next,
            is_ready: false,
            is_truncated: false,
        })
    }

    /// Finds profiles under other ids, and cuts the page at the limit. False while the owners of
    /// profiles are read.
    async fn prepare(&mut self, page: &mut UserPage) -> Result<bool, Failure> {
        let ReconcilePlan { search, pool, .. } = &self.plan;
        let owners = &mut self.cache.owners;
        if let Some(table) = &self.services.profiles
            && !owners
                .find_profiles(search, table, pool, &mut page.incomplete)
                .await?
        {
            return Ok(false);
        }
        let all = page.incomplete.len();
        let mut remaining = self.remaining();
        let first_excluded = page.incomplete.iter().position(|user| {
            let is_excluded = user.is_queueable() && remaining == 0;
            remaining = remaining.saturating_sub(u64::from(user.is_queueable()));
            is_excluded
        });
        page.incomplete.truncate(first_excluded.unwrap_or(all));
        page.is_truncated = page.incomplete.len() < all;
        page.is_ready = true;
        Ok(true)
    }

    fn is_selected(&self, user: &ListedUser) -> bool {
        let is_excluded = user.status == UserStatus::Federated && !self.plan.include_federated;
        let is_recent = |since| user.created.is_none_or(|created| created >= since);
        !is_excluded
            && why_not_queued(user.status).is_none()
            && self.plan.since.is_none_or(is_recent)
    }

    /// The time to try again and the visible messages; `None` to queue now. The rate is
    /// checked as well, since SQS's counts may be a minute old.
    async fn check_backlog(&self, page: &UserPage) -> Result<Option<(Instant, u64)>, Failure> {
        let Some(max_backlog) = self.plan.max_backlog else {
            return Ok(None);
        };
        let is_queued = page.incomplete.iter().any(IncompleteUser::is_queueable);
        if !is_queued || self.plan.dry_run {
            return Ok(None);
        }
        if Instant::now() < self.next_queue_at {
            return Ok(Some((self.next_queue_at, 0)));
        }
        let depth = retry_inline(|| self.services.queue.attributes())
            .await?
            .depth;
        let is_full = depth.visible > max_backlog;
        Ok(is_full.then(|| (Instant::now() + BACKLOG_POLL_INTERVAL, depth.visible)))
    }

    /// After a failure the whole page is queued again: a second sign-up finds everything
    /// done.
    async fn queue_users(&mut self, incomplete: &[IncompleteUser]) -> Result<(), Failure> {
        if self.plan.dry_run {
            return Ok(());
        }
        let incomplete: Vec<&IncompleteUser> = incomplete
            .iter()
            .filter(|user| user.is_queueable())
            .collect();
        let events: Vec<Outgoing> = incomplete
            .iter()
            .map(|user| user.to_outgoing(&self.plan.pool))
            .collect();
        let sent = self.services.queue.send_all_with_retry(&events).await;
        let mut refused = 0;
        for (sent, user) in sent.into_iter().zip(incomplete) {
            match sent {
                // One refused sign-up must not stop the others.
                Err(failure) if failure.class == Class::Permanent => {
                    let line = user.line(&self.plan.pool);
                    tracing::error!(
                        pool.id = line.pool, user.sub = line.sub, error = %failure,
                        "sign-up of a user could not be queued",
                    );
                    refused += 1;
                }
                sent => {
                    sent?;
                }
            }
        }
        self.refused += refused;
        Ok(())
    }

    fn advance(&mut self, page: &UserPage) {
        let count = |is_one: fn(&IncompleteUser) -> bool| {
            page.incomplete.iter().filter(|user| is_one(user)).count()
        };
        let queued = count(IncompleteUser::is_queueable);
        self.cursor.queued = self.cursor.queued.saturating_add(queued as u64);
        #[expect(clippy::cast_precision_loss, reason = "sixty at most")]
        let pause = queued as f64 / self.plan.rate;
        self.next_queue_at = Instant::now() + Duration::from_secs_f64(pause);
        if page.is_truncated {
            // The next run checks this page again.
            return;
        }
        let elsewhere = count(|user| user.profile == ProfileState::OtherId) as u64;
        self.cursor.elsewhere = self.cursor.elsewhere.saturating_add(elsewhere);
        self.cursor.users = self.cursor.users.saturating_add(page.users);
        self.cursor.token.clone_from(&page.next);
        self.finished = page.next.is_none();
    }
}
