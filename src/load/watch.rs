//! Watches what becomes of the sign-ups: when each profile record is there, how deep
//! the queue is, and when there is nothing left to wait for.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::inject::Sent;
use super::looks::Looks;
use super::plan::Plan;
use super::report::Moment;
use super::scrape::Workers;
use crate::aws::{Depth, Queue};
use crate::retry::quickly;

/// How things stood is noted this often.
const MOMENT: Duration = Duration::from_secs(1);
/// SQS's counts may be this old: with an empty queue for so long, nothing comes any
/// more.
///
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_GetQueueAttributes.html>
pub(super) const LAG: Duration = Duration::from_secs(65);

/// What the two watchers share.
#[derive(Debug, Default)]
pub(super) struct Board {
    pub(super) finished: AtomicU64,
    /// When the oldest unfinished sign-up was due, in microseconds; `u64::MAX`
    /// without one.
    pub(super) oldest: AtomicU64,
}

/// Why the watch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// Everything has its record, or will never have one, and the queue is empty.
    Quiet,
    /// Nothing has moved for as long as the patience lasts, and about so many
    /// messages are on the queue.
    Left(u64),
    /// Nothing has moved for as long, and the queue does not say how much is on it.
    Unknown,
    /// It was told to stop.
    Stopped,
}

/// Watches a run.
#[derive(Debug)]
pub(super) struct Watch<'a> {
    pub(super) queue: &'a Queue,
    pub(super) plan: &'a Plan,
    pub(super) begun: Instant,
    pub(super) sent: &'a Sent,
    /// Cancelled once everything is sent.
    pub(super) all_sent: &'a CancellationToken,
    pub(super) patience: Duration,
    pub(super) stop: &'a CancellationToken,
}

/// What was seen on the way.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) timeline: Vec<Moment>,
    pub(super) settled: Settled,
}

impl Watch<'_> {
    /// Watches until all is settled. `looks` is absent where no records are
    /// written; the queue alone tells then what is finished.
    pub(super) async fn run(
        &self,
        looks: Option<&mut Looks<'_>>,
        workers: &mut Workers,
        notice: impl Fn(&Moment),
    ) -> Watched {
        let board = Board::default();
        board.oldest.store(u64::MAX, Ordering::Relaxed);
        let through = CancellationToken::new();
        let has_records = looks.is_some();
        let looking = async {
            if let Some(looks) = looks {
                looks.run(self.begun, &board, &through).await;
            }
        };
        let sampling = async {
            let watched = self.sample(&board, has_records, workers, notice).await;
            through.cancel();
            watched
        };
        let (watched, ()) = tokio::join!(sampling, looking);
        watched
    }

    async fn sample(
        &self,
        board: &Board,
        has_records: bool,
        workers: &mut Workers,
        notice: impl Fn(&Moment),
    ) -> Watched {
        let mut timeline: Vec<Moment> = Vec::new();
        let mut progress = Progress::new();
        let mut ticks = tokio::time::interval_at(self.begun, MOMENT);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let settled = loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.stop.cancelled() => break Settled::Stopped,
            }
            let (depth, ()) = tokio::join!(quickly(|| self.queue.facts()), workers.ask());
            let depth = depth.ok().map(|facts| facts.depth);
            let moment = self.moment(board, depth, has_records, workers);
            notice(&moment);
            timeline.push(moment);
            progress.note(&moment, depth);
            let all_sent = self.all_sent.is_cancelled();
            let all_seen = !has_records || moment.finished >= u64::from(self.plan.sign_ups);
            if all_sent && progress.empty >= 2 && (all_seen || progress.empty_for() >= LAG) {
                break Settled::Quiet;
            }
            if all_sent && progress.at.elapsed() >= self.patience {
                break match depth.map(Depth::total) {
                    Some(0) => Settled::Quiet,
                    Some(messages) => Settled::Left(messages),
                    None => Settled::Unknown,
                };
            }
        };
        Watched { timeline, settled }
    }

    fn moment(
        &self,
        board: &Board,
        depth: Option<Depth>,
        has_records: bool,
        workers: &Workers,
    ) -> Moment {
        let now = self.begun.elapsed();
        let injected = self.sent.messages();
        let finished = if has_records {
            board.finished.load(Ordering::Relaxed)
        } else {
            injected.saturating_sub(depth.map_or(injected, Depth::total))
        };
        let oldest = Duration::from_micros(board.oldest.load(Ordering::Relaxed));
        Moment {
            second: now.as_secs_f64(),
            planned: self.plan.shots.partition_point(|shot| shot.at <= now) as u64,
            injected,
            finished,
            visible: depth.map(|depth| depth.visible),
            hidden: depth.map(|depth| depth.hidden),
            delayed: depth.map(|depth| depth.delayed),
            oldest_seconds: now.saturating_sub(oldest).as_secs_f64(),
            throttled: workers.throttled(),
        }
    }
}

/// Whether anything still moves.
struct Progress {
    at: Instant,
    last: Option<(u64, u64, Option<Depth>)>,
    /// Looks in a row at an empty queue, and since when.
    empty: u32,
    since: Option<Instant>,
}

impl Progress {
    fn new() -> Self {
        Self {
            at: Instant::now(),
            last: None,
            empty: 0,
            since: None,
        }
    }

    fn note(&mut self, moment: &Moment, depth: Option<Depth>) {
        let now = (moment.injected, moment.finished, depth);
        if self.last != Some(now) {
            self.last = Some(now);
            self.at = Instant::now();
        }
        if depth.is_some_and(Depth::is_empty) {
            self.empty += 1;
            self.since.get_or_insert_with(Instant::now);
        } else {
            self.empty = 0;
            self.since = None;
        }
    }

    fn empty_for(&self) -> Duration {
        self.since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}
