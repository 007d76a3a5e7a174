//! A whole run over one pool: its steps, its retries, and the checkpoint after each page.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::checkpoint::Checkpoint;
use super::incomplete_user::IncompleteUser;
use super::other_ids::OtherIdSearch;
use super::plan::{ReconcilePlan, ReconcileServices};
use super::run::{ReconcileRun, ReconcileStep};
use super::summary::PoolSummary;
use crate::aws::{Class, Failure};
use crate::event::Cursor;
use crate::reason::Reason;
use crate::retry::{Backoff, SharedRetry, Transient};
use crate::text::plural;

/// Runs until the end, the stop signal, or a failure that no retry repairs.
pub(crate) struct PoolRun<'a> {
    pub(crate) plan: ReconcilePlan,
    pub(crate) services: ReconcileServices,
    /// It gives up after this time without a successful call.
    pub(crate) give_up_after: Duration,
    pub(crate) stop: &'a CancellationToken,
}

/// What a run does.
#[derive(Debug)]
pub(crate) enum PoolRunProgress<'a> {
    /// It reads the members of the compared groups.
    Members,
    /// It reads the owners of all profiles.
    Owners,
    /// It pauses, since so many messages are on the queue.
    Paused(u64),
    /// It has checked a page of users. These lack something, or have their profile under another
    /// id.
    Users(&'a Cursor, &'a [IncompleteUser]),
}

impl PoolRun<'_> {
    /// Continues at `cursor`, and keeps `checkpoint` if there is one.
    pub(crate) async fn run(
        self,
        cursor: Cursor,
        mut checkpoint: Option<&mut Checkpoint>,
        mut on_progress: impl FnMut(PoolRunProgress<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<PoolSummary> {
        let mut run = ReconcileRun::new(self.services.clone(), self.plan.clone(), cursor);
        if let Some(checkpoint) = &mut checkpoint {
            // A checkpoint that cannot be written stops the run before the first user is queued.
            checkpoint.save(&self.plan, run.cursor())?;
        }
        let mut summary = PoolSummary::new(&self.plan, self.services.profiles.is_some());
        let retry = SharedRetry::new(self.give_up_after, self.stop);
        let mut backoff = Backoff::default();
        summary.complete = loop {
            if self.stop.is_cancelled() {
                break run.is_finished();
            }
            let step = match run.step().await {
                Err(failure) if may_recover(&failure) => {
                    tracing::warn!(error = %failure, "reconcile step failed, retrying");
                    let may_retry = retry.wait_to_retry(&mut backoff).await;
                    if may_retry || self.stop.is_cancelled() {
                        continue;
                    }
                    return Err(self.stopped(run.cursor(), failure));
                }
                Err(failure) => return Err(self.stopped(run.cursor(), failure)),
                Ok(step) => step,
            };
            retry.record_success();
            backoff.reset();
            match step {
                ReconcileStep::Members => on_progress(PoolRunProgress::Members)?,
                ReconcileStep::Owners => on_progress(PoolRunProgress::Owners)?,
                ReconcileStep::Wait(at, waiting) => {
                    if waiting > 0 {
                        on_progress(PoolRunProgress::Paused(waiting))?;
                    }
                    tokio::select! {
                        () = tokio::time::sleep_until(at) => {}
                        () = self.stop.cancelled() => {}
                    }
                }
                ReconcileStep::Users(incomplete) => {
                    summary.add(&incomplete);
                    on_progress(PoolRunProgress::Users(run.cursor(), &incomplete))?;
                    if let Some(checkpoint) = &mut checkpoint
                        && !run.is_finished()
                    {
                        checkpoint.save(&self.plan, run.cursor())?;
                    }
                }
                ReconcileStep::Done => break true,
            }
        };
        if let Some(checkpoint) = &mut checkpoint
            && run.is_finished()
        {
            checkpoint.remove(&self.plan.pool)?;
        }
        Ok(summary.with_counts(&run))
    }

    fn stopped(&self, cursor: &Cursor, failure: Failure) -> anyhow::Error {
        let stopped = format!("stopped after {}", plural(cursor.users, "user"));
        let stopped = match &self.plan.search {
            OtherIdSearch::Index(owner, index) if failure.reason == Reason::TableMismatch => {
                format!(
                    "{stopped}; profiles are looked for with the index {index}, whose partition key \
                     has to be {}",
                    owner.name(),
                )
            }
            _ => stopped,
        };
        anyhow::Error::new(failure).context(stopped)
    }
}

/// Waiting does not renew expired credentials.
fn may_recover(failure: &Failure) -> bool {
    failure.is_transient() && failure.class != Class::Credentials
}
