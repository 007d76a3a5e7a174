//! Reads the metrics that a worker serves at `/metrics`.

use std::str::FromStr;
use std::time::Duration;

use super::get::{GetError, Url, get};
use crate::telemetry::exposition::{Samples, parse_samples};

const SCRAPE_TIMEOUT: Duration = Duration::from_secs(2);
/// Far above the size of usher's own metrics.
const MAX_METRICS_BYTES: u64 = 4 * 1024 * 1024;

/// Why a worker's metrics could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScrapeError {
    #[error(transparent)]
    NoResponse(#[from] GetError),
    #[error("status {0}")]
    Status(u16),
}

/// # Errors
/// [`ScrapeError`] unless the server answers with status 200.
pub(crate) async fn scrape<V: FromStr>(url: &Url) -> Result<Samples<V>, ScrapeError> {
    let response = get(url, SCRAPE_TIMEOUT, MAX_METRICS_BYTES).await?;
    match response.status {
        200 => Ok(parse_samples(&response.body)),
        status => Err(ScrapeError::Status(status)),
    }
}
