//! Takes away what a run left: messages, letters, profiles, users, in this order,
//! so that nothing makes anew what is gone already, and a clean-up that was cut off
//! still finds what is left by the users' names.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::crew::Crew;
use super::letters::WIDTH;
use super::report::Cleaned;
use super::run::Services;
use super::run_id::RunId;
use crate::aws::{BATCH, Failure, Listed, Queue};
use crate::dead_letter::{Ended, Filter, Found, LAG, Selection};
use crate::event::{PoolId, Sub, Username};
use crate::retry::Persistence;

/// Users that are removed at once; the budget sets the pace.
const PARALLEL: usize = 16;
/// `ListUsers` is eventually consistent: it is asked until it shows nobody who is
/// there, twice, and so many times at most.
const EMPTY: u32 = 2;
const LOOKS: u32 = 12;
const AGAIN: Duration = Duration::from_secs(1);

/// A clean-up.
#[derive(Debug)]
pub struct Cleaner<'a> {
    /// Where the run left what it left.
    pub services: &'a Services,
    /// Whose.
    pub run: &'a RunId,
    /// The pool.
    pub pool: &'a PoolId,
    /// Gives up once nothing works any more.
    pub persistence: &'a Persistence,
    /// Leaves the rest, which is then not complete.
    pub stop: &'a CancellationToken,
}

/// Whether messages of the run may still be on the source queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// They may: it has to be looked through.
    Unknown,
    /// It was seen empty, and nothing was sent since.
    Empty,
}

/// What was taken from one queue.
#[derive(Debug, Default)]
struct Taken {
    count: u64,
    /// Of those whom the messages are about: each may have a profile, also one whose
    /// user is gone.
    subs: BTreeSet<String>,
    /// Whether messages may be left that were not seen.
    is_partial: bool,
}

impl Cleaner<'_> {
    /// Removes everything. `removed` hears how many users are gone. Where messages of
    /// the run may come back to a worker, profiles and users stay, and it is not
    /// complete: the worker would make a profile anew that nobody could find.
    ///
    /// Answers also with the first call that could not be made: running it again goes
    /// on.
    pub async fn clean(
        &self,
        crew: &Crew,
        source: Source,
        removed: impl Fn(u64),
    ) -> (Cleaned, Option<Failure>) {
        let mut cleaned = Cleaned::default();
        let result = self.run(crew, source, removed, &mut cleaned).await;
        (cleaned, result.err())
    }

    async fn run(
        &self,
        crew: &Crew,
        source: Source,
        removed: impl Fn(u64),
        cleaned: &mut Cleaned,
    ) -> Result<(), Failure> {
        // SQS's counts were a little old then, and are not now.
        let is_empty = source == Source::Empty
            && self
                .persistence
                .call(|| self.services.queue.facts())
                .await?
                .depth
                .is_empty();
        let source = if is_empty {
            Taken::default()
        } else {
            self.take(&self.services.queue).await?
        };
        let letters = self.take(&self.services.dead_letters).await?;
        (cleaned.messages, cleaned.letters) = (source.count, letters.count);
        for sub in source.subs.iter().chain(&letters.subs) {
            cleaned.profiles += u64::from(self.remove_profile(sub).await?);
        }
        if source.is_partial {
            return Ok(());
        }
        let known = crew.people.iter().chain(&crew.bystanders);
        let known: Vec<(Username, Option<Sub>)> = known
            .map(|person| (person.username.clone(), Some(person.sub.clone())))
            .collect();
        self.remove(known, cleaned, &removed).await?;
        let (mut looks, mut empty) = (0, 0);
        while empty < EMPTY && looks < LOOKS && !self.stop.is_cancelled() {
            if looks > 0 {
                tokio::time::sleep(AGAIN).await;
            }
            looks += 1;
            let before = cleaned.users;
            self.remove(self.listed().await?, cleaned, &removed).await?;
            empty = if cleaned.users == before {
                empty + 1
            } else {
                0
            };
        }
        cleaned.complete = empty == EMPTY && !letters.is_partial;
        Ok(())
    }

    /// Deletes the run's messages of one queue; shows the others again. Ends when
    /// there are no more, or when only others have come for a while.
    async fn take(&self, queue: &Queue) -> Result<Taken, Failure> {
        let mut selection = Selection::new(queue, WIDTH, Filter::default(), self.stop.clone());
        let mut taken = Taken::default();
        let mut ours_at = Instant::now();
        let result = loop {
            match selection.next(|_| true, |_| {}).await {
                Ok(Some(found)) => {
                    let ours: Vec<&Found> = found
                        .iter()
                        .filter(|found| self.run.find(&found.message.body).is_some())
                        .collect();
                    for batch in ours.chunks(BATCH) {
                        ours_at = Instant::now();
                        let ids: Vec<&str> =
                            batch.iter().map(|one| one.about.id.as_str()).collect();
                        let left = selection.delete(&ids).await;
                        if let Some((_, failure)) = left.first().filter(|_| !taken.is_partial) {
                            tracing::warn!(error = %failure, "messages of the run could not be deleted");
                        }
                        taken.is_partial |= !left.is_empty();
                        taken.count += (ids.len() - left.len()) as u64;
                        let subs = batch.iter().filter_map(|one| one.about.sub.clone());
                        taken.subs.extend(subs);
                    }
                    if ours_at.elapsed() > LAG {
                        break Ok(());
                    }
                }
                Ok(None) => break Ok(()),
                Err(failure) => break Err(failure),
            }
        };
        match selection.finish().await {
            Ended::All(unseen) => taken.is_partial |= unseen.elsewhere + unseen.beyond > 0,
            Ended::Limit | Ended::Stopped => taken.is_partial = true,
        }
        result.map(|()| taken)
    }

    async fn remove_profile(&self, sub: &str) -> Result<bool, Failure> {
        match &self.services.records {
            Some(records) => self.persistence.call(|| records.delete(sub)).await,
            None => Ok(false),
        }
    }

    /// Each profile before its user: the user is how it is found.
    async fn remove(
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
                Ok::<_, Failure>((profile, self.persistence.call(delete).await?))
            })
            .buffer_unordered(PARALLEL);
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

    async fn listed(&self) -> Result<Vec<(Username, Option<Sub>)>, Failure> {
        let prefix = self.run.prefix();
        let ours = |user: &Listed| {
            let email = user.attributes.get("email").unwrap_or_default();
            email.starts_with(&prefix) || user.username.reveal().starts_with(&prefix)
        };
        let (mut found, mut token) = (Vec::new(), None::<String>);
        loop {
            let list = || {
                self.services
                    .users
                    .whose_email_begins(self.pool, &prefix, token.as_deref())
            };
            let page = self.persistence.call(list).await?;
            let of_page = page.items.into_iter().filter(ours);
            found.extend(of_page.map(|user| (user.username, user.sub)));
            token = page.next;
            if token.is_none() {
                return Ok(found);
            }
        }
    }
}
