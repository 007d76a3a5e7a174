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
    /// The trimmed body of the response.
    pub text: String,
}

impl Probe {
    /// Requests `/healthz` of a server on this machine that listens on this address.
    ///
    /// # Errors
    /// [`GetError`] when there is no HTTP response.
    pub(crate) async fn run(listen: SocketAddr) -> Result<Self, GetError> {
        let response = get(
            &Url::new(loopback_if_unspecified(listen), "/healthz"),
            PROBE_TIMEOUT,
            MAX_PROBE_BYTES,
        )
        .await?;
        Ok(Self {
            healthy: response.status == 200,
            text: response.body.trim().to_owned(),
        })
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
