//! The worker: from the queue and back to it.
//!
//! `intake` receives, `inflight` works, `visibility` keeps the message hidden
//! meanwhile, `settle` tells the queue what became of it through `batch`,
//! `breaker` stops it all while the deployment is broken, `drain` is the way
//! out.

mod batch;
mod breaker;
mod drain;
mod inflight;
mod intake;
mod recent;
mod report;
mod settle;
mod visibility;

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::aws::{Aws, Directory, Failure, Profiles, Queue};
use crate::config::Config;
use crate::provision::Provisioner;
use crate::quota::Quota;
use crate::retry::patiently;
use crate::telemetry::Health;
use breaker::Breaker;
use drain::Drain;
use inflight::{Flight, KnownPools, Tally};
use intake::Intake;
use recent::Recent;
use settle::Settler;
use visibility::Keeping;

/// A worker, ready to run.
#[derive(Debug)]
pub struct Worker {
    config: Config,
    queue: Queue,
    dead_letters: Queue,
    provisioner: Provisioner,
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
pub struct Report {
    /// Attempts that came to an outcome.
    pub settled: u64,
    /// Messages given back without one.
    pub released: u64,
    /// From the stop to the end.
    pub drained_in: Duration,
}

/// Why a worker cannot start.
#[derive(Debug, thiserror::Error)]
pub enum CannotStart {
    /// The queue cannot be asked for its dead-letter queue.
    #[error(
        "the dead-letter queue of {queue} cannot be found: {failure}; set queue.dead_letter_url to start without asking"
    )]
    Unknown {
        /// The source queue's URL.
        queue: String,
        /// What came instead of an answer.
        failure: Failure,
    },
    /// Letters would be received as messages, for ever.
    #[error("{queue} is its own dead-letter queue: set queue.dead_letter_url to another queue")]
    OwnDeadLetterQueue {
        /// The source queue's URL.
        queue: String,
    },
    /// There is none.
    #[error(
        "{queue} has no RedrivePolicy: give it a dead-letter queue, or name one in queue.dead_letter_url"
    )]
    NoDeadLetterQueue {
        /// The source queue's URL.
        queue: String,
    },
}

impl Worker {
    /// Wires a worker; finds the dead-letter queue, without which a message
    /// that cannot be provisioned would have nowhere to go.
    ///
    /// # Errors
    /// [`CannotStart`].
    pub async fn new(
        config: &Config,
        aws: &Aws,
        quota: Arc<Quota>,
        health: Health,
    ) -> Result<Self, CannotStart> {
        let settings = &config.queue;
        let queue = Queue::new(aws, &settings.url, settings.wait, settings.visibility);
        let dead_letters = match &settings.dead_letter_url {
            Some(url) => queue.sibling(url),
            None => dead_letter_queue(&queue, config.worker.max_attempts).await?,
        };
        if dead_letters.url() == queue.url() {
            return Err(CannotStart::OwnDeadLetterQueue {
                queue: queue.url().to_owned(),
            });
        }
        let directory = Directory::new(aws, quota);
        let profiles = config
            .profiles
            .as_ref()
            .map(|profiles| Profiles::new(aws, &profiles.table, &profiles.key));
        Ok(Self {
            provisioner: Provisioner::new(config, directory, profiles),
            config: config.clone(),
            queue,
            dead_letters,
            health,
        })
    }

    /// Works until `until` says so or `stop` is cancelled, then drains.
    pub async fn run(self, until: Until, stop: CancellationToken) -> Report {
        let Self {
            config,
            queue,
            dead_letters,
            provisioner,
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
        let keeping = Keeping::start(queue.clone(), health.clone());
        let flight = Arc::new(Flight {
            provisioner,
            recent: Recent::default(),
            pools: KnownPools::new(pools_named),
            settler,
            keeper: keeping.keeper(),
            breaker,
            streak: AtomicU32::new(0),
            stop: stop.clone(),
            hurry: CancellationToken::new(),
            tally: Tally::default(),
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
            Until::Stopped => intake.until_stopped().await,
            Until::Empty => intake.until_empty().await,
        }
        stop.cancel();
        health.obstacle("drain", "draining");
        let time = config.worker.drain;
        Drain {
            intake,
            flight: &flight,
            tracker,
            flushing,
            keeping,
            time,
        }
        .run()
        .await
    }
}

async fn dead_letter_queue(queue: &Queue, max_attempts: u32) -> Result<Queue, CannotStart> {
    let unknown = |failure| CannotStart::Unknown {
        queue: queue.url().to_owned(),
        failure,
    };
    let facts = patiently(|| queue.facts()).await.map_err(unknown)?;
    if let Some(redrive) = &facts.redrive
        && redrive.max_receive_count <= max_attempts
    {
        tracing::warn!(
            queue.max_receive_count = redrive.max_receive_count,
            worker.max_attempts = max_attempts,
            "SQS will move messages to the dead-letter queue before usher writes its reason",
        );
    }
    let redrive = facts
        .redrive
        .ok_or_else(|| CannotStart::NoDeadLetterQueue {
            queue: queue.url().to_owned(),
        })?;
    let url = patiently(|| queue.url_of(&redrive.target_arn))
        .await
        .map_err(unknown)?;
    Ok(queue.sibling(&url))
}
