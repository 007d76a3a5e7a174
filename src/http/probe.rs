//! The client side of `/healthz`: a distroless container has no curl.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::get::{GetError, Url, get};

/// Less than the five seconds that ECS gives a health check by default.
const PROBE_TIMEOUT: Duration = Duration::from_secs(4);
const MAX_PROBE_BYTES: u64 = 64 * 1024;

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Probe {
    /// Whether the status was 200.
    pub(crate) healthy: bool,
    /// The trimmed body of the response. If the status is none of usher's, a sentence that says
    /// so.
    pub text: String,
}

impl Probe {
    /// Requests `/healthz` of this server.
    ///
    /// # Errors
    /// [`GetError`] when there is no HTTP response.
    pub(crate) async fn run(server: &Url) -> Result<Self, GetError> {
        let url = server.with_path("/healthz");
        let response = get(&url, PROBE_TIMEOUT, MAX_PROBE_BYTES).await?;
        Ok(Self {
            healthy: response.status == 200,
            text: match response.status {
                200 | 503 => response.body.trim().to_owned(),
                status => format!(
                    "{} answered with status {status}: it is not usher's http.listen",
                    server.host()
                ),
            },
        })
    }
}

/// The server of `http.listen` on this machine.
///
/// # Errors
/// Says why it has no address that can be asked.
pub(crate) fn own_server(listen: Option<SocketAddr>) -> Result<Url, &'static str> {
    match listen {
        None => Err("http.listen is empty: there is no server to ask"),
        // The system chooses the port.
        Some(listen) if listen.port() == 0 => {
            Err("http.listen has port 0: there is no fixed address to ask")
        }
        Some(listen) => Ok(Url::new(loopback_if_unspecified(listen), "/")),
    }
}

/// The address for a client on this machine: a server that listens on every address is called
/// on loopback.
pub(crate) fn loopback_if_unspecified(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}
