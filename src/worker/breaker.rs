//! Stops intake while the deployment is broken, and finds out when it is mended.
//!
//! A message that meets a systemic failure (missing permission, pool, table,
//! dead-letter queue, a service that is down) is not released and received again: each receive would
//! count against SQS's `maxReceiveCount`, and SQS would move it in the end. A
//! few such messages are held, hidden by the visibility keeper, and take turns
//! in trying again. While any of them is held the breaker is open; when what
//! failed works again, or nobody is held by it any more, it closes.
//!
//! A call that a service refuses for good may be the message's own fault, or
//! everybody's: a pool that takes no writes answers with such a code, too. Only
//! another message can tell. So a refused message is held, and nothing stops for it.
//! It becomes a dead letter when it is refused again after the same service has worked
//! for another message, or after [`LONE_REFUSAL`] without others. [`OUTAGE`] different
//! messages refused in a row open the breaker. The others are then received one at a
//! time, and the first that works closes it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex as AsyncMutex, MutexGuard as AsyncMutexGuard, Notify};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::aws::{Class, Failure, Service};
use crate::retry::Patience;
use crate::telemetry::Health;

/// Messages that are held for probing. More than one, so that a message that is
/// itself the trouble does not decide alone.
pub(super) const PROBES: usize = 4;
/// Failures in a row, with nothing that works between, that make an outage.
pub(super) const OUTAGE: u32 = 16;
/// How long a refused message waits for others to tell whether they are refused, too.
const LONE_REFUSAL: Duration = Duration::from_mins(5);

#[derive(Debug)]
pub(crate) struct Breaker {
    state: Mutex<State>,
    changed: Notify,
    /// A message was worked on and all went well.
    worked: Notify,
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
    /// When the latest attempt began in which a service worked, for each resource.
    worked: HashMap<(Service, String), Instant>,
    next: u64,
    pace: Patience,
}

/// What is broken: an operation on a resource, or one code that it is refused with.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct What {
    service: Service,
    operation: &'static str,
    resource: String,
    /// The code of a refusal: another one is another fault.
    refusal: Option<String>,
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
    /// Messages that are held because a call is refused for good: how often in a row,
    /// and since when. Few of them stop nothing.
    Refusals(u32, Instant),
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
            worked: Notify::new(),
            turn: AsyncMutex::default(),
            health,
        }
    }

    /// Opens the breaker and holds the message; `None` when enough are held and
    /// this one is to be released. Only a message that is refused for the first time
    /// counts towards an outage.
    pub(crate) fn hold(&self, failure: &Failure, is_first: bool) -> Option<Held<'_>> {
        let mut state = self.state();
        let what = What::from(failure);
        let has_place = state.held(what.is_refusal()) < PROBES;
        let counts = is_first || !state.open.contains_key(&what);
        if counts && (has_place || what.is_refusal()) {
            self.open(&mut state, &what, failure);
        }
        if !has_place {
            return None;
        }
        let id = state.next;
        state.next += 1;
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
        self.set(&mut self.state(), &what, Cause::Standing, failure);
    }

    /// A service worked on a resource in an attempt that began then. What was refused in
    /// a row before is no outage.
    pub(super) fn worked(&self, service: Service, resource: &str, begun: Instant) {
        let mut state = self.state();
        let place = (service, resource.to_owned());
        let latest = state.worked.entry(place).or_insert(begun);
        *latest = begun.max(*latest);
        let over: Vec<What> = state
            .open
            .iter()
            .filter(|(what, cause)| {
                (what.service, what.resource.as_str()) == (service, resource)
                    && matches!(cause, Cause::Refusals(_, since) if begun > *since)
            })
            .map(|(what, _)| what.clone())
            .collect();
        drop(state);
        for what in over {
            self.close(&what);
        }
        self.worked.notify_waiters();
    }

    /// Whether a refusal that came at this time, and now again, is the message's own fault.
    pub(super) fn is_its_own(&self, failure: &Failure, since: Instant) -> bool {
        let is_alone = since.elapsed() >= LONE_REFUSAL && !self.is_stopped_by(failure);
        is_alone || self.has_worked(failure, since)
    }

    /// Whether the service that refuses has worked in an attempt that began after this
    /// time.
    fn has_worked(&self, failure: &Failure, since: Instant) -> bool {
        let place = (failure.service, failure.resource.clone());
        let latest = self.state().worked.get(&place).copied();
        latest.is_some_and(|begun| begun > since)
    }

    /// Whether this failure stops intake.
    pub(super) fn is_stopped_by(&self, failure: &Failure) -> bool {
        let cause = self.state().open.get(&What::from(failure)).copied();
        cause.is_some_and(Cause::stops)
    }

    /// What was reported works again.
    pub(super) fn mended(&self, failure: &Failure) {
        self.close(&What::from(failure));
    }

    /// How many messages may be asked for: any number while closed; while open,
    /// as many as there are free places for probes.
    pub(super) fn room(&self) -> usize {
        let state = self.state();
        let free = |are_refused| PROBES.saturating_sub(state.held(are_refused));
        if !state.stops() {
            usize::MAX
        } else if state.has_standing() {
            0
        } else if state.stopping().any(|cause| self.is_certain(cause)) {
            free(false)
        } else {
            // Four messages that are wrong themselves must not stop the others.
            free(false).min(free(true)).max(1)
        }
    }

    /// Whether it is the deployment's trouble, and no message's own.
    fn is_certain(&self, cause: Cause) -> bool {
        match cause {
            Cause::Messages | Cause::Standing => true,
            Cause::UnknownPool => self.pools_named,
            Cause::Refusals(..) => false,
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

    /// Resolves when a message was worked on and all went well.
    pub(super) async fn any_worked(&self) {
        self.worked.notified().await;
    }

    fn open(&self, state: &mut State, what: &What, failure: &Failure) {
        let cause = match state.open.get(what) {
            Some(Cause::Refusals(count, since)) => Cause::Refusals(count.saturating_add(1), *since),
            Some(_) => return,
            None if what.is_refusal() => Cause::Refusals(1, Instant::now()),
            None if failure.reason == "pool_not_found" => Cause::UnknownPool,
            None => Cause::Messages,
        };
        self.set(state, what, cause, failure);
    }

    fn set(&self, state: &mut State, what: &What, cause: Cause, failure: &Failure) {
        let before = state.open.insert(what.clone(), cause);
        if !cause.stops() || before.is_some_and(Cause::stops) {
            return;
        }
        tracing::error!(
            reason = failure.reason, error = %failure,
            "breaker open: receiving stops until this is mended",
        );
        self.health
            .obstacle(what.name(), format!("blocked: {failure}"));
        metrics::gauge!("usher_breaker_open").set(1.0);
    }

    /// Whoever is held by it is free.
    fn close(&self, what: &What) {
        let mut state = self.state();
        if let Some(cause) = state.open.remove(what) {
            state.held.retain(|_, held_by| held_by != what);
            if state.open.is_empty() {
                state.pace.reset();
            }
            if cause.stops() {
                self.health.clear(&what.name());
            }
            if cause.stops() && !state.stops() {
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
        // A message that is refused once more says nothing of the others.
        let is_counted = before == what && what.is_refusal() && state.open.contains_key(&what);
        if !is_counted {
            self.breaker.open(&mut state, &what, failure);
        }
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

    /// What stops intake.
    fn stopping(&self) -> impl Iterator<Item = Cause> {
        self.open.values().copied().filter(|cause| cause.stops())
    }

    fn stops(&self) -> bool {
        self.stopping().next().is_some()
    }

    /// Messages that are held because they are refused, or by anything else.
    fn held(&self, are_refused: bool) -> usize {
        let held = self.held.values();
        held.filter(|what| what.is_refusal() == are_refused).count()
    }
}

impl Cause {
    fn stops(self) -> bool {
        !matches!(self, Self::Refusals(count, _) if count < OUTAGE)
    }
}

impl What {
    fn name(&self) -> String {
        let Self {
            service,
            operation,
            resource,
            refusal,
        } = self;
        match refusal {
            None => format!("{service} {operation} on {resource}"),
            Some(code) => format!("{service} {operation} on {resource}: {code}"),
        }
    }

    fn is_refusal(&self) -> bool {
        self.refusal.is_some()
    }
}

impl From<&Failure> for What {
    fn from(failure: &Failure) -> Self {
        Self {
            service: failure.service,
            operation: failure.operation,
            resource: failure.resource.clone(),
            refusal: (failure.class == Class::Permanent).then(|| failure.code.clone()),
        }
    }
}

#[cfg(test)]
mod tests;
