//! The client side of `/healthz`: a distroless container has no curl.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::get::{GetError, Url, get};

/// ECS gives a health check five seconds by default.
const PROBE_TIMEOUT: Duration = Duration::from_secs(4);
const MAX_PROBE_BYTES: u64 = 64 * 1024;

/// What a probe found.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Probe {
    /// Whether the answer was 200.
    pub(crate) healthy: bool,
    /// The answer's text.
    pub text: String,
}

impl Probe {
    /// Asks a server of this machine, given the address it listens on.
    ///
    /// # Errors
    /// [`GetError`] when there is no answer to judge by.
    pub(crate) async fn run(listen: SocketAddr) -> Result<Self, GetError> {
        let answer = get(
            &Url::new(loopback_if_unspecified(listen), "/healthz"),
            PROBE_TIMEOUT,
            MAX_PROBE_BYTES,
        )
        .await?;
        Ok(Self {
            healthy: answer.status == 200,
            text: answer.body.trim().to_owned(),
        })
    }
}

/// A server that listens on every address is asked on loopback.
fn loopback_if_unspecified(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}
