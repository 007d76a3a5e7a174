//! Orders of administrators among the sign-ups: in few places, and in nobody's way.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use super::pending_mails::PendingMails;
use super::permits::MessagePermits;
use super::processor::Processor;
use crate::event::AdminCommand;
use crate::provision::{CommandResult, Outcome, Retry};

/// Orders at work at once, and no more than half of the messages at work: each takes its
/// turns in the same budget as the sign-ups, which must not wait behind a thousand of them.
const MAX_RUNNING_COMMANDS: usize = 16;
/// Orders that wait here for that. More are given back to the queue.
const MAX_WAITING_COMMANDS: usize = 256;
/// An order that is given back comes again no sooner than that.
const MIN_RELEASE_DELAY: Duration = Duration::from_secs(10);
/// The time between one that is given back and the next, as they come again: at the
/// default rate the budget lets one order through in that time.
const RELEASE_SPACING: Duration = Duration::from_millis(50);
/// The longest delay of a message.
///
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html>
const MAX_MESSAGE_DELAY: Duration = Duration::from_mins(15);

/// The places of orders.
#[derive(Debug)]
pub(super) struct CommandLimiter {
    running: Semaphore,
    waiting: Semaphore,
    /// When the last one that was given back comes again.
    last_return: Mutex<Option<Instant>>,
    pending_mails: PendingMails,
}

impl CommandLimiter {
    /// For a worker that works on so many messages at once.
    pub(super) fn new(concurrency: usize) -> Self {
        Self {
            running: Semaphore::new(MAX_RUNNING_COMMANDS.min(concurrency.div_ceil(2))),
            waiting: Semaphore::new(MAX_WAITING_COMMANDS),
            last_return: Mutex::default(),
            pending_mails: PendingMails::default(),
        }
    }

    /// How long an order is given back for. They come again one after the other, about when
    /// there is room: all at once would only be given back again.
    fn release_delay(&self) -> Duration {
        let now = Instant::now();
        let mut last = self
            .last_return
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let next = last.map_or(now, |last| last + RELEASE_SPACING);
        let next = next.clamp(now + MIN_RELEASE_DELAY, now + MAX_MESSAGE_DELAY);
        *last = Some(next);
        next - now
    }
}

impl Processor {
    /// A place among the orders at work; while it is waited for, the permits are there for
    /// sign-ups.
    ///
    /// # Errors
    /// For how long the order is to be given back: there is no room to wait, or no new work
    /// is begun.
    pub(super) async fn acquire_command_permit(
        &self,
        permits: &mut MessagePermits,
    ) -> Result<SemaphorePermit<'_>, Duration> {
        if let Ok(place) = self.commands.running.try_acquire() {
            return Ok(place);
        }
        let Ok(_waiting) = self.commands.waiting.try_acquire() else {
            return Err(self.commands.release_delay());
        };
        permits.give_back();
        tokio::select! {
            place = self.commands.running.acquire() => place.map_err(|_| Duration::ZERO),
            () = self.stop.cancelled() => Err(Duration::ZERO),
        }
    }

    /// The same order twice is done once: an invitation would be sent twice.
    pub(super) async fn perform_command(&self, order: &AdminCommand) -> CommandResult {
        let memory = self.recent_users.command(order);
        let turn = memory.acquire().await;
        if turn.is_done() {
            return CommandResult::duplicate();
        }
        let performed = self
            .commands
            .pending_mails
            .merge_mail(order, self.provisioner.perform_queued(order).await);
        match performed.queue_outcome() {
            Outcome::Done | Outcome::AlreadyDone(_) => {
                turn.mark_done();
                self.pools.mark_working(&order.pool);
                performed
            }
            Outcome::Retry(retry) => performed.with_outcome(&Outcome::Retry(Retry {
                possible_outage: None,
                ..retry
            })),
            _ => performed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn orders_that_are_given_back_come_again_one_by_one() {
        let orders = CommandLimiter::new(64);
        let delays: Vec<Duration> = (0..30_000).map(|_| orders.release_delay()).collect();
        assert_eq!(delays[0], MIN_RELEASE_DELAY);
        assert_eq!(delays[1_000], MIN_RELEASE_DELAY + RELEASE_SPACING * 1_000);
        assert_eq!(delays[29_999], MAX_MESSAGE_DELAY);
        tokio::time::advance(MAX_MESSAGE_DELAY).await;
        assert_eq!(
            orders.release_delay(),
            MIN_RELEASE_DELAY,
            "they have all come again"
        );
    }
}
