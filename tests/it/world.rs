//! The environment of one test, and the assertions on its final state.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use axum::middleware::{from_fn, from_fn_with_state};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use usher::app::Services;
use usher::aws::{Aws, Outgoing, PoolOptions, Queue, Received, Sandbox, SandboxPool};
use usher::config::{Config, Layers};
use usher::dev::{EmbeddedEndpoint, check_constraints};
use usher::retry::retry_inline;
use usher::telemetry::Health;
use usher::worker::{MaxReceiveCountCheck, Until, Worker, WorkerReport};

use crate::faults::{self, Faults};
use crate::large_pool::{self, LargePool};

pub(crate) const TABLE: &str = "UserProfile";
/// As in a deployment, a little above `worker.max_attempts`.
pub(crate) const MAX_RECEIVE_COUNT: u32 = 10;
/// The time limit of waits; only a defect takes longer.
pub(crate) const PATIENCE: Duration = Duration::from_mins(4);

pub(crate) struct World {
    pub(crate) endpoint: EmbeddedEndpoint,
    pub(crate) aws: Aws,
    pub(crate) sandbox: Sandbox,
    pub(crate) pool: SandboxPool,
    pub(crate) queue: Queue,
    pub(crate) dead_letters: Queue,
    pub(crate) faults: Faults,
    /// A large user pool that replaces the embedded one when it is filled.
    pub(crate) large_pool: LargePool,
    pub(crate) url: String,
    serving: [JoinHandle<std::io::Result<()>>; 2],
}

/// A user of the pool, and the event of their sign-up.
#[derive(Debug, Clone)]
pub(crate) struct TestUser {
    pub(crate) name: String,
    pub(crate) sub: String,
    pub(crate) event: Value,
}

pub(crate) struct Running {
    pub(crate) health: Health,
    pub(crate) stop: CancellationToken,
    task: JoinHandle<WorkerReport>,
}

impl World {
    pub(crate) async fn new() -> Self {
        let listener = EmbeddedEndpoint::listen(0).await.expect("a free port");
        let endpoint = EmbeddedEndpoint::new(listener.local_addr().expect("an address"));
        let faults = Faults::default();
        let large_pool = LargePool::default();
        let routes = endpoint
            .router()
            .layer(from_fn_with_state(large_pool.clone(), large_pool::layer))
            .layer(from_fn_with_state(faults.clone(), faults::layer))
            .layer(from_fn(check_constraints));
        let serve = |listener, routes| {
            tokio::spawn(EmbeddedEndpoint::serve(listener, routes, <_>::default()))
        };
        // Calls of the tests themselves bypass the faults.
        let bypass = EmbeddedEndpoint::listen(0).await.expect("a free port");
        let bypass_url = format!("http://{}", bypass.local_addr().expect("an address"));
        let serving = [serve(listener, routes), serve(bypass, endpoint.router())];
        let aws = Aws::at_endpoint(endpoint.url()).await;
        let aws_without_faults = Aws::at_endpoint(&bypass_url).await;
        let sandbox = Sandbox::new(&aws_without_faults);
        // On a busy machine calls may time out, here and below.
        let queues = retry_inline(|| sandbox.create_queues("usher", MAX_RECEIVE_COUNT));
        let (queue, dead_letter_url) = queues.await.expect("queues");
        let pool = sandbox.create_pool("usher").await.expect("a pool");
        sandbox.create_table(TABLE, "id").await.expect("a table");
        let queue = Queue::new(
            &aws_without_faults,
            &queue,
            Duration::ZERO,
            Duration::from_mins(1),
        );
        let dead_letters = queue.with_url(&dead_letter_url);
        let url = endpoint.url().to_owned();
        Self {
            endpoint,
            aws,
            sandbox,
            pool,
            queue,
            dead_letters,
            faults,
            large_pool,
            url,
            serving,
        }
    }

    /// A world whose pool has these options.
    pub(crate) async fn new_in(kind: &PoolOptions) -> Self {
        let mut world = Self::new().await;
        let pool = world.sandbox.create_pool_with("other", kind).await;
        world.pool = pool.expect("a pool");
        world
    }

    /// The settings with which a worker uses this world.
    pub(crate) fn settings(&self) -> Vec<(String, String)> {
        [
            ("queue.url", self.queue.url()),
            ("queue.wait", "1s"),
            ("queue.visibility", "10s"),
            ("profiles.table", TABLE),
            ("quota.user_update", "1000"),
            ("http.listen", "127.0.0.1:0"),
            ("http.public_listen", "127.0.0.1:0"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
    }

    pub(crate) fn config(&self, overrides: &[(&str, &str)]) -> Config {
        let flags: Vec<String> = self
            .settings()
            .into_iter()
            .chain(
                overrides
                    .iter()
                    .map(|(key, value)| ((*key).to_owned(), (*value).to_owned())),
            )
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        Config::from_layers(&Layers::defaults().flags(&flags)).expect("a valid configuration")
    }

    pub(crate) fn services(&self, config: &Config) -> Services {
        Services::new(config.clone(), self.aws.clone())
    }

    pub(crate) async fn worker(&self, config: &Config, until: Until) -> Running {
        let health = Health::default();
        let services = self.services(config);
        let worker = Worker::new(&services, health.clone(), MaxReceiveCountCheck::Enforced)
            .await
            .expect("starts");
        let stop = CancellationToken::new();
        let task = tokio::spawn(worker.run(until, stop.clone()));
        Running { health, stop, task }
    }

    /// Runs a worker until the queue is empty.
    pub(crate) async fn work(&self, overrides: &[(&str, &str)]) -> WorkerReport {
        let running = self.worker(&self.config(overrides), Until::Empty).await;
        running.end(PATIENCE).await
    }

    /// Creates the users and returns their events.
    pub(crate) async fn create_users(&self, count: usize) -> Vec<TestUser> {
        let mut users = Vec::with_capacity(count);
        for n in 0..count {
            users.push(self.create_user(&format!("person-{n}")).await);
        }
        users
    }

    pub(crate) async fn delete_user(&self, name: &str) {
        let pool = usher::event::PoolId::new(&self.pool.id).expect("an id");
        let name = usher::event::Username::new(name).expect("a name");
        let cognito = self.services(&self.config(&[])).cognito();
        assert!(cognito.delete_user(&pool, &name).await.expect("deleted"));
    }

    pub(crate) async fn create_user(&self, name: &str) -> TestUser {
        let sub = format!("00000000-0000-4000-8000-{:012x}", fastrand::u64(..1 << 48));
        let email = format!("{name}@mail.example");
        let attributes = BTreeMap::from([
            ("sub".to_owned(), sub.clone()),
            ("email".to_owned(), email.clone()),
        ]);
        retry_inline(|| self.sandbox.create_user(&self.pool.id, name, &attributes))
            .await
            .expect("a user");
        let event = json!({
            "version": "1", "triggerSource": "PostConfirmation_ConfirmSignUp",
            "region": "us-east-1", "userPoolId": self.pool.id, "userName": name,
            "callerContext": {"awsSdkVersion": "aws-sdk-js-3", "clientId": self.pool.client},
            "request": {"userAttributes": {
                "sub": sub, "email": email, "email_verified": "true",
                "cognito:user_status": "CONFIRMED",
            }},
            "response": {},
        });
        TestUser {
            name: name.to_owned(),
            sub,
            event,
        }
    }

    pub(crate) async fn send(&self, body: impl Into<String>) -> String {
        let message = Outgoing {
            body: body.into(),
            ..Outgoing::default()
        };
        let sent = retry_inline(|| self.queue.send(message.clone())).await;
        sent.expect("sent")
    }

    pub(crate) async fn send_all(&self, users: &[TestUser]) {
        for user in users {
            self.send(user.event.to_string()).await;
        }
    }

    /// Receives all dead letters, which stay hidden afterwards.
    pub(crate) async fn read_dead_letters(&self) -> Vec<Received> {
        let mut dead_letters = Vec::new();
        loop {
            let batch = retry_inline(|| self.dead_letters.receive(10)).await;
            let batch = batch.expect("dead letters");
            if batch.is_empty() {
                return dead_letters;
            }
            dead_letters.extend(batch);
        }
    }

    pub(crate) async fn profiles(&self) -> BTreeMap<String, BTreeMap<String, String>> {
        let profiles = retry_inline(|| self.sandbox.profiles(TABLE, "id")).await;
        profiles.expect("profiles")
    }

    pub(crate) async fn members(&self, group: &str) -> Vec<String> {
        let groups = retry_inline(|| self.sandbox.groups(&self.pool.id)).await;
        let groups = groups.expect("groups");
        groups.get(group).cloned().unwrap_or_default()
    }

    /// Asserts the guarantee: each user in their group with one profile, an empty queue, no
    /// hidden message, no dead letter.
    pub(crate) async fn assert_all_provisioned(&self, users: &[TestUser]) {
        let members: BTreeSet<String> = self.members("EVERYONE").await.into_iter().collect();
        let names: BTreeSet<String> = users.iter().map(|user| user.name.clone()).collect();
        assert_eq!(members, names, "members of EVERYONE");
        let profiles = self.profiles().await;
        assert_eq!(profiles.len(), users.len(), "one profile each");
        for user in users {
            let owner = &profiles[&user.sub]["profileOwner"];
            assert_eq!(*owner, format!("{}::{}", user.sub, user.name));
        }
        self.assert_queue_empty().await;
        assert_eq!(self.read_dead_letters().await.len(), 0, "dead letters");
    }

    pub(crate) async fn assert_queue_empty(&self) {
        let attributes = retry_inline(|| self.queue.attributes()).await;
        let depth = attributes.expect("attributes").depth;
        assert!(depth.is_empty(), "left on the queue: {depth:?}");
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for serving in &self.serving {
            serving.abort();
        }
    }
}

impl Running {
    pub(crate) async fn end(self, limit: Duration) -> WorkerReport {
        tokio::time::timeout(limit, self.task)
            .await
            .expect("ends in time")
            .expect("no panic")
    }

    pub(crate) async fn stop(self) -> WorkerReport {
        self.stop.cancel();
        self.end(PATIENCE).await
    }
}

/// Polls the condition until it is true; fails after [`PATIENCE`].
pub(crate) async fn eventually<F, Fut>(what: &str, condition: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = bool>,
{
    let polling = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(
        tokio::time::timeout(PATIENCE, polling).await.is_ok(),
        "never came: {what}"
    );
}
