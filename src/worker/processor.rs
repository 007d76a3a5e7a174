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

use super::breaker::{Breaker, HeldMessage, HoldDecision, OUTAGE_FAILURES};
use super::commands::CommandLimiter;
use super::permits::MessagePermits;
use super::pools::KnownPools;
use super::recent_users::{RecentUser, RecentUsers};
use super::reconciler::Reconciler;
use super::report;
use super::settle::Settler;
use super::trace;
use super::visibility::VisibilityExtender;
use crate::aws::{Class, Failure, Received, Service};
use crate::dead_letter::History;
use crate::event::{Event, Malformed, ReconcileCommand, SignUp, parse};
use crate::provision::{
    AlreadyDone, CommandResult, CommandStage, Outcome, Provisioner, Rejection, Retry,
};

/// From a message's receive to the end of an attempt, with its waits for the rate budget: at
/// the lowest rate that the default budget falls to, 64 messages with four tries each wait
/// 53 minutes, and those of eight processes that share it seven hours. Each call has a limit
/// of its own; this only ends what would otherwise never end, before SQS shows the message to
/// others after 12 hours.
const ATTEMPT_DEADLINE: Duration = Duration::from_hours(11);
/// The least time of an attempt, however late it begins.
const MIN_ATTEMPT_TIME: Duration = Duration::from_mins(1);

/// All that a message needs on its way.
#[derive(Debug)]
pub(super) struct Processor {
    pub(super) provisioner: Provisioner,
    pub(super) reconciler: Reconciler,
    pub(super) recent_users: RecentUsers,
    pub(super) commands: CommandLimiter,
    /// A permit for each message that may be worked on at once.
    pub(super) concurrency: Arc<Semaphore>,
    pub(super) pools: KnownPools,
    /// The table of the profiles, unless they are switched off.
    pub(super) table: Option<String>,
    pub(super) settler: Arc<Settler>,
    pub(super) extender: VisibilityExtender,
    pub(super) breaker: Arc<Breaker>,
    /// Attempts in a row, of four calls each, that failed because a service was down.
    pub(super) failures_in_a_row: AtomicU32,
    /// No new work.
    pub(super) stop: CancellationToken,
    /// No work at all any more: what is not finished is released.
    pub(super) abort: CancellationToken,
    pub(super) counts: MessageCounts,
}

/// How many attempts came to an outcome, and how many messages were given back
/// without one.
#[derive(Debug, Default)]
pub(super) struct MessageCounts {
    pub(super) settled: AtomicU64,
    pub(super) released: AtomicU64,
}

/// How a message leaves.
enum Disposition {
    /// An attempt came to an end.
    Settle(Outcome),
    /// Given back untried, to be seen again after this time.
    Release(Duration),
}

/// How long an order is given back for while what it needs is down.
const COMMAND_OUTAGE_DELAY: Duration = Duration::from_mins(5);
/// While another run is under way here.
const RECONCILE_BUSY_DELAY: Duration = Duration::from_mins(1);

impl Processor {
    /// From the receive to the settlement. The permits are held all the way, except by a
    /// reconcile command, by an order that waits for a place, and by a sign-up that is held
    /// because it was refused.
    pub(super) fn run(
        self: Arc<Self>,
        message: Received,
        permit: OwnedSemaphorePermit,
    ) -> impl Future<Output = ()> {
        let span = trace::span(&message);
        self.process(message, permit).instrument(span)
    }

    async fn process(self: Arc<Self>, message: Received, permit: OwnedSemaphorePermit) {
        let mut permits = MessagePermits {
            prefetch: Some(permit),
            concurrency: None,
        };
        metrics::gauge!("usher_messages_in_flight").increment(1.0);
        let kept = self.extender.keep_hidden(&message);
        let event = AssertUnwindSafe(async { parse(&message.body) })
            .catch_unwind()
            .await;
        let ending = match &event {
            _ if self.stop.is_cancelled() => Disposition::Release(Duration::ZERO),
            Ok(Ok(Event::Reconcile(task))) => {
                self.reconcile(&message, task, permits.prefetch.take())
                    .await
            }
            Ok(event) => {
                let work = async {
                    permits.concurrency = self.acquire_work_permit().await;
                    // Received before the breaker opened: it would only fail as well.
                    if permits.concurrency.is_none() || self.breaker.receive_limit() == 0 {
                        return Disposition::Release(Duration::ZERO);
                    }
                    let _place = match event {
                        Ok(Event::AdminCommand(_)) => {
                            match self.acquire_command_permit(&mut permits).await {
                                Ok(place) => Some(place),
                                Err(delay) => return Disposition::Release(delay),
                            }
                        }
                        _ => None,
                    };
                    self.attempt_until_settled(&message, event, &mut permits)
                        .await
                };
                tokio::select! {
                    // Owns nothing: the message stays here when it is dropped.
                    ending = work => ending,
                    () = self.abort.cancelled() => Disposition::Release(Duration::ZERO),
                }
            }
            Err(_) => Disposition::Settle(self.settler.finalize(&message, panic_outcome()).await),
        };
        match ending {
            Disposition::Settle(outcome) => {
                let event = event.as_ref().ok().and_then(|event| event.as_ref().ok());
                report::record_settled(&message, event, &outcome);
                self.settler.settle(message, kept, &outcome).await;
                let count = match outcome {
                    Outcome::Blocked(_) => &self.counts.released,
                    _ => &self.counts.settled,
                };
                count.fetch_add(1, Ordering::Relaxed);
            }
            Disposition::Release(delay) => {
                report::record_released();
                kept.stop_extending().await;
                self.settler.release(message, delay).await;
                self.counts.released.fetch_add(1, Ordering::Relaxed);
            }
        }
        metrics::gauge!("usher_messages_in_flight").decrement(1.0);
        drop(permits);
    }

    /// A place among the messages in work; `None` once no new work is begun.
    async fn acquire_work_permit(&self) -> Option<OwnedSemaphorePermit> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => None,
            place = Arc::clone(&self.concurrency).acquire_owned() => place.ok(),
        }
    }

    /// A slice of a run. It goes on beside live traffic and takes no permit from
    /// it, but there is one at a time.
    async fn reconcile(
        &self,
        message: &Received,
        task: &ReconcileCommand,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Disposition {
        let outcome = if let Some(pool) = &task.pool {
            let Some(turn) = self.reconciler.try_acquire() else {
                return Disposition::Release(RECONCILE_BUSY_DELAY);
            };
            drop(permit);
            let slice = self.reconciler.run_slice(task, pool, turn, &self.stop);
            tokio::select! {
                outcome = AssertUnwindSafe(slice).catch_unwind() => {
                    outcome.unwrap_or_else(|_| Some(panic_outcome()))
                }
                () = self.abort.cancelled() => None,
            }
        } else {
            Some(self.reconciler.send_for_each_pool(task).await)
        };
        match outcome {
            None => Disposition::Release(Duration::ZERO),
            Some(outcome) => match self.settler.finalize(message, outcome).await {
                // Its letter could not be sent.
                Outcome::Blocked(_) => Disposition::Release(RECONCILE_BUSY_DELAY),
                outcome => Disposition::Settle(outcome),
            },
        }
    }

    /// Attempts until there is an outcome that the queue can be told. While the
    /// deployment is broken the message is held here and tried again.
    async fn attempt_until_settled(
        &self,
        message: &Received,
        event: &Result<Event, Malformed>,
        permits: &mut MessagePermits,
    ) -> Disposition {
        let user = match event {
            Ok(Event::SignUp(sign_up)) => {
                let groups = self.provisioner.groups_for(sign_up);
                Some(self.recent_users.user(sign_up, &groups))
            }
            _ => None,
        };
        let is_order = matches!(event, Ok(Event::AdminCommand(_)));
        let mut held: Option<HeldMessage<'_>> = None;
        // While this message probes, no other does.
        let mut turn = None;
        loop {
            let (outcome, performed) = self.attempt(message, event).await;
            if is_order && self.is_in_outage(&outcome) {
                return Disposition::Release(COMMAND_OUTAGE_DELAY);
            }
            let (outcome, is_first) = match (outcome, &user) {
                (Outcome::Rejected(rejection), Some(user)) => self.judge_refusal(rejection, user),
                (Outcome::Blocked(failure), None) if is_order => (retry_instead(failure), false),
                (outcome, _) => (self.block_in_outage(outcome), false),
            };
            // A retry proves nothing, even the last: the call may not have got through. Nor
            // does a refusal.
            let works = match &outcome {
                Outcome::Retry(_) | Outcome::Blocked(_) => false,
                Outcome::Rejected(rejection) => rejection.refused_call.is_none(),
                _ => true,
            };
            let failure = match self.settler.finalize(message, outcome).await {
                Outcome::Blocked(failure) => failure,
                outcome => {
                    if let Ok(Event::AdminCommand(order)) = event {
                        performed
                            .with_outcome(&outcome)
                            .audit(order, CommandStage::Completed);
                    }
                    if let Some(held) = held.filter(|_| works) {
                        held.record_recovery();
                    }
                    return Disposition::Settle(outcome);
                }
            };
            if let Some(place) = &mut held {
                place.record_failure(&failure);
            } else {
                held = self.breaker.hold(&failure, is_first);
            }
            let Some(place) = &held else {
                return Disposition::Settle(Outcome::Blocked(failure));
            };
            drop(turn.take());
            if failure.class == Class::Permanent || self.pools.may_be_wrong_pool(&failure) {
                // Others have to be worked on while it waits: they tell whose fault it is.
                permits.give_back();
            }
            match place.wait(&self.stop).await {
                HoldDecision::Stop => return Disposition::Release(Duration::ZERO),
                HoldDecision::Recovered => {}
                HoldDecision::Probe(ours) => turn = Some(ours),
            }
        }
    }

    /// Attempts that fail one after the other, with none that works between, are
    /// an outage and not these messages' fault: they are held like messages of a
    /// broken deployment, and their attempts are not used up.
    fn block_in_outage(&self, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Retry(Retry {
                possible_outage: Some(failure),
                ..
            }) if self.failures_in_a_row.fetch_add(1, Ordering::Relaxed) + 1 >= OUTAGE_FAILURES => {
                Outcome::Blocked(failure)
            }
            Outcome::Done | Outcome::AlreadyDone(AlreadyDone::ProfileExists) => {
                self.failures_in_a_row.store(0, Ordering::Relaxed);
                outcome
            }
            outcome => outcome,
        }
    }

    /// Whether a sign-up that a service refuses is given up, or is blocked until others have
    /// told whose fault it is ([`Breaker::is_message_fault`]); and whether it is refused for the
    /// first time.
    fn judge_refusal(&self, rejection: Rejection, user: &RecentUser) -> (Outcome, bool) {
        let Some(failure) = &rejection.refused_call else {
            return (Outcome::Rejected(rejection), false);
        };
        let since = user.record_refusal(failure);
        if since.is_some_and(|since| self.breaker.is_message_fault(failure, since)) {
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
            Outcome::Rejected(rejection) => rejection.refused_call.as_deref(),
            _ => None,
        };
        failure.is_some_and(|failure| self.breaker.is_intake_stopped_by(failure))
    }

    /// One attempt under its deadline; a panic becomes a retry. Of an order it is told
    /// what is known of whom.
    async fn attempt(
        &self,
        message: &Received,
        event: &Result<Event, Malformed>,
    ) -> (Outcome, CommandResult) {
        let is_replayed = History::from_message(message).replays > 0;
        let attempt = async {
            let outcome = match event {
                Ok(Event::AdminCommand(order)) => {
                    let performed = if is_replayed {
                        self.perform_command(&order.replayed()).await
                    } else {
                        self.perform_command(order).await
                    };
                    return (performed.queue_outcome(), performed);
                }
                Err(malformed) => Outcome::Rejected((*malformed).into()),
                Ok(Event::SignUp(sign_up)) => self.provision(sign_up, is_replayed).await,
                // It has a way of its own and does not come here.
                Ok(Event::Reconcile(_)) => {
                    internal_retry("misrouted", "a command was taken for an event")
                }
            };
            (outcome, CommandResult::busy())
        };
        let attempt = AssertUnwindSafe(attempt).catch_unwind();
        let deadline = deadline(message.receive_time, Instant::now());
        match tokio::time::timeout_at(deadline, attempt).await {
            Ok(Ok(ended)) => ended,
            Ok(Err(_)) => (panic_outcome(), CommandResult::busy()),
            Err(_) => {
                let late = internal_retry("deadline", "the attempt did not end in time");
                (late, CommandResult::busy())
            }
        }
    }

    async fn provision(&self, sign_up: &SignUp, is_replayed: bool) -> Outcome {
        let groups = self.provisioner.groups_for(sign_up);
        let user = self.recent_users.user(sign_up, &groups);
        let turn = user.acquire().await;
        if turn.is_done() {
            return Outcome::AlreadyDone(AlreadyDone::Duplicate);
        }
        let begun = Instant::now();
        let attempt = if is_replayed {
            self.provisioner.provision_replayed(sign_up).await
        } else {
            self.provisioner.provision(sign_up).await
        };
        match attempt {
            outcome @ (Outcome::Done | Outcome::AlreadyDone(_)) => {
                user.forget_refusal();
                turn.mark_done();
                self.pools.mark_working(&sign_up.pool);
                if !groups.is_empty() {
                    let pool = sign_up.pool.as_str();
                    self.breaker.record_success(Service::Cognito, pool, begun);
                }
                let writes = sign_up.scope.includes_profile();
                if let Some(table) = self.table.as_ref().filter(|_| writes) {
                    self.breaker.record_success(Service::DynamoDb, table, begun);
                }
                outcome
            }
            // Other pools work, and this one must not stop them: it may be anyone's.
            Outcome::Blocked(failure)
                if failure.service == Service::Cognito && self.pools.is_unknown(&sign_up.pool) =>
            {
                Outcome::Retry(Retry::new(failure.into()))
            }
            Outcome::Rejected(rejection) if self.pools.is_unknown(&sign_up.pool) => {
                Outcome::Rejected(Rejection {
                    refused_call: None,
                    ..rejection
                })
            }
            outcome => outcome,
        }
    }
}

/// An order stops nothing, whatever it met: it is tried again, and then becomes a dead
/// letter with the reason.
fn retry_instead(failure: Failure) -> Outcome {
    Outcome::Retry(Retry::new(failure.into()))
}

/// When an attempt that begins now ends at the latest. A message that is held for longer is
/// still tried, or the breaker would not learn that it may close.
fn deadline(received: Instant, now: Instant) -> Instant {
    (received + ATTEMPT_DEADLINE).max(now + MIN_ATTEMPT_TIME)
}

fn panic_outcome() -> Outcome {
    metrics::counter!("usher_panics_total").increment(1);
    internal_retry("panic", "usher panicked while working on the message")
}

fn internal_retry(reason: &str, error: &str) -> Outcome {
    Outcome::Retry(Retry::new(Rejection {
        reason: reason.to_owned(),
        class: "internal",
        error: error.to_owned(),
        refused_call: None,
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
        assert_eq!(deadline(received, after(30)), after(30) + MIN_ATTEMPT_TIME);
    }
}
