//! Health, readiness and metrics, which the public cannot crowd out: they have an address,
//! connections and a thread of their own.

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

use super::serve::serve;
use crate::telemetry::Health;

/// Connections at once: a health check, a load balancer's nodes and what fetches metrics.
const MAX_HEALTH_CONNECTIONS: usize = 32;

/// What the server shows.
#[derive(Clone)]
pub(crate) struct HealthServerState {
    /// Shared with the worker.
    pub health: Health,
    /// The process's metrics.
    pub metrics: PrometheusHandle,
}

/// A server of health, readiness and metrics that has its port.
pub(crate) struct HealthServer {
    listener: TcpListener,
    state: HealthServerState,
}

/// A server that runs on a thread of its own.
pub(crate) struct HealthThread(oneshot::Receiver<()>);

impl HealthServer {
    /// Takes the port, so that a taken one is an error at the start.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub(crate) fn bind(address: SocketAddr, shown: HealthServerState) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(Self {
            listener,
            state: shown,
        })
    }

    /// Where it listens; tells the port that the system chose for port 0.
    ///
    /// # Errors
    /// When the socket has no address.
    pub(crate) fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until told to stop. The worker has one thread: on that, requests of the
    /// public that keep the processor busy would also keep the health check waiting.
    ///
    /// # Errors
    /// When the system has no more threads or descriptors.
    pub(crate) fn start(self, stop: CancellationToken) -> std::io::Result<HealthThread> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let listener = {
            let _inside = runtime.enter();
            tokio::net::TcpListener::from_std(self.listener)?
        };
        let routes = routes(self.state);
        let (ends, ended) = oneshot::channel();
        thread::Builder::new()
            .name("health".to_owned())
            .spawn(move || {
                runtime.block_on(serve(listener, routes, MAX_HEALTH_CONNECTIONS, stop));
                // Nobody may wait for it.
                let _ = ends.send(());
            })?;
        Ok(HealthThread(ended))
    }
}

impl HealthThread {
    /// Waits until the server has ended.
    pub(crate) async fn join(self) {
        // An error means that the thread has panicked, which is logged.
        let _ = self.0.await;
    }
}

fn routes(shown: HealthServerState) -> Router {
    Router::new()
        .route("/healthz", routing::get(healthz))
        .route("/readyz", routing::get(readyz))
        .route("/metrics", routing::get(exposition))
        .with_state(shown)
}

async fn healthz(State(shown): State<HealthServerState>) -> Response {
    let stuck = shown.health.stuck();
    if stuck.is_empty() {
        (StatusCode::OK, "alive\n").into_response()
    } else {
        let text = format!("no progress: {}\n", stuck.join(", "));
        (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
    }
}

async fn readyz(State(shown): State<HealthServerState>) -> Response {
    let obstacles = shown.health.unready_reasons();
    if obstacles.is_empty() {
        (StatusCode::OK, "ready\n").into_response()
    } else {
        let text = format!("{}\n", obstacles.join("\n"));
        (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
    }
}

async fn exposition(State(shown): State<HealthServerState>) -> Response {
    shown.metrics.run_upkeep();
    let kind = [(
        header::CONTENT_TYPE,
        "text/plain; version=0.0.4; charset=utf-8",
    )];
    (kind, shown.metrics.render()).into_response()
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, TcpStream};
    use std::time::Duration;

    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    /// Blocks the thread that it is called on.
    fn get(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).expect("connects");
        let limit = Some(Duration::from_secs(30));
        stream.set_read_timeout(limit).expect("a time-out");
        let request = format!("GET {path} HTTP/1.0\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }

    /// The runtime of this test has one thread, as a worker's has.
    #[tokio::test]
    async fn health_answers_while_the_worker_thread_is_busy() {
        let shown = HealthServerState {
            health: Health::default(),
            metrics: PrometheusBuilder::new().build_recorder().handle(),
        };
        let health = shown.health.clone();
        let address = (Ipv4Addr::LOCALHOST, 0).into();
        let server = HealthServer::bind(address, shown).expect("a port");
        let address = server.address().expect("an address");
        let stop = CancellationToken::new();
        let thread = server.start(stop.clone()).expect("starts");
        assert!(get(address, "/healthz").ends_with("\r\n\r\nalive\n"));
        health.set_unready("queue", "queue_not_found");
        let ready = get(address, "/readyz");
        assert!(ready.starts_with("HTTP/1.0 503"), "{ready}");
        stop.cancel();
        thread.join().await;
    }
}
