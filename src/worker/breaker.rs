//! Stops intake while the deployment is broken, and detects when it works again.
//!
//! A message that meets a systemic failure (missing permission, pool, table, dead-letter
//! queue, or a service that is down) is held in this process, hidden by the visibility
//! extender, up to [`MAX_HELD`] messages; further ones are released. A release sends a copy,
//! so that no receive counts towards SQS's `maxReceiveCount`. Held messages retry one at a
//! time, as probes. While any of them is held, the breaker is open. It closes when the failed
//! call works again, or when no message is held for it.
//!
//! A call that a service refuses permanently may fail for one message or for all. A pool
//! that takes no writes responds with such a code, too. Only another message can show
//! which. So a refused message is held, and intake goes on. It becomes a dead letter when
//! it is refused again, either after the same resource has worked for another message, or
//! after [`LONE_REFUSAL_WAIT`] unless such refusals stop intake. [`OUTAGE_FAILURES`] different
//! messages refused in a row open the breaker. Receives then ask for one to [`MAX_HELD`]
//! messages, and the first that works closes it. See
//! `docs/decisions/003-judge-a-refusal-by-other-messages.md`.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex as AsyncMutex, MutexGuard as AsyncMutexGuard, Notify};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::aws::{Class, Failure, Operation, Service};
use crate::reason::Reason;
use crate::retry::Backoff;
use crate::telemetry::Health;

/// Maximum number of messages held as probes, for refusals and for other failures each. More
/// than one, so that a message with a fault of its own does not decide for all.
pub(super) const MAX_HELD: usize = 4;
/// Failures in a row, with no success between them, that count as an outage.
pub(super) const OUTAGE_FAILURES: u32 = 16;
/// Time that a refused message waits for others to show whether they are refused, too.
const LONE_REFUSAL_WAIT: Duration = Duration::from_mins(5);

#[derive(Debug)]
pub(crate) struct Breaker {
    state: Mutex<BreakerState>,
    changed: Notify,
    /// Notified when a service worked for a sign-up.
    success: Notify,
    /// Allows one probe at a time; the message that waits longest is next.
    probe_lock: AsyncMutex<()>,
    health: Health,
    /// Whether `pools.allowed` lists the pools.
    has_allowed_pools: bool,
}

#[derive(Debug, Default)]
struct BreakerState {
    active_failures: HashMap<FailureKey, FailureKind>,
    /// The failure that each held message waits for, by `HeldMessage::id`.
    held: HashMap<u64, FailureKey>,
    /// Start of the latest attempt in which a service worked on a resource.
    last_success: HashMap<(Service, String), Instant>,
    next_id: u64,
    backoff: Backoff,
}

/// Identifies a failure: an operation on a resource and, for a refusal, its code.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct FailureKey {
    operation: Operation,
    resource: String,
    /// `None` unless it is a refusal: another code is another failure.
    refusal_code: Option<String>,
}

/// What a held message waits for. [`MAX_HELD`] are held for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HeldFor {
    /// A refused message: for others to show whose fault it is.
    Refusal,
    /// All other failures: for the end of the failure.
    Outage,
}

/// Which messages wait for the end of a failure, and whose fault it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FailureKind {
    /// Held messages retry the call; the deployment is at fault.
    Systemic,
    /// The same, for a pool that does not exist. With `pools.allowed` empty, the messages
    /// may be at fault.
    UnknownPool,
    /// No message is held: the batcher retries, for example, a delete that is not allowed.
    Settling,
    /// Calls that are refused permanently: for how many messages in a row, held or
    /// released, and since when. Fewer than [`OUTAGE_FAILURES`] do not stop intake.
    Refusals(u32, Instant),
}

/// The next action of a held message.
#[derive(Debug)]
pub(crate) enum HoldDecision<'a> {
    /// Retry the call; no other message probes until the guard is dropped.
    Probe(AsyncMutexGuard<'a, ()>),
    /// The failed call works again: retry.
    Recovered,
    /// The worker stops: release the message.
    Stop,
}

/// A message that is held until its failure ends, or until this is dropped.
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

    /// Counts the failure and holds the message; `None` if enough are held and this one is
    /// to be released. The first refusal of a message always counts towards an outage. Any
    /// other failure counts only if no such failure is known.
    pub(crate) fn hold(
        &self,
        failure: &Failure,
        is_first_refusal: bool,
    ) -> Option<HeldMessage<'_>> {
        let mut state = self.state();
        let key = FailureKey::from(failure);
        let has_free_slot = state.held_count(key.held_for()) < MAX_HELD;
        let is_counted = is_first_refusal || !state.active_failures.contains_key(&key);
        if is_counted && (has_free_slot || key.is_refusal()) {
            self.add_failure(&mut state, &key, failure);
        }
        if !has_free_slot {
            return None;
        }
        let id = state.next_id;
        state.next_id += 1;
        state.held.insert(id, key.clone());
        Some(HeldMessage {
            breaker: self,
            id,
            key,
        })
    }

    /// Opens the breaker for a failed call that the batcher retries.
    pub(super) fn record_settling_failure(&self, failure: &Failure) {
        let key = FailureKey::from(failure);
        self.set_kind(&mut self.state(), &key, FailureKind::Settling, failure);
    }

    /// Records that a service worked on a resource in an attempt that began at `started`.
    /// This ends every row of refusals on the resource that began before.
    pub(super) fn record_success(&self, service: Service, resource: &str, started: Instant) {
        let mut state = self.state();
        let target = (service, resource.to_owned());
        let latest = state.last_success.entry(target).or_insert(started);
        *latest = started.max(*latest);
        let ended: Vec<FailureKey> = state
            .active_failures
            .iter()
            .filter(|(key, kind)| {
                (key.operation.service(), key.resource.as_str()) == (service, resource)
                    && matches!(kind, FailureKind::Refusals(_, since) if started > *since)
            })
            .map(|(key, _)| key.clone())
            .collect();
        drop(state);
        for key in ended {
            self.end_failure(&key);
        }
        self.success.notify_waiters();
    }

    /// Whether a refusal is the message's own fault. It was refused at `since`, and now again.
    pub(super) fn is_message_fault(&self, failure: &Failure, since: Instant) -> bool {
        let has_waited =
            since.elapsed() >= LONE_REFUSAL_WAIT && !self.is_intake_stopped_by(failure);
        has_waited || self.has_succeeded_since(failure, since)
    }

    /// Whether the refusing service has worked on the resource in an attempt that started
    /// after `since`.
    fn has_succeeded_since(&self, failure: &Failure, since: Instant) -> bool {
        let target = (failure.operation.service(), failure.resource.to_string());
        let latest = self.state().last_success.get(&target).copied();
        latest.is_some_and(|started| started > since)
    }

    pub(super) fn is_intake_stopped_by(&self, failure: &Failure) -> bool {
        let kind = self
            .state()
            .active_failures
            .get(&FailureKey::from(failure))
            .copied();
        kind.is_some_and(FailureKind::is_stopping_intake)
    }

    /// Ends a failure: the call works again.
    pub(super) fn record_recovery(&self, failure: &Failure) {
        self.end_failure(&FailureKey::from(failure));
    }

    /// How many messages may be requested: any number while closed. While open, as many as
    /// may still be held as probes, and at least one if the messages may be at fault. None
    /// while a settling call fails.
    pub(super) fn receive_limit(&self) -> usize {
        let state = self.state();
        let free_slots = |kind| MAX_HELD.saturating_sub(state.held_count(kind));
        if !state.is_intake_stopped() {
            usize::MAX
        } else if state.is_settling_broken() {
            0
        } else if state
            .stopping_kinds()
            .any(|kind| self.is_deployment_fault(kind))
        {
            free_slots(HeldFor::Outage)
        } else {
            // Held messages with a fault of their own must not stop the others.
            let for_refusals = free_slots(HeldFor::Refusal);
            free_slots(HeldFor::Outage).min(for_refusals).max(1)
        }
    }

    /// Whether the deployment is surely at fault, and not a message.
    fn is_deployment_fault(&self, kind: FailureKind) -> bool {
        match kind {
            FailureKind::Systemic | FailureKind::Settling => true,
            FailureKind::UnknownPool => self.has_allowed_pools,
            FailureKind::Refusals(..) => false,
        }
    }

    /// Whether a settling call, such as a delete, fails. No held message waits for it.
    pub(super) fn is_settling_broken(&self) -> bool {
        self.state().is_settling_broken()
    }

    /// Resolves when a failure may have ended.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Resolves when a service has worked for a sign-up.
    pub(super) async fn succeeded(&self) {
        self.success.notified().await;
    }

    fn add_failure(&self, state: &mut BreakerState, key: &FailureKey, failure: &Failure) {
        let kind = match state.active_failures.get(key) {
            Some(FailureKind::Refusals(count, since)) => {
                FailureKind::Refusals(count.saturating_add(1), *since)
            }
            Some(_) => return,
            None if key.is_refusal() => FailureKind::Refusals(1, Instant::now()),
            None if failure.reason == Reason::PoolNotFound => FailureKind::UnknownPool,
            None => FailureKind::Systemic,
        };
        self.set_kind(state, key, kind, failure);
    }

    fn set_kind(
        &self,
        state: &mut BreakerState,
        key: &FailureKey,
        kind: FailureKind,
        failure: &Failure,
    ) {
        let before = state.active_failures.insert(key.clone(), kind);
        if !kind.is_stopping_intake() || before.is_some_and(FailureKind::is_stopping_intake) {
            return;
        }
        tracing::error!(
            reason = failure.reason.as_str(), error = %failure,
            "breaker open: receiving is paused until the deployment is fixed",
        );
        self.health
            .set_unready(key.name(), format!("blocked: {failure}"));
        metrics::gauge!("usher_breaker_open").set(1.0);
    }

    /// Ends the failure; every message that it holds may retry.
    fn end_failure(&self, key: &FailureKey) {
        let mut state = self.state();
        if let Some(kind) = state.active_failures.remove(key) {
            state.held.retain(|_, held_by| held_by != key);
            if state.active_failures.is_empty() {
                state.backoff.reset();
            }
            if kind.is_stopping_intake() {
                self.health.clear_unready(&key.name());
            }
            if kind.is_stopping_intake() && !state.is_intake_stopped() {
                metrics::gauge!("usher_breaker_open").set(0.0);
                tracing::info!(recovered = key.name(), "breaker closed: receiving resumes");
            }
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// Ends the failure if it holds no message, except a settling failure.
    fn end_failure_unless_held(&self, key: &FailureKey) {
        let state = self.state();
        let is_settling = state.active_failures.get(key) == Some(&FailureKind::Settling);
        let is_held = state.held.values().any(|held_by| held_by == key);
        drop(state);
        if is_settling || is_held {
            self.changed.notify_waiters();
        } else {
            self.end_failure(key);
        }
    }

    fn is_active(&self, key: &FailureKey) -> bool {
        self.state().active_failures.contains_key(key)
    }

    fn state(&self) -> MutexGuard<'_, BreakerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'a> HeldMessage<'a> {
    /// Waits until the message may probe, the failure ends, or the worker stops.
    pub(crate) async fn wait(&self, stop: &CancellationToken) -> HoldDecision<'a> {
        let breaker = self.breaker;
        let probe_guard = async {
            let probe_guard = breaker.probe_lock.lock().await;
            let pause = breaker.state().backoff.next_pause();
            tokio::time::sleep(pause).await;
            probe_guard
        };
        tokio::pin!(probe_guard);
        loop {
            let changed = breaker.changed.notified();
            tokio::pin!(changed);
            // Registers before the checks, so that no change is missed.
            changed.as_mut().enable();
            if stop.is_cancelled() {
                return HoldDecision::Stop;
            }
            if !breaker.is_active(&self.key) {
                return HoldDecision::Recovered;
            }
            tokio::select! {
                () = stop.cancelled() => return HoldDecision::Stop,
                () = changed => {}
                probe_guard = &mut probe_guard => return HoldDecision::Probe(probe_guard),
            }
        }
    }

    /// The attempt failed again, with the same failure or another: the message stays held.
    /// This may open the breaker again after a recovery.
    pub(crate) fn record_failure(&mut self, failure: &Failure) {
        let key = FailureKey::from(failure);
        let before = std::mem::replace(&mut self.key, key.clone());
        let mut state = self.breaker.state();
        // Another refusal of this message says nothing about the others.
        let was_counted =
            before == key && key.is_refusal() && state.active_failures.contains_key(&key);
        if !was_counted {
            self.breaker.add_failure(&mut state, &key, failure);
        }
        state.held.insert(self.id, key);
        drop(state);
        if before != self.key {
            self.breaker.end_failure_unless_held(&before);
        }
    }

    /// Ends the failure: the call works again.
    pub(crate) fn record_recovery(self) {
        self.breaker.end_failure(&self.key);
    }
}

impl Drop for HeldMessage<'_> {
    fn drop(&mut self) {
        // `None` if the failure ended before.
        if self.breaker.state().held.remove(&self.id).is_some() {
            self.breaker.end_failure_unless_held(&self.key);
        }
    }
}

impl BreakerState {
    fn is_settling_broken(&self) -> bool {
        self.active_failures
            .values()
            .any(|kind| *kind == FailureKind::Settling)
    }

    fn stopping_kinds(&self) -> impl Iterator<Item = FailureKind> {
        self.active_failures
            .values()
            .copied()
            .filter(|kind| kind.is_stopping_intake())
    }

    fn is_intake_stopped(&self) -> bool {
        self.stopping_kinds().next().is_some()
    }

    fn held_count(&self, kind: HeldFor) -> usize {
        let held = self.held.values();
        held.filter(|key| key.held_for() == kind).count()
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
            operation,
            resource,
            refusal_code,
        } = self;
        let (service, operation) = (operation.service(), operation.name());
        match refusal_code {
            None => format!("{service} {operation} on {resource}"),
            Some(code) => format!("{service} {operation} on {resource}: {code}"),
        }
    }

    fn is_refusal(&self) -> bool {
        self.refusal_code.is_some()
    }

    fn held_for(&self) -> HeldFor {
        if self.is_refusal() {
            HeldFor::Refusal
        } else {
            HeldFor::Outage
        }
    }
}

impl From<&Failure> for FailureKey {
    fn from(failure: &Failure) -> Self {
        Self {
            operation: failure.operation,
            resource: failure.resource.to_string(),
            refusal_code: (failure.class == Class::Permanent).then(|| failure.code.clone()),
        }
    }
}

#[cfg(test)]
mod tests;
