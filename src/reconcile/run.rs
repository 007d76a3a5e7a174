//! One run over one pool, a page at a time.

use std::time::Duration;

use tokio::time::Instant;

use super::lacking::Lacking;
use super::members::Members;
use super::plan::{Plan, Services};
use crate::aws::{Class, Failure, Listed, Outgoing, Status};
use crate::config::GroupName;
use crate::event::{Cursor, Sub};
use crate::retry::quickly;

/// Times that a list is begun anew before it is taken for hopeless.
const RESTARTS: u32 = 3;
/// Until a queue that is too long is looked at again.
const GLANCE: Duration = Duration::from_secs(1);

/// A run under way. Memory grows with the number of users only where memberships are
/// compared.
#[derive(Debug)]
pub struct Run {
    services: Services,
    plan: Plan,
    cursor: Cursor,
    /// Users that were queued before this run went on.
    before: u64,
    /// Whether the last page of users is queued.
    through: bool,
    memberships: Memberships,
    /// A page that was looked at and is not queued yet.
    pending: Option<Page>,
    /// When the next users may be queued.
    next: Instant,
    refused: u64,
    /// How often the list of users was begun anew, its token having expired.
    begun_anew: u32,
}

/// The members of the groups that are compared: being read, or complete.
#[derive(Debug, Default)]
pub struct Memberships {
    members: Members,
    /// The place of the group whose members are read.
    group: usize,
    token: Option<String>,
    /// How often a group's list was begun anew, its token having expired.
    begun_anew: u32,
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
    /// Looked at a page of users; these lack something and are queued now.
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
            before: cursor.queued,
            cursor,
            through: false,
            memberships: Memberships::default(),
            pending: None,
            next: Instant::now(),
            refused: 0,
            begun_anew: 0,
        }
    }

    /// The same with memberships that an earlier part of this run has read.
    #[must_use]
    pub fn with_memberships(self, memberships: Memberships) -> Self {
        Self {
            memberships,
            ..self
        }
    }

    /// Where a new run would go on: after the last page whose users are queued.
    pub fn cursor(&self) -> &Cursor {
        &self.cursor
    }

    /// For the next part of this run.
    pub fn into_memberships(self) -> Memberships {
        self.memberships
    }

    /// Whether all members are known that the plan compares.
    pub fn has_memberships(&self) -> bool {
        self.memberships.group == self.plan.groups.len()
    }

    /// Does one page. A step that fails may be taken again.
    ///
    /// # Errors
    /// As any call.
    pub async fn step(&mut self) -> Result<Step, Failure> {
        if self.left() == 0 || self.is_through() {
            return Ok(Step::Done);
        }
        if !self.has_memberships() {
            self.read_members().await?;
            return Ok(Step::Members);
        }
        let page = match self.pending.take() {
            Some(page) => page,
            None => match self.look().await {
                // Tokens last for a while.
                Err(failure)
                    if is_about_the_token(&failure)
                        && self.cursor.token.is_some()
                        && self.begun_anew < RESTARTS =>
                {
                    tracing::info!(
                        "the token of the next page has expired: the list of users begins anew"
                    );
                    self.begun_anew += 1;
                    self.cursor.token = None;
                    self.look().await?
                }
                page => page?,
            },
        };
        if let Some((at, waiting)) = self.wait_for(&page).await? {
            self.pending = Some(page);
            return Ok(Step::Later(at, waiting));
        }
        if let Err(failure) = self.queue(&page.lacking).await {
            self.pending = Some(page);
            return Err(failure);
        }
        self.advance(&page);
        Ok(Step::Users(page.lacking))
    }

    /// Users who lack something and whose event the queue did not take.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Whether every user was checked.
    pub fn is_through(&self) -> bool {
        self.through
    }

    fn left(&self) -> u64 {
        let limit = self.plan.limit.unwrap_or(u64::MAX);
        limit.saturating_sub(self.cursor.queued - self.before)
    }

    async fn read_members(&mut self) -> Result<(), Failure> {
        let reading = &mut self.memberships;
        let group = &self.plan.groups[reading.group];
        let (pool, token) = (&self.plan.pool, reading.token.as_deref());
        let listing = &self.services.listing;
        let page = match quickly(|| listing.members(pool, group, token)).await {
            Err(failure)
                if is_about_the_token(&failure)
                    && token.is_some()
                    && reading.begun_anew < RESTARTS =>
            {
                tracing::info!(
                    "the token of the next page has expired: the list of members begins anew"
                );
                reading.begun_anew += 1;
                reading.token = None;
                quickly(|| listing.members(pool, group, None)).await?
            }
            page => page?,
        };
        for user in &page.items {
            reading.members.add(reading.group, user);
        }
        reading.token = page.next;
        if reading.token.is_none() {
            reading.group += 1;
        }
        Ok(())
    }

    async fn look(&self) -> Result<Page, Failure> {
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
            let members = &self.memberships.members;
            let compared = self.plan.groups.iter().enumerate();
            let groups: Vec<GroupName> = compared
                .filter(|(place, _)| !members.has(*place, &user.username))
                .map(|(_, group)| group.clone())
                .collect();
            let profile = present.as_ref().is_some_and(|present| {
                let sub = user.sub.as_ref();
                !sub.is_some_and(|sub| present.contains(sub.as_str()))
            });
            if profile || !groups.is_empty() {
                lacking.push(Lacking {
                    user,
                    groups,
                    profile,
                });
            }
        }
        let left = usize::try_from(self.left()).unwrap_or(usize::MAX);
        let cut = lacking.len() > left;
        lacking.truncate(left);
        Ok(Page {
            cut,
            users: looked_at,
            lacking,
            next: page.next,
        })
    }

    fn is_meant(&self, user: &Listed) -> bool {
        let status = match user.status {
            Status::Confirmed => true,
            Status::Federated => self.plan.include_federated,
            Status::Invited | Status::Other => false,
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
        if page.lacking.is_empty() || self.plan.dry_run {
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
        let lacking = page.lacking.len() as u64;
        self.cursor.queued = self.cursor.queued.saturating_add(lacking);
        #[expect(clippy::cast_precision_loss, reason = "sixty at most")]
        let pause = page.lacking.len() as f64 / self.plan.rate;
        self.next = Instant::now() + Duration::from_secs_f64(pause);
        if page.cut {
            // The next run looks at this page again.
            return;
        }
        self.cursor.users = self.cursor.users.saturating_add(page.users);
        self.cursor.token.clone_from(&page.next);
        self.through = page.next.is_none();
    }
}

/// Cognito has no code of its own for a token that has expired.
fn is_about_the_token(failure: &Failure) -> bool {
    failure.reason == "invalid_parameter"
}
