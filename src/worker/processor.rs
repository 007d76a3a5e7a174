//! Processes one message: parses it, runs attempts and settles it.

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
use super::recent_work::{RecentWork, WorkEntry};
use super::reconciler::Reconciler;
use super::report;
use super::settle::Settler;
use super::trace;
use crate::aws::{Class, Failure, Received, Service, VisibilityExtender};
use crate::event::{AdminCommand, Event, ReconcileCommand, SignUp};
use crate::message::{Delivery, Unreadable};
use crate::provision::{
    AlreadyDone, CommandResult, CommandStage, Outcome, Provisioner, Rejection, RejectionClass,
    Retry,
};
use crate::reason::Reason;
use crate::telemetry::metrics::drain_histograms;

/// From a message's receive to the end of an attempt, with its waits for the rate budget. At
/// the lowest rate of the default budget, 64 messages with four tries each wait 53 minutes.
/// With eight processes that share the budget, they wait seven hours. Each call has its own
/// time limit. This one ends an attempt that hangs, before SQS makes the message visible to
/// others after 12 hours.
const ATTEMPT_TIME_LIMIT: Duration = Duration::from_hours(11);
/// Shortest time limit of an attempt, however late it begins.
const MIN_ATTEMPT_TIME: Duration = Duration::from_mins(1);

/// The state that all messages of a worker share.
#[derive(Debug)]
pub(super) struct Processor {
    pub(super) provisioner: Provisioner,
    pub(super) reconciler: Reconciler,
    pub(super) recent_work: RecentWork,
    pub(super) commands: CommandLimiter,
    /// One permit for each message in progress: `worker.concurrency` in all.
    pub(super) concurrency: Arc<Semaphore>,
    pub(super) pools: KnownPools,
    /// The table of the profiles; `None` if profiles are switched off.
    pub(super) table: Option<String>,
    pub(super) settler: Arc<Settler>,
    pub(super) extender: VisibilityExtender,
    pub(super) breaker: Arc<Breaker>,
    /// Attempts in a row that failed because a service was down, each after four tries of
    /// the same call.
    pub(super) failures_in_a_row: AtomicU32,
    /// Cancelled when no new work may begin.
    pub(super) stop: CancellationToken,
    /// Cancelled to end all work at once: unfinished messages are released.
    pub(super) abort: CancellationToken,
    pub(super) counts: MessageCounts,
}

/// Messages settled with an outcome, and messages released without one or blocked.
#[derive(Debug, Default)]
pub(super) struct MessageCounts {
    pub(super) settled: AtomicU64,
    pub(super) retried: AtomicU64,
    pub(super) rejected: AtomicU64,
    pub(super) released: AtomicU64,
}

/// How the processing of a message ends.
enum Disposition {
    /// An attempt has an outcome.
    Settle(Outcome),
    /// No attempt counts, if a copy can be sent; the message is visible again after this delay.
    Release(Duration),
}

/// Release delay of an admin command while its failure stops intake.
const COMMAND_OUTAGE_DELAY: Duration = Duration::from_mins(5);
/// Release delay of a reconcile command while another slice runs in this process, or while
/// its dead letter cannot be sent.
const RECONCILE_BUSY_DELAY: Duration = Duration::from_mins(1);
/// The histograms are drained each time this many messages are finished. A sign-up leaves some
/// seven values of 16 bytes.
const DRAIN_HISTOGRAMS_EVERY: u64 = 1000;

impl Processor {
    /// Processes a message until it is settled or released. It keeps its permits until then.
    /// A reconcile command, a waiting admin command and a held message that may be at fault
    /// free them earlier.
    pub(super) async fn run(self: Arc<Self>, message: Received, permit: OwnedSemaphorePermit) {
        // Parsed in the message's own task: a body may hold 1 MiB.
        let delivery = Delivery::new(message);
        let span = trace::span(self.settler.queue_name(), &delivery);
        self.process(delivery, permit).instrument(span).await;
    }

    async fn process(self: Arc<Self>, delivery: Delivery, permit: OwnedSemaphorePermit) {
        let mut permits = MessagePermits {
            intake: Some(permit),
            concurrency: None,
        };
        metrics::gauge!("usher_messages_in_flight").increment(1.0);
        let guard = self.extender.keep_hidden(&delivery.message);
        let disposition = match &delivery.event {
            _ if self.stop.is_cancelled() => Disposition::Release(Duration::ZERO),
            Ok(Event::Reconcile(command)) => {
                self.reconcile(&delivery, command, permits.intake.take())
                    .await
            }
            Err(Unreadable::Panic) => {
                let outcome = panic_outcome();
                let settler = &self.settler;
                Disposition::Settle(settler.finalize_outcome(&delivery, outcome).await)
            }
            event => {
                let work = async {
                    permits.concurrency = self.acquire_work_permit().await;
                    // Received before the breaker opened: an attempt would fail, too.
                    if permits.concurrency.is_none() || self.breaker.receive_limit() == 0 {
                        return Disposition::Release(Duration::ZERO);
                    }
                    let _command_permit = match event {
                        Ok(Event::AdminCommand(_)) => {
                            match self.commands.acquire(&mut permits, &self.stop).await {
                                Ok(permit) => Some(permit),
                                Err(delay) => return Disposition::Release(delay),
                            }
                        }
                        _ => None,
                    };
                    self.attempt_until_decided(&delivery, &mut permits).await
                };
                tokio::select! {
                    // `work` only borrows the message: if it is dropped, the message can be
                    // released.
                    disposition = work => disposition,
                    () = self.abort.cancelled() => Disposition::Release(Duration::ZERO),
                }
            }
        };
        match disposition {
            Disposition::Settle(outcome) => {
                report::record_settled(&delivery, &outcome);
                let queued = match &delivery.event {
                    Ok(Event::AdminCommand(command)) => {
                        Some((command.clone(), delivery.message.id.clone()))
                    }
                    _ => None,
                };
                self.settler.settle(delivery, guard, &outcome).await;
                // After the message is settled, since a table that does not answer must not
                // make a command run again.
                if let Some((command, id)) = queued {
                    let requests = self.provisioner.requests();
                    requests.record_result(&command, &outcome, &id).await;
                }
                let count = match outcome {
                    Outcome::Blocked(_) => &self.counts.released,
                    _ => &self.counts.settled,
                };
                count.fetch_add(1, Ordering::Relaxed);
                let of_outcome = match outcome {
                    Outcome::Retry(_) => Some(&self.counts.retried),
                    Outcome::Rejected(_) => Some(&self.counts.rejected),
                    _ => None,
                };
                if let Some(count) = of_outcome {
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }
            Disposition::Release(delay) => {
                report::record_released();
                guard.stop_extending().await;
                self.settler.release(delivery.message, delay).await;
                self.counts.released.fetch_add(1, Ordering::Relaxed);
            }
        }
        metrics::gauge!("usher_messages_in_flight").decrement(1.0);
        let MessageCounts {
            settled, released, ..
        } = &self.counts;
        let finished = settled.load(Ordering::Relaxed) + released.load(Ordering::Relaxed);
        if finished.is_multiple_of(DRAIN_HISTOGRAMS_EVERY) {
            drain_histograms();
        }
        drop(permits);
    }

    /// A permit of `concurrency`; `None` once the worker stops.
    async fn acquire_work_permit(&self) -> Option<OwnedSemaphorePermit> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => None,
            permit = Arc::clone(&self.concurrency).acquire_owned() => permit.ok(),
        }
    }

    /// Runs one slice of a reconcile run. It takes no permit from live traffic, but only one
    /// slice runs at a time.
    async fn reconcile(
        &self,
        delivery: &Delivery,
        command: &ReconcileCommand,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Disposition {
        let outcome = if let Some(pool) = &command.pool {
            let Some(slice_guard) = self.reconciler.try_acquire() else {
                return Disposition::Release(RECONCILE_BUSY_DELAY);
            };
            drop(permit);
            let slice = self
                .reconciler
                .run_slice(command, pool, slice_guard, &self.stop);
            tokio::select! {
                outcome = AssertUnwindSafe(slice).catch_unwind() => {
                    outcome.unwrap_or_else(|_| Some(panic_outcome()))
                }
                () = self.abort.cancelled() => None,
            }
        } else {
            Some(self.reconciler.send_for_each_pool(command).await)
        };
        match outcome {
            None => Disposition::Release(Duration::ZERO),
            Some(outcome) => match self.settler.finalize_outcome(delivery, outcome).await {
                // Its dead letter could not be sent.
                Outcome::Blocked(_) => Disposition::Release(RECONCILE_BUSY_DELAY),
                outcome => Disposition::Settle(outcome),
            },
        }
    }

    /// Runs attempts until an outcome can be settled. While the deployment is broken, the
    /// message is held here and retried.
    async fn attempt_until_decided(
        &self,
        delivery: &Delivery,
        permits: &mut MessagePermits,
    ) -> Disposition {
        let event = &delivery.event;
        let user = match event {
            Ok(Event::SignUp(sign_up)) => {
                let groups = self.provisioner.groups_for(sign_up);
                Some(self.recent_work.user(sign_up, &groups))
            }
            _ => None,
        };
        let is_command = matches!(event, Ok(Event::AdminCommand(_)));
        let mut held: Option<HeldMessage<'_>> = None;
        // While this message probes, no other does.
        let mut probe_guard = None;
        loop {
            let (outcome, result) = self.attempt(delivery).await;
            if is_command && self.is_intake_stopped_by(&outcome) {
                return Disposition::Release(COMMAND_OUTAGE_DELAY);
            }
            let (outcome, is_first_refusal) = match (outcome, &user) {
                (Outcome::Rejected(rejection), Some(user)) => {
                    self.classify_refusal(rejection, user)
                }
                (Outcome::Blocked(failure), None) if is_command => {
                    (blocked_to_retry(failure), false)
                }
                (outcome, _) => (self.block_if_outage(outcome), false),
            };
            // A retry does not prove a recovery, not even at the last attempt: the call may not
            // have reached the service. Nor does a refusal.
            let proves_recovery = match &outcome {
                Outcome::Retry(_) | Outcome::Blocked(_) => false,
                Outcome::Rejected(rejection) => rejection.refused_call.is_none(),
                _ => true,
            };
            let failure = match self.settler.finalize_outcome(delivery, outcome).await {
                Outcome::Blocked(failure) => failure,
                outcome => {
                    if let Ok(Event::AdminCommand(command)) = event {
                        // `None` after a panic or the time limit.
                        let result = result.map_or_else(
                            || CommandResult::new(outcome.clone()),
                            |result| result.with_outcome(&outcome),
                        );
                        result.audit(command, CommandStage::Completed);
                    }
                    if let Some(held) = held.filter(|_| proves_recovery) {
                        held.record_recovery();
                    }
                    return Disposition::Settle(outcome);
                }
            };
            if let Some(held) = &mut held {
                held.record_failure(&failure);
            } else {
                held = self.breaker.hold(&failure, is_first_refusal);
            }
            let Some(held_message) = &held else {
                return Disposition::Settle(Outcome::Blocked(failure));
            };
            drop(probe_guard.take());
            if failure.class == Class::Permanent || self.pools.may_be_wrong_pool(&failure) {
                // Others must run while this one waits: they show whose fault it is.
                permits.give_back();
            }
            match held_message.wait(&self.stop).await {
                HoldDecision::Stop => return Disposition::Release(Duration::ZERO),
                HoldDecision::Recovered => {}
                HoldDecision::Probe(guard) => probe_guard = Some(guard),
            }
        }
    }

    /// Blocks messages once [`OUTAGE_FAILURES`] attempts failed in a row. That is an outage,
    /// and not the messages' fault: they are held, and their attempts are not used up.
    fn block_if_outage(&self, outcome: Outcome) -> Outcome {
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

    /// Rejects a refused sign-up, or blocks it until other messages show whose fault it is
    /// ([`Breaker::is_message_fault`]). Also returns whether this is its first refusal.
    fn classify_refusal(&self, rejection: Rejection, user: &WorkEntry) -> (Outcome, bool) {
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

    /// Whether the command's failure also stops intake: a retry would only use up its
    /// attempts.
    fn is_intake_stopped_by(&self, outcome: &Outcome) -> bool {
        let failure = match outcome {
            Outcome::Blocked(failure) => Some(failure),
            Outcome::Rejected(rejection) => rejection.refused_call.as_deref(),
            _ => None,
        };
        failure.is_some_and(|failure| self.breaker.is_intake_stopped_by(failure))
    }

    /// One attempt under its deadline; a panic becomes a retry. The [`CommandResult`] is
    /// that of an admin command, for its audit line.
    async fn attempt(&self, delivery: &Delivery) -> (Outcome, Option<CommandResult>) {
        let is_replayed = delivery.history.replays > 0;
        let attempt = async {
            let outcome = match &delivery.event {
                Ok(Event::AdminCommand(command)) => {
                    let result = if is_replayed {
                        self.perform_command(&command.replayed()).await
                    } else {
                        self.perform_command(command).await
                    };
                    return (result.queue_outcome(), Some(result));
                }
                Err(Unreadable::Malformed(malformed)) => Outcome::Rejected((*malformed).into()),
                // `process` handles this and a reconcile.
                Err(Unreadable::Panic) => panic_outcome(),
                Ok(Event::SignUp(sign_up)) => self.provision(sign_up, is_replayed).await,
                Ok(Event::Reconcile(_)) => internal_retry(
                    Reason::Misrouted,
                    "a reconcile command reached the attempt of a sign-up",
                ),
            };
            (outcome, None)
        };
        let attempt = AssertUnwindSafe(attempt).catch_unwind();
        let deadline = deadline(delivery.message.receive_time, Instant::now());
        match tokio::time::timeout_at(deadline, attempt).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => (panic_outcome(), None),
            Err(_) => {
                let outcome = internal_retry(Reason::Deadline, "the attempt did not end in time");
                (outcome, None)
            }
        }
    }

    async fn perform_command(&self, command: &AdminCommand) -> CommandResult {
        let (provisioner, recent_work) = (&self.provisioner, &self.recent_work);
        let result = self
            .commands
            .perform(command, provisioner, recent_work)
            .await;
        if matches!(
            result.queue_outcome(),
            Outcome::Done | Outcome::AlreadyDone(AlreadyDone::ProfileExists)
        ) {
            self.pools.mark_working(&command.pool);
        }
        result
    }

    async fn provision(&self, sign_up: &SignUp, is_replayed: bool) -> Outcome {
        // The same groups as in `attempt_until_decided`: they depend on the event only.
        let groups = self.provisioner.groups_for(sign_up);
        let user = self.recent_work.user(sign_up, &groups);
        let guard = user.acquire().await;
        if guard.is_done() {
            return Outcome::AlreadyDone(AlreadyDone::Duplicate);
        }
        let started = Instant::now();
        let attempt = if is_replayed {
            self.provisioner.provision_replayed(sign_up).await
        } else {
            self.provisioner.provision(sign_up).await
        };
        match attempt {
            outcome @ (Outcome::Done | Outcome::AlreadyDone(_)) => {
                user.forget_refusal();
                guard.mark_done();
                self.pools.mark_working(&sign_up.pool);
                if !groups.is_empty() {
                    let pool = sign_up.pool.as_str();
                    self.breaker.record_success(Service::Cognito, pool, started);
                }
                let writes_profile = sign_up.scope.includes_profile();
                if let Some(table) = self.table.as_ref().filter(|_| writes_profile) {
                    self.breaker
                        .record_success(Service::DynamoDb, table, started);
                }
                outcome
            }
            // Other pools work. This one must not stop them: any sender may have named it.
            Outcome::Blocked(failure)
                if failure.operation.service() == Service::Cognito
                    && self.pools.is_unknown(&sign_up.pool) =>
            {
                Outcome::Retry(Retry::new(failure.into()))
            }
            // Rejected at once and not held: any sender can name a pool.
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

/// A failed admin command does not open the breaker: it is retried, and becomes a dead
/// letter with the reason after its last attempt.
fn blocked_to_retry(failure: Failure) -> Outcome {
    Outcome::Retry(Retry::new(failure.into()))
}

/// Latest end of an attempt that begins now. A message that is held past its deadline still
/// gets [`MIN_ATTEMPT_TIME`], or the breaker could not detect a recovery.
fn deadline(received: Instant, now: Instant) -> Instant {
    (received + ATTEMPT_TIME_LIMIT).max(now + MIN_ATTEMPT_TIME)
}

fn panic_outcome() -> Outcome {
    metrics::counter!("usher_panics_total").increment(1);
    internal_retry(Reason::Panic, "usher panicked while working on the message")
}

fn internal_retry(reason: Reason, error: &str) -> Outcome {
    let class = RejectionClass::Internal;
    Outcome::Retry(Retry::new(Rejection::new(reason, class, error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempt_ends_within_12_hours_and_a_late_one_gets_a_minute() {
        let received = Instant::now();
        let after = |hours| received + Duration::from_hours(hours);
        for started in [received, after(5)] {
            assert!(deadline(received, started) < after(12));
        }
        assert_eq!(deadline(received, after(30)), after(30) + MIN_ATTEMPT_TIME);
    }
}
