//! Stops intake while the deployment is broken, and finds out when it is mended.
//!
//! A message that meets a systemic failure (missing permission, pool, table,
//! dead-letter queue, a service that is down) is not released and received again: each receive would
//! count against SQS's `maxReceiveCount`, and SQS would move it in the end. A
//! few such messages are held, hidden by the visibility keeper, and take turns
//! in trying again. While any of them is held the breaker is open; when what
//! failed works again, or nobody is held by it any more, it closes.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Mutex as AsyncMutex, MutexGuard as AsyncMutexGuard, Notify};
use tokio_util::sync::CancellationToken;

use crate::aws::{Failure, Service};
use crate::retry::Patience;
use crate::telemetry::Health;

/// Messages that are held for probing. More than one, so that a message that is
/// itself the trouble does not decide alone.
pub(super) const PROBES: usize = 4;

#[derive(Debug)]
pub(crate) struct Breaker {
    state: Mutex<State>,
    changed: Notify,
    /// One probe at a time; whoever waits longest is next.
    turn: AsyncMutex<()>,
    health: Health,
    /// Whether `pools.allowed` says which pools are ours.
    pools_named: bool,
}

#[derive(Debug, Default)]
struct State {
    open: HashMap<What, Cause>,
    /// The held messages, each by what holds it.
    held: HashMap<u64, What>,
    next: u64,
    pace: Patience,
}

/// What is broken: an operation on a resource.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct What {
    service: Service,
    operation: &'static str,
    resource: String,
}

/// What waits for the mending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// Messages that are held.
    Messages,
    /// The same, for a pool that does not exist. Unless our pools are named, it
    /// may be the messages that are wrong.
    UnknownPool,
    /// Something else: a delete that is not allowed.
    Standing,
}

/// What a held message may do next.
#[derive(Debug)]
pub(crate) enum Next<'a> {
    /// Try again, alone, while this is kept.
    Probe(AsyncMutexGuard<'a, ()>),
    /// It works again: try again.
    Mended,
    /// The worker stops: release the message.
    Stop,
}

/// A message that waits for the deployment to be mended.
#[derive(Debug)]
pub(crate) struct Held<'a> {
    breaker: &'a Breaker,
    id: u64,
    what: What,
}

impl Breaker {
    pub(crate) fn new(health: Health, pools_named: bool) -> Self {
        Self {
            pools_named,
            state: Mutex::default(),
            changed: Notify::new(),
            turn: AsyncMutex::default(),
            health,
        }
    }

    /// Opens the breaker and holds the message; `None` when enough are held and
    /// this one is to be released.
    pub(crate) fn hold(&self, failure: &Failure) -> Option<Held<'_>> {
        let mut state = self.state();
        if state.held.len() >= PROBES {
            return None;
        }
        let id = state.next;
        state.next += 1;
        let what = What::from(failure);
        self.open(&mut state, &what, failure);
        state.held.insert(id, what.clone());
        Some(Held {
            breaker: self,
            id,
            what,
        })
    }

    /// Opens the breaker for something that is tried again elsewhere.
    pub(super) fn report(&self, failure: &Failure) {
        let what = What::from(failure);
        let mut state = self.state();
        self.open(&mut state, &what, failure);
        state.open.insert(what, Cause::Standing);
    }

    /// What was reported works again.
    pub(super) fn mended(&self, failure: &Failure) {
        self.close(&What::from(failure));
    }

    /// How many messages may be asked for: any number while closed; while open,
    /// as many as there are free places for probes.
    pub(super) fn room(&self) -> usize {
        let state = self.state();
        if state.open.is_empty() {
            usize::MAX
        } else if state.has_standing() {
            0
        } else if !self.pools_named && state.open.values().all(|c| *c == Cause::UnknownPool) {
            // Four messages that name a pool of nowhere must not stop a worker
            // that has not seen a good one yet.
            PROBES.saturating_sub(state.held.len()).max(1)
        } else {
            PROBES.saturating_sub(state.held.len())
        }
    }

    /// Whether something is broken that no held message waits for, such as the
    /// right to delete.
    pub(super) fn has_standing(&self) -> bool {
        self.state().has_standing()
    }

    /// Resolves when the breaker may have changed.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    fn open(&self, state: &mut State, what: &What, failure: &Failure) {
        if state.open.contains_key(what) {
            return;
        }
        tracing::error!(
            reason = failure.reason, error = %failure,
            "breaker open: receiving stops until this is mended",
        );
        self.health
            .obstacle(what.name(), format!("blocked: {failure}"));
        metrics::gauge!("usher_breaker_open").set(1.0);
        let unknown_pool = failure.reason == "pool_not_found";
        let cause = if unknown_pool {
            Cause::UnknownPool
        } else {
            Cause::Messages
        };
        state.open.insert(what.clone(), cause);
    }

    /// Whoever is held by it is free.
    fn close(&self, what: &What) {
        let mut state = self.state();
        if state.open.remove(what).is_some() {
            state.held.retain(|_, held_by| held_by != what);
            self.health.clear(&what.name());
            if state.open.is_empty() {
                state.pace.reset();
                metrics::gauge!("usher_breaker_open").set(0.0);
                tracing::info!(mended = what.name(), "breaker closed: receiving goes on");
            }
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// Closes what holds nobody any more.
    fn close_unless_held(&self, what: &What) {
        let state = self.state();
        let standing = state.open.get(what) == Some(&Cause::Standing);
        let held = state.held.values().any(|held_by| held_by == what);
        drop(state);
        if standing || held {
            self.changed.notify_waiters();
        } else {
            self.close(what);
        }
    }

    fn is_open(&self, what: &What) -> bool {
        self.state().open.contains_key(what)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'a> Held<'a> {
    /// Waits for a turn to probe, for the mending, or for the stop.
    pub(crate) async fn next(&self, stop: &CancellationToken) -> Next<'a> {
        let breaker = self.breaker;
        let turn = async {
            let turn = breaker.turn.lock().await;
            let pause = breaker.state().pace.next_pause();
            tokio::time::sleep(pause).await;
            turn
        };
        tokio::pin!(turn);
        loop {
            let changed = breaker.changed.notified();
            tokio::pin!(changed);
            // Listens before it looks, so that no change falls between.
            changed.as_mut().enable();
            if stop.is_cancelled() {
                return Next::Stop;
            }
            if !breaker.is_open(&self.what) {
                return Next::Mended;
            }
            tokio::select! {
                () = stop.cancelled() => return Next::Stop,
                () = changed => {}
                turn = &mut turn => return Next::Probe(turn),
            }
        }
    }

    /// The attempt failed again, by the same thing or by another: the message
    /// stays held. What was thought mended may be open again by this.
    pub(crate) fn again(&mut self, failure: &Failure) {
        let what = What::from(failure);
        let before = std::mem::replace(&mut self.what, what.clone());
        let mut state = self.breaker.state();
        self.breaker.open(&mut state, &what, failure);
        state.held.insert(self.id, what);
        drop(state);
        if before != self.what {
            self.breaker.close_unless_held(&before);
        }
    }

    /// What failed works again.
    pub(crate) fn mended(self) {
        self.breaker.close(&self.what);
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        // Not held any more since what held it was closed.
        if self.breaker.state().held.remove(&self.id).is_some() {
            self.breaker.close_unless_held(&self.what);
        }
    }
}

impl State {
    fn has_standing(&self) -> bool {
        self.open.values().any(|cause| *cause == Cause::Standing)
    }
}

impl What {
    fn name(&self) -> String {
        format!("{} {} on {}", self.service, self.operation, self.resource)
    }
}

impl From<&Failure> for What {
    fn from(failure: &Failure) -> Self {
        Self {
            service: failure.service,
            operation: failure.operation,
            resource: failure.resource.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
