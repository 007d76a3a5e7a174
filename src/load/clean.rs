//! Takes away what a run left: messages, letters, profiles, users, in this order,
//! so that nothing makes anew what is gone already, and a clean-up that was cut off
//! still finds what is left by the users' names.

use futures_util::stream::{self, StreamExt};
use tokio_util::sync::CancellationToken;

use super::crew::Crew;
use super::letters::WIDTH;
use super::report::Cleaned;
use super::run::Services;
use super::run_id::RunId;
use crate::aws::{BATCH, Failure, Listed, Queue};
use crate::dead_letter::{Ended, Filter, Selection};
use crate::event::{PoolId, Sub, Username};
use crate::retry::patiently;

/// Users that are removed at once; the budget sets the pace.
const PARALLEL: usize = 16;
/// `ListUsers` is eventually consistent: it is asked until it shows nobody who is
/// there, and so many times at most.
const LOOKS: u32 = 10;

/// A clean-up.
#[derive(Debug)]
pub struct Cleaner<'a> {
    /// Where the run left what it left.
    pub services: &'a Services,
    /// Whose.
    pub run: &'a RunId,
    /// The pool.
    pub pool: &'a PoolId,
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

impl Cleaner<'_> {
    /// Removes everything. `removed` hears how many users are gone.
    ///
    /// # Errors
    /// The first call that cannot be made; running it again goes on.
    pub async fn clean(
        &self,
        crew: &Crew,
        source: Source,
        removed: impl Fn(u64),
    ) -> Result<Cleaned, Failure> {
        let mut cleaned = Cleaned {
            complete: true,
            ..Cleaned::default()
        };
        // SQS's counts were a little old then, and are not now.
        let is_empty = source == Source::Empty
            && patiently(|| self.services.queue.facts())
                .await?
                .depth
                .is_empty();
        if !is_empty {
            let (messages, all) = self.take(&self.services.queue).await?;
            cleaned.messages = messages;
            cleaned.complete &= all;
        }
        let (letters, all) = self.take(&self.services.dead_letters).await?;
        cleaned.letters = letters;
        cleaned.complete &= all;

        let known = crew.people.iter().chain(&crew.bystanders);
        let known: Vec<(Username, Option<Sub>)> = known
            .map(|person| (person.username.clone(), Some(person.sub.clone())))
            .collect();
        self.remove(known, &mut cleaned, &removed).await?;
        for look in 1..=LOOKS {
            if self.stop.is_cancelled() {
                cleaned.complete = false;
                break;
            }
            let listed = self.listed().await?;
            let before = cleaned.users;
            self.remove(listed, &mut cleaned, &removed).await?;
            if cleaned.users == before {
                break;
            }
            cleaned.complete &= look < LOOKS;
        }
        Ok(cleaned)
    }

    /// Deletes the run's messages of one queue; shows the others again. Answers
    /// with how many there were, and whether all of the queue was seen.
    async fn take(&self, queue: &Queue) -> Result<(u64, bool), Failure> {
        let stop = self.stop.clone();
        let mut selection = Selection::new(queue, WIDTH, Filter::default(), stop);
        let (mut taken, mut all) = (0, true);
        let result = loop {
            let ours =
                |letter: &crate::dead_letter::Found| self.run.find(&letter.message.body).is_some();
            match selection.next(ours, |_| {}).await {
                Ok(Some(found)) => {
                    for batch in found.chunks(BATCH) {
                        let ids: Vec<&str> =
                            batch.iter().map(|found| found.about.id.as_str()).collect();
                        let left = selection.delete(&ids).await;
                        all &= left.is_empty();
                        taken += (ids.len() - left.len()) as u64;
                    }
                }
                Ok(None) => break Ok(()),
                Err(failure) => break Err(failure),
            }
        };
        match selection.finish().await {
            Ended::All(unseen) => all &= unseen.elsewhere + unseen.beyond == 0,
            Ended::Limit | Ended::Stopped => all = false,
        }
        result.map(|()| (taken, all))
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
                let profile = match (&self.services.records, &sub) {
                    (Some(records), Some(sub)) => {
                        patiently(|| records.delete(sub.as_str())).await?
                    }
                    _ => false,
                };
                let delete = || self.services.users.delete(self.pool, &username);
                Ok::<_, Failure>((profile, patiently(delete).await?))
            })
            .buffer_unordered(PARALLEL);
        loop {
            let gone = tokio::select! {
                gone = removing.next() => gone,
                () = self.stop.cancelled() => {
                    cleaned.complete = false;
                    None
                }
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
            let page = patiently(list).await?;
            let of_page = page.items.into_iter().filter(ours);
            found.extend(of_page.map(|user| (user.username, user.sub)));
            token = page.next;
            if token.is_none() {
                return Ok(found);
            }
        }
    }
}
