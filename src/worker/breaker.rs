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
//! for another message, or after [`LONE_REFUSAL_WAIT`] without others. [`OUTAGE_FAILURES`] different
//! messages refused in a row open the breaker. The others are then received one at a
//! time, and the first that works closes it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex as AsyncMutex, MutexGuard as AsyncMutexGuard, Notify};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::aws::{Class, Failure, Service};
use crate::retry::Backoff;
use crate::telemetry::Health;

/// Messages that are held for probing. More than one, so that a message that is
/// itself the trouble does not decide alone.
pub(super) const MAX_PROBES: usize = 4;
/// Failures in a row, with nothing that works between, that make an outage.
pub(super) const OUTAGE_FAILURES: u32 = 16;
/// How long a refused message waits for others to tell whether they are refused, too.
const LONE_REFUSAL_WAIT: Duration = Duration::from_mins(5);

#[derive(Debug)]
pub(crate) struct Breaker {
    state: Mutex<BreakerState>,
    changed: Notify,
    /// A message was worked on and all went well.
    success: Notify,
    /// One probe at a time; whoever waits longest is next.
    probe_lock: AsyncMutex<()>,
    health: Health,
    /// Whether `pools.allowed` says which pools are ours.
    has_allowed_pools: bool,
}

#[derive(Debug, Default)]
struct BreakerState {
    open_failures: HashMap<FailureKey, FailureKind>,
    /// The held messages, each by what holds it.
    held: HashMap<u64, FailureKey>,
    /// When the latest attempt began in which a service worked, for each resource.
    last_success: HashMap<(Service, String), Instant>,
    next_id: u64,
    backoff: Backoff,
}

/// What is broken: an operation on a resource, or one code that it is refused with.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct FailureKey {
    service: Service,
    operation: &'static str,
    resource: String,
    /// The code of a refusal: another one is another fault.
    refusal_code: Option<String>,
}

/// What waits for the mending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FailureKind {
    /// Messages that are held.
    HeldMessages,
    /// The same, for a pool that does not exist. Unless our pools are named, it
    /// may be the messages that are wrong.
    UnknownPool,
    /// Something else: a delete that is not allowed.
    Settling,
    /// Messages that are held because a call is refused for good: how often in a row,
    /// and since when. Few of them stop nothing.
    Refusals(u32, Instant),
}

/// What a held message may do next.
#[derive(Debug)]
pub(crate) enum HoldDecision<'a> {
    /// Try again, alone, while this is kept.
    Probe(AsyncMutexGuard<'a, ()>),
    /// It works again: try again.
    Recovered,
    /// The worker stops: release the message.
    Stop,
}

/// A message that waits for the deployment to be mended.
#[derive(Debug)]
pub(crate) struct HeldMessage<'a> {
    breaker: &'a Breaker,
    id: u64,
    key: FailureKey,
}

impl Breaker {
    pub(crate) fn new(health: Health, has_allowed_pools: bool) -> Self {
        Self {
            has_allowed_pools,
            state: Mutex::default(),
            changed: Notify::new(),
            success: Notify::new(),
            probe_lock: AsyncMutex::default(),
            health,
        }
    }

    /// Opens the breaker and holds the message; `None` when enough are held and
    /// this one is to be released. Only a message that is refused for the first time
    /// counts towards an outage.
    pub(crate) fn hold(&self, failure: &Failure, is_first: bool) -> Option<HeldMessage<'_>> {
        let mut state = self.state();
        let what = FailureKey::from(failure);
        let has_place = state.held_count(what.is_refusal()) < MAX_PROBES;
        let counts = is_first || !state.open_failures.contains_key(&what);
        if counts && (has_place || what.is_refusal()) {
            self.open(&mut state, &what, failure);
        }
        if !has_place {
            return None;
        }
        let id = state.next_id;
        state.next_id += 1;
        state.held.insert(id, what.clone());
        Some(HeldMessage {
            breaker: self,
            id,
            key: what,
        })
    }

    /// Opens the breaker for something that is tried again elsewhere.
    pub(super) fn record_settling_failure(&self, failure: &Failure) {
        let what = FailureKey::from(failure);
        self.set(&mut self.state(), &what, FailureKind::Settling, failure);
    }

    /// A service worked on a resource in an attempt that began then. What was refused in
    /// a row before is no outage.
    pub(super) fn record_success(&self, service: Service, resource: &str, begun: Instant) {
        let mut state = self.state();
        let place = (service, resource.to_owned());
        let latest = state.last_success.entry(place).or_insert(begun);
        *latest = begun.max(*latest);
        let over: Vec<FailureKey> = state
            .open_failures
            .iter()
            .filter(|(what, cause)| {
                (what.service, what.resource.as_str()) == (service, resource)
                    && matches!(cause, FailureKind::Refusals(_, since) if begun > *since)
            })
            .map(|(what, _)| what.clone())
            .collect();
        drop(state);
        for what in over {
            self.close(&what);
        }
        self.success.notify_waiters();
    }

    /// Whether a refusal that came at this time, and now again, is the message's own fault.
    pub(super) fn is_message_fault(&self, failure: &Failure, since: Instant) -> bool {
        let is_alone = since.elapsed() >= LONE_REFUSAL_WAIT && !self.is_intake_stopped_by(failure);
        is_alone || self.has_succeeded_since(failure, since)
    }

    /// Whether the service that refuses has worked in an attempt that began after this
    /// time.
    fn has_succeeded_since(&self, failure: &Failure, since: Instant) -> bool {
        let place = (failure.service, failure.resource.clone());
        let latest = self.state().last_success.get(&place).copied();
        latest.is_some_and(|begun| begun > since)
    }

    /// Whether this failure stops intake.
    pub(super) fn is_intake_stopped_by(&self, failure: &Failure) -> bool {
        let cause = self
            .state()
            .open_failures
            .get(&FailureKey::from(failure))
            .copied();
        cause.is_some_and(FailureKind::is_stopping_intake)
    }

    /// What was reported works again.
    pub(super) fn record_recovery(&self, failure: &Failure) {
        self.close(&FailureKey::from(failure));
    }

    /// How many messages may be asked for: any number while closed; while open,
    /// as many as there are free places for probes.
    pub(super) fn receive_limit(&self) -> usize {
        let state = self.state();
        let free = |are_refused| MAX_PROBES.saturating_sub(state.held_count(are_refused));
        if !state.is_intake_stopped() {
            usize::MAX
        } else if state.is_settling_broken() {
            0
        } else if state
            .stopping_kinds()
            .any(|cause| self.is_deployment_fault(cause))
        {
            free(false)
        } else {
            // Four messages that are wrong themselves must not stop the others.
            free(false).min(free(true)).max(1)
        }
    }

    /// Whether it is the deployment's trouble, and no message's own.
    fn is_deployment_fault(&self, cause: FailureKind) -> bool {
        match cause {
            FailureKind::HeldMessages | FailureKind::Settling => true,
            FailureKind::UnknownPool => self.has_allowed_pools,
            FailureKind::Refusals(..) => false,
        }
    }

    /// Whether something is broken that no held message waits for, such as the
    /// right to delete.
    pub(super) fn is_settling_broken(&self) -> bool {
        self.state().is_settling_broken()
    }

    /// Resolves when the breaker may have changed.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Resolves when a message was worked on and all went well.
    pub(super) async fn succeeded(&self) {
        self.success.notified().await;
    }

    fn open(&self, state: &mut BreakerState, what: &FailureKey, failure: &Failure) {
        let cause = match state.open_failures.get(what) {
            Some(FailureKind::Refusals(count, since)) => {
                FailureKind::Refusals(count.saturating_add(1), *since)
            }
            Some(_) => return,
            None if what.is_refusal() => FailureKind::Refusals(1, Instant::now()),
            None if failure.reason == "pool_not_found" => FailureKind::UnknownPool,
            None => FailureKind::HeldMessages,
        };
        self.set(state, what, cause, failure);
    }

    fn set(
        &self,
        state: &mut BreakerState,
        what: &FailureKey,
        cause: FailureKind,
        failure: &Failure,
    ) {
        let before = state.open_failures.insert(what.clone(), cause);
        if !cause.is_stopping_intake() || before.is_some_and(FailureKind::is_stopping_intake) {
            return;
        }
        tracing::error!(
            reason = failure.reason, error = %failure,
            "breaker open: receiving stops until this is mended",
        );
        self.health
            .set_unready(what.name(), format!("blocked: {failure}"));
        metrics::gauge!("usher_breaker_open").set(1.0);
    }

    /// Whoever is held by it is free.
    fn close(&self, what: &FailureKey) {
        let mut state = self.state();
        if let Some(cause) = state.open_failures.remove(what) {
            state.held.retain(|_, held_by| held_by != what);
            if state.open_failures.is_empty() {
                state.backoff.reset();
            }
            if cause.is_stopping_intake() {
                self.health.clear_unready(&what.name());
            }
            if cause.is_stopping_intake() && !state.is_intake_stopped() {
                metrics::gauge!("usher_breaker_open").set(0.0);
                tracing::info!(mended = what.name(), "breaker closed: receiving goes on");
            }
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// Closes what holds nobody any more.
    fn close_unless_held(&self, what: &FailureKey) {
        let state = self.state();
        let standing = state.open_failures.get(what) == Some(&FailureKind::Settling);
        let held = state.held.values().any(|held_by| held_by == what);
        drop(state);
        if standing || held {
            self.changed.notify_waiters();
        } else {
            self.close(what);
        }
    }

    fn is_open(&self, what: &FailureKey) -> bool {
        self.state().open_failures.contains_key(what)
    }

    fn state(&self) -> MutexGuard<'_, BreakerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'a> HeldMessage<'a> {
    /// Waits for a turn to probe, for the mending, or for the stop.
    pub(crate) async fn wait(&self, stop: &CancellationToken) -> HoldDecision<'a> {
        let breaker = self.breaker;
        let turn = async {
            let turn = breaker.probe_lock.lock().await;
            let pause = breaker.state().backoff.next_pause();
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
                return HoldDecision::Stop;
            }
            if !breaker.is_open(&self.key) {
                return HoldDecision::Recovered;
            }
            tokio::select! {
                () = stop.cancelled() => return HoldDecision::Stop,
                () = changed => {}
                turn = &mut turn => return HoldDecision::Probe(turn),
            }
        }
    }

    /// The attempt failed again, by the same thing or by another: the message
    /// stays held. What was thought mended may be open again by this.
    pub(crate) fn record_failure(&mut self, failure: &Failure) {
        let what = FailureKey::from(failure);
        let before = std::mem::replace(&mut self.key, what.clone());
        let mut state = self.breaker.state();
        // A message that is refused once more says nothing of the others.
        let is_counted =
            before == what && what.is_refusal() && state.open_failures.contains_key(&what);
        if !is_counted {
            self.breaker.open(&mut state, &what, failure);
        }
        state.held.insert(self.id, what);
        drop(state);
        if before != self.key {
            self.breaker.close_unless_held(&before);
        }
    }

    /// What failed works again.
    pub(crate) fn record_recovery(self) {
        self.breaker.close(&self.key);
    }
}

impl Drop for HeldMessage<'_> {
    fn drop(&mut self) {
        // Not held any more since what held it was closed.
        if self.breaker.state().held.remove(&self.id).is_some() {
            self.breaker.close_unless_held(&self.key);
        }
    }
}

impl BreakerState {
    fn is_settling_broken(&self) -> bool {
        self.open_failures
            .values()
            .any(|cause| *cause == FailureKind::Settling)
    }

    /// What stops intake.
    fn stopping_kinds(&self) -> impl Iterator<Item = FailureKind> {
        self.open_failures
            .values()
            .copied()
            .filter(|cause| cause.is_stopping_intake())
    }

    fn is_intake_stopped(&self) -> bool {
        self.stopping_kinds().next().is_some()
    }

    /// Messages that are held because they are refused, or by anything else.
    fn held_count(&self, are_refused: bool) -> usize {
        let held = self.held.values();
        held.filter(|what| what.is_refusal() == are_refused).count()
    }
}

impl FailureKind {
    fn is_stopping_intake(self) -> bool {
        !matches!(self, Self::Refusals(count, _) if count < OUTAGE_FAILURES)
    }
}

impl FailureKey {
    fn name(&self) -> String {
        let Self {
            service,
            operation,
            resource,
            refusal_code: refusal,
        } = self;
        match refusal {
            None => format!("{service} {operation} on {resource}"),
            Some(code) => format!("{service} {operation} on {resource}: {code}"),
        }
    }

    fn is_refusal(&self) -> bool {
        self.refusal_code.is_some()
    }
}

impl From<&Failure> for FailureKey {
    fn from(failure: &Failure) -> Self {
        Self {
            service: failure.service,
            operation: failure.operation,
            resource: failure.resource.clone(),
            refusal_code: (failure.class == Class::Permanent).then(|| failure.code.clone()),
        }
    }
}

#[cfg(test)]
mod tests;
