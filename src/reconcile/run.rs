//! One run over one pool, a page at a time.

use std::time::Duration;

use tokio::time::Instant;

use super::incomplete_user::{IncompleteUser, ProfileState};
use super::memberships::MembershipSet;
use super::other_ids::OwnerSet;
use super::plan::{ReconcilePlan, ReconcileServices};
use super::restarts::Restarts;
use crate::aws::{Class, Failure, ListedUser, Outgoing, UserStatus};
use crate::config::GroupName;
use crate::event::{Cursor, Sub};
use crate::retry::retry_inline;

/// Until a queue that is too long is looked at again.
const BACKLOG_POLL_INTERVAL: Duration = Duration::from_secs(1);

/// A run under way. Memory grows with the number of users only where memberships are
/// compared, and with the number of records only where their owners are read.
#[derive(Debug)]
pub(crate) struct ReconcileRun {
    services: ReconcileServices,
    plan: ReconcilePlan,
    cursor: Cursor,
    /// Where this run went on. Its counts are of what came before.
    start: Cursor,
    /// Whether the last page of users is queued.
    finished: bool,
    cache: ReconcileCache,
    pending: Option<PendingPage>,
    /// When the next users may be queued.
    next_queue_at: Instant,
    refused: u64,
    restarts: Restarts,
}

/// What a run has read beside the list of users: for its next part.
#[derive(Debug, Default)]
pub(crate) struct ReconcileCache {
    memberships: MembershipSet,
    owners: OwnerSet,
}

/// A page of users that is not queued yet.
#[derive(Debug)]
enum PendingPage {
    /// Whose records under other ids are still to be found.
    Scanned(ScannedPage),
    /// What each user lacks is known.
    Ready(ReadyPage),
}

/// A page of users as the lists show them.
#[derive(Debug)]
struct ScannedPage {
    users: u64,
    incomplete: Vec<IncompleteUser>,
    next: Option<String>,
}

#[derive(Debug)]
struct ReadyPage {
    /// The limit leaves some of it out.
    is_truncated: bool,
    users: u64,
    incomplete: Vec<IncompleteUser>,
    next: Option<String>,
}

/// What a step did.
#[derive(Debug)]
pub(crate) enum ReconcileStep {
    /// Read a page of members.
    Members,
    /// Read a page of the owners of records.
    Owners,
    /// Looked at a page of users; these lack something, or have their record under another id.
    /// Those who lack something are queued now.
    Users(Vec<IncompleteUser>),
    /// Nothing yet: more may be queued at this time. So many messages wait on the
    /// queue.
    Wait(Instant, u64),
    /// All users were checked, or the limit is reached.
    Done,
}

impl ReconcileRun {
    /// Begins, or goes on at `cursor`.
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

    /// The same with what an earlier part of this run has read.
    #[must_use]
    pub(crate) fn with_cache(self, known: ReconcileCache) -> Self {
        Self {
            cache: known,
            ..self
        }
    }

    /// Where a new run would go on: after the last page whose users are queued.
    pub(crate) fn cursor(&self) -> &Cursor {
        &self.cursor
    }

    /// The same with the counts of this part of the run only.
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

    /// Whether something is being read that another process would have to read again.
    pub(crate) fn is_reading(&self) -> bool {
        !self.has_memberships() || self.cache.owners.is_reading()
    }

    /// Does one page. A step that fails may be taken again.
    ///
    /// # Errors
    /// As any call.
    pub(crate) async fn step(&mut self) -> Result<ReconcileStep, Failure> {
        if self.remaining() == 0 || self.is_finished() {
            return Ok(ReconcileStep::Done);
        }
        if !self.has_memberships() {
            let (pool, groups) = (&self.plan.pool, &self.plan.groups);
            let listing = &self.services.listing;
            self.cache
                .memberships
                .read_page(listing, pool, groups)
                .await?;
            return Ok(ReconcileStep::Members);
        }
        let page = match self.pending.take() {
            Some(PendingPage::Ready(page)) => Some(page),
            Some(PendingPage::Scanned(looked)) => self.prepare_page(looked).await?,
            None => {
                let looked = self.read_users().await?;
                self.prepare_page(looked).await?
            }
        };
        let Some(page) = page else {
            return Ok(ReconcileStep::Owners);
        };
        let wait = match self.check_backlog(&page).await {
            Ok(None) => self.queue_users(&page.incomplete).await.map(|()| None),
            waits => waits,
        };
        match wait {
            Ok(None) => {
                self.advance(&page);
                Ok(ReconcileStep::Users(page.incomplete))
            }
            Ok(Some((at, waiting))) => {
                self.pending = Some(PendingPage::Ready(page));
                Ok(ReconcileStep::Wait(at, waiting))
            }
            Err(failure) => {
                self.pending = Some(PendingPage::Ready(page));
                Err(failure)
            }
        }
    }

    /// Users who lack something and whose event the queue did not take.
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

    /// The next page of users.
    async fn read_users(&mut self) -> Result<ScannedPage, Failure> {
        match self.read_users_at_cursor().await {
            Err(failure)
                if self
                    .restarts
                    .restart_if_expired(&failure, &mut self.cursor.token) =>
            {
                tracing::info!(
                    "the token of the next page has expired: the list of users begins again"
                );
                for counts in [&mut self.cursor, &mut self.start] {
                    counts.users = 0;
                    counts.elsewhere = 0;
                }
                self.read_users_at_cursor().await
            }
            looked => looked,
        }
    }

    async fn read_users_at_cursor(&self) -> Result<ScannedPage, Failure> {
        let (pool, token) = (&self.plan.pool, self.cursor.token.as_deref());
        let page = retry_inline(|| self.services.listing.users(pool, token)).await?;
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
        let looked_at = users.len() as u64;
        let mut lacking = Vec::new();
        for user in users {
            let compared = self.plan.groups.iter().enumerate();
            let groups: Vec<GroupName> = compared
                .filter(|(place, _)| !self.cache.memberships.has(*place, &user.username))
                .map(|(_, group)| group.clone())
                .collect();
            let is_missing = present.as_ref().is_some_and(|present| {
                let sub = user.sub.as_ref();
                !sub.is_some_and(|sub| present.contains(sub.as_str()))
            });
            let record = if is_missing {
                ProfileState::Missing
            } else {
                ProfileState::Present
            };
            if is_missing || !groups.is_empty() {
                lacking.push(IncompleteUser {
                    user,
                    groups,
                    profile: record,
                });
            }
        }
        Ok(ScannedPage {
            users: looked_at,
            incomplete: lacking,
            next: page.next,
        })
    }

    /// Finds records under other ids, and cuts the page at the limit. `None` while
    /// the owners of records are being read; the page is pending then, and after a failure.
    async fn prepare_page(
        &mut self,
        mut looked: ScannedPage,
    ) -> Result<Option<ReadyPage>, Failure> {
        let ReconcilePlan { search, pool, .. } = &self.plan;
        let owners = &mut self.cache.owners;
        let found = match &self.services.profiles {
            Some(table) => {
                owners
                    .find_profiles(search, table, pool, &mut looked.incomplete)
                    .await
            }
            None => Ok(true),
        };
        if !matches!(found, Ok(true)) {
            self.pending = Some(PendingPage::Scanned(looked));
            return found.map(|_| None);
        }
        let ScannedPage {
            users,
            incomplete: mut lacking,
            next,
        } = looked;
        let all = lacking.len();
        let mut left = self.remaining();
        let first_left_out = lacking.iter().position(|user| {
            let is_left_out = user.is_queueable() && left == 0;
            left = left.saturating_sub(u64::from(user.is_queueable()));
            is_left_out
        });
        lacking.truncate(first_left_out.unwrap_or(all));
        Ok(Some(ReadyPage {
            is_truncated: lacking.len() < all,
            users,
            incomplete: lacking,
            next,
        }))
    }

    fn is_selected(&self, user: &ListedUser) -> bool {
        let status = match user.status {
            UserStatus::Confirmed => true,
            UserStatus::Federated => self.plan.include_federated,
            UserStatus::Invited | UserStatus::Disabled | UserStatus::Other => false,
        };
        let young = |since| user.created.is_none_or(|created| created >= since);
        status && self.plan.since.is_none_or(young)
    }

    /// When these users may be queued, if not now, and how many messages wait.
    /// Both the queue's length and a pace are looked at: SQS's counts may be a
    /// minute old, and much could be queued in that time.
    async fn check_backlog(&self, page: &ReadyPage) -> Result<Option<(Instant, u64)>, Failure> {
        let Some(most) = self.plan.max_backlog else {
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
        let full = depth.visible > most;
        Ok(full.then(|| (Instant::now() + BACKLOG_POLL_INTERVAL, depth.visible)))
    }

    /// A page that is queued in part is queued again as a whole: a second event
    /// finds everything done.
    async fn queue_users(&mut self, lacking: &[IncompleteUser]) -> Result<(), Failure> {
        if self.plan.dry_run {
            return Ok(());
        }
        let lacking: Vec<&IncompleteUser> =
            lacking.iter().filter(|user| user.is_queueable()).collect();
        let events: Vec<Outgoing> = lacking
            .iter()
            .map(|user| user.to_outgoing(&self.plan.pool))
            .collect();
        let sent = self.services.queue.send_all_with_retry(&events).await;
        let mut refused = 0;
        for (sent, user) in sent.into_iter().zip(lacking) {
            match sent {
                // One user must not keep the others from theirs.
                Err(failure) if failure.class == Class::Permanent => {
                    let line = user.line(&self.plan.pool);
                    tracing::error!(
                        pool.id = line.pool, user.sub = line.sub, error = %failure,
                        "a user could not be queued",
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

    fn advance(&mut self, page: &ReadyPage) {
        let of = |is_one: fn(&IncompleteUser) -> bool| {
            page.incomplete.iter().filter(|it| is_one(it)).count()
        };
        let queued = of(IncompleteUser::is_queueable);
        self.cursor.queued = self.cursor.queued.saturating_add(queued as u64);
        #[expect(clippy::cast_precision_loss, reason = "sixty at most")]
        let pause = queued as f64 / self.plan.rate;
        self.next_queue_at = Instant::now() + Duration::from_secs_f64(pause);
        if page.is_truncated {
            // The next run looks at this page again.
            return;
        }
        let elsewhere = of(|user| user.profile == ProfileState::OtherId) as u64;
        self.cursor.elsewhere = self.cursor.elsewhere.saturating_add(elsewhere);
        self.cursor.users = self.cursor.users.saturating_add(page.users);
        self.cursor.token.clone_from(&page.next);
        self.finished = page.next.is_none();
    }
}
