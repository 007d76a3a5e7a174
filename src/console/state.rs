//! What all pages share.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::access::Access;
use super::action_slots::ActionSlots;
use super::job::Jobs;
use super::now::NowReader;
use super::snapshot::Snapshot;
use crate::app::Services;
use crate::config::EffectiveSetting;
use crate::dead_letter::AuditLog;
use crate::http::Url;
use crate::status::Report;

/// The state of one console.
pub(crate) struct Console {
    pub(super) services: Services,
    /// The effective configuration.
    pub(super) settings: Vec<EffectiveSetting>,
    pub(super) access: Access,
    /// The ARN of the credentials at the start, for the pages.
    pub(super) caller: String,
    pub(super) now: NowReader,
    pub(super) jobs: Jobs,
    /// Actions on users that run.
    pub(super) tasks: TaskTracker,
    pub(super) stop: CancellationToken,
    snapshot: Mutex<Option<Arc<Snapshot>>>,
    /// Of the last check.
    report: Mutex<Option<Arc<Report>>>,
    /// Offered and done, on users.
    pub(super) actions: ActionSlots,
    /// One search of a profile under other ids at a time: it reads the whole table.
    pub(super) profile_search: Semaphore,
}

impl Console {
    /// For a server at `address`, which must be on loopback. Jobs stop when `stop` is cancelled.
    ///
    /// # Errors
    /// Without `queue.url`, or when the system has no random numbers.
    pub(crate) async fn new(
        services: Services,
        settings: Vec<EffectiveSetting>,
        workers: &[Url],
        address: SocketAddr,
        stop: &CancellationToken,
    ) -> anyhow::Result<Arc<Self>> {
        let console = Self {
            access: Access::new(address)?,
            caller: services.aws().caller_name().await,
            now: NowReader::new(&services, workers)?,
            jobs: Jobs::new(stop),
            tasks: TaskTracker::new(),
            stop: stop.clone(),
            snapshot: Mutex::default(),
            report: Mutex::default(),
            settings,
            actions: ActionSlots::default(),
            profile_search: Semaphore::new(1),
            services,
        };
        Ok(Arc::new(console))
    }

    /// The link that signs one browser in.
    pub(crate) fn link(&self) -> String {
        self.access.link()
    }

    /// Reads the state for the pages and does the work of jobs until `stop` is cancelled. A job in
    /// progress then ends first, so that it leaves no dead letter hidden; so does an action.
    pub(crate) async fn run(&self, stop: &CancellationToken) {
        tokio::join!(self.now.run(stop), self.jobs.run());
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Audit lines name the caller of now: credentials change while a console runs.
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
