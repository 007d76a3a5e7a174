//! Work that takes long. It runs in this process, whether or not a tab shows it, one job at a
//! time: each hides dead letters from the others.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::page::View;
use crate::event::PoolId;

/// Ended jobs whose result is kept.
const MAX_JOBS: usize = 50;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum JobKind {
    Read,
    DryRun,
    Replay,
    Drop,
    Invite,
    Reconcile,
    Check,
}

impl JobKind {
    /// For audit lines.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::DryRun => "dry_run",
            Self::Replay => "replay",
            Self::Drop => "drop",
            Self::Invite => "invite",
            Self::Reconcile => "reconcile",
            Self::Check => "check",
        }
    }
}

/// What a job is about.
#[derive(Debug)]
pub(super) struct JobPlan {
    pub(super) kind: JobKind,
    /// Such as `Drop of 37 dead letters: user_not_found`.
    pub(super) title: String,
    /// The command that does the same.
    pub(super) command: String,
    /// For the link to its view.
    pub(super) view: View,
    /// What it is about, if it is one pool.
    pub(super) pool: Option<PoolId>,
    /// What a dry run or an action is about, as the query of the page that asks before it.
    pub(super) selected: Option<String>,
}

#[derive(Debug)]
pub(super) struct Job {
    pub(super) number: usize,
    pub(super) plan: JobPlan,
    pub(super) started_at: Timestamp,
    pub(super) stop: CancellationToken,
    progress: Mutex<JobProgress>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct JobProgress {
    pub(super) done: u64,
    /// 0 if it is not known.
    pub(super) total: u64,
    /// What it waits for, or the results so far.
    pub(super) message: String,
    pub(super) end: Option<JobEnd>,
}

/// The result of a job.
#[derive(Debug, Clone)]
pub(super) struct JobEnd {
    pub(super) at: Timestamp,
    pub(super) is_success: bool,
    /// In one line.
    pub(super) summary: String,
    /// What else to know.
    pub(super) notes: Vec<String>,
    /// A table of results: the heads of its columns, and its rows.
    pub(super) columns: [&'static str; 3],
    pub(super) rows: Vec<(String, u64, String)>,
    /// The sign-ups that a reconcile would queue, or has queued.
    pub(super) sign_ups: u64,
    /// A file with the result of each invitation.
    pub(super) results: Option<Arc<str>>,
}

impl JobEnd {
    pub(super) fn new(is_success: bool, summary: impl Into<String>) -> Self {
        Self {
            at: Timestamp::now(),
            is_success,
            summary: summary.into(),
            notes: Vec::new(),
            columns: ["Reason", "Number", "Prediction"],
            rows: Vec::new(),
            sign_ups: 0,
            results: None,
        }
    }
}

impl Job {
    /// Its page.
    pub(super) fn path(&self) -> String {
        format!("/console/jobs/{}", self.number)
    }

    pub(super) fn update(&self, change: impl FnOnce(&mut JobProgress)) {
        change(&mut lock(&self.progress));
    }

    pub(super) fn progress(&self) -> JobProgress {
        lock(&self.progress).clone()
    }

    fn has_succeeded(&self) -> bool {
        self.progress().end.is_some_and(|end| end.is_success)
    }

    pub(super) fn is_running(&self) -> bool {
        lock(&self.progress).end.is_none()
    }
}

type Work = Box<dyn FnOnce(Arc<Job>) -> LocalBoxFuture<'static, anyhow::Result<JobEnd>> + Send>;

/// All jobs of this process, the oldest first. [`Self::run`] does their work.
pub(super) struct Jobs {
    all: Mutex<Vec<Arc<Job>>>,
    sender: mpsc::UnboundedSender<(Arc<Job>, Work)>,
    receiver: tokio::sync::Mutex<mpsc::UnboundedReceiver<(Arc<Job>, Work)>>,
    stop: CancellationToken,
}

impl Jobs {
    /// Stops each job once `stop` is cancelled.
    pub(super) fn new(stop: &CancellationToken) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        Self {
            all: Mutex::default(),
            sender,
            receiver: receiver.into(),
            stop: stop.clone(),
        }
    }

    /// Starts `work`, which ends soon after the job's `stop` is cancelled.
    ///
    /// # Errors
    /// The job that is running.
    pub(super) fn start<W>(
        &self,
        plan: JobPlan,
        work: impl FnOnce(Arc<Job>) -> W + Send + 'static,
    ) -> Result<Arc<Job>, Arc<Job>>
    where
        W: Future<Output = anyhow::Result<JobEnd>> + 'static,
    {
        let mut jobs = lock(&self.all);
        if let Some(running) = jobs.iter().find(|job| job.is_running()) {
            return Err(Arc::clone(running));
        }
        let job = Arc::new(Job {
            number: jobs.last().map_or(1, |last| last.number + 1),
            plan,
            started_at: Timestamp::now(),
            stop: self.stop.child_token(),
            progress: Mutex::default(),
        });
        if jobs.len() == MAX_JOBS {
            jobs.remove(0);
        }
        jobs.push(Arc::clone(&job));
        let work: Work = Box::new(|job| work(job).boxed_local());
        // It fails only when the console has ended, and the receiver with it.
        let _ = self.sender.send((Arc::clone(&job), work));
        Ok(job)
    }

    /// Does the work of each job until `stop` is cancelled and the last one has ended.
    /// Its caller polls it: the future of a scan is not `Send`, so it cannot be a task.
    pub(super) async fn run(&self) {
        let mut receiver = self.receiver.lock().await;
        loop {
            let next = tokio::select! {
                biased;
                next = receiver.recv() => next,
                () = self.stop.cancelled() => return,
            };
            let Some((job, work)) = next else { return };
            let work = async { work(Arc::clone(&job)).await };
            let end = match AssertUnwindSafe(work).catch_unwind().await {
                Ok(Ok(end)) => end,
                Ok(Err(error)) => JobEnd::new(false, format!("{error:#}")),
                Err(_) => JobEnd::new(
                    false,
                    "usher failed: see its log. If it has received dead letters, they stay hidden for \
                     some minutes",
                ),
            };
            job.update(|progress| progress.end = Some(end));
        }
    }

    pub(super) fn find(&self, number: usize) -> Option<Arc<Job>> {
        let jobs = lock(&self.all);
        jobs.iter().find(|job| job.number == number).cloned()
    }

    pub(super) fn running(&self) -> Option<Arc<Job>> {
        let jobs = lock(&self.all);
        jobs.iter().find(|job| job.is_running()).cloned()
    }

    /// The latest one that has ended.
    pub(super) fn last(&self, kind: JobKind) -> Option<Arc<Job>> {
        let jobs = lock(&self.all);
        let is_it = |job: &&Arc<Job>| job.plan.kind == kind && !job.is_running();
        jobs.iter().rev().find(is_it).cloned()
    }

    /// Those of a view, the latest first.
    pub(super) fn of(&self, view: View, pool: Option<&PoolId>) -> Vec<Arc<Job>> {
        let jobs = lock(&self.all);
        let is_of = |plan: &JobPlan| plan.view == view && plan.pool.as_ref() == pool;
        let found = jobs.iter().rev().filter(|job| is_of(&job.plan));
        found.cloned().collect()
    }

    /// The dry run of exactly this, if it has succeeded and nothing was done about it since. A
    /// reconcile of other options may have changed the same users.
    pub(super) fn dry_run(&self, selected: &str) -> Option<Arc<Job>> {
        let jobs = lock(&self.all);
        let is_same = |job: &&Arc<Job>| {
            let is_reconcile = job.plan.kind == JobKind::Reconcile;
            is_reconcile || job.plan.selected.as_deref() == Some(selected)
        };
        let latest = jobs.iter().rev().find(is_same)?;
        let is_it = latest.plan.kind == JobKind::DryRun && latest.has_succeeded();
        is_it.then(|| Arc::clone(latest))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> JobPlan {
        JobPlan {
            kind: JobKind::Read,
            title: "A job".to_owned(),
            command: String::new(),
            view: View::Now,
            pool: None,
            selected: None,
        }
    }

    async fn ended(job: &Job) -> JobEnd {
        loop {
            match job.progress().end {
                Some(end) => return end,
                None => tokio::task::yield_now().await,
            }
        }
    }

    #[tokio::test]
    async fn a_job_that_panics_leaves_the_next_one_to_run() {
        let stop = CancellationToken::new();
        let jobs = Jobs::new(&stop);
        let play = async {
            let first = jobs.start(plan(), |_| async { panic!("of a test") });
            let end = ended(&first.expect("no other job")).await;
            assert!(!end.is_success && end.summary.starts_with("usher failed"));
            let second = jobs.start(plan(), |_| async { Ok(JobEnd::new(true, "done")) });
            let end = ended(&second.expect("the first has ended")).await;
            assert_eq!(end.summary, "done");
            stop.cancel();
        };
        tokio::join!(jobs.run(), play);
    }

    #[tokio::test]
    async fn only_the_latest_job_about_the_same_counts_as_its_dry_run() {
        let stop = CancellationToken::new();
        let jobs = Jobs::new(&stop);
        let play = async {
            for (kind, selected, is_success, expected) in [
                (JobKind::DryRun, "a", true, true),
                (JobKind::DryRun, "b", true, true),
                (JobKind::Reconcile, "a", true, false),
                (JobKind::DryRun, "a", false, false),
                (JobKind::DryRun, "a", true, true),
            ] {
                let plan = JobPlan {
                    kind,
                    selected: Some(selected.to_owned()),
                    ..plan()
                };
                let job = jobs.start(
                    plan,
                    move |_| async move { Ok(JobEnd::new(is_success, "")) },
                );
                ended(&job.expect("no other job")).await;
                assert_eq!(jobs.dry_run("a").is_some(), expected, "{kind:?} {selected}");
            }
            stop.cancel();
        };
        tokio::join!(jobs.run(), play);
    }
}
