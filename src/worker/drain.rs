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

use super::inflight::{Flight, Tally};
use super::intake::Intake;
use super::settle::Flushing;
use super::{Report, visibility};

/// Kept for step 5 even when work does not end.
const FLUSH: Duration = Duration::from_secs(1);
/// Kept for steps 4 and 5 at most: a call and its retries each.
const RELEASE: Duration = Duration::from_secs(4);

pub(super) struct Drain<'a> {
    pub(super) intake: Intake,
    pub(super) flight: &'a Flight,
    pub(super) tracker: TaskTracker,
    pub(super) flushing: Flushing,
    pub(super) keeping: visibility::Keeping,
    pub(super) time: Duration,
}

impl Drain<'_> {
    pub(super) async fn run(self) -> Report {
        let begun = Instant::now();
        let end = begun + self.time;
        let hurry = end - time_to_release(self.time);

        let mut intake = self.intake;
        let tracker = self.tracker;
        tracker.close();
        let work = async {
            intake.come_home().await;
            tracker.wait().await;
        };
        tokio::pin!(work);
        if tokio::time::timeout_at(hurry, &mut work).await.is_err() {
            self.flight.hurry.cancel();
            if tokio::time::timeout_at(end - FLUSH, &mut work)
                .await
                .is_err()
            {
                tracing::warn!("work did not end in time; its messages come back by themselves");
            }
        }
        if tokio::time::timeout_at(end, self.flushing.finish())
            .await
            .is_err()
        {
            tracing::warn!("deletes did not go out in time; their messages come back");
        }
        if tokio::time::timeout_at(end, self.keeping.stop())
            .await
            .is_err()
        {
            tracing::warn!("an extension did not end in time");
        }
        report(&self.flight.tally, begun.elapsed())
    }
}

/// How long before its end a drain stops working and releases. The shortest drain that may be
/// configured has 6 s; with less than two of them, a busy machine would leave messages hidden.
fn time_to_release(drain: Duration) -> Duration {
    (drain / 3).min(RELEASE)
}

fn report(tally: &Tally, drained_in: Duration) -> Report {
    let report = Report {
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
            assert!(time >= 2 * FLUSH);
        }
    }
}
