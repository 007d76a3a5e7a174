//! The HTTP servers, at two addresses.
//!
//! `health` is for the health checks of container and load balancer and for metrics:
//! `/healthz` says whether the loops make progress, `/readyz` whether the worker can do its
//! work, or the reasons why not, `/metrics` is in Prometheus format. The public address has
//! `api`, for administrators and users, and `accept`, for invited users, both inside `limits`.
//! `/` names the pages of either address. `get`, `probe` and `scrape` ask such a server.

mod accept;
mod api;
mod get;
mod health;
mod index;
mod limits;
mod probe;
mod scrape;
mod serve;

pub(crate) use accept::{AcceptService, STRICT_TRANSPORT_SECURITY};
pub(crate) use api::api_routes;
pub use api::{Api, OPENAPI};
pub(crate) use get::{GetError, GetResponse, Url, get};
pub(crate) use health::{HealthServer, HealthServerState, HealthThread};
pub(crate) use index::{IndexPage, public_index};
pub(crate) use limits::{Admission, LimitResponses, with_limits_and};
#[cfg(feature = "dev")]
pub(crate) use probe::loopback_if_unspecified;
pub(crate) use probe::{Probe, own_server};
pub(crate) use scrape::scrape;

use std::net::SocketAddr;

use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use serve::serve;

/// Public connections at once: over half of the file descriptors that a process usually has.
/// It calls AWS with the others.
const MAX_PUBLIC_CONNECTIONS: usize = 640;

/// A server of the public routes whose port is bound.
pub(crate) struct PublicServer(TcpListener);

impl PublicServer {
    /// Binds the port, so that a port in use is an error at the start.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub(crate) async fn bind(address: SocketAddr) -> std::io::Result<Self> {
        Ok(Self(TcpListener::bind(address).await?))
    }

    /// The bound address, with the port that the system chose for port 0.
    ///
    /// # Errors
    /// When the socket has no address.
    pub(crate) fn address(&self) -> std::io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// Serves these routes until `stop` is cancelled.
    pub(crate) async fn run(self, routes: Router, stop: CancellationToken) {
        serve(self.0, routes, MAX_PUBLIC_CONNECTIONS, stop).await;
    }
}
