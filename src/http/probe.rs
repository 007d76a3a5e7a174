//! The client side of `/healthz`: a distroless container has no curl.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// ECS gives a health check five seconds by default.
const LIMIT: Duration = Duration::from_secs(4);
const MOST: u64 = 64 * 1024;

/// What a probe found.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Probe {
    /// Whether the answer was 200.
    pub healthy: bool,
    /// The answer's text.
    pub text: String,
}

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// Nobody listens, or the connection broke.
    #[error("no answer from {0}: {1}")]
    Unreachable(SocketAddr, std::io::Error),
    /// Nothing in time.
    #[error("no answer from {0} within 4 s")]
    TimedOut(SocketAddr),
    /// Something else listens there.
    #[error("{0} did not answer in HTTP")]
    NotHttp(SocketAddr),
}

impl Probe {
    /// Asks a server of this machine, given the address it listens on.
    ///
    /// # Errors
    /// [`ProbeError`] when there is no answer to judge by.
    pub async fn of(listen: SocketAddr) -> Result<Self, ProbeError> {
        let address = reachable(listen);
        let answer = tokio::time::timeout(LIMIT, ask(address))
            .await
            .map_err(|_| ProbeError::TimedOut(address))?
            .map_err(|error| ProbeError::Unreachable(address, error))?;
        let (head, text) = answer
            .split_once("\r\n\r\n")
            .ok_or(ProbeError::NotHttp(address))?;
        let status = head.split(' ').nth(1).ok_or(ProbeError::NotHttp(address))?;
        Ok(Self {
            healthy: status == "200",
            text: text.trim().to_owned(),
        })
    }
}

/// A server that listens on every address is asked on loopback.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

async fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET /healthz HTTP/1.0\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(MOST).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
