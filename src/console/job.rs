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

/// Ended jobs whose result is kept.
const MAX_JOBS: usize = 50;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum JobKind {
    Read,
    DryRun,
    Replay,
    Drop,
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
    /// The dead letters that it is about.
    pub(super) selected: Option<Selected>,
}

/// The dead letters of a snapshot that match a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Selected {
    /// The number of the snapshot.
    pub(super) snapshot: u64,
    /// The filter, as the query of a URL.
    pub(super) query: String,
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
    /// Reason, number and result, where a job has results by reason.
    pub(super) rows: Vec<(String, u64, String)>,
}

impl JobEnd {
    pub(super) fn new(is_success: bool, summary: impl Into<String>) -> Self {
        Self {
            at: Timestamp::now(),
            is_success,
            summary: summary.into(),
            notes: Vec::new(),
            rows: Vec::new(),
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
        // The receiver is dropped with the console.
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
            let work = AssertUnwindSafe(work(Arc::clone(&job))).catch_unwind();
            let end = match work.await {
                Ok(Ok(end)) => end,
                Ok(Err(error)) => JobEnd::new(false, format!("{error:#}")),
                Err(_) => JobEnd::new(
                    false,
                    "usher failed: its log says where. Dead letters that it has received stay hidden for some \
                     minutes; read the queue again then",
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

    /// The latest dry run of all these dead letters.
    pub(super) fn dry_run(&self, selected: &Selected) -> Option<Arc<Job>> {
        let jobs = lock(&self.all);
        let is_it = |job: &&Arc<Job>| {
            let plan = &job.plan;
            let is_same = plan.selected.as_ref() == Some(selected);
            plan.kind == JobKind::DryRun && is_same && job.has_succeeded()
        };
        jobs.iter().rev().find(is_it).cloned()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
