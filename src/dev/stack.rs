//! The embedded account with its resources: queue, dead-letter queue, pool,
//! client, table, trigger, and the configuration that points a worker to them.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::endpoint::EmbeddedEndpoint;
use crate::app::{Services, trigger_handler};
use crate::aws::{Aws, Failure, Queue, Sandbox, SandboxPool};
use crate::config::{self, Config, EffectiveSetting, InvalidConfig, Layers};
use crate::event::{IssuerType, Trace};
use crate::trigger::TriggerHandler;

/// The port that local AWS endpoints usually take.
pub(crate) const DEFAULT_PORT: u16 = 4566;
/// The group of the examples in the guide.
const EXAMPLE_GROUP: &str = "STAFF";
/// The name of the trigger in the settings of the pool. The endpoint calls this process.
const TRIGGER_FUNCTION: &str = "arn:aws:lambda:us-east-1:123456789012:function:usher-trigger";
/// Above `worker.max_attempts`, so that dead letters carry usher's reason.
const MAX_RECEIVE_COUNT: u32 = 1000;

/// The embedded account: a whole deployment except the worker.
pub struct Stack {
    /// The embedded services behind the port.
    pub endpoint: EmbeddedEndpoint,
    /// The clients that call the endpoint. The configuration is the user's, changed to use the
    /// embedded resources.
    pub services: Services,
    /// Its settings, with their sources.
    pub(crate) settings: Vec<EffectiveSetting>,
    /// Creates users and resources, and reads them back.
    pub sandbox: Sandbox,
    /// The user pool and its client.
    pub pool: SandboxPool,
    /// The queue that the worker reads.
    pub queue: Queue,
    /// The dead-letter queue of `queue`.
    pub dead_letters: Queue,
    /// The handler that the Lambda runs.
    pub trigger: Arc<TriggerHandler>,
    server: JoinHandle<std::io::Result<()>>,
    stop: CancellationToken,
}

/// Why the embedded account could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The endpoint cannot listen on this port.
    #[error("cannot listen on 127.0.0.1:{0}: {1}; choose another port with --port, or 0 for any")]
    Port(u16, std::io::Error),
    /// The configuration has invalid settings.
    #[error(transparent)]
    Invalid(#[from] InvalidConfig),
    /// The endpoint answered with an error.
    #[error("the embedded endpoint failed: {0}")]
    Endpoint(#[from] Failure),
}

impl Stack {
    pub(crate) const PROFILE_TABLE: &str = "UserProfile";
    pub(crate) const REQUEST_TABLE: &str = "UsherRequests";

    /// Sets up the endpoint and all resources. Without a `port`, it uses 4566 if that is
    /// free, or else any free port.
    ///
    /// # Errors
    /// When the port, the configuration or the endpoint fails.
    pub async fn start(port: Option<u16>, layers: Layers) -> Result<Self, StartError> {
        let listener = match port {
            Some(port) => EmbeddedEndpoint::listen(port)
                .await
                .map_err(|e| StartError::Port(port, e))?,
            None => match EmbeddedEndpoint::listen(DEFAULT_PORT).await {
                Ok(listener) => listener,
                Err(_) => EmbeddedEndpoint::listen(0)
                    .await
                    .map_err(|e| StartError::Port(0, e))?,
            },
        };
        let address = listener.local_addr().map_err(|e| StartError::Port(0, e))?;
        let endpoint = EmbeddedEndpoint::new(address);
        let stop = CancellationToken::new();
        let server = tokio::spawn(EmbeddedEndpoint::serve(
            listener,
            endpoint.router(),
            stop.clone(),
        ));

        let aws = Aws::at_endpoint(endpoint.url()).await;
        let sandbox = Sandbox::new(&aws);
        let (queue_url, dead_letter_url) =
            sandbox.create_queues("usher", MAX_RECEIVE_COUNT).await?;
        let pool = sandbox.create_pool("usher").await?;
        sandbox.create_group(&pool.id, EXAMPLE_GROUP).await?;
        let layers = layers.flags(&[
            format!("queue.url={queue_url}"),
            format!("queue.dead_letter_url={dead_letter_url}"),
            "queue.wait=1s".to_owned(),
            format!("pools.allowed={}", pool.id),
            format!("profiles.table={}", Self::PROFILE_TABLE),
            format!("admin.issuer={}", endpoint.issuer_templates().join(",")),
            format!("admin.client_ids={}", pool.client),
            format!("admin.requests_table={}", Self::REQUEST_TABLE),
            format!("invitations.client_id={}", pool.client),
            format!("console.client_id={}", pool.client),
        ]);
        let services = Services::new(Config::from_layers(&layers)?, aws.clone());
        let profiles = services.config.profiles.as_ref();
        let key = profiles.map_or("id", |profiles| &profiles.key);
        sandbox.create_table(Self::PROFILE_TABLE, key).await?;
        sandbox.create_request_table(Self::REQUEST_TABLE).await?;

        let settings = config::TriggerConfig::from_layers(&layers);
        let trigger = Arc::new(trigger_handler(Ok(aws), settings));
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
        let queue = services.queue_with_wait(Duration::ZERO)?;
        let dead_letters = queue.with_url(&dead_letter_url);
        Ok(Self {
            endpoint,
            services,
            settings: layers.effective(),
            sandbox,
            pool,
            queue,
            dead_letters,
            trigger,
            server,
            stop,
        })
    }

    /// Lets new tokens name this issuer, and names the trigger in the settings of the pool. Older
    /// tokens stay valid.
    ///
    /// # Errors
    /// When the call fails.
    pub async fn set_issuer(&self, issuer: IssuerType) -> Result<(), Failure> {
        self.sandbox
            .set_issuer_and_trigger(&self.pool.id, issuer, Some(TRIGGER_FUNCTION))
            .await
    }

    /// Waits until the queue is empty, at most `limit`. Returns false when
    /// messages are left.
    ///
    /// # Errors
    /// When a call fails.
    pub(crate) async fn wait_until_empty(&self, limit: Duration) -> Result<bool, Failure> {
        let end = tokio::time::Instant::now() + limit;
        let mut empty = 0;
        while empty < 2 {
            if tokio::time::Instant::now() >= end {
                return Ok(false);
            }
            empty = if self.queue.attributes().await?.depth.is_empty() {
                empty + 1
            } else {
                0
            };
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(true)
    }

    /// Stops the endpoint and drops its state.
    pub async fn stop(self) {
        self.stop.cancel();
        // Idle keep-alive connections of our own clients would delay the shutdown.
        self.server.abort();
        let _ = self.server.await;
    }
}
