//! One run over one pool, a page at a time.

use std::time::Duration;

use tokio::time::Instant;

use super::lacking::Lacking;
use super::members::Members;
use super::plan::{Plan, Services};
use crate::aws::{Class, Failure, Listed, Outgoing, Status};
use crate::event::{Cursor, Sub};
use crate::retry::quickly;

/// Times that a list is begun anew before it is taken for hopeless.
const RESTARTS: u32 = 3;
/// Until a queue that is too long is looked at again.
const GLANCE: Duration = Duration::from_secs(1);

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
    /// When the next users may be queued.
    next: Instant,
    refused: u64,
    /// How often the list of users was begun anew, its token having expired.
    begun_anew: u32,
}

/// The memberships of a part: being read, or complete.
#[derive(Debug)]
pub struct Reading {
    members: Members,
    group: usize,
    token: Option<String>,
    complete: bool,
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
    /// All users were looked at, or the limit is reached.
    Done,
}

impl Run {
    /// Begins, or goes on at `cursor`.
    pub fn new(services: Services, plan: Plan, cursor: Cursor) -> Self {
        let members = Reading::new(cursor.part, cursor.parts.max(1), plan.memberships);
        Self {
            services,
            plan,
            before: cursor.queued,
            cursor,
            members,
            pending: None,
            next: Instant::now(),
            refused: 0,
            begun_anew: 0,
        }
    }

    /// The same with memberships that were read before.
    #[must_use]
    pub fn with_members(mut self, members: Reading) -> Self {
        if members.members.serves(self.cursor.part, self.cursor.parts) {
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
        if self.left() == 0 || self.is_through() {
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

    /// Whether every user was looked at.
    pub fn is_through(&self) -> bool {
        self.cursor.parts > 0 && self.cursor.part >= self.cursor.parts
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
                    self.members = Reading::new(0, self.cursor.parts, self.plan.memberships);
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
        if page.next.is_none() {
            self.cursor.part += 1;
            if self.cursor.part < self.cursor.parts {
                self.members =
                    Reading::new(self.cursor.part, self.cursor.parts, self.plan.memberships);
            }
        }
    }
}

/// Cognito has no code of its own for a token that has expired.
fn is_about_the_token(failure: &Failure) -> bool {
    failure.reason == "invalid_parameter"
}

impl Reading {
    fn new(part: u64, parts: u64, memberships: usize) -> Self {
        Self {
            members: Members::new(part, parts, memberships),
            group: 0,
            token: None,
            complete: false,
            begun_anew: 0,
        }
    }

    fn begin(&mut self) {
        self.group = 0;
        self.token = None;
        self.complete = false;
    }
}
