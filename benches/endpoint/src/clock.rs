//! Sleeps that end on time. Tokio's timers round up to whole milliseconds, so a call of 20 ms
//! would take about 20.6 ms. A waiting thread is accurate to about 60 µs.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

#[derive(Clone)]
pub(crate) struct Clock(Arc<Inner>);

#[derive(Default)]
struct Inner {
    sleepers: Mutex<BinaryHeap<Sleeper>>,
    earlier: Condvar,
}

struct Sleeper {
    until: Instant,
    wake: oneshot::Sender<()>,
}

impl Clock {
    /// Starts the thread that wakes the sleepers.
    pub(crate) fn start() -> Self {
        let clock = Self(Arc::default());
        let waker = clock.clone();
        std::thread::spawn(move || waker.run());
        clock
    }

    pub(crate) async fn sleep(&self, time: Duration) {
        if time.is_zero() {
            return;
        }
        let (wake, woken) = oneshot::channel();
        let until = Instant::now() + time;
        {
            let mut sleepers = self.sleepers();
            let first = sleepers.peek().is_none_or(|first| until < first.until);
            sleepers.push(Sleeper { until, wake });
            if first {
                self.0.earlier.notify_one();
            }
        }
        // The thread lives as long as the process does.
        let _ = woken.await;
    }

    fn run(&self) {
        let mut sleepers = self.sleepers();
        loop {
            let now = Instant::now();
            while sleepers.peek().is_some_and(|first| first.until <= now) {
                if let Some(sleeper) = sleepers.pop() {
                    let _ = sleeper.wake.send(());
                }
            }
            let left = sleepers
                .peek()
                .map_or(Duration::MAX, |first| first.until - now);
            let woken = self.0.earlier.wait_timeout(sleepers, left);
            sleepers = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn sleepers(&self) -> MutexGuard<'_, BinaryHeap<Sleeper>> {
        let sleepers = self.0.sleepers.lock();
        sleepers.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ord for Sleeper {
    /// The earliest is the greatest, since the heap returns the greatest first.
    fn cmp(&self, other: &Self) -> Ordering {
        other.until.cmp(&self.until)
    }
}

impl PartialOrd for Sleeper {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Eq for Sleeper {}

impl PartialEq for Sleeper {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
