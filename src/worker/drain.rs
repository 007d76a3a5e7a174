//! Shuts the worker down within `worker.drain`, in these steps:
//!
//! 1. stop receiving (the stop token is already cancelled);
//! 2. wait for the polls in progress, and release their messages;
//! 3. finish the messages in progress; release those that are prefetched or held by
//!    the breaker;
//! 4. shortly before the deadline, release the messages still in progress: another worker
//!    repeats their attempts;
//! 5. send the deletes and releases that are queued;
//! 6. report.
//!
//! SIGKILL at any point loses nothing either: a message that was not deleted becomes
//! visible again after its visibility timeout.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::intake::Intake;
use super::processor::{MessageCounts, Processor};
use super::settle::SettlerTasks;

/// The counts of a worker that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkerReport {
    /// Messages settled with an outcome, including retries.
    pub settled: u64,
    /// Those that went back to the queue for another attempt.
    pub(crate) retried: u64,
    /// Those that were given up.
    pub(crate) rejected: u64,
    /// Messages released to the queue without one, or blocked by the deployment.
    pub released: u64,
    /// Time from the stop to the end of the drain.
    pub drained_in: Duration,
}

/// Reserved for step 5 even if the work does not end.
const FLUSH_TIME: Duration = Duration::from_secs(1);
/// Upper limit of the time reserved for steps 4 and 5. Each makes one call with retries.
const MAX_RELEASE_TIME: Duration = Duration::from_secs(4);

pub(super) struct Drain<'a> {
    pub(super) intake: Intake,
    pub(super) processor: &'a Processor,
    pub(super) tracker: TaskTracker,
    pub(super) settler_tasks: SettlerTasks,
    pub(super) time_limit: Duration,
}

impl Drain<'_> {
    pub(super) async fn run(self) -> WorkerReport {
        let started = Instant::now();
        let deadline = started + self.time_limit;
        let abort_at = deadline - time_to_release(self.time_limit);

        let mut intake = self.intake;
        let tracker = self.tracker;
        tracker.close();
        let work = async {
            intake.drain_polls().await;
            tracker.wait().await;
        };
        tokio::pin!(work);
        if tokio::time::timeout_at(abort_at, &mut work).await.is_err() {
            self.processor.abort.cancel();
            if tokio::time::timeout_at(deadline - FLUSH_TIME, &mut work)
                .await
                .is_err()
            {
                tracing::warn!(
                    "drain: messages in progress not released in time; they return later"
                );
            }
        }
        if tokio::time::timeout_at(deadline, self.settler_tasks.finish())
            .await
            .is_err()
        {
            tracing::warn!(
                "drain: deletes and releases not sent in time; their messages will be redelivered"
            );
        }
        if tokio::time::timeout_at(deadline, self.processor.extender.stop())
            .await
            .is_err()
        {
            tracing::warn!("drain: visibility extension did not end in time");
        }
        report(&self.processor.counts, started.elapsed())
    }
}

/// How long before its deadline a drain aborts the work and releases messages. The shortest
/// configurable drain is 6 s. With less than 2 s of it, a busy machine would leave messages hidden.
fn time_to_release(drain: Duration) -> Duration {
    (drain / 3).min(MAX_RELEASE_TIME)
}

fn report(counts: &MessageCounts, drained_in: Duration) -> WorkerReport {
    let report = WorkerReport {
        settled: counts.settled.load(Ordering::Relaxed),
        retried: counts.retried.load(Ordering::Relaxed),
        rejected: counts.rejected.load(Ordering::Relaxed),
        released: counts.released.load(Ordering::Relaxed),
        drained_in,
    };
    tracing::info!(
        messages.settled = report.settled,
        messages.released = report.released,
        drain_ms = u64::try_from(drained_in.as_millis()).unwrap_or(u64::MAX),
        "worker stopped",
    );
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shortest_drain_leaves_time_to_release_and_flush() {
        for (drain, release) in [(6, 2), (12, 4), (25, 4), (110, 4)] {
            let time = time_to_release(Duration::from_secs(drain));
            assert_eq!(time, Duration::from_secs(release), "{drain}");
            assert!(time >= 2 * FLUSH_TIME);
        }
    }
}
