//! The `Reconcile` command: a run over a pool in slices.
//!
//! A slice takes about a minute. Then the command is sent anew with how far it
//! came, and the old one is deleted: whoever receives it goes on, behind the live
//! traffic that came meanwhile. A slice that is cut off by a kill is begun again
//! where it began, once its message is visible again.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::aws::{Class, Failure, Outgoing};
use crate::config::Config;
use crate::event::{Cursor, PoolId, ReconcileCommand, is_loggable_sub};
use crate::provision::{Outcome, Rejection, Retry};
use crate::reconcile::{
    ReconcileCache, ReconcilePlan, ReconcileRun, ReconcileServices, ReconcileStep,
};
use crate::retry::retry_inline;

/// Not much more than this is lost by a kill, beside the reading of members and owners.
const SLICE_TIME: Duration = Duration::from_mins(1);
/// Live sign-ups find no more of ours before them on the queue.
const MAX_BACKLOG: u64 = 100;
/// Before a slice that failed is taken up again.
const RETRY_DELAY: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct Reconciler {
    config: Config,
    services: ReconcileServices,
    slot: RunSlot,
}

/// One run at a time in one process. Holds what the run that was under way last has
/// read, which is half of the work.
type RunSlot = Arc<Mutex<Option<(String, ReconcileCache)>>>;

/// The right to run.
pub(super) type RunPermit = OwnedMutexGuard<Option<(String, ReconcileCache)>>;

impl Reconciler {
    pub(super) fn new(config: &Config, services: ReconcileServices) -> Self {
        Self {
            config: config.clone(),
            services,
            slot: RunSlot::default(),
        }
    }

    /// `None` while another run is under way.
    pub(super) fn try_acquire(&self) -> Option<RunPermit> {
        Arc::clone(&self.slot).try_lock_owned().ok()
    }

    /// One slice over a pool. `None` when it was stopped before it came to anything.
    pub(super) async fn run_slice(
        &self,
        task: &ReconcileCommand,
        pool: &PoolId,
        mut turn: RunPermit,
        stop: &CancellationToken,
    ) -> Option<Outcome> {
        if !self.config.pools.is_allowed(pool) {
            return Some(Outcome::Rejected(Rejection::foreign_pool()));
        }
        let mut run = self.build_run(task, pool, &mut turn);
        let begun = run.cursor().clone();
        let ended = self.run_steps(&mut run, stop).await;
        let cursor = run.cursor().clone();
        tracing::info!(
            run.id = Some(&cursor.run).filter(|run| is_loggable_sub(run)),
            request.id = task.request_id.as_ref().filter(|id| is_loggable_sub(id)),
            pool.id = pool.as_str(),
            users = cursor.users,
            queued = cursor.queued,
            elsewhere = cursor.elsewhere,
            refused = run.refused(),
            error = ended.as_ref().err().map(ToString::to_string),
            state = match &ended {
                Ok(SliceEnd::Done) => "done",
                Ok(SliceEnd::Stopped) => "stopped",
                Ok(SliceEnd::TimeUp) => "goes on",
                Err(_) => "failed",
            },
            "reconcile",
        );
        let failed = match ended {
            Ok(SliceEnd::Done) => {
                warn_about_skipped_users(&cursor, pool);
                return Some(Outcome::Done);
            }
            Ok(SliceEnd::Stopped) if cursor == begun => return None,
            Ok(_) => false,
            // A moment of trouble, or an outage: this is no message's fault.
            Err(failure) if is_temporary(&failure) => true,
            Err(failure) => return Some(failure_outcome(failure)),
        };
        let delay = if failed { RETRY_DELAY } else { Duration::ZERO };
        *turn = Some((cursor.run.clone(), run.into_cache()));
        drop(turn);
        Some(self.send_continuation(task, cursor, delay).await)
    }

    fn build_run(
        &self,
        task: &ReconcileCommand,
        pool: &PoolId,
        turn: &mut RunPermit,
    ) -> ReconcileRun {
        let plan = ReconcilePlan {
            pool: pool.clone(),
            groups: ReconcilePlan::groups_to_compare(&self.config, task.groups),
            table: self.config.profiles.as_ref().map(|it| it.table.clone()),
            search: ReconcilePlan::choose_search(&self.config, None, task.force),
            include_federated: task.include_federated,
            since: task.since,
            limit: None,
            max_backlog: Some(MAX_BACKLOG),
            dry_run: false,
            rate: self.config.sign_up_rate(),
        };
        let cursor = task.cursor.clone().unwrap_or_else(|| Cursor {
            run: format!("{:016x}", fastrand::u64(..)),
            ..Cursor::default()
        });
        let kept = turn.take().filter(|(run, _)| *run == cursor.run);
        let run = ReconcileRun::new(self.services.clone(), plan, cursor);
        match kept {
            Some((_, known)) => run.with_cache(known),
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
            // Before anything else: its cursor is the one of a run that begins.
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

    /// A command for each pool, in place of one that names none.
    pub(super) async fn send_for_each_pool(&self, task: &ReconcileCommand) -> Outcome {
        let pools = &self.config.pools.allowed;
        if pools.is_empty() {
            return Outcome::Rejected(Rejection {
                reason: "no_user_pool".to_owned(),
                class: "malformed",
                error: "the command names no user pool, and pools.allowed is empty".to_owned(),
                refused_call: None,
            });
        }
        for pool in pools {
            let task = ReconcileCommand {
                pool: Some(pool.clone()),
                ..task.clone()
            };
            if let Err(failure) = self.send(&task, Duration::ZERO).await {
                return failure_outcome(failure);
            }
        }
        Outcome::Done
    }

    async fn send_continuation(
        &self,
        task: &ReconcileCommand,
        cursor: Cursor,
        delay: Duration,
    ) -> Outcome {
        let next = ReconcileCommand {
            cursor: Some(cursor),
            ..task.clone()
        };
        match self.send(&next, delay).await {
            Ok(()) => Outcome::Done,
            Err(failure) => failure_outcome(failure),
        }
    }

    async fn send(&self, task: &ReconcileCommand, delay: Duration) -> Result<(), Failure> {
        let message = Outgoing {
            body: task.to_body(),
            delay,
            ..Outgoing::default()
        };
        let queue = &self.services.queue;
        retry_inline(|| queue.send(message.clone()))
            .await
            .map(|_| ())
    }
}

/// The command is not made a dead letter for them: a daily run leaves out the same users every
/// day, and the others are queued.
fn warn_about_skipped_users(cursor: &Cursor, pool: &PoolId) {
    if cursor.elsewhere > 0 {
        tracing::warn!(
            pool.id = pool.as_str(),
            users = cursor.elsewhere,
            "users have a record under another id than their sub and get no second one; \
             usher reconcile --dry-run says who",
        );
    }
}

enum SliceEnd {
    Done,
    /// Its time is over.
    TimeUp,
    Stopped,
}

fn is_temporary(failure: &Failure) -> bool {
    !matches!(failure.class, Class::Permanent | Class::Systemic)
}

/// A missing permission of this command must not stop sign-ups: it is the
/// command that goes to the dead-letter queue.
fn failure_outcome(failure: Failure) -> Outcome {
    if is_temporary(&failure) {
        Outcome::Retry(Retry::new(failure.into()))
    } else {
        Outcome::Rejected(failure.into())
    }
}
