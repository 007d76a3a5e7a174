//! Deletes a person: the user, and what usher keeps of them.
//!
//! Each step may be repeated, so a run that was killed is run again. Nothing that still runs may
//! bring back what was deleted: a queued sign-up becomes a dead letter, or writes the profile
//! again. So the user goes first; then the source queue has to be empty; then dead letters and
//! profiles go, and a look finds what came meanwhile.
//!
//! What only the user name finds goes before the user. Profiles are deleted then, unless the table
//! may have those of another pool. Someone has to look at these, and read the dead letters, since
//! another user may have the name: until then nothing is deleted.
//!
//! Messages of the source queue are not searched: receiving them would hide them from the workers
//! and count as an attempt. SQS's counts of them may be a minute old, so only a second run that
//! finds nothing is a proof.

mod dead_letters;
mod person;
mod profiles;
mod report;

use std::time::Duration;

use anyhow::bail;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::OnProgress;
use crate::app::Services;
use crate::aws::{Cognito, Failure, FindUserError, PoolUser, Queue};
use crate::dead_letter::{
    AuditLog, Filter, PARALLEL_RECEIVES, RemovalCounts, ScanReport, Selection,
};
use crate::event::{PoolId, Sub};
use crate::retry::retry_inline;
use dead_letters::Letters;
use person::{Person, find_user};
use profiles::{FoundProfile, FoundProfiles, ProfileSearch};
pub(crate) use report::{ForgetReport, ForgetStatus, Parts, Remains};

/// `action` of the audit lines.
const AUDIT_ACTION: &str = "users_forget";
/// A worker gives up a sign-up whose user is gone after three and a half minutes.
const MAX_QUEUE_WAIT: Duration = Duration::from_mins(5);
const QUEUE_POLL_PAUSE: Duration = Duration::from_secs(1);
/// SQS's counts may miss a message that changes its state.
const REQUIRED_EMPTY_READS: u32 = 3;

/// The deletion of one person.
pub(crate) struct Forget<'a> {
    /// The user stays in the pool.
    keep_user: bool,
    cognito: Cognito,
    queue: Queue,
    dead_letter_queue: Queue,
    profiles: Option<ProfileSearch>,
    person: Person,
    /// Who deletes, for audit lines.
    actor: String,
    deleted: Parts,
    stop: &'a CancellationToken,
    on_progress: OnProgress<'a>,
}

impl<'a> Forget<'a> {
    /// # Errors
    /// Without `queue.url` or `profiles.table`, or when the user or the dead-letter queue cannot
    /// be read.
    pub(crate) async fn new(
        services: &'a Services,
        (pool, sub): (PoolId, Sub),
        keep_user: bool,
        stop: &'a CancellationToken,
        on_progress: OnProgress<'a>,
    ) -> anyhow::Result<Self> {
        let cognito = services.cognito();
        let user = find_user(&cognito, &pool, &sub).await?;
        Ok(Self {
            keep_user,
            queue: services.queue()?,
            dead_letter_queue: services.dead_letter_queue().await?,
            profiles: ProfileSearch::new(services)?,
            person: Person {
                shares_table: services.config.pools.allowed.len() != 1,
                pool,
                sub,
                user,
                is_deleted: false,
            },
            cognito,
            actor: services.aws().caller_name().await,
            deleted: Parts::default(),
            stop,
            on_progress,
        })
    }

    /// Finds what there is, and changes nothing.
    pub(crate) async fn look(&mut self) -> anyhow::Result<Remains> {
        let user = self.find_user().await?;
        let letters = self.read_dead_letters(false).await?;
        let profiles = self.find_profiles().await?;
        Ok(Remains {
            parts: Parts {
                user: user.is_some() && !self.keep_user,
                profiles: profiles.theirs.len() as u64,
                dead_letters: letters.theirs.len() as u64,
            },
            doubtful: letters.doubtful,
            doubtful_profiles: profiles.doubtful,
            messages: self.queue_depth().await?,
            profiles: profiles.theirs,
        })
    }

    /// Deletes what a look has found and what comes meanwhile, and looks again.
    pub(crate) async fn delete(
        mut self,
        found: Remains,
        on_progress: OnProgress<'a>,
    ) -> anyhow::Result<ForgetReport> {
        self.on_progress = on_progress;
        if found.parts.user {
            self.delete_profiles(found.profiles).await?;
            self.delete_user().await?;
        }
        let messages = self.wait_for_queue().await?;
        self.read_dead_letters(true).await?;
        let profiles = self.find_profiles().await?;
        self.delete_profiles(profiles.theirs).await?;
        let left = self.look().await?;
        let left = Remains { messages, ..left };
        Ok(self.report(left.status(), left))
    }

    pub(crate) fn report(self, status: ForgetStatus, left: Remains) -> ForgetReport {
        let gaps = [
            ProfileSearch::gap(self.profiles.as_ref()),
            self.person.gap(),
        ];
        let advice = left.advice(status, self.deleted);
        ForgetReport {
            status,
            notes: gaps.into_iter().flatten().chain(advice).collect(),
            pool: self.person.pool,
            sub: self.person.sub,
            deleted: self.deleted,
            left,
        }
    }

    async fn find_user(&self) -> Result<Option<PoolUser>, FindUserError> {
        find_user(&self.cognito, &self.person.pool, &self.person.sub).await
    }

    async fn find_profiles(&self) -> anyhow::Result<FoundProfiles> {
        let Some(profiles) = &self.profiles else {
            return Ok(FoundProfiles::default());
        };
        tokio::select! {
            found = profiles.find(&self.person, self.on_progress) => Ok(found?),
            () = self.stop.cancelled() => bail!("stopped"),
        }
    }

    /// With `deletes` also deletes those of the person.
    async fn read_dead_letters(&mut self, deletes: bool) -> anyhow::Result<Letters> {
        let (queue, stop) = (&self.dead_letter_queue, self.stop.clone());
        let mut selection = Selection::new(queue, PARALLEL_RECEIVES, Filter::default(), stop);
        let letters = Letters::read(&mut selection, &self.person, self.on_progress).await;
        let mut removed = RemovalCounts::default();
        if let (Ok(letters), true) = (&letters, deletes) {
            let audit = AuditLog::new(self.actor.clone(), AUDIT_ACTION);
            let theirs = &letters.theirs;
            removed
                .drop_all(&mut selection, theirs, &audit, |_| {})
                .await;
        }
        self.deleted.dead_letters += removed.deleted;
        let unread = ScanReport::finish(selection).await.unread();
        let letters = letters?;
        if self.stop.is_cancelled() {
            bail!("stopped");
        }
        if !unread.is_empty() {
            bail!("dead letters were not all read: {}", unread.join("; "));
        }
        Ok(letters)
    }

    async fn delete_user(&mut self) -> anyhow::Result<()> {
        // Another user may have the name since the look.
        let Some(user) = self.find_user().await? else {
            self.person.is_deleted = true;
            return Ok(());
        };
        let pool = &self.person.pool;
        let result = retry_inline(|| self.cognito.delete_user(pool, &user.username)).await;
        self.audit("user", &result);
        self.deleted.user = result?;
        self.person.is_deleted = true;
        Ok(())
    }

    async fn delete_profiles(&mut self, found: Vec<FoundProfile>) -> anyhow::Result<()> {
        let Some(profiles) = &self.profiles else {
            return Ok(());
        };
        for profile in &found {
            let result = profiles.delete(profile).await;
            self.audit("profile", &result);
            self.deleted.profiles += u64::from(result?);
        }
        Ok(())
    }

    /// Waits until the source queue is empty; returns its messages if it never is.
    async fn wait_for_queue(&self) -> anyhow::Result<u64> {
        let started = Instant::now();
        let mut empty_reads = 0;
        loop {
            let depth = self.queue_depth().await?;
            empty_reads = if depth == 0 { empty_reads + 1 } else { 0 };
            let is_late = started.elapsed() >= MAX_QUEUE_WAIT;
            if empty_reads == REQUIRED_EMPTY_READS || (is_late && depth > 0) {
                return Ok(depth);
            }
            (self.on_progress)(depth, "messages on the queue: waiting until it is empty");
            tokio::select! {
                () = self.stop.cancelled() => bail!("stopped"),
                () = tokio::time::sleep(QUEUE_POLL_PAUSE) => {}
            }
        }
    }

    async fn queue_depth(&self) -> Result<u64, Failure> {
        let attributes = retry_inline(|| self.queue.attributes()).await?;
        Ok(attributes.depth.total())
    }

    fn audit(&self, what: &'static str, result: &Result<bool, Failure>) {
        let result = match result {
            Ok(true) => "deleted".to_owned(),
            Ok(false) => "not there".to_owned(),
            Err(failure) => format!("not deleted: {}", failure.reason),
        };
        tracing::info!(
            target: "usher::audit",
            {
                actor = self.actor,
                action = AUDIT_ACTION,
                pool.id = self.person.pool.as_str(),
                user.sub = self.person.sub.loggable(),
                what,
                result,
            },
            "{what} of one user: {result}",
        );
    }
}

#[cfg(test)]
mod tests;
