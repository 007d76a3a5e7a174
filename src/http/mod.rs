//! What the service serves over HTTP.
//!
//! `api` is for administrators, `accept` for people who were invited, both inside
//! `limits`. `/healthz` says whether the loops make progress (for the container's health
//! check), `/readyz` whether the worker can do its work and what is in the way,
//! `/metrics` is in Prometheus format.

mod accept;
mod api;
mod get;
mod limits;
mod probe;
mod serve;

pub use accept::Accept;
pub use api::{Api, OPENAPI};
pub use get::{Answer, GetError, NoUrl, Url, get};
pub use limits::Doors;
pub use probe::Probe;

use std::net::SocketAddr;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::telemetry::Health;
use serve::serve;

/// What the server shows.
#[derive(Clone)]
pub struct Shown {
    /// Shared with the worker.
    pub health: Health,
    /// The process's metrics.
    pub metrics: PrometheusHandle,
}

/// A server that has its port.
pub struct Server {
    listener: TcpListener,
    shown: Shown,
    more: Router,
}

impl Server {
    /// Takes the port, so that a taken one is an error at the start.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn bind(address: SocketAddr, shown: Shown) -> std::io::Result<Self> {
        Ok(Self {
            listener: TcpListener::bind(address).await?,
            shown,
            more: Router::new(),
        })
    }

    /// Serves these routes as well.
    #[must_use]
    pub fn with(self, more: Router) -> Self {
        Self {
            more: self.more.merge(more),
            ..self
        }
    }

    /// Where it listens; tells the port that the system chose for port 0.
    ///
    /// # Errors
    /// When the socket has no address.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until told to stop.
    pub async fn run(self, stop: CancellationToken) {
        let routes = Router::new()
            .route("/healthz", routing::get(healthz))
            .route("/readyz", routing::get(readyz))
            .route("/metrics", routing::get(exposition))
            .with_state(self.shown)
            .merge(self.more);
        serve(self.listener, routes, stop).await;
    }
}

async fn healthz(State(shown): State<Shown>) -> Response {
    let stuck = shown.health.stuck();
    if stuck.is_empty() {
        (StatusCode::OK, "alive\n").into_response()
    } else {
        let text = format!("no progress: {}\n", stuck.join(", "));
        (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
    }
}

async fn readyz(State(shown): State<Shown>) -> Response {
    let obstacles = shown.health.obstacles();
    if obstacles.is_empty() {
        (StatusCode::OK, "ready\n").into_response()
    } else {
        let text = format!("{}\n", obstacles.join("\n"));
        (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
    }
}

async fn exposition(State(shown): State<Shown>) -> Response {
    shown.metrics.run_upkeep();
    let kind = [(
        header::CONTENT_TYPE,
        "text/plain; version=0.0.4; charset=utf-8",
    )];
    (kind, shown.metrics.render()).into_response()
}
