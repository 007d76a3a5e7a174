//! What all pages share.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::action_slots::ActionSlots;
use super::job::Jobs;
use super::now::NowReader;
use super::snapshot::Snapshot;
use crate::app::Services;
use crate::config::{EffectiveSetting, InvalidConfig};
use crate::dead_letter::AuditLog;
use crate::http::Url;
use crate::status::Report;

/// The state of one console.
pub(crate) struct Console {
    pub(super) services: Services,
    /// The effective configuration, for operators.
    pub(super) settings: Vec<EffectiveSetting>,
    pub(super) now: NowReader,
    pub(super) jobs: Jobs,
    /// Running actions on users.
    pub(super) tasks: TaskTracker,
    pub(super) stop: CancellationToken,
    snapshot: Mutex<Option<Arc<Snapshot>>>,
    /// The findings of the last check.
    report: Mutex<Option<Arc<Report>>>,
    /// Offers and results of actions on users.
    pub(super) actions: ActionSlots,
    /// One search of a profile under other ids at a time: it reads the whole table.
    pub(super) profile_search: Semaphore,
}

impl Console {
    /// For an operator, who sees figures of these workers. Jobs stop when `stop` is cancelled.
    ///
    /// # Errors
    /// Without `queue.url`.
    pub(crate) fn new(
        services: Services,
        settings: Vec<EffectiveSetting>,
        workers: &[Url],
        stop: &CancellationToken,
    ) -> Result<Arc<Self>, InvalidConfig> {
        let now = NowReader::new(&services, workers)?;
        Ok(Self::with(services, settings, now, stop))
    }

    /// For the administrators whom a worker serves. It reads the state only while someone looks.
    ///
    /// # Errors
    /// Without `queue.url`.
    pub(crate) fn in_worker(
        services: Services,
        stop: &CancellationToken,
    ) -> Result<Arc<Self>, InvalidConfig> {
        let now = NowReader::new(&services, &[])?.on_demand();
        Ok(Self::with(services, Vec::new(), now, stop))
    }

    fn with(
        services: Services,
        settings: Vec<EffectiveSetting>,
        now: NowReader,
        stop: &CancellationToken,
    ) -> Arc<Self> {
        Arc::new(Self {
            now,
            jobs: Jobs::new(stop),
            tasks: TaskTracker::new(),
            stop: stop.clone(),
            snapshot: Mutex::default(),
            report: Mutex::default(),
            settings,
            actions: ActionSlots::default(),
            profile_search: Semaphore::new(1),
            services,
        })
    }

    /// Reads the state for the pages and does the work of jobs until `stop` is cancelled. A job in
    /// progress then ends first, so that it leaves no dead letter hidden; so does an action.
    pub(crate) async fn run(&self, stop: &CancellationToken) {
        tokio::join!(self.now.run(stop), self.jobs.run());
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// For the actions of an operator. The lines name the caller of now: credentials change while
    /// a console runs.
    pub(super) async fn audit(&self, action: &'static str) -> AuditLog {
        AuditLog::new(self.services.aws().caller_name().await, action)
    }

    pub(super) fn snapshot(&self) -> Option<Arc<Snapshot>> {
        let snapshot = self.snapshot.lock();
        snapshot.unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn replace_snapshot(&self, snapshot: Snapshot) {
        let mut current = self.snapshot.lock().unwrap_or_else(PoisonError::into_inner);
        *current = Some(Arc::new(snapshot));
    }

    pub(super) fn report(&self) -> Option<Arc<Report>> {
        let report = self.report.lock();
        report.unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn replace_report(&self, report: Report) {
        let mut current = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        *current = Some(Arc::new(report));
    }
}
