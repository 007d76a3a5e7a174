//! The embedded account, filled and wired: queue, dead-letter queue, pool,
//! client, table, trigger, and the configuration that leads a worker to them.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::endpoint::Endpoint;
use crate::aws::{Aws, Failure, Pool, Queue, Sandbox};
use crate::config::{self, Config, Invalid, Layers};
use crate::event::{IssuerType, Trace};
use crate::trigger::Trigger;

/// The port that local AWS endpoints usually take.
const PORT: u16 = 4566;
const TABLE: &str = "UserProfile";
/// Above `worker.max_attempts`, so that letters carry usher's reason.
const MAX_RECEIVE_COUNT: u32 = 1000;

/// Everything but the worker.
pub struct Stack {
    /// The services.
    pub endpoint: Endpoint,
    /// Clients of the endpoint.
    pub aws: Aws,
    /// For filling and reading back.
    pub sandbox: Sandbox,
    /// The user's configuration, led to the embedded resources.
    pub config: Config,
    /// The user pool and its client.
    pub pool: Pool,
    /// The source queue.
    pub queue: Queue,
    /// The dead-letter queue.
    pub dead_letters: Queue,
    /// The Lambda's handler.
    pub trigger: Arc<Trigger>,
    serving: JoinHandle<std::io::Result<()>>,
    stop: CancellationToken,
}

/// Why the embedded account could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The port is taken.
    #[error("cannot listen on 127.0.0.1:{0}: {1}; choose another port with --port, or 0 for any")]
    Port(u16, std::io::Error),
    /// The configuration.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The endpoint answered with an error.
    #[error("the embedded endpoint failed: {0}")]
    Endpoint(#[from] Failure),
}

impl Stack {
    /// Sets it all up. Without a `port` the usual one is taken if it is free.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(port: Option<u16>, layers: Layers) -> Result<Self, StartError> {
        let listener = match port {
            Some(port) => Endpoint::listen(port)
                .await
                .map_err(|e| StartError::Port(port, e))?,
            None => match Endpoint::listen(PORT).await {
                Ok(listener) => listener,
                Err(_) => Endpoint::listen(0)
                    .await
                    .map_err(|e| StartError::Port(0, e))?,
            },
        };
        let address = listener.local_addr().map_err(|e| StartError::Port(0, e))?;
        let endpoint = Endpoint::new(address);
        let stop = CancellationToken::new();
        let serving = tokio::spawn(Endpoint::serve(listener, endpoint.router(), stop.clone()));

        let aws = Aws::at_endpoint(endpoint.url()).await;
        let sandbox = Sandbox::new(&aws);
        let (queue_url, dead_letter_url) =
            sandbox.create_queues("usher", MAX_RECEIVE_COUNT).await?;
        let pool = sandbox.create_pool("usher").await?;
        let layers = layers.flags(&[
            format!("queue.url={queue_url}"),
            format!("queue.dead_letter_url={dead_letter_url}"),
            "queue.wait=1s".to_owned(),
            format!("pools.allowed={}", pool.id),
            format!("profiles.table={TABLE}"),
            "http.listen=127.0.0.1:0".to_owned(),
            "http.public_listen=127.0.0.1:0".to_owned(),
            format!("admin.issuer={}", endpoint.issuers().join(",")),
            format!("admin.client_ids={}", pool.client),
            format!("invitations.client_id={}", pool.client),
        ]);
        let config = Config::from_layers(&layers)?;
        let key = config
            .profiles
            .as_ref()
            .map_or("id", |profiles| &profiles.key);
        sandbox.create_table(TABLE, key).await?;

        let settings = config::Trigger::from_layers(&layers);
        let trigger = Arc::new(Trigger::new(Ok(aws.clone()), settings));
        let lambda = Arc::clone(&trigger);
        endpoint.on_trigger(Box::new(move |event| {
            let lambda = Arc::clone(&lambda);
            Box::pin(async move {
                lambda
                    .handle(&event, &Trace::default())
                    .await
                    .response
                    .ok()?
            })
        }));
        let queue = Queue::new(&aws, &queue_url, Duration::ZERO, config.queue.visibility);
        let dead_letters = queue.sibling(&dead_letter_url);
        Ok(Self {
            endpoint,
            aws,
            sandbox,
            config,
            pool,
            queue,
            dead_letters,
            trigger,
            serving,
            stop,
        })
    }

    /// Lets new tokens name this issuer. Older ones stay good.
    ///
    /// # Errors
    /// As any call.
    pub async fn issue(&self, issuer: IssuerType) -> Result<(), Failure> {
        self.sandbox.set_issuer(&self.pool.id, issuer).await
    }

    /// Waits until nothing is left on the queue, at most `limit`; false when
    /// something still is.
    ///
    /// # Errors
    /// As any call.
    pub async fn quiet(&self, limit: Duration) -> Result<bool, Failure> {
        let end = tokio::time::Instant::now() + limit;
        let mut empty = 0;
        while empty < 2 {
            if tokio::time::Instant::now() >= end {
                return Ok(false);
            }
            empty = if self.queue.facts().await?.depth.is_empty() {
                empty + 1
            } else {
                0
            };
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(true)
    }

    /// Ends the endpoint; its state is gone.
    pub async fn stop(self) {
        self.stop.cancel();
        // Idle keep-alive connections of our own clients would hold it up.
        self.serving.abort();
        let _ = self.serving.await;
    }
}
