//! The worker: from the queue and back to it.
//!
//! `intake` receives, `inflight` works, `visibility` keeps the message hidden
//! meanwhile, `settle` tells the queue what became of it through `batch`,
//! `breaker` stops it all while the deployment is broken, `drain` is the way
//! out.

mod batch;
mod breaker;
mod commands;
mod drain;
mod intake;
mod pending_mails;
mod permits;
mod pools;
mod processor;
mod recent_users;
mod reconciler;
mod report;
mod settle;
mod trace;
mod visibility;

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::aws::{Aws, Directory, Listing, ProfileTable, Queue};
use crate::config::Config;
use crate::dead_letter::{DeadLetterQueue, DeadLetterQueueError, resolve_dead_letter_queue};
use crate::provision::Provisioner;
use crate::quota::Quota;
use crate::reconcile::ReconcileServices;
use crate::retry::retry_until_permanent;
use crate::telemetry::Health;
use breaker::Breaker;
use commands::CommandLimiter;
use drain::Drain;
use intake::Intake;
use pools::KnownPools;
use processor::{MessageCounts, Processor};
use recent_users::RecentUsers;
use reconciler::Reconciler;
use settle::Settler;
use visibility::ExtenderTask;

/// A worker, ready to run.
#[derive(Debug)]
pub struct Worker {
    config: Config,
    queue: Queue,
    dead_letter_queue: Queue,
    provisioner: Provisioner,
    reconciler: Reconciler,
    health: Health,
}

/// When a worker ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// When it is told to stop.
    Stopped,
    /// When the queue is empty and all is settled.
    Empty,
}

/// What a worker did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkerReport {
    /// Attempts that came to an outcome.
    pub settled: u64,
    /// Messages given back without one.
    pub released: u64,
    /// From the stop to the end.
    pub drained_in: Duration,
}

/// Whether SQS may move messages before usher has written why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedriveCheck {
    /// A worker does not start.
    Enforced,
    /// It starts and warns.
    WarnOnly,
}

/// Why a worker cannot start.
#[derive(Debug, thiserror::Error)]
pub enum WorkerStartError {
    /// A message that cannot be provisioned would have nowhere to go.
    #[error(transparent)]
    NoDeadLetterQueue(#[from] DeadLetterQueueError),
    /// No call would find the queue.
    #[error(
        "{queue} is in {region}, and this worker calls {configured}: set AWS_REGION={region}, or \
         correct queue.url"
    )]
    OtherRegion {
        /// The source queue's URL.
        queue: String,
        /// The Region in it.
        region: String,
        /// The Region that is called.
        configured: String,
    },
    /// SQS would be faster than usher.
    #[error(
        "maxReceiveCount of {queue} is {max_receive_count} and worker.max_attempts {max_attempts}: SQS \
         would move messages to the dead-letter queue before usher has written the reason; raise the \
         first above the second, or start with --allow-unreasoned"
    )]
    MaxReceiveCountTooLow {
        /// The source queue's URL.
        queue: String,
        /// Receives before SQS moves a message.
        max_receive_count: u32,
        /// Attempts before usher does.
        max_attempts: u32,
    },
}

impl Worker {
    /// Wires a worker; finds the dead-letter queue, without which a message
    /// that cannot be provisioned would have nowhere to go.
    ///
    /// # Errors
    /// [`WorkerStartError`].
    pub async fn new(
        config: &Config,
        aws: &Aws,
        quota: Arc<Quota>,
        health: Health,
        unreasoned: RedriveCheck,
    ) -> Result<Self, WorkerStartError> {
        let settings = &config.queue;
        check_regions(config, aws)?;
        let queue = Queue::new(aws, &settings.url, settings.wait, settings.visibility);
        let dead_letter_url = settings.dead_letter_url.as_deref();
        let located =
            retry_until_permanent(|| resolve_dead_letter_queue(&queue, dead_letter_url)).await?;
        if let Err(refusal) = check_redrive(&queue, &located, config.worker.max_attempts) {
            if unreasoned == RedriveCheck::Enforced {
                return Err(refusal);
            }
            tracing::warn!(error = %refusal, "started all the same");
        }
        let directory = Directory::new(aws, Arc::clone(&quota));
        let profiles = config
            .profiles
            .as_ref()
            .map(|profiles| ProfileTable::new(aws, &profiles.table, &profiles.key));
        let services = ReconcileServices {
            listing: Listing::new(aws, quota),
            profiles: profiles.clone(),
            queue: queue.clone(),
        };
        Ok(Self {
            reconciler: Reconciler::new(config, services),
            provisioner: Provisioner::new(config, directory, profiles),
            config: config.clone(),
            queue,
            dead_letter_queue: located.queue,
            health,
        })
    }

    /// Works until `until` says so or `stop` is cancelled, then drains.
    pub async fn run(self, until: Until, stop: CancellationToken) -> WorkerReport {
        let Self {
            config,
            queue,
            dead_letter_queue: dead_letters,
            provisioner,
            reconciler: reconciling,
            health,
        } = self;
        let stop = stop.child_token();
        let pools_named = !config.pools.allowed.is_empty();
        let breaker = Arc::new(Breaker::new(health.clone(), pools_named));
        let (settler, flushing) = Settler::start(
            &queue,
            dead_letters,
            config.worker.max_attempts,
            pools_named,
            &breaker,
        );
        let keeping = ExtenderTask::start(queue.clone(), health.clone());
        let flight = Arc::new(Processor {
            provisioner,
            reconciler: reconciling,
            recent_users: RecentUsers::default(),
            commands: CommandLimiter::new(config.worker.concurrency.get()),
            concurrency: Arc::new(Semaphore::new(config.worker.concurrency.get())),
            pools: KnownPools::new(pools_named),
            table: config.profiles.as_ref().map(|it| it.table.clone()),
            settler,
            extender: keeping.extender(),
            breaker,
            failures_in_a_row: AtomicU32::new(0),
            stop: stop.clone(),
            abort: CancellationToken::new(),
            counts: MessageCounts::default(),
        });
        let tracker = TaskTracker::new();
        let poll = match until {
            Until::Stopped => queue.clone(),
            Until::Empty => queue.with_wait(Duration::from_secs(1)),
        };
        let mut intake = Intake::new(
            poll,
            config.worker.concurrency.get(),
            Arc::clone(&flight),
            tracker.clone(),
            health.clone(),
        );
        tracing::info!(queue.url = queue.url(), "worker started");
        match until {
            Until::Stopped => intake.run_until_stopped().await,
            Until::Empty => intake.run_until_empty().await,
        }
        stop.cancel();
        health.set_unready("drain", "draining");
        let time = config.worker.drain;
        Drain {
            intake,
            processor: &flight,
            tracker,
            settler_tasks: flushing,
            extender: keeping,
            time_limit: time,
        }
        .run()
        .await
    }
}

/// The SDK calls one Region, whatever the queue's URL says.
fn check_regions(config: &Config, aws: &Aws) -> Result<(), WorkerStartError> {
    let url = &config.queue.url;
    if let Some(region) = aws.other_region_of_queue(url) {
        return Err(WorkerStartError::OtherRegion {
            queue: url.clone(),
            region: region.to_owned(),
            configured: aws.region().to_owned(),
        });
    }
    for pool in &config.pools.allowed {
        if let Some(region) = aws.other_region_of_pool(pool) {
            tracing::warn!(
                pool.id = pool.as_str(),
                pool.region = region,
                aws.region = aws.region(),
                "the id of a user pool in pools.allowed names another Region than AWS_REGION: \
                 calls find it only where it is replicated",
            );
        }
    }
    Ok(())
}

/// SQS moves a message instead of handing it out once more than
/// `maxReceiveCount` times. A letter may take a second try, so the numbers must
/// not be equal either.
fn check_redrive(
    queue: &Queue,
    located: &DeadLetterQueue,
    max_attempts: u32,
) -> Result<(), WorkerStartError> {
    match &located.redrive {
        Some(redrive) if redrive.max_receive_count <= max_attempts => {
            Err(WorkerStartError::MaxReceiveCountTooLow {
                queue: queue.url().to_owned(),
                max_receive_count: redrive.max_receive_count,
                max_attempts,
            })
        }
        _ => Ok(()),
    }
}
