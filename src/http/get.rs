//! One `GET` over plain HTTP, for health checks and metrics.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// `http://HOST:PORT/PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Url {
    host: String,
    path: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be http://HOST:PORT, such as http://127.0.0.1:8080")]
pub(crate) struct InvalidUrl;

#[derive(Debug)]
pub(crate) struct GetResponse {
    /// The HTTP status code, such as 200.
    pub status: u16,
    pub body: String,
}

/// Why a request got no HTTP response.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GetError {
    /// No server listens there, or the connection broke.
    #[error("no answer from {host}: {cause}", host = .0, cause = cause(.1))]
    Unreachable(String, std::io::Error),
    #[error("no answer from {0} within {1:?}")]
    TimedOut(String, Duration),
    /// The server there speaks another protocol.
    #[error("{0} did not answer in HTTP")]
    NotHttp(String),
}

/// Without the number of the error, which tells an operator nothing.
fn cause(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        _ => error.to_string(),
    }
}

impl Url {
    /// `host` includes the port, `path` the leading slash.
    pub(crate) fn new(host: impl fmt::Display, path: &str) -> Self {
        Self {
            host: host.to_string(),
            path: path.to_owned(),
        }
    }

    /// Another path of the same server.
    pub(crate) fn with_path(&self, path: &str) -> Self {
        Self::new(&self.host, path)
    }

    /// Host and port.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }
}

impl FromStr for Url {
    type Err = InvalidUrl;

    fn from_str(text: &str) -> Result<Self, InvalidUrl> {
        let rest = text.strip_prefix("http://").ok_or(InvalidUrl)?;
        let at = rest.find('/').unwrap_or(rest.len());
        let (host, path) = rest.split_at(at);
        let has_port = host
            .rsplit_once(':')
            .is_some_and(|(name, port)| !name.is_empty() && port.parse::<u16>().is_ok());
        // White space or a control character could end the request line.
        let odd = |c: char| c.is_whitespace() || c.is_control();
        if !has_port || text.contains(odd) {
            return Err(InvalidUrl);
        }
        Ok(Self::new(host, if path.is_empty() { "/" } else { path }))
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.host, self.path)
    }
}

/// Takes at most `limit`; the response is cut off after `max_bytes`.
///
/// # Errors
/// [`GetError`] when there is no HTTP response.
pub(crate) async fn get(
    url: &Url,
    limit: Duration,
    max_bytes: u64,
) -> Result<GetResponse, GetError> {
    let host = || url.host.clone();
    let text = tokio::time::timeout(limit, send_request(url, max_bytes))
        .await
        .map_err(|_| GetError::TimedOut(host(), limit))?
        .map_err(|error| GetError::Unreachable(host(), error))?;
    let response = || {
        let (head, text) = text.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some(GetResponse {
            status,
            body: text.to_owned(),
        })
    };
    response().ok_or_else(|| GetError::NotHttp(host()))
}

async fn send_request(Url { host, path }: &Url, max_bytes: u64) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(host).await?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut response = Vec::new();
    stream.take(max_bytes).read_to_end(&mut response).await?;
    Ok(String::from_utf8_lossy(&response).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_host_port_and_path() {
        let url: Url = "http://[::1]:8080/metrics".parse().expect("a URL");
        assert_eq!(url, Url::new("[::1]:8080", "/metrics"));
        let bare: Url = "http://worker.local:80".parse().expect("a URL");
        assert_eq!(bare.to_string(), "http://worker.local:80/");
        for text in [
            "",
            "worker:8080",
            "https://worker:8080/",
            "http://worker/metrics",
            "http://:80/",
            "http://worker:x/",
            "http://worker:80/a b",
            "http://worker:80/a\r\nX: y",
        ] {
            assert_eq!(text.parse::<Url>(), Err(InvalidUrl), "{text}");
        }
    }
}
