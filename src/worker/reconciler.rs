//! The `Reconcile` command: finds users of a pool whose sign-up was missed, in slices.
//!
//! A slice takes about a minute. Then the command is sent again with a cursor, and the
//! old message is deleted. The worker that receives it continues the run, behind the live
//! traffic that arrived meanwhile. After a kill, the slice starts again from its cursor
//! once its message is visible. A run has no trace, since its slices may take hours;
//! `run.id` joins their log lines.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::aws::{Class, Failure};
use crate::config::Config;
use crate::event::{Cursor, PoolId, ReconcileCommand, is_loggable_id};
use crate::message::outgoing;
use crate::provision::{Outcome, Rejection, RejectionClass, Retry};
use crate::reason::Reason;
use crate::reconcile::{
    ReconcileCache, ReconcilePlan, ReconcileRun, ReconcileServices, ReconcileStep,
};
use crate::retry::retry_inline;

/// A kill loses little more than this, plus the scan of members and owners.
const SLICE_TIME: Duration = Duration::from_mins(1);
/// With more visible messages on the queue the run pauses, so as not to delay sign-ups.
const MAX_BACKLOG: u64 = 100;
/// Delay before a failed slice is continued.
const RETRY_DELAY: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct Reconciler {
    config: Config,
    services: ReconcileServices,
    slot: SliceSlot,
}

/// Allows one slice at a time in a process. Holds the id of the latest run and the lists that
/// it has read.
type SliceSlot = Arc<Mutex<Option<(String, ReconcileCache)>>>;

/// Guard: only its holder runs a slice.
pub(super) type SliceGuard = OwnedMutexGuard<Option<(String, ReconcileCache)>>;

impl Reconciler {
    pub(super) fn new(config: &Config, services: ReconcileServices) -> Self {
        Self {
            config: config.clone(),
            services,
            slot: SliceSlot::default(),
        }
    }

    /// Name of the profile table; `None` when profiles are switched off.
    pub(super) fn table(&self) -> Option<String> {
        self.services.table()
    }

    /// `None` while another slice runs.
    pub(super) fn try_acquire(&self) -> Option<SliceGuard> {
        Arc::clone(&self.slot).try_lock_owned().ok()
    }

    /// Runs one slice over a pool. `None` if it was stopped without progress.
    pub(super) async fn run_slice(
        &self,
        command: &ReconcileCommand,
        pool: &PoolId,
        mut guard: SliceGuard,
        stop: &CancellationToken,
    ) -> Option<Outcome> {
        if !self.config.pools.is_allowed(pool) {
            return Some(Outcome::Rejected(Rejection::foreign_pool()));
        }
        let mut run = self.build_run(command, pool, &mut guard);
        let start_cursor = run.cursor().clone();
        let result = self.run_steps(&mut run, stop).await;
        let cursor = run.cursor().clone();
        tracing::info!(
            run.id = Some(&cursor.run).filter(|run| is_loggable_id(run)),
            request.id = command.request_id.as_ref().filter(|id| is_loggable_id(id)),
            pool.id = pool.as_str(),
            users = cursor.users,
            queued = cursor.queued,
            profiles_with_other_id = cursor.elsewhere,
            refused = run.refused(),
            error = result.as_ref().err().map(ToString::to_string),
            state = match &result {
                Ok(SliceEnd::Done) => "done",
                Ok(SliceEnd::Stopped) => "stopped",
                Ok(SliceEnd::TimeUp) => "continues",
                Err(_) => "failed",
            },
            "reconcile slice ended",
        );
        let failed = match result {
            Ok(SliceEnd::Done) => {
                warn_about_skipped_users(&cursor, pool);
                return Some(Outcome::Done);
            }
            Ok(SliceEnd::Stopped) if cursor == start_cursor => return None,
            Ok(_) => false,
            // A transient failure or an outage is not the fault of the message.
            Err(failure) if is_outage(&failure) => true,
            Err(failure) => return Some(failure_outcome(failure)),
        };
        let delay = if failed { RETRY_DELAY } else { Duration::ZERO };
        *guard = Some((cursor.run.clone(), run.into_cache()));
        drop(guard);
        Some(self.send_continuation(command, cursor, delay).await)
    }

    fn build_run(
        &self,
        command: &ReconcileCommand,
        pool: &PoolId,
        guard: &mut SliceGuard,
    ) -> ReconcileRun {
        let plan = ReconcilePlan {
            pool: pool.clone(),
            groups: ReconcilePlan::groups_to_compare(&self.config, command.groups),
            table: self.table(),
            search: ReconcilePlan::choose_search(&self.config, None, command.force),
            include_federated: command.include_federated,
            since: command.since,
            limit: None,
            max_backlog: Some(MAX_BACKLOG),
            dry_run: false,
            rate: self.config.sign_up_rate(),
        };
        let cursor = command.cursor.clone().unwrap_or_else(|| Cursor {
            run: format!("{:016x}", fastrand::u64(..)),
            ..Cursor::default()
        });
        let latest = guard.take().filter(|(run, _)| *run == cursor.run);
        let run = ReconcileRun::new(self.services.clone(), plan, cursor);
        match latest {
            Some((_, cache)) => run.with_cache(cache),
            None => run,
        }
    }

    async fn run_steps(
        &self,
        run: &mut ReconcileRun,
        stop: &CancellationToken,
    ) -> Result<SliceEnd, Failure> {
        let mut end = None;
        loop {
            // Checked before `stop`: a finished run has an empty cursor, which would start again.
            if run.is_finished() {
                return Ok(SliceEnd::Done);
            }
            if stop.is_cancelled() {
                return Ok(SliceEnd::Stopped);
            }
            if !run.is_reading() {
                let end = *end.get_or_insert_with(|| Instant::now() + SLICE_TIME);
                if Instant::now() >= end {
                    return Ok(SliceEnd::TimeUp);
                }
            }
            match run.step().await? {
                ReconcileStep::Done => return Ok(SliceEnd::Done),
                ReconcileStep::Members | ReconcileStep::Owners | ReconcileStep::Users(_) => {}
                ReconcileStep::Wait(at, _) => tokio::select! {
                    () = tokio::time::sleep_until(at) => {}
                    () = stop.cancelled() => {}
                },
            }
        }
    }

    /// Sends one command for each allowed pool, instead of a command without a pool.
    pub(super) async fn send_for_each_pool(&self, command: &ReconcileCommand) -> Outcome {
        let pools = &self.config.pools.allowed;
        if pools.is_empty() {
            return Outcome::Rejected(Rejection::new(
                Reason::NoUserPool,
                RejectionClass::Malformed,
                "the command names no user pool, and pools.allowed is empty",
            ));
        }
        for pool in pools {
            let command = ReconcileCommand {
                pool: Some(pool.clone()),
                ..command.clone()
            };
            if let Err(failure) = self.send(&command, Duration::ZERO).await {
                return failure_outcome(failure);
            }
        }
        Outcome::Done
    }

    async fn send_continuation(
        &self,
        command: &ReconcileCommand,
        cursor: Cursor,
        delay: Duration,
    ) -> Outcome {
        let next = ReconcileCommand {
            cursor: Some(cursor),
            ..command.clone()
        };
        match self.send(&next, delay).await {
            Ok(()) => Outcome::Done,
            Err(failure) => failure_outcome(failure),
        }
    }

    async fn send(&self, command: &ReconcileCommand, delay: Duration) -> Result<(), Failure> {
        let message = outgoing::reconcile(command, delay);
        let queue = &self.services.queue;
        retry_inline(|| queue.send(message.clone()))
            .await
            .map(|_| ())
    }
}

/// Skipped users do not make the command a dead letter: a daily run skips the same users
/// every day, and queues the others.
fn warn_about_skipped_users(cursor: &Cursor, pool: &PoolId) {
    if cursor.elsewhere > 0 {
        tracing::warn!(
            pool.id = pool.as_str(),
            users = cursor.elsewhere,
            "users skipped: their profile has another id than their sub; \
             usher reconcile --dry-run lists them",
        );
    }
}

enum SliceEnd {
    Done,
    /// [`SLICE_TIME`] has passed.
    TimeUp,
    Stopped,
}

fn is_outage(failure: &Failure) -> bool {
    !matches!(failure.class, Class::Permanent | Class::Systemic)
}

/// A missing permission of this command must not stop sign-ups: the command becomes a
/// dead letter instead.
fn failure_outcome(failure: Failure) -> Outcome {
    if is_outage(&failure) {
        Outcome::Retry(Retry::new(failure.into()))
    } else {
        Outcome::Rejected(failure.into())
    }
}
