//! One run over one pool, a page at a time.

use super::lacking::Lacking;
use super::members::Members;
use crate::aws::{Failure, Listed, Listing, Outgoing, Profiles, Queue, Status};
use crate::config::GroupName;
use crate::event::{Cursor, PoolId, Sub};
use crate::retry::quickly;

/// The services that a run reads, and the queue it feeds.
#[derive(Debug, Clone)]
pub struct Services {
    /// Users and members.
    pub listing: Listing,
    /// The profile table; `None` when profiles are switched off.
    pub profiles: Option<Profiles>,
    /// The source queue.
    pub queue: Queue,
}

/// What is looked for.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The user pool.
    pub pool: PoolId,
    /// The groups that everybody is in.
    pub groups: Vec<GroupName>,
    /// Whether federated users are looked at.
    pub include_federated: bool,
    /// Only users created then or later.
    pub since: Option<jiff::Timestamp>,
    /// No more users than this are queued.
    pub limit: Option<u64>,
    /// Nothing is queued while more messages than this wait on the queue, so
    /// that live sign-ups find it short. `None` sends without looking.
    pub backlog: Option<u64>,
    /// Nothing is queued at all.
    pub dry_run: bool,
}

/// A run under way. Memory does not depend on the number of users.
#[derive(Debug)]
pub struct Run {
    services: Services,
    plan: Plan,
    cursor: Cursor,
    /// Users that were queued before this run went on.
    before: u64,
    members: Reading,
    /// A page that was looked at and is not queued yet.
    pending: Option<Page>,
}

/// The memberships of a part: being read, or complete.
#[derive(Debug)]
pub struct Reading {
    members: Members,
    group: usize,
    token: Option<String>,
    complete: bool,
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
    /// The queue is long; this many messages wait.
    Backlog(u64),
    /// All users were looked at, or the limit is reached.
    Done,
}

impl Run {
    /// Begins, or goes on at `cursor`.
    pub fn new(services: Services, plan: Plan, cursor: Cursor) -> Self {
        let members = Reading::new(cursor.part, cursor.parts.max(1));
        Self {
            services,
            plan,
            before: cursor.queued,
            cursor,
            members,
            pending: None,
        }
    }

    /// The same with memberships that were read before.
    #[must_use]
    pub fn with_members(mut self, members: Reading) -> Self {
        if members
            .members
            .covers_part(self.cursor.part, self.cursor.parts)
        {
            self.members = members;
        }
        self
    }

    /// Where a new run would go on: after the last page whose users are queued.
    pub fn cursor(&self) -> &Cursor {
        &self.cursor
    }

    /// For the next run over the same part.
    pub fn into_members(self) -> Reading {
        self.members
    }

    /// Whether all members of the part are known.
    pub fn has_members(&self) -> bool {
        self.members.complete || self.plan.groups.is_empty()
    }

    /// Does one page. A step that fails may be taken again.
    ///
    /// # Errors
    /// As any call.
    pub async fn step(&mut self) -> Result<Step, Failure> {
        if self.left() == 0 || self.cursor.parts > 0 && self.cursor.part >= self.cursor.parts {
            return Ok(Step::Done);
        }
        if !self.has_members() {
            self.read_members().await?;
            return Ok(Step::Members);
        }
        self.cursor.parts = self.members.members.parts();
        let page = match self.pending.take() {
            Some(page) => page,
            None => match self.look().await {
                // Tokens last for a while: begin this part again.
                Err(failure)
                    if failure.reason == "invalid_parameter" && self.cursor.token.is_some() =>
                {
                    tracing::info!("the page token has expired; this part begins anew");
                    self.cursor.token = None;
                    self.look().await?
                }
                page => page?,
            },
        };
        if let Some(waiting) = self.backlog(&page).await? {
            self.pending = Some(page);
            return Ok(Step::Backlog(waiting));
        }
        if let Err(failure) = self.queue(&page.lacking).await {
            self.pending = Some(page);
            return Err(failure);
        }
        self.advance(&page);
        Ok(Step::Users(page.lacking))
    }

    fn left(&self) -> u64 {
        let limit = self.plan.limit.unwrap_or(u64::MAX);
        limit.saturating_sub(self.cursor.queued - self.before)
    }

    async fn read_members(&mut self) -> Result<(), Failure> {
        let reading = &mut self.members;
        let group = &self.plan.groups[reading.group];
        let (pool, token) = (&self.plan.pool, reading.token.as_deref());
        let listing = &self.services.listing;
        let page = match quickly(|| listing.members(pool, group, token)).await {
            Err(failure) if failure.reason == "invalid_parameter" && token.is_some() => {
                reading.token = None;
                quickly(|| listing.members(pool, group, None)).await?
            }
            page => page?,
        };
        for user in &page.items {
            match reading.members.add(reading.group, user) {
                Ok(false) => {}
                // Parts are smaller now: the members are read again.
                Ok(true) => {
                    reading.begin();
                    return Ok(());
                }
                // Groups have grown since the parts were made.
                Err(_) => {
                    self.cursor.parts = reading.members.parts() * 2;
                    self.cursor.part = 0;
                    self.cursor.token = None;
                    self.members = Reading::new(0, self.cursor.parts);
                    return Ok(());
                }
            }
        }
        reading.token = page.next;
        if reading.token.is_none() {
            reading.group += 1;
            reading.complete = reading.group == self.plan.groups.len();
        }
        Ok(())
    }

    async fn look(&self) -> Result<Page, Failure> {
        let (pool, token) = (&self.plan.pool, self.cursor.token.as_deref());
        let page = quickly(|| self.services.listing.users(pool, token)).await?;
        let users: Vec<Listed> = page
            .items
            .into_iter()
            .filter(|user| self.members.members.covers(&user.username) && self.is_meant(user))
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
            let missing = self
                .plan
                .groups
                .iter()
                .enumerate()
                .filter(|(place, _)| !self.members.members.has(*place, &user.username));
            let groups: Vec<String> = missing
                .map(|(_, group)| group.as_str().to_owned())
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
            Status::Other => false,
        };
        let young = |since| user.created.is_none_or(|created| created >= since);
        status && self.plan.since.is_none_or(young)
    }

    /// How many messages wait, when they are too many for this page.
    async fn backlog(&self, page: &Page) -> Result<Option<u64>, Failure> {
        let Some(most) = self
            .plan
            .backlog
            .filter(|_| !page.lacking.is_empty() && !self.plan.dry_run)
        else {
            return Ok(None);
        };
        let depth = quickly(|| self.services.queue.facts()).await?.depth;
        Ok((depth.visible > most).then_some(depth.visible))
    }

    /// A page that is queued in part is queued again as a whole: a second event
    /// finds everything done.
    async fn queue(&self, lacking: &[Lacking]) -> Result<(), Failure> {
        if self.plan.dry_run {
            return Ok(());
        }
        let mut events: Vec<Outgoing> = lacking
            .iter()
            .map(|user| user.to_outgoing(&self.plan.pool))
            .collect();
        let queue = &self.services.queue;
        let sent = queue.send_all(&events).await;
        let mut failed = sent.iter().map(Result::is_err);
        events.retain(|_| failed.next().unwrap_or(true));
        for event in events {
            quickly(|| queue.send(event.clone())).await?;
        }
        Ok(())
    }

    fn advance(&mut self, page: &Page) {
        self.cursor.queued += page.lacking.len() as u64;
        if page.cut {
            // The next run looks at this page again.
            return;
        }
        self.cursor.users += page.users;
        self.cursor.token.clone_from(&page.next);
        if page.next.is_none() {
            self.cursor.part += 1;
            if self.cursor.part < self.cursor.parts {
                self.members = Reading::new(self.cursor.part, self.cursor.parts);
            }
        }
    }
}

impl Reading {
    fn new(part: u64, parts: u64) -> Self {
        Self {
            members: Members::new(part, parts),
            group: 0,
            token: None,
            complete: false,
        }
    }

    fn begin(&mut self) {
        self.group = 0;
        self.token = None;
        self.complete = false;
    }
}
