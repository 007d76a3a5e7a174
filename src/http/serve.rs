//! Serves connections: limits their number, the time of a request's head and that of writing.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;

/// For the head of a request. It also closes idle connections, so it is longer than the idle
/// time-out of a load balancer that reuses them (60 s unless set otherwise).
const HEAD_READ_TIMEOUT: Duration = Duration::from_secs(75);
/// The limit for the head of a request, which may hold a large token.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// The time in which a client has to read. Without it, a client that does not read would hold
/// its connection forever.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// For responses in progress when the server stops.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);
/// After a failed accept: the process may lack file descriptors.
const ACCEPT_RETRY_PAUSE: Duration = Duration::from_millis(100);

/// Serves at most `connections` at once until `stop` is cancelled. Responses in progress then
/// get `SHUTDOWN_GRACE` to finish.
pub(super) async fn serve(
    listener: TcpListener,
    routes: Router,
    connections: usize,
    stop: CancellationToken,
) {
    // HTTP/1 only: hyper's detection of the version has no time limit.
    let mut builder = Builder::new(TokioExecutor::new()).http1_only();
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_READ_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES);
    let builder = Arc::new(builder);
    let permits = Arc::new(Semaphore::new(connections));
    let graceful = GracefulShutdown::new();
    loop {
        let permit = tokio::select! {
            () = stop.cancelled() => break,
            permit = Arc::clone(&permits).acquire_owned() => permit,
        };
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(error = %error, "HTTP connection not accepted");
                tokio::time::sleep(ACCEPT_RETRY_PAUSE).await;
                continue;
            }
        };
        let service = TowerToHyperService::new(routes.clone());
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(WRITE_TIMEOUT));
        let connection = builder.serve_connection(TokioIo::new(Box::pin(stream)), service);
        let connection = graceful.watch(connection.into_owned());
        tokio::spawn(async move {
            // A client that disconnects is not an error.
            let _ = connection.await;
            drop(permit);
        });
    }
    let _ = tokio::time::timeout(SHUTDOWN_GRACE, graceful.shutdown()).await;
}

#[cfg(test)]
mod tests {
    use axum::routing;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_read_loses_its_connection() {
        const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let address = listener.local_addr().expect("an address");
        let large = || async { "x".repeat(1 << 20) };
        let routes = Router::new().route("/", routing::get(large));
        let stop = CancellationToken::new();
        let served = tokio::spawn(serve(listener, routes, 1, stop.clone()));
        let mut silent = TcpStream::connect(address).await.expect("connected");
        silent.write_all(&GET.repeat(64)).await.expect("sent");
        let mut other = TcpStream::connect(address).await.expect("connected");
        other.write_all(GET).await.expect("sent");
        let mut begin = [0; 12];
        let read = tokio::time::timeout(Duration::from_mins(10), other.read_exact(&mut begin));
        read.await.expect("a free connection").expect("an answer");
        assert_eq!(&begin, b"HTTP/1.1 200");
        drop((silent, other));
        stop.cancel();
        served.await.expect("ended");
    }
}
