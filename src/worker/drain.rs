//! The way out, in this order and within `worker.drain`:
//!
//! 1. ask for nothing more (the stop token has seen to it);
//! 2. let the polls that are out come home, and release what they bring;
//! 3. finish what is in work; what was received and has not started, and what
//!    the breaker holds, is released;
//! 4. short before the end, release what is still in work: every effect may be
//!    repeated, so nothing is lost by that;
//! 5. send the deletes and releases that are waiting;
//! 6. report.
//!
//! SIGKILL at any point loses nothing either: what was not deleted becomes
//! visible again after its visibility timeout.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::intake::Intake;
use super::processor::{MessageCounts, Processor};
use super::settle::SettlerTasks;
use super::{WorkerReport, visibility};

/// Kept for step 5 even when work does not end.
const FLUSH_TIME: Duration = Duration::from_secs(1);
/// Kept for steps 4 and 5 at most: a call and its retries each.
const MAX_RELEASE_TIME: Duration = Duration::from_secs(4);

pub(super) struct Drain<'a> {
    pub(super) intake: Intake,
    pub(super) processor: &'a Processor,
    pub(super) tracker: TaskTracker,
    pub(super) settler_tasks: SettlerTasks,
    pub(super) extender: visibility::ExtenderTask,
    pub(super) time_limit: Duration,
}

impl Drain<'_> {
    pub(super) async fn run(self) -> WorkerReport {
        let begun = Instant::now();
        let end = begun + self.time_limit;
        let hurry = end - time_to_release(self.time_limit);

        let mut intake = self.intake;
        let tracker = self.tracker;
        tracker.close();
        let work = async {
            intake.drain_polls().await;
            tracker.wait().await;
        };
        tokio::pin!(work);
        if tokio::time::timeout_at(hurry, &mut work).await.is_err() {
            self.processor.abort.cancel();
            if tokio::time::timeout_at(end - FLUSH_TIME, &mut work)
                .await
                .is_err()
            {
                tracing::warn!("work did not end in time; its messages come back by themselves");
            }
        }
        if tokio::time::timeout_at(end, self.settler_tasks.finish())
            .await
            .is_err()
        {
            tracing::warn!("deletes did not go out in time; their messages come back");
        }
        if tokio::time::timeout_at(end, self.extender.stop())
            .await
            .is_err()
        {
            tracing::warn!("an extension did not end in time");
        }
        report(&self.processor.counts, begun.elapsed())
    }
}

/// How long before its end a drain stops working and releases. The shortest drain that may be
/// configured has 6 s; with less than two of them, a busy machine would leave messages hidden.
fn time_to_release(drain: Duration) -> Duration {
    (drain / 3).min(MAX_RELEASE_TIME)
}

fn report(tally: &MessageCounts, drained_in: Duration) -> WorkerReport {
    let report = WorkerReport {
        settled: tally.settled.load(Ordering::Relaxed),
        released: tally.released.load(Ordering::Relaxed),
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
    fn even_the_shortest_drain_has_a_second_to_release_and_one_to_flush() {
        for (drain, release) in [(6, 2), (12, 4), (25, 4), (110, 4)] {
            let time = time_to_release(Duration::from_secs(drain));
            assert_eq!(time, Duration::from_secs(release), "{drain}");
            assert!(time >= 2 * FLUSH_TIME);
        }
    }
}
