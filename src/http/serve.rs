//! Connections: so many, each with a head that comes in time.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// For the head of a request; an idle connection is closed after it, too. Longer than a
/// load balancer keeps one that it may use again (60 s unless set otherwise).
const HEAD: Duration = Duration::from_secs(75);
/// For answers that are under way at the end.
const LAST: Duration = Duration::from_secs(2);
/// After a connection that could not be accepted: file descriptors may be short.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves at most `connections` at once until told to stop; then answers that are under way
/// are given their time.
pub(super) async fn serve(
    listener: TcpListener,
    routes: Router,
    connections: usize,
    stop: CancellationToken,
) {
    // HTTP/1 alone: to find out which version it is has no time limit.
    let mut builder = Builder::new(TokioExecutor::new()).http1_only();
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD);
    let builder = Arc::new(builder);
    let places = Arc::new(Semaphore::new(connections));
    let graceful = GracefulShutdown::new();
    loop {
        let place = tokio::select! {
            () = stop.cancelled() => break,
            place = Arc::clone(&places).acquire_owned() => place,
        };
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(error = %error, "a connection cannot be accepted");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let service = TowerToHyperService::new(routes.clone());
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        let connection = graceful.watch(connection.into_owned());
        tokio::spawn(async move {
            // A client that goes away is its own affair.
            let _ = connection.await;
            drop(place);
        });
    }
    let _ = tokio::time::timeout(LAST, graceful.shutdown()).await;
}
