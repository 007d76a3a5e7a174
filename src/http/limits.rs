//! What a request may take: its size, its time, its place among others.

use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use lru::LruCache;
use serde_json::{Map, Value};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::api::Problem;

/// From the head of a request to its answer.
const TIME: Duration = Duration::from_secs(10);
/// Requests under way at once, on each side.
const SEATS: usize = 480;
/// No request of ours needs a tenth of it.
const MOST: usize = 64 * 1024;

/// The way in, which is shut while the process drains. A clone has the same seats,
/// [`Self::beside`] others.
#[derive(Debug, Clone)]
pub struct Doors {
    stop: CancellationToken,
    seats: Arc<Semaphore>,
    work: TaskTracker,
}

impl Doors {
    /// Shut once `stop` is cancelled.
    pub fn new(stop: CancellationToken) -> Self {
        Self {
            stop,
            seats: Arc::new(Semaphore::new(SEATS)),
            work: TaskTracker::new(),
        }
    }

    /// Another way in to the same process: strangers at the one take no seat of the
    /// other.
    #[must_use]
    pub fn beside(&self) -> Self {
        Self {
            seats: Arc::new(Semaphore::new(SEATS)),
            ..self.clone()
        }
    }

    /// Goes on after the answer, and is waited for at the end.
    pub(super) fn afterwards(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.work.spawn(work);
    }

    /// Runs to its end, whether or not the client waits for it: an invitation must
    /// not be left half done by a lost connection.
    pub(super) async fn to_its_end<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Problem> {
        let task = self.work.spawn(work);
        task.await.map_err(|_| {
            metrics::counter!("usher_panics_total").increment(1);
            Problem::unavailable("the request could not be finished")
        })
    }

    /// Waits for what is under way, at most as long as a request may take.
    pub async fn drained(&self) {
        self.work.close();
        if tokio::time::timeout(TIME, self.work.wait()).await.is_err() {
            tracing::warn!("requests were cut off in the middle");
        }
    }
}

/// Around every route but health and metrics.
pub(super) async fn limited(State(doors): State<Doors>, request: Request, next: Next) -> Response {
    let answer = async {
        if doors.stop.is_cancelled() {
            return Problem::unavailable("this process is shutting down").into_response();
        }
        let Ok(_seat) = doors.seats.try_acquire() else {
            return Problem::unavailable("too many requests are under way").into_response();
        };
        match tokio::time::timeout(TIME, next.run(request)).await {
            Ok(response) => response,
            Err(_) => Problem::unavailable(
                "no answer in time; what was asked for may be done, ask again with the same \
                 Idempotency-Key",
            )
            .into_response(),
        }
    };
    let mut response = answer.await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    let status = response.status().as_u16().to_string();
    metrics::counter!("usher_http_requests_total", "status" => status).increment(1);
    response
}

/// The body of a request, small enough.
pub(super) async fn bytes(body: Body) -> Result<Bytes, Problem> {
    to_bytes(body, MOST).await.map_err(|_| {
        Problem::new(
            axum::http::StatusCode::PAYLOAD_TOO_LARGE,
            "too_large",
            "the body was cut off or is larger than 64 KiB",
        )
    })
}

/// The JSON object that a body must be, with none but these members.
pub(super) fn object(body: &[u8], members: &[&str]) -> Result<Map<String, Value>, Problem> {
    let object: Map<String, Value> =
        serde_json::from_slice(body).map_err(|_| Problem::bad("the body must be a JSON object"))?;
    match object.keys().find(|name| !members.contains(&name.as_str())) {
        Some(_) => {
            let rule = format!("has no such member; there are {}", members.join(", "));
            Err(Problem::field("body", &rule))
        }
        None => Ok(object),
    }
}

/// Whether the body says that it is JSON, which a form of another site cannot.
pub(super) fn is_json(headers: &axum::http::HeaderMap) -> Result<(), Problem> {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .and_then(|kind| kind.split(';').next())
        .unwrap_or_default();
    if kind.trim().eq_ignore_ascii_case("application/json") {
        Ok(())
    } else {
        Err(Problem::new(
            axum::http::StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "the Content-Type must be application/json",
        ))
    }
}

/// A [`Pace`] for each name, as far as it is remembered: strangers with one name do not
/// use up what others need.
#[derive(Debug)]
pub(super) struct Paces {
    each: Duration,
    most: u32,
    hash: RandomState,
    taken: Mutex<LruCache<u64, (u32, Instant)>>,
}

impl Paces {
    /// At most `most` in the time `each`.
    pub(super) fn new(most: u32, each: Duration) -> Self {
        const NAMES: NonZeroUsize = NonZeroUsize::new(10_000).expect("not zero");
        Self {
            each,
            most,
            hash: RandomState::new(),
            taken: Mutex::new(LruCache::new(NAMES)),
        }
    }

    /// Whether there is room for one more of this name.
    pub(super) fn take(&self, name: &str) -> bool {
        let key = self.hash.hash_one(name.to_lowercase());
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let (count, since) = taken.get_or_insert_mut(key, || (0, now));
        if now.saturating_duration_since(*since) >= self.each {
            (*count, *since) = (0, now);
        }
        *count += 1;
        *count <= self.most
    }

    /// One that was taken was of no use.
    pub(super) fn give_back(&self, name: &str) {
        let key = self.hash.hash_one(name.to_lowercase());
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((count, _)) = taken.get_mut(&key) {
            *count = count.saturating_sub(1);
        }
    }
}

/// So many a second, and no more than a second's worth at once.
#[derive(Debug)]
pub(super) struct Pace {
    rate: f64,
    state: Mutex<(f64, Instant)>,
}

impl Pace {
    pub(super) fn new(rate: u32) -> Self {
        let rate = f64::from(rate);
        Self {
            rate,
            state: Mutex::new((rate, Instant::now())),
        }
    }

    /// Whether there is room for one more now.
    pub(super) fn take(&self) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let since = now.saturating_duration_since(state.1).as_secs_f64();
        *state = ((state.0 + since * self.rate).min(self.rate), now);
        let room = state.0 >= 1.0;
        if room {
            state.0 -= 1.0;
        }
        room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_name_has_a_pace_of_its_own() {
        let paces = Paces::new(2, Duration::from_mins(1));
        let taken = |name| (0..5).filter(|_| paces.take(name)).count();
        assert_eq!((taken("ada"), taken("Ada"), taken("grace")), (2, 0, 2));
        let one = Paces::new(1, Duration::from_mins(1));
        assert!(one.take("ada"));
        one.give_back("ada");
        assert!(one.take("ada") && !one.take("ada"));
        tokio::time::advance(Duration::from_mins(1)).await;
        assert_eq!(taken("ada"), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pace_is_kept_after_the_first_second() {
        let pace = Pace::new(10);
        let taken = || (0..100).filter(|_| pace.take()).count();
        assert_eq!(taken(), 10);
        tokio::time::advance(Duration::from_millis(500)).await;
        assert_eq!(taken(), 5);
        tokio::time::advance(Duration::from_mins(1)).await;
        assert_eq!(taken(), 10);
    }
}
