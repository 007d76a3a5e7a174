//! Orders of administrators among the sign-ups: in few places, and in nobody's way.

use tokio::sync::{Semaphore, SemaphorePermit};

use super::inflight::Flight;
use super::owed::Owed;
use super::permits::Permits;
use crate::event::Order;
use crate::provision::{Outcome, Performed, Retry};

/// Orders at work at once: each takes its turns in the same budget as the sign-ups,
/// which must not wait behind a thousand of them.
const ORDERS: usize = 16;
/// Orders that wait here for that. More wait on the queue, and hold intake up.
const WAITING: usize = 256;

/// The places of orders.
#[derive(Debug)]
pub(super) struct Orders {
    work: Semaphore,
    wait: Semaphore,
    owed: Owed,
}

impl Default for Orders {
    fn default() -> Self {
        Self {
            work: Semaphore::new(ORDERS),
            wait: Semaphore::new(WAITING),
            owed: Owed::default(),
        }
    }
}

impl Flight {
    /// A place among the orders at work; while it is waited for, the permits are there for
    /// sign-ups, as far as there is room to wait. `None` once no new work is begun.
    pub(super) async fn place(&self, permits: &mut Permits) -> Option<SemaphorePermit<'_>> {
        if let Ok(place) = self.orders.work.try_acquire() {
            return Some(place);
        }
        let waiting = self.orders.wait.try_acquire();
        if waiting.is_ok() {
            permits.give_back();
        }
        tokio::select! {
            place = self.orders.work.acquire() => place.ok(),
            () = self.stop.cancelled() => None,
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
            // Sign-ups do not need what only orders call: it is tried again and then put
            // aside with the reason, and nothing else is held up.
            Outcome::Blocked(failure) => {
                performed.ending(&Outcome::Retry(Retry::because(failure.into())))
            }
            Outcome::Retry(retry) => performed.ending(&Outcome::Retry(Retry {
                down: None,
                ..retry
            })),
            _ => performed,
        }
    }
}
