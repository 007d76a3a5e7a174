//! One message in work: parsed, provisioned, settled.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::breaker::{Breaker, Held, Next, OUTAGE};
use super::orders::Orders;
use super::permits::Permits;
use super::pools::KnownPools;
use super::recent::{Recent, User};
use super::reconciling::Reconciling;
use super::report;
use super::settle::Settler;
use super::trace;
use super::visibility::Keeper;
use crate::aws::{Class, Failure, Received, Service};
use crate::dead_letter::History;
use crate::event::{Event, Malformed, Reconcile, SignUp, parse};
use crate::provision::{Already, Outcome, Performed, Provisioner, Rejection, Retry, Stage};

/// From a message's receive to the end of an attempt, with its waits for the rate budget: at
/// the lowest rate that the default budget falls to, 64 messages with four tries each wait
/// 53 minutes, and those of eight processes that share it seven hours. Each call has a limit
/// of its own; this only ends what would otherwise never end, before SQS shows the message to
/// others after 12 hours.
const DEADLINE: Duration = Duration::from_hours(11);
/// The least time of an attempt, however late it begins.
const LATE_ATTEMPT: Duration = Duration::from_mins(1);

/// All that a message needs on its way.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) provisioner: Provisioner,
    pub(super) reconciling: Reconciling,
    pub(super) recent: Recent,
    pub(super) orders: Orders,
    /// A permit for each message that may be worked on at once.
    pub(super) places: Arc<Semaphore>,
    pub(super) pools: KnownPools,
    /// The table of the profiles, unless they are switched off.
    pub(super) table: Option<String>,
    pub(super) settler: Arc<Settler>,
    pub(super) keeper: Keeper,
    pub(super) breaker: Arc<Breaker>,
    /// Attempts in a row, of four calls each, that failed because a service was down.
    pub(super) streak: AtomicU32,
    /// No new work.
    pub(super) stop: CancellationToken,
    /// No work at all any more: what is not finished is released.
    pub(super) hurry: CancellationToken,
    pub(super) tally: Tally,
}

/// How many attempts came to an outcome, and how many messages were given back
/// without one.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) settled: AtomicU64,
    pub(super) released: AtomicU64,
}

/// How a message leaves.
enum Ending {
    /// An attempt came to an end.
    Outcome(Outcome),
    /// Given back untried, to be seen again after this time.
    Back(Duration),
}

/// How long an order is given back for while what it needs is down.
const ORDER_IN_OUTAGE: Duration = Duration::from_mins(5);
/// While another run is under way here.
const BUSY: Duration = Duration::from_mins(1);

impl Flight {
    /// From the receive to the settlement. The permits are held all the way, except by a
    /// reconcile command, by an order that waits for a place, and by a sign-up that is held
    /// because it was refused.
    pub(super) fn run(
        self: Arc<Self>,
        message: Received,
        permit: OwnedSemaphorePermit,
    ) -> impl Future<Output = ()> {
        let span = trace::span(&message);
        self.carry(message, permit).instrument(span)
    }

    async fn carry(self: Arc<Self>, message: Received, permit: OwnedSemaphorePermit) {
        let mut permits = Permits {
            hand: Some(permit),
            work: None,
        };
        metrics::gauge!("usher_messages_in_flight").increment(1.0);
        let kept = self.keeper.keep(&message);
        let event = AssertUnwindSafe(async { parse(&message.body) })
            .catch_unwind()
            .await;
        let ending = match &event {
            _ if self.stop.is_cancelled() => Ending::Back(Duration::ZERO),
            Ok(Ok(Event::Reconcile(task))) => {
                self.reconcile(&message, task, permits.hand.take()).await
            }
            Ok(event) => {
                let work = async {
                    permits.work = self.free_place().await;
                    // Received before the breaker opened: it would only fail as well.
                    if permits.work.is_none() || self.breaker.room() == 0 {
                        return Ending::Back(Duration::ZERO);
                    }
                    let _place = match event {
                        Ok(Event::Order(_)) => match self.place(&mut permits).await {
                            Ok(place) => Some(place),
                            Err(delay) => return Ending::Back(delay),
                        },
                        _ => None,
                    };
                    self.work(&message, event, &mut permits).await
                };
                tokio::select! {
                    // Owns nothing: the message stays here when it is dropped.
                    ending = work => ending,
                    () = self.hurry.cancelled() => Ending::Back(Duration::ZERO),
                }
            }
            Err(_) => Ending::Outcome(self.settler.conclude(&message, panicked()).await),
        };
        match ending {
            Ending::Outcome(outcome) => {
                let event = event.as_ref().ok().and_then(|event| event.as_ref().ok());
                report::settled(&message, event, &outcome);
                self.settler.settle(message, kept, &outcome).await;
                let count = match outcome {
                    Outcome::Blocked(_) => &self.tally.released,
                    _ => &self.tally.settled,
                };
                count.fetch_add(1, Ordering::Relaxed);
            }
            Ending::Back(delay) => {
                report::released();
                kept.let_go().await;
                self.settler.release(message, delay).await;
                self.tally.released.fetch_add(1, Ordering::Relaxed);
            }
        }
        metrics::gauge!("usher_messages_in_flight").decrement(1.0);
        drop(permits);
    }

    /// A place among the messages in work; `None` once no new work is begun.
    async fn free_place(&self) -> Option<OwnedSemaphorePermit> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => None,
            place = Arc::clone(&self.places).acquire_owned() => place.ok(),
        }
    }

    /// A slice of a run. It goes on beside live traffic and takes no permit from
    /// it, but there is one at a time.
    async fn reconcile(
        &self,
        message: &Received,
        task: &Reconcile,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Ending {
        let outcome = if let Some(pool) = &task.pool {
            let Some(turn) = self.reconciling.turn() else {
                return Ending::Back(BUSY);
            };
            drop(permit);
            let slice = self.reconciling.slice(task, pool, turn, &self.stop);
            tokio::select! {
                outcome = AssertUnwindSafe(slice).catch_unwind() => {
                    outcome.unwrap_or_else(|_| Some(panicked()))
                }
                () = self.hurry.cancelled() => None,
            }
        } else {
            Some(self.reconciling.each_pool(task).await)
        };
        match outcome {
            None => Ending::Back(Duration::ZERO),
            Some(outcome) => match self.settler.conclude(message, outcome).await {
                // Its letter could not be sent.
                Outcome::Blocked(_) => Ending::Back(BUSY),
                outcome => Ending::Outcome(outcome),
            },
        }
    }

    /// Attempts until there is an outcome that the queue can be told. While the
    /// deployment is broken the message is held here and tried again.
    async fn work(
        &self,
        message: &Received,
        event: &Result<Event, Malformed>,
        permits: &mut Permits,
    ) -> Ending {
        let user = match event {
            Ok(Event::SignUp(sign_up)) => {
                let groups = self.provisioner.groups_for(sign_up);
                Some(self.recent.user(sign_up, &groups))
            }
            _ => None,
        };
        let is_order = matches!(event, Ok(Event::Order(_)));
        let mut held: Option<Held<'_>> = None;
        // While this message probes, no other does.
        let mut turn = None;
        loop {
            let (outcome, performed) = self.attempt(message, event).await;
            if is_order && self.is_in_outage(&outcome) {
                return Ending::Back(ORDER_IN_OUTAGE);
            }
            let (outcome, is_first) = match (outcome, &user) {
                (Outcome::Rejected(rejection), Some(user)) => self.weigh(rejection, user),
                (Outcome::Blocked(failure), None) if is_order => (never_blocked(failure), false),
                (outcome, _) => (self.judge(outcome), false),
            };
            // A retry proves nothing, even the last: the call may not have got through. Nor
            // does a refusal.
            let works = match &outcome {
                Outcome::Retry(_) | Outcome::Blocked(_) => false,
                Outcome::Rejected(rejection) => rejection.refused.is_none(),
                _ => true,
            };
            let failure = match self.settler.conclude(message, outcome).await {
                Outcome::Blocked(failure) => failure,
                outcome => {
                    if let Ok(Event::Order(order)) = event {
                        performed.ending(&outcome).audit(order, Stage::Ended);
                    }
                    if let Some(held) = held.filter(|_| works) {
                        held.mended();
                    }
                    return Ending::Outcome(outcome);
                }
            };
            if let Some(place) = &mut held {
                place.again(&failure);
            } else {
                held = self.breaker.hold(&failure, is_first);
            }
            let Some(place) = &held else {
                return Ending::Outcome(Outcome::Blocked(failure));
            };
            drop(turn.take());
            if failure.class == Class::Permanent || self.pools.may_be_wrong(&failure) {
                // Others have to be worked on while it waits: they tell whose fault it is.
                permits.give_back();
            }
            match place.next(&self.stop).await {
                Next::Stop => return Ending::Back(Duration::ZERO),
                Next::Mended => {}
                Next::Probe(ours) => turn = Some(ours),
            }
        }
    }

    /// Attempts that fail one after the other, with none that works between, are
    /// an outage and not these messages' fault: they are held like messages of a
    /// broken deployment, and their attempts are not used up.
    fn judge(&self, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Retry(Retry {
                down: Some(failure),
                ..
            }) if self.streak.fetch_add(1, Ordering::Relaxed) + 1 >= OUTAGE => {
                Outcome::Blocked(failure)
            }
            Outcome::Done | Outcome::AlreadyDone(Already::Profile) => {
                self.streak.store(0, Ordering::Relaxed);
                outcome
            }
            outcome => outcome,
        }
    }

    /// Whether a sign-up that a service refuses is given up, or is blocked until others have
    /// told whose fault it is ([`Breaker::is_its_own`]); and whether it is refused for the
    /// first time.
    fn weigh(&self, rejection: Rejection, user: &User) -> (Outcome, bool) {
        let Some(failure) = &rejection.refused else {
            return (Outcome::Rejected(rejection), false);
        };
        let since = user.refused_since(failure);
        if since.is_some_and(|since| self.breaker.is_its_own(failure, since)) {
            user.forget_refusal();
            return (Outcome::Rejected(rejection), false);
        }
        (Outcome::Blocked(Failure::clone(failure)), since.is_none())
    }

    /// Whether an order failed by what stops the sign-ups as well: it would only use up its
    /// attempts.
    fn is_in_outage(&self, outcome: &Outcome) -> bool {
        let failure = match outcome {
            Outcome::Blocked(failure) => Some(failure),
            Outcome::Rejected(rejection) => rejection.refused.as_deref(),
            _ => None,
        };
        failure.is_some_and(|failure| self.breaker.is_stopped_by(failure))
    }

    /// One attempt under its deadline; a panic becomes a retry. Of an order it is told
    /// what is known of whom.
    async fn attempt(
        &self,
        message: &Received,
        event: &Result<Event, Malformed>,
    ) -> (Outcome, Performed) {
        let is_replayed = History::of(message).replays > 0;
        let attempt = async {
            let outcome = match event {
                Ok(Event::Order(order)) => {
                    let performed = if is_replayed {
                        self.perform(&order.replayed()).await
                    } else {
                        self.perform(order).await
                    };
                    return (performed.for_the_queue(), performed);
                }
                Err(malformed) => Outcome::Rejected((*malformed).into()),
                Ok(Event::SignUp(sign_up)) => self.provision(sign_up, is_replayed).await,
                // It has a way of its own and does not come here.
                Ok(Event::Reconcile(_)) => {
                    internal("misrouted", "a command was taken for an event")
                }
            };
            (outcome, Performed::waiting())
        };
        let attempt = AssertUnwindSafe(attempt).catch_unwind();
        let deadline = deadline(message.received, Instant::now());
        match tokio::time::timeout_at(deadline, attempt).await {
            Ok(Ok(ended)) => ended,
            Ok(Err(_)) => (panicked(), Performed::waiting()),
            Err(_) => {
                let late = internal("deadline", "the attempt did not end in time");
                (late, Performed::waiting())
            }
        }
    }

    async fn provision(&self, sign_up: &SignUp, is_replayed: bool) -> Outcome {
        let groups = self.provisioner.groups_for(sign_up);
        let user = self.recent.user(sign_up, &groups);
        let turn = user.turn().await;
        if turn.is_done() {
            return Outcome::AlreadyDone(Already::Duplicate);
        }
        let begun = Instant::now();
        let attempt = if is_replayed {
            self.provisioner.replayed_sign_up(sign_up).await
        } else {
            self.provisioner.sign_up(sign_up).await
        };
        match attempt {
            outcome @ (Outcome::Done | Outcome::AlreadyDone(_)) => {
                user.forget_refusal();
                turn.done();
                self.pools.works(&sign_up.pool);
                if !groups.is_empty() {
                    let pool = sign_up.pool.as_str();
                    self.breaker.worked(Service::Cognito, pool, begun);
                }
                let writes = sign_up.scope.has_record();
                if let Some(table) = self.table.as_ref().filter(|_| writes) {
                    self.breaker.worked(Service::DynamoDb, table, begun);
                }
                outcome
            }
            // Other pools work, and this one must not stop them: it may be anyone's.
            Outcome::Blocked(failure)
                if failure.service == Service::Cognito && self.pools.is_strange(&sign_up.pool) =>
            {
                Outcome::Retry(Retry::because(failure.into()))
            }
            Outcome::Rejected(rejection) if self.pools.is_strange(&sign_up.pool) => {
                Outcome::Rejected(Rejection {
                    refused: None,
                    ..rejection
                })
            }
            outcome => outcome,
        }
    }
}

/// An order stops nothing, whatever it met: it is tried again, and then becomes a dead
/// letter with the reason.
fn never_blocked(failure: Failure) -> Outcome {
    Outcome::Retry(Retry::because(failure.into()))
}

/// When an attempt that begins now ends at the latest. A message that is held for longer is
/// still tried, or the breaker would not learn that it may close.
fn deadline(received: Instant, now: Instant) -> Instant {
    (received + DEADLINE).max(now + LATE_ATTEMPT)
}

fn panicked() -> Outcome {
    metrics::counter!("usher_panics_total").increment(1);
    internal("panic", "usher panicked while working on the message")
}

fn internal(reason: &str, error: &str) -> Outcome {
    Outcome::Retry(Retry::because(Rejection {
        reason: reason.to_owned(),
        class: "internal",
        error: error.to_owned(),
        refused: None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_ends_before_others_see_its_message_and_a_late_one_has_a_minute() {
        let received = Instant::now();
        let after = |hours| received + Duration::from_hours(hours);
        for begun in [received, after(5)] {
            assert!(deadline(received, begun) < after(12));
        }
        assert_eq!(deadline(received, after(30)), after(30) + LATE_ATTEMPT);
    }
}
