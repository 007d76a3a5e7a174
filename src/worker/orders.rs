//! Orders of administrators among the sign-ups: in few places, and in nobody's way.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use super::inflight::Flight;
use super::owed::Owed;
use super::permits::Permits;
use crate::event::Order;
use crate::provision::{Outcome, Performed, Retry};

/// Orders at work at once, and no more than half of the messages at work: each takes its
/// turns in the same budget as the sign-ups, which must not wait behind a thousand of them.
const ORDERS: usize = 16;
/// Orders that wait here for that. More are given back to the queue.
const WAITING: usize = 256;
/// An order that is given back comes again no sooner than that.
const SOONEST: Duration = Duration::from_secs(10);
/// The time between one that is given back and the next, as they come again: at the
/// default rate the budget lets one order through in that time.
const SPACING: Duration = Duration::from_millis(50);
/// The longest delay of a message.
///
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html>
const LATEST: Duration = Duration::from_mins(15);

/// The places of orders.
#[derive(Debug)]
pub(super) struct Orders {
    work: Semaphore,
    wait: Semaphore,
    /// When the last one that was given back comes again.
    last: Mutex<Option<Instant>>,
    owed: Owed,
}

impl Orders {
    /// For a worker that works on so many messages at once.
    pub(super) fn new(concurrency: usize) -> Self {
        Self {
            work: Semaphore::new(ORDERS.min(concurrency.div_ceil(2))),
            wait: Semaphore::new(WAITING),
            last: Mutex::default(),
            owed: Owed::default(),
        }
    }

    /// How long an order is given back for. They come again one after the other, about when
    /// there is room: all at once would only be given back again.
    fn delay(&self) -> Duration {
        let now = Instant::now();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let next = last.map_or(now, |last| last + SPACING);
        let next = next.clamp(now + SOONEST, now + LATEST);
        *last = Some(next);
        next - now
    }
}

impl Flight {
    /// A place among the orders at work; while it is waited for, the permits are there for
    /// sign-ups.
    ///
    /// # Errors
    /// For how long the order is to be given back: there is no room to wait, or no new work
    /// is begun.
    pub(super) async fn place(
        &self,
        permits: &mut Permits,
    ) -> Result<SemaphorePermit<'_>, Duration> {
        if let Ok(place) = self.orders.work.try_acquire() {
            return Ok(place);
        }
        let Ok(_waiting) = self.orders.wait.try_acquire() else {
            return Err(self.orders.delay());
        };
        permits.give_back();
        tokio::select! {
            place = self.orders.work.acquire() => place.map_err(|_| Duration::ZERO),
            () = self.stop.cancelled() => Err(Duration::ZERO),
        }
    }

    /// The same order twice is done once: an invitation would be sent twice.
    pub(super) async fn perform(&self, order: &Order) -> Performed {
        let memory = self.recent.order(order);
        let turn = memory.turn().await;
        if turn.is_done() {
            return Performed::already();
        }
        let performed = self
            .orders
            .owed
            .remembered(order, self.provisioner.perform_queued(order).await);
        match performed.for_the_queue() {
            Outcome::Done | Outcome::AlreadyDone(_) => {
                turn.done();
                self.pools.works(&order.pool);
                performed
            }
            Outcome::Retry(retry) => performed.ending(&Outcome::Retry(Retry {
                down: None,
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
        let orders = Orders::new(64);
        let delays: Vec<Duration> = (0..30_000).map(|_| orders.delay()).collect();
        assert_eq!(delays[0], SOONEST);
        assert_eq!(delays[1_000], SOONEST + SPACING * 1_000);
        assert_eq!(delays[29_999], LATEST);
        tokio::time::advance(LATEST).await;
        assert_eq!(orders.delay(), SOONEST, "they have all come again");
    }
}
