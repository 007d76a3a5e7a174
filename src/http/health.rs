//! Health, readiness and metrics. They have their own address, connections and thread, so that
//! public requests cannot delay them.

use std::net::{SocketAddr, TcpListener};
use std::thread;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::index::{IndexPage, index_route};
use super::serve::serve;
use crate::telemetry::Health;

/// Connections at once: a health check, the nodes of a load balancer and metrics scrapers.
const MAX_HEALTH_CONNECTIONS: usize = 32;

/// What `GET /` names.
const PAGES: [IndexPage; 3] = [
    IndexPage {
        path: "/healthz",
        content: "whether the process makes progress",
    },
    IndexPage {
        path: "/readyz",
        content: "whether the worker can do its work, or why not",
    },
    IndexPage {
        path: "/metrics",
        content: "metrics for Prometheus",
    },
];

/// The state that the routes report.
#[derive(Clone)]
pub(crate) struct HealthServerState {
    /// The worker updates this state.
    pub health: Health,
    pub metrics: PrometheusHandle,
}

/// A server of health, readiness and metrics whose port is bound.
pub(crate) struct HealthServer {
    listener: TcpListener,
    state: HealthServerState,
}

/// The thread of a [`HealthServer`] that was started.
pub(crate) struct HealthThread(oneshot::Receiver<()>);

impl HealthServer {
    /// Binds the port, so that a port in use is an error at the start.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub(crate) fn bind(address: SocketAddr, state: HealthServerState) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener, state })
    }

    /// The bound address, with the port that the system chose for port 0.
    ///
    /// # Errors
    /// When the socket has no address.
    pub(crate) fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves on a new thread until `stop` is cancelled. The worker has only one thread, where
    /// public requests that use the processor would also delay the health check.
    ///
    /// # Errors
    /// When the system has no more threads or descriptors.
    pub(crate) fn start(self, stop: CancellationToken) -> std::io::Result<HealthThread> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let listener = {
            let _guard = runtime.enter();
            tokio::net::TcpListener::from_std(self.listener)?
        };
        let routes = routes(self.state);
        let (end_sender, end_receiver) = oneshot::channel();
        thread::Builder::new()
            .name("health".to_owned())
            .spawn(move || {
                runtime.block_on(serve(listener, routes, MAX_HEALTH_CONNECTIONS, stop));
                // The receiver may be dropped.
                let _ = end_sender.send(());
            })?;
        Ok(HealthThread(end_receiver))
    }
}

impl HealthThread {
    pub(crate) async fn join(self) {
        // An error means that the thread has panicked, which is logged.
        let _ = self.0.await;
    }
}

fn routes(state: HealthServerState) -> Router {
    Router::new()
        .route("/healthz", routing::get(healthz))
        .route("/readyz", routing::get(readyz))
        .route("/metrics", routing::get(exposition))
        .with_state(state)
        .merge(index_route(&PAGES))
}

async fn healthz(State(state): State<HealthServerState>) -> Response {
    let stuck = state.health.stuck();
    if stuck.is_empty() {
        (StatusCode::OK, "alive\n").into_response()
    } else {
        let text = format!("no progress: {}\n", stuck.join(", "));
        (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
    }
}

async fn readyz(State(state): State<HealthServerState>) -> Response {
    let reasons = state.health.unready_reasons();
    if reasons.is_empty() {
        (StatusCode::OK, "ready\n").into_response()
    } else {
        let text = format!("{}\n", reasons.join("\n"));
        (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
    }
}

async fn exposition(State(state): State<HealthServerState>) -> Response {
    let kind = [(
        header::CONTENT_TYPE,
        "text/plain; version=0.0.4; charset=utf-8",
    )];
    (kind, state.metrics.render()).into_response()
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, TcpStream};
    use std::time::Duration;

    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    /// Blocks the calling thread.
    fn get(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).expect("connects");
        let limit = Some(Duration::from_secs(30));
        stream.set_read_timeout(limit).expect("a time-out");
        let request = format!("GET {path} HTTP/1.0\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("sent");
        let mut response = String::new();
        stream.read_to_string(&mut response).expect("an answer");
        response
    }

    /// The runtime of this test has one thread, as the worker's has.
    #[tokio::test]
    async fn health_answers_while_the_worker_thread_is_busy() {
        let state = HealthServerState {
            health: Health::default(),
            metrics: PrometheusBuilder::new().build_recorder().handle(),
        };
        let health = state.health.clone();
        let address = (Ipv4Addr::LOCALHOST, 0).into();
        let server = HealthServer::bind(address, state).expect("a port");
        let address = server.address().expect("an address");
        let stop = CancellationToken::new();
        let thread = server.start(stop.clone()).expect("starts");
        assert!(get(address, "/healthz").ends_with("\r\n\r\nalive\n"));
        let index = get(address, "/");
        for part in [
            "HTTP/1.0 200",
            "content-security-policy: default-src 'none'",
            "<a href=\"/readyz\">",
        ] {
            assert!(index.contains(part), "{part} is missing in {index}");
        }
        health.set_unready("queue", "queue_not_found");
        let ready = get(address, "/readyz");
        assert!(ready.starts_with("HTTP/1.0 503"), "{ready}");
        stop.cancel();
        thread.join().await;
    }
}
