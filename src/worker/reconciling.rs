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
use crate::event::{Cursor, PoolId, Reconcile, is_opaque};
use crate::provision::{Outcome, Rejection, Retry};
use crate::reconcile::{Known, Plan, Run, Services, Step};
use crate::retry::quickly;

/// Not much more than this is lost by a kill, beside the reading of members and owners.
const SLICE: Duration = Duration::from_mins(1);
/// Live sign-ups find no more of ours before them on the queue.
const BACKLOG: u64 = 100;
/// Before a slice that failed is taken up again.
const LATER: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct Reconciling {
    config: Config,
    services: Services,
    slot: Slot,
}

/// One run at a time in one process. Holds what the run that was under way last has
/// read, which is half of the work.
type Slot = Arc<Mutex<Option<(String, Known)>>>;

/// The right to run.
pub(super) type Turn = OwnedMutexGuard<Option<(String, Known)>>;

impl Reconciling {
    pub(super) fn new(config: &Config, services: Services) -> Self {
        Self {
            config: config.clone(),
            services,
            slot: Slot::default(),
        }
    }

    /// `None` while another run is under way.
    pub(super) fn turn(&self) -> Option<Turn> {
        Arc::clone(&self.slot).try_lock_owned().ok()
    }

    /// One slice over a pool. `None` when it was stopped before it came to anything.
    pub(super) async fn slice(
        &self,
        task: &Reconcile,
        pool: &PoolId,
        mut turn: Turn,
        stop: &CancellationToken,
    ) -> Option<Outcome> {
        if !self.config.pools.accept(pool) {
            return Some(Outcome::Rejected(Rejection::foreign_pool()));
        }
        let mut run = self.run(task, pool, &mut turn);
        let begun = run.cursor().clone();
        let ended = self.steps(&mut run, stop).await;
        let cursor = run.cursor().clone();
        tracing::info!(
            run.id = Some(&cursor.run).filter(|run| is_opaque(run)),
            request.id = task.request_id.as_ref().filter(|id| is_opaque(id)),
            pool.id = pool.as_str(),
            users = cursor.users,
            queued = cursor.queued,
            elsewhere = cursor.elsewhere,
            refused = run.refused(),
            error = ended.as_ref().err().map(ToString::to_string),
            state = match &ended {
                Ok(Slice::Done) => "done",
                Ok(Slice::Stopped) => "stopped",
                Ok(Slice::Over) => "goes on",
                Err(_) => "failed",
            },
            "reconcile",
        );
        let failed = match ended {
            Ok(Slice::Done) => {
                warn_of_left_out(&cursor, pool);
                return Some(Outcome::Done);
            }
            Ok(Slice::Stopped) if cursor == begun => return None,
            Ok(_) => false,
            // A moment of trouble, or an outage: this is no message's fault.
            Err(failure) if is_passing(&failure) => true,
            Err(failure) => return Some(outcome_of(failure)),
        };
        let delay = if failed { LATER } else { Duration::ZERO };
        *turn = Some((cursor.run.clone(), run.into_known()));
        drop(turn);
        Some(self.hand_on(task, cursor, delay).await)
    }

    fn run(&self, task: &Reconcile, pool: &PoolId, turn: &mut Turn) -> Run {
        let plan = Plan {
            pool: pool.clone(),
            groups: Plan::groups_to_compare(&self.config, task.groups),
            table: self.config.profiles.as_ref().map(|it| it.table.clone()),
            search: Plan::search(&self.config, None, task.force),
            include_federated: task.include_federated,
            since: task.since,
            limit: None,
            backlog: Some(BACKLOG),
            dry_run: false,
            rate: self.config.sign_up_rate(),
        };
        let cursor = task.cursor.clone().unwrap_or_else(|| Cursor {
            run: format!("{:016x}", fastrand::u64(..)),
            ..Cursor::default()
        });
        let kept = turn.take().filter(|(run, _)| *run == cursor.run);
        let run = Run::new(self.services.clone(), plan, cursor);
        match kept {
            Some((_, known)) => run.with_known(known),
            None => run,
        }
    }

    async fn steps(&self, run: &mut Run, stop: &CancellationToken) -> Result<Slice, Failure> {
        let mut end = None;
        loop {
            // Before anything else: its cursor is the one of a run that begins.
            if run.is_through() {
                return Ok(Slice::Done);
            }
            if stop.is_cancelled() {
                return Ok(Slice::Stopped);
            }
            if !run.is_reading() {
                let end = *end.get_or_insert_with(|| Instant::now() + SLICE);
                if Instant::now() >= end {
                    return Ok(Slice::Over);
                }
            }
            match run.step().await? {
                Step::Done => return Ok(Slice::Done),
                Step::Members | Step::Owners | Step::Users(_) => {}
                Step::Later(at, _) => tokio::select! {
                    () = tokio::time::sleep_until(at) => {}
                    () = stop.cancelled() => {}
                },
            }
        }
    }

    /// A command for each pool, in place of one that names none.
    pub(super) async fn each_pool(&self, task: &Reconcile) -> Outcome {
        let pools = &self.config.pools.allowed;
        if pools.is_empty() {
            return Outcome::Rejected(Rejection {
                reason: "no_user_pool".to_owned(),
                class: "malformed",
                error: "the command names no user pool, and pools.allowed is empty".to_owned(),
                refused: None,
            });
        }
        for pool in pools {
            let task = Reconcile {
                pool: Some(pool.clone()),
                ..task.clone()
            };
            if let Err(failure) = self.send(&task, Duration::ZERO).await {
                return outcome_of(failure);
            }
        }
        Outcome::Done
    }

    async fn hand_on(&self, task: &Reconcile, cursor: Cursor, delay: Duration) -> Outcome {
        let next = Reconcile {
            cursor: Some(cursor),
            ..task.clone()
        };
        match self.send(&next, delay).await {
            Ok(()) => Outcome::Done,
            Err(failure) => outcome_of(failure),
        }
    }

    async fn send(&self, task: &Reconcile, delay: Duration) -> Result<(), Failure> {
        let message = Outgoing {
            body: task.to_body(),
            delay,
            ..Outgoing::default()
        };
        let queue = &self.services.queue;
        quickly(|| queue.send(message.clone())).await.map(|_| ())
    }
}

/// The command is not made a dead letter for them: a daily run leaves out the same users every
/// day, and the others are queued.
fn warn_of_left_out(cursor: &Cursor, pool: &PoolId) {
    if cursor.elsewhere > 0 {
        tracing::warn!(
            pool.id = pool.as_str(),
            users = cursor.elsewhere,
            "users have a record under another id than their sub and get no second one; \
             usher reconcile --dry-run says who",
        );
    }
}

enum Slice {
    Done,
    /// Its time is over.
    Over,
    Stopped,
}

fn is_passing(failure: &Failure) -> bool {
    !matches!(failure.class, Class::Permanent | Class::Systemic)
}

/// A missing permission of this command must not stop sign-ups: it is the
/// command that goes to the dead-letter queue.
fn outcome_of(failure: Failure) -> Outcome {
    if is_passing(&failure) {
        Outcome::Retry(Retry::because(failure.into()))
    } else {
        Outcome::Rejected(failure.into())
    }
}
