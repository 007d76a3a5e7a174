//! Where the parts of a running `usher dev` are. Its endpoint serves this as `GET /dev`.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::stack::Stack;

/// The path at the embedded endpoint.
pub(crate) const RUNNING_DEV_PATH: &str = "/dev";

/// Part of the JSON output, which is a public contract.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunningDev {
    /// The URL of the embedded AWS endpoint.
    pub endpoint: String,
    pub region: String,
    /// URLs of both queues.
    pub queue: String,
    pub dead_letter_queue: String,
    /// Ids of the user pool and its app client.
    pub pool: String,
    pub client: String,
    /// The table of profiles; `None` if they are switched off.
    pub table: Option<String>,
    /// The base URL of the administrators' API and `/accept`.
    pub api: String,
    /// The base URL of health, readiness and metrics.
    pub health: String,
}

impl RunningDev {
    /// `api` and `health` are addresses at which clients on this machine reach the servers.
    pub(crate) fn new(stack: &Stack, api: SocketAddr, health: SocketAddr) -> Self {
        let profiles = stack.services.config.profiles.as_ref();
        Self {
            endpoint: stack.endpoint.url().to_owned(),
            region: "us-east-1".to_owned(),
            queue: stack.queue.url().to_owned(),
            dead_letter_queue: stack.dead_letters.url().to_owned(),
            pool: stack.pool.id.clone(),
            client: stack.pool.client.clone(),
            table: profiles.map(|_| Stack::PROFILE_TABLE.to_owned()),
            api: format!("http://{api}"),
            health: format!("http://{health}"),
        }
    }
}
