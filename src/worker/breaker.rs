//! Stops intake while the deployment is broken, and finds out when it is mended.
//!
//! A message that meets a systemic failure (missing permission, pool, table,
//! dead-letter queue) is not released and received again: each receive would
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
const PROBES: usize = 4;

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

    /// How many messages may be asked for now: any number while closed; while
    /// open, as many as there are free places for probes.
    pub(super) fn room(&self) -> usize {
        let state = self.state();
        if state.open.is_empty() {
            usize::MAX
        } else if state.open.values().any(|cause| *cause == Cause::Standing) {
            0
        } else if !self.pools_named && state.open.values().all(|c| *c == Cause::UnknownPool) {
            // Four messages that name a pool of nowhere must not stop a worker
            // that has not seen a good one yet.
            PROBES.saturating_sub(state.held.len()).max(1)
        } else {
            PROBES.saturating_sub(state.held.len())
        }
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
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::aws::Class;

    fn denied(operation: &'static str) -> Failure {
        Failure {
            service: Service::Cognito,
            operation,
            resource: "eu-west-1_x".to_owned(),
            code: "AccessDeniedException".to_owned(),
            reason: "access_denied".to_owned(),
            class: Class::Systemic,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_few_messages_are_held_and_the_others_released() {
        let breaker = Breaker::new(Health::default(), true);
        assert_eq!(breaker.room(), usize::MAX);
        let failure = denied("AdminAddUserToGroup");
        let held: Vec<_> = (0..6).map_while(|_| breaker.hold(&failure)).collect();
        assert_eq!(held.len(), PROBES);
        assert_eq!(breaker.room(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn readiness_says_why_until_it_is_mended() {
        let health = Health::default();
        let breaker = Breaker::new(health.clone(), true);
        let failure = denied("AdminAddUserToGroup");
        let held = breaker.hold(&failure).expect("held");
        let why = health.obstacles().join("");
        assert!(
            why.contains("AdminAddUserToGroup") && why.contains("AccessDenied"),
            "{why}"
        );
        held.mended();
        assert!(health.obstacles().is_empty());
        assert_eq!(breaker.room(), usize::MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn held_messages_probe_one_at_a_time_and_all_go_on_once_it_is_mended() {
        let breaker = Breaker::new(Health::default(), true);
        let failure = denied("AdminAddUserToGroup");
        let stop = CancellationToken::new();
        let first = breaker.hold(&failure).expect("held");
        let second = breaker.hold(&failure).expect("held");
        let probe = first.next(&stop).await;
        assert!(matches!(probe, Next::Probe(_)));
        let waiting = tokio::time::timeout(Duration::from_mins(10), second.next(&stop)).await;
        assert!(waiting.is_err(), "one probe at a time");
        first.mended();
        assert!(matches!(second.next(&stop).await, Next::Mended));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_ends_the_wait() {
        let breaker = Breaker::new(Health::default(), true);
        let stop = CancellationToken::new();
        stop.cancel();
        let held = breaker.hold(&denied("PutItem")).expect("held");
        assert!(matches!(held.next(&stop).await, Next::Stop));
    }

    #[tokio::test(start_paused = true)]
    async fn it_closes_when_nobody_is_held_any_more() {
        let breaker = Breaker::new(Health::default(), true);
        let one = breaker.hold(&denied("PutItem")).expect("held");
        let other = breaker.hold(&denied("AdminAddUserToGroup")).expect("held");
        drop(one);
        assert_eq!(breaker.room(), PROBES - 1, "the other is still held");
        drop(other);
        assert_eq!(breaker.room(), usize::MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn unknown_pools_leave_room_for_a_good_message_unless_pools_are_named() {
        let unknown = Failure {
            reason: "pool_not_found".to_owned(),
            ..denied("AdminGetUser")
        };
        for (named, room) in [(false, 1), (true, 0)] {
            let breaker = Breaker::new(Health::default(), named);
            let held: Vec<_> = (0..PROBES).map_while(|_| breaker.hold(&unknown)).collect();
            assert_eq!(held.len(), PROBES);
            assert_eq!(breaker.room(), room);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_mending_that_was_none_opens_it_again() {
        let health = Health::default();
        let breaker = Breaker::new(health.clone(), true);
        let stop = CancellationToken::new();
        let failure = denied("AdminAddUserToGroup");
        let first = breaker.hold(&failure).expect("held");
        let mut second = breaker.hold(&failure).expect("held");
        first.mended();
        assert!(matches!(second.next(&stop).await, Next::Mended));
        second.again(&failure);
        assert!(!health.obstacles().is_empty(), "it is open again");
        assert_eq!(breaker.room(), PROBES - 1);
        assert!(
            matches!(second.next(&stop).await, Next::Probe(_)),
            "and waits for its turn"
        );
        drop(second);
        assert!(health.obstacles().is_empty());
        assert_eq!(breaker.room(), usize::MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_that_meets_something_else_moves_there() {
        let health = Health::default();
        let breaker = Breaker::new(health.clone(), true);
        let mut moved = breaker.hold(&denied("PutItem")).expect("held");
        let stays = breaker.hold(&denied("PutItem")).expect("held");
        moved.again(&denied("AdminAddUserToGroup"));
        assert_eq!(health.obstacles().len(), 2, "both are broken");
        drop(stays);
        assert_eq!(health.obstacles().len(), 1);
        drop(moved);
        assert_eq!(breaker.room(), usize::MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn while_settling_is_broken_nothing_is_received() {
        let breaker = Breaker::new(Health::default(), true);
        breaker.report(&denied("DeleteMessageBatch"));
        assert_eq!(breaker.room(), 0);
        breaker.mended(&denied("DeleteMessageBatch"));
        assert_eq!(breaker.room(), usize::MAX);
    }
}
