//! One run over one pool, a page at a time.

use std::time::Duration;

use tokio::time::Instant;

use super::elsewhere::Owners;
use super::lacking::{Lacking, Record};
use super::members::Members;
use super::plan::{Plan, Services};
use super::token::Restarts;
use crate::aws::{Class, Failure, Listed, Outgoing, Status};
use crate::config::GroupName;
use crate::event::{Cursor, Sub};
use crate::retry::quickly;

/// Until a queue that is too long is looked at again.
const GLANCE: Duration = Duration::from_secs(1);

/// A run under way. Memory grows with the number of users only where memberships are
/// compared, and with the number of records only where their owners are read.
#[derive(Debug)]
pub struct Run {
    services: Services,
    plan: Plan,
    cursor: Cursor,
    /// Where this run went on. Its counts are of what came before.
    before: Cursor,
    /// Whether the last page of users is queued.
    through: bool,
    known: Known,
    pending: Option<Pending>,
    /// When the next users may be queued.
    next: Instant,
    refused: u64,
    restarts: Restarts,
}

/// What a run has read beside the list of users: for its next part.
#[derive(Debug, Default)]
pub struct Known {
    members: Members,
    owners: Owners,
}

/// A page of users that is not queued yet.
#[derive(Debug)]
enum Pending {
    /// Whose records under other ids are still to be found.
    Looked(Looked),
    /// What each user lacks is known.
    Chosen(Page),
}

/// A page of users as the lists show them.
#[derive(Debug)]
struct Looked {
    users: u64,
    lacking: Vec<Lacking>,
    next: Option<String>,
}

#[derive(Debug)]
struct Page {
    /// The limit leaves some of it out.
    cut: bool,
    users: u64,
    lacking: Vec<Lacking>,
    next: Option<String>,
}

/// What a step did.
#[derive(Debug)]
pub enum Step {
    /// Read a page of members.
    Members,
    /// Read a page of the owners of records.
    Owners,
    /// Looked at a page of users; these lack something, or have their record under another id.
    /// Those who lack something are queued now.
    Users(Vec<Lacking>),
    /// Nothing yet: more may be queued at this time. So many messages wait on the
    /// queue.
    Later(Instant, u64),
    /// All users were checked, or the limit is reached.
    Done,
}

impl Run {
    /// Begins, or goes on at `cursor`.
    pub fn new(services: Services, plan: Plan, cursor: Cursor) -> Self {
        Self {
            services,
            plan,
            before: cursor.clone(),
            cursor,
            through: false,
            known: Known::default(),
            pending: None,
            next: Instant::now(),
            refused: 0,
            restarts: Restarts::default(),
        }
    }

    /// The same with what an earlier part of this run has read.
    #[must_use]
    pub fn with_known(self, known: Known) -> Self {
        Self { known, ..self }
    }

    /// Where a new run would go on: after the last page whose users are queued.
    pub fn cursor(&self) -> &Cursor {
        &self.cursor
    }

    /// The same with the counts of this part of the run only.
    pub fn counted(&self) -> Cursor {
        Cursor {
            users: self.cursor.users - self.before.users,
            queued: self.cursor.queued - self.before.queued,
            elsewhere: self.cursor.elsewhere - self.before.elsewhere,
            ..self.cursor.clone()
        }
    }

    /// For the next part of this run.
    pub fn into_known(self) -> Known {
        self.known
    }

    /// Whether something is being read that another process would have to read again.
    pub fn is_reading(&self) -> bool {
        !self.has_members() || self.known.owners.are_being_read()
    }

    /// Does one page. A step that fails may be taken again.
    ///
    /// # Errors
    /// As any call.
    pub async fn step(&mut self) -> Result<Step, Failure> {
        if self.left() == 0 || self.is_through() {
            return Ok(Step::Done);
        }
        if !self.has_members() {
            let (pool, groups) = (&self.plan.pool, &self.plan.groups);
            let listing = &self.services.listing;
            self.known.members.read(listing, pool, groups).await?;
            return Ok(Step::Members);
        }
        let page = match self.pending.take() {
            Some(Pending::Chosen(page)) => Some(page),
            Some(Pending::Looked(looked)) => self.choose(looked).await?,
            None => {
                let looked = self.look().await?;
                self.choose(looked).await?
            }
        };
        let Some(page) = page else {
            return Ok(Step::Owners);
        };
        let wait = match self.wait_for(&page).await {
            Ok(None) => self.queue(&page.lacking).await.map(|()| None),
            waits => waits,
        };
        match wait {
            Ok(None) => {
                self.advance(&page);
                Ok(Step::Users(page.lacking))
            }
            Ok(Some((at, waiting))) => {
                self.pending = Some(Pending::Chosen(page));
                Ok(Step::Later(at, waiting))
            }
            Err(failure) => {
                self.pending = Some(Pending::Chosen(page));
                Err(failure)
            }
        }
    }

    /// Users who lack something and whose event the queue did not take.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Whether every user was checked.
    pub fn is_through(&self) -> bool {
        self.through
    }

    fn has_members(&self) -> bool {
        self.known.members.are_known(&self.plan.groups)
    }

    fn left(&self) -> u64 {
        let limit = self.plan.limit.unwrap_or(u64::MAX);
        limit.saturating_sub(self.cursor.queued - self.before.queued)
    }

    /// The next page of users.
    async fn look(&mut self) -> Result<Looked, Failure> {
        match self.look_from_here().await {
            Err(failure) if self.restarts.begins_again(&failure, &mut self.cursor.token) => {
                tracing::info!(
                    "the token of the next page has expired: the list of users begins again"
                );
                for counts in [&mut self.cursor, &mut self.before] {
                    counts.users = 0;
                    counts.elsewhere = 0;
                }
                self.look_from_here().await
            }
            looked => looked,
        }
    }

    async fn look_from_here(&self) -> Result<Looked, Failure> {
        let (pool, token) = (&self.plan.pool, self.cursor.token.as_deref());
        let page = quickly(|| self.services.listing.users(pool, token)).await?;
        let users: Vec<Listed> = page
            .items
            .into_iter()
            .filter(|user| self.is_meant(user))
            .collect();
        let subs: Vec<&str> = users
            .iter()
            .filter_map(|user| user.sub.as_ref().map(Sub::as_str))
            .collect();
        let present = match &self.services.profiles {
            Some(profiles) => Some(quickly(|| profiles.present(&subs)).await?),
            None => None,
        };
        let looked_at = users.len() as u64;
        let mut lacking = Vec::new();
        for user in users {
            let compared = self.plan.groups.iter().enumerate();
            let groups: Vec<GroupName> = compared
                .filter(|(place, _)| !self.known.members.has(*place, &user.username))
                .map(|(_, group)| group.clone())
                .collect();
            let is_missing = present.as_ref().is_some_and(|present| {
                let sub = user.sub.as_ref();
                !sub.is_some_and(|sub| present.contains(sub.as_str()))
            });
            let record = if is_missing {
                Record::Missing
            } else {
                Record::There
            };
            if is_missing || !groups.is_empty() {
                lacking.push(Lacking {
                    user,
                    groups,
                    record,
                });
            }
        }
        Ok(Looked {
            users: looked_at,
            lacking,
            next: page.next,
        })
    }

    /// Finds records under other ids, and cuts the page at the limit. `None` while
    /// the owners of records are being read; the page is pending then, and after a failure.
    async fn choose(&mut self, mut looked: Looked) -> Result<Option<Page>, Failure> {
        let Plan { search, pool, .. } = &self.plan;
        let owners = &mut self.known.owners;
        let found = match &self.services.profiles {
            Some(table) => owners.find(search, table, pool, &mut looked.lacking).await,
            None => Ok(true),
        };
        if !matches!(found, Ok(true)) {
            self.pending = Some(Pending::Looked(looked));
            return found.map(|_| None);
        }
        let Looked {
            users,
            mut lacking,
            next,
        } = looked;
        let all = lacking.len();
        let mut left = self.left();
        let first_left_out = lacking.iter().position(|user| {
            let is_left_out = user.is_queued() && left == 0;
            left = left.saturating_sub(u64::from(user.is_queued()));
            is_left_out
        });
        lacking.truncate(first_left_out.unwrap_or(all));
        Ok(Some(Page {
            cut: lacking.len() < all,
            users,
            lacking,
            next,
        }))
    }

    fn is_meant(&self, user: &Listed) -> bool {
        let status = match user.status {
            Status::Confirmed => true,
            Status::Federated => self.plan.include_federated,
            Status::Invited | Status::Disabled | Status::Other => false,
        };
        let young = |since| user.created.is_none_or(|created| created >= since);
        status && self.plan.since.is_none_or(young)
    }

    /// When these users may be queued, if not now, and how many messages wait.
    /// Both the queue's length and a pace are looked at: SQS's counts may be a
    /// minute old, and much could be queued in that time.
    async fn wait_for(&self, page: &Page) -> Result<Option<(Instant, u64)>, Failure> {
        let Some(most) = self.plan.backlog else {
            return Ok(None);
        };
        let is_queued = page.lacking.iter().any(Lacking::is_queued);
        if !is_queued || self.plan.dry_run {
            return Ok(None);
        }
        if Instant::now() < self.next {
            return Ok(Some((self.next, 0)));
        }
        let depth = quickly(|| self.services.queue.facts()).await?.depth;
        let full = depth.visible > most;
        Ok(full.then(|| (Instant::now() + GLANCE, depth.visible)))
    }

    /// A page that is queued in part is queued again as a whole: a second event
    /// finds everything done.
    async fn queue(&mut self, lacking: &[Lacking]) -> Result<(), Failure> {
        if self.plan.dry_run {
            return Ok(());
        }
        let lacking: Vec<&Lacking> = lacking.iter().filter(|user| user.is_queued()).collect();
        let events: Vec<Outgoing> = lacking
            .iter()
            .map(|user| user.to_outgoing(&self.plan.pool))
            .collect();
        let sent = self.services.queue.send_each(&events).await;
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

    fn advance(&mut self, page: &Page) {
        let of = |is_one: fn(&Lacking) -> bool| page.lacking.iter().filter(|it| is_one(it)).count();
        let queued = of(Lacking::is_queued);
        self.cursor.queued = self.cursor.queued.saturating_add(queued as u64);
        #[expect(clippy::cast_precision_loss, reason = "sixty at most")]
        let pause = queued as f64 / self.plan.rate;
        self.next = Instant::now() + Duration::from_secs_f64(pause);
        if page.cut {
            // The next run looks at this page again.
            return;
        }
        let elsewhere = of(|user| user.record == Record::Elsewhere) as u64;
        self.cursor.elsewhere = self.cursor.elsewhere.saturating_add(elsewhere);
        self.cursor.users = self.cursor.users.saturating_add(page.users);
        self.cursor.token.clone_from(&page.next);
        self.through = page.next.is_none();
    }
}
