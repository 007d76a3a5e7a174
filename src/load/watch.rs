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
    pub(super) settle: Duration,
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
            let looked = async {
                ticks.tick().await;
                tokio::join!(quickly(|| self.queue.facts()), workers.ask())
            };
            let (facts, ()) = tokio::select! {
                looked = looked => looked,
                () = self.stop.cancelled() => break Settled::Stopped,
            };
            let depth = facts.ok().map(|facts| facts.depth);
            let before = timeline.last().map_or(0, |moment| moment.finished);
            let moment = self.moment(board, depth, has_records, before, workers);
            notice(&moment);
            timeline.push(moment);
            progress.note(&moment, depth);
            if !self.all_sent.is_cancelled() {
                continue;
            }
            // Whether or not every record was seen: nothing comes any more.
            if progress.empty_for() >= self.settle {
                break Settled::Quiet;
            }
            if progress.at.elapsed() >= self.patience {
                break match depth.map(Depth::total) {
                    Some(0) => Settled::Quiet,
                    Some(messages) => Settled::Left(messages),
                    None => Settled::Unknown,
                };
            }
        };
        Watched { timeline, settled }
    }

    /// Without records, messages that are not on the queue any more count as
    /// finished sign-ups, as far as there are so many.
    fn moment(
        &self,
        board: &Board,
        depth: Option<Depth>,
        has_records: bool,
        before: u64,
        workers: &Workers,
    ) -> Moment {
        let now = self.begun.elapsed();
        let injected = self.sent.messages();
        let finished = match depth {
            _ if has_records => board.finished.load(Ordering::Relaxed),
            Some(depth) => {
                let gone = injected.saturating_sub(depth.total());
                gone.min(u64::from(self.plan.sign_ups))
            }
            None => before,
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
    sent: (u64, u64),
    /// The least that was on the queue since then: messages of others come and go.
    least: u64,
    /// Since when the queue is empty.
    empty: Option<Instant>,
}

impl Progress {
    fn new() -> Self {
        Self {
            at: Instant::now(),
            sent: (0, 0),
            least: u64::MAX,
            empty: None,
        }
    }

    fn note(&mut self, moment: &Moment, depth: Option<Depth>) {
        let sent = (moment.injected, moment.finished);
        let waiting = depth.map_or(u64::MAX, Depth::total);
        if self.sent != sent {
            (self.sent, self.least, self.at) = (sent, waiting, Instant::now());
        } else if waiting < self.least {
            (self.least, self.at) = (waiting, Instant::now());
        }
        self.empty = depth
            .filter(|depth| depth.is_empty())
            .map(|_| self.empty.unwrap_or_else(Instant::now));
    }

    fn empty_for(&self) -> Duration {
        self.empty.map_or(Duration::ZERO, |since| since.elapsed())
    }
}
