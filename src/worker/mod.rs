//! The worker: receives messages, provisions users and settles the messages.
//!
//! `intake` receives, `processor` runs attempts, and `aws::VisibilityExtender` hides the message
//! meanwhile. `settle` sends the outcome to SQS through `batch`. `breaker` stops intake
//! while the deployment is broken, and `drain` ends the worker.
//!
//! To *settle* a message is to tell SQS its outcome: delete it, change its visibility, or send
//! a dead letter and delete it. To *release* it is to make it visible on the queue again without
//! counting an attempt. A *held* message stays hidden in this process until its failure ends, or
//! until other messages show whose fault it is. A service *refuses* a call with a permanent
//! error; usher *rejects* a message, which becomes a dead letter.

mod batch;
mod breaker;
mod commands;
mod drain;
mod failed_mails;
mod intake;
mod permits;
mod pools;
mod processor;
mod recent_work;
mod reconciler;
mod report;
mod settle;
mod startup_check;
mod trace;

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::Services;
use crate::aws::{Aws, Queue, VisibilityExtender};
use crate::config::{Config, InvalidConfig};
use crate::dead_letter::{DeadLetterQueue, DeadLetterQueueError, resolve_dead_letter_queue};
use crate::provision::Provisioner;
use crate::retry::{SharedRetry, Transient};
use crate::telemetry::Health;
use breaker::Breaker;
use commands::CommandLimiter;
use drain::Drain;
pub use drain::WorkerReport;
use intake::Intake;
use pools::KnownPools;
use processor::{MessageCounts, Processor};
use recent_work::RecentWork;
use reconciler::Reconciler;
use settle::Settler;
use startup_check::StartupCheck;

/// A worker that has found its dead-letter queue, ready to run.
#[derive(Debug)]
pub struct Worker {
    config: Config,
    queue: Queue,
    dead_letter_queue: Queue,
    provisioner: Provisioner,
    reconciler: Reconciler,
    startup_check: StartupCheck,
    health: Health,
}

/// When [`Worker::run`] stops receiving.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// When its stop token is cancelled.
    Stopped,
    /// When the queue is empty and every message is settled.
    Empty,
}

/// Reaction to a `maxReceiveCount` that lets SQS move a message before usher gives a reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaxReceiveCountCheck {
    /// The worker does not start.
    Enforced,
    /// The worker starts and logs a warning.
    WarnOnly,
}

/// Why a worker cannot start.
#[derive(Debug, thiserror::Error)]
pub enum WorkerStartError {
    /// The configuration lacks a setting.
    #[error(transparent)]
    InvalidConfig(#[from] InvalidConfig),
    /// A rejected message would be lost: there is no queue for its dead letter.
    #[error(transparent)]
    NoDeadLetterQueue(#[from] DeadLetterQueueError),
    /// Calls in the configured Region would not find the queue.
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
    /// SQS could move a message before usher writes the reason.
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
        /// Attempts before usher rejects a message.
        max_attempts: u32,
    },
}

impl Worker {
    /// Creates a worker and finds its dead-letter queue. Transient errors of SQS are
    /// retried without limit.
    ///
    /// # Errors
    /// [`WorkerStartError`].
    pub async fn new(
        services: &Services,
        health: Health,
        redrive_check: MaxReceiveCountCheck,
    ) -> Result<Self, WorkerStartError> {
        let config = &services.config;
        let queue = services.queue()?;
        check_regions(config, queue.url(), services.aws())?;
        let dead_letter_url = config.queue.dead_letter_url.as_deref();
        let resolve = || async {
            let resolved = resolve_dead_letter_queue(&queue, dead_letter_url).await;
            resolved.inspect_err(|error| {
                if error.is_transient() {
                    tracing::warn!(error = %error, "call failed with a transient error, retrying");
                }
            })
        };
        let unlimited = SharedRetry::new(Duration::MAX, &CancellationToken::new());
        let dead_letters = unlimited.call(resolve).await?;
        if let Err(error) =
            check_max_receive_count(&queue, &dead_letters, config.worker.max_attempts)
        {
            if redrive_check == MaxReceiveCountCheck::Enforced {
                return Err(error);
            }
            tracing::warn!(
                error = %error,
                "starting although maxReceiveCount is not above worker.max_attempts (--allow-unreasoned)",
            );
        }
        Ok(Self {
            reconciler: Reconciler::new(config, services.reconcile(queue.clone())?),
            provisioner: services.provisioner(),
            startup_check: StartupCheck::new(services)?,
            config: config.clone(),
            queue,
            dead_letter_queue: dead_letters.queue,
            health,
        })
    }

    /// Receives until `until` applies or `stop` is cancelled, then drains.
    pub async fn run(self, until: Until, stop: CancellationToken) -> WorkerReport {
        let Self {
            config,
            queue,
            dead_letter_queue,
            provisioner,
            reconciler,
            startup_check,
            health,
        } = self;
        let stop = stop.child_token();
        let has_allowed_pools = !config.pools.allowed.is_empty();
        let breaker = Arc::new(Breaker::new(health.clone(), has_allowed_pools));
        let (settler, settler_tasks) = Settler::start(
            &queue,
            dead_letter_queue,
            config.worker.max_attempts,
            has_allowed_pools,
            &breaker,
        );
        let processor = Arc::new(Processor {
            provisioner,
            table: reconciler.table(),
            reconciler,
            recent_work: RecentWork::default(),
            commands: CommandLimiter::new(config.worker.concurrency.get()),
            concurrency: Arc::new(Semaphore::new(config.worker.concurrency.get())),
            pools: KnownPools::new(has_allowed_pools),
            settler,
            extender: VisibilityExtender::start(queue.clone(), Some(health.clone())),
            breaker,
            failures_in_a_row: AtomicU32::new(0),
            stop: stop.clone(),
            abort: CancellationToken::new(),
            counts: MessageCounts::default(),
        });
        let tracker = TaskTracker::new();
        let poll_queue = match until {
            Until::Stopped => queue.clone(),
            Until::Empty => queue.with_wait(Duration::from_secs(1)),
        };
        let mut intake = Intake::new(
            poll_queue,
            config.worker.concurrency.get(),
            Arc::clone(&processor),
            tracker.clone(),
            health.clone(),
        );
        tracing::info!(queue.url = queue.url(), "worker started");
        startup_check.start(health.clone(), stop.clone());
        match until {
            Until::Stopped => intake.run_until_stopped().await,
            Until::Empty => intake.run_until_empty().await,
        }
        stop.cancel();
        health.set_unready("drain", "draining");
        let time_limit = config.worker.drain;
        Drain {
            intake,
            processor: &processor,
            tracker,
            settler_tasks,
            time_limit,
        }
        .run()
        .await
    }
}

/// Checks the Region in the queue's URL: the SDK calls only the configured one.
fn check_regions(config: &Config, url: &str, aws: &Aws) -> Result<(), WorkerStartError> {
    if let Some(region) = aws.other_region_of_queue(url) {
        return Err(WorkerStartError::OtherRegion {
            queue: url.to_owned(),
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

/// SQS moves a message instead of delivering it more than `maxReceiveCount` times. A dead
/// letter may take a second try, so the two numbers must not be equal.
fn check_max_receive_count(
    queue: &Queue,
    dead_letters: &DeadLetterQueue,
    max_attempts: u32,
) -> Result<(), WorkerStartError> {
    match &dead_letters.redrive_policy {
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

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use serde_json::{Value, json};
    use tokio::time::Instant;

    use super::*;
    use crate::aws::cognito::fake::fake_aws;
    use crate::config::Layers;

    /// The start and the wait of each receive from an empty queue, in seconds.
    async fn receives_of_first_minute() -> Vec<(u64, u64)> {
        let receives = Arc::new(Mutex::new(Vec::new()));
        let (log, started) = (Arc::clone(&receives), Instant::now());
        let respond = move |operation: &str, input: &Value| match operation {
            "ReceiveMessage" => {
                let wait = input["WaitTimeSeconds"].as_u64().expect("a number");
                let second = started.elapsed().as_secs();
                log.lock().expect("no panic").push((second, wait));
                (Duration::from_secs(wait), 200, json!({}))
            }
            "GetQueueAttributes" => {
                let attributes = json!({"QueueArn": "arn:aws:sqs:us-east-1:1:dead"});
                (Duration::ZERO, 200, json!({"Attributes": attributes}))
            }
            _ => (Duration::ZERO, 200, json!({})),
        };
        let flags = [
            "queue.url=https://sqs.us-east-1.amazonaws.com/1/queue",
            "queue.dead_letter_url=https://sqs.us-east-1.amazonaws.com/1/dead",
            "profiles.enabled=false",
        ];
        let layers = Layers::defaults().flags(&flags.map(str::to_owned));
        let config = Config::from_layers(&layers).expect("valid");
        let services = Services::new(config, fake_aws(respond).await);
        let health = Health::default();
        let worker = Worker::new(&services, health, MaxReceiveCountCheck::Enforced).await;
        let stop = CancellationToken::new();
        let timer = stop.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_mins(1)).await;
            timer.cancel();
        });
        worker.expect("valid").run(Until::Stopped, stop).await;
        receives.lock().expect("no panic").clone()
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_receives_without_a_pause_from_its_start() {
        assert_eq!(
            receives_of_first_minute().await,
            [(0, 1), (1, 20), (21, 20), (41, 20)]
        );
    }
}
