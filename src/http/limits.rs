//! What a request may take: its size, its time, its place among others.

use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use lru::LruCache;
use serde_json::{Map, Value};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::api::Problem;
use crate::aws::{ATTEMPT, with_deadline};

/// For the body of a request to arrive. It takes no seat meanwhile.
const BODY: Duration = Duration::from_secs(5);
/// From the seat of a request to its answer.
const TIME: Duration = Duration::from_secs(10);
/// From the seat to the last permit for a call: the call is over when `TIME` is.
const PERMITS: Duration = TIME.checked_sub(ATTEMPT).expect("more than one call takes");
/// Requests at work at once, on each side.
const SEATS: usize = 480;

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

    /// A seat for a request whose body is there.
    pub(super) fn seat(&self) -> Result<Seat, Problem> {
        if self.stop.is_cancelled() {
            return Err(shutting_down());
        }
        let permit = Arc::clone(&self.seats).try_acquire_owned();
        let permit =
            permit.map_err(|_| Problem::too_many("too many requests are under way").again_in(5))?;
        Ok(Seat {
            _permit: permit,
            deadline: Instant::now() + PERMITS,
        })
    }

    /// Goes on after the answer, and is waited for at the end.
    pub(super) fn afterwards(&self, seat: Seat, work: impl Future<Output = ()> + Send + 'static) {
        self.work.spawn(seat.held_by(work));
    }

    /// Runs to its end, whether or not the client waits for it: an invitation must
    /// not be left half done by a lost connection.
    pub(super) async fn to_its_end<T: Send + 'static>(
        &self,
        seat: Seat,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Problem> {
        let task = self.work.spawn(seat.held_by(work));
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

    /// Seats that are taken.
    #[cfg(test)]
    pub(super) fn taken(&self) -> usize {
        SEATS - self.seats.available_permits()
    }

    /// Work that goes on whether or not somebody waits for its answer.
    #[cfg(test)]
    pub(super) fn under_way(&self) -> usize {
        self.work.len()
    }
}

/// A place among the requests at work. Whoever does the work holds it to the work's end,
/// which may be after the answer.
#[derive(Debug)]
pub(super) struct Seat {
    _permit: OwnedSemaphorePermit,
    /// For permits of the rate budgets.
    deadline: Instant,
}

impl Seat {
    /// Does a part of the work.
    pub(super) async fn within<T>(&self, work: impl Future<Output = T>) -> T {
        with_deadline(self.deadline, work).await
    }

    async fn held_by<T>(self, work: impl Future<Output = T>) -> T {
        self.within(work).await
    }
}

fn shutting_down() -> Problem {
    Problem::unavailable("this process is shutting down")
}

/// Around every route but health and metrics.
pub(super) async fn limited(State(doors): State<Doors>, request: Request, next: Next) -> Response {
    let answer = async {
        if doors.stop.is_cancelled() {
            return shutting_down().into_response();
        }
        match tokio::time::timeout(BODY + TIME, next.run(request)).await {
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

/// The body of a request: at most `max` bytes, which arrive in time.
pub(super) async fn bytes(body: Body, max: usize) -> Result<Bytes, Problem> {
    let body = tokio::time::timeout(BODY, to_bytes(body, max)).await;
    let body = body.map_err(|_| {
        let detail = format!("the body did not arrive within {} s", BODY.as_secs());
        Problem::new(StatusCode::REQUEST_TIMEOUT, "body_timeout", detail)
    })?;
    body.map_err(|_| {
        let detail = format!("the body was cut off or is larger than {max} bytes");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
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
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
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
        let has_room = *count < self.most;
        *count += u32::from(has_room);
        has_room
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

/// So many a second, and no more than a second's worth at once, or one.
#[derive(Debug)]
pub(super) struct Pace {
    rate: f64,
    state: Mutex<(f64, Instant)>,
}

impl Pace {
    pub(super) fn new(rate: f64) -> Self {
        Self {
            rate,
            state: Mutex::new((rate.max(1.0), Instant::now())),
        }
    }

    /// Takes room for one more, or says how long it takes until there is some.
    pub(super) fn take(&self) -> Result<(), Duration> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let since = now.saturating_duration_since(state.1).as_secs_f64();
        *state = ((state.0 + since * self.rate).min(self.rate.max(1.0)), now);
        if state.0 < 1.0 {
            let wait = (1.0 - state.0) / self.rate;
            return Err(Duration::from_secs_f64(wait));
        }
        state.0 -= 1.0;
        Ok(())
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
        // A refused one does not count.
        one.give_back("ada");
        assert!(one.take("ada"));
        tokio::time::advance(Duration::from_mins(1)).await;
        assert_eq!(taken("ada"), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pace_below_one_a_second_lets_one_through_at_once() {
        let pace = Pace::new(0.1);
        assert_eq!(pace.take(), Ok(()));
        tokio::time::advance(Duration::from_secs(4)).await;
        let wait = pace.take().expect_err("ten seconds for each");
        assert!((5.9..6.1).contains(&wait.as_secs_f64()), "{wait:?}");
        tokio::time::advance(wait + Duration::from_millis(1)).await;
        assert_eq!(pace.take(), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_is_waited_for_and_read_no_longer_than_it_may_be() {
        let never = futures_util::stream::pending::<Result<Bytes, std::io::Error>>();
        let begun = Instant::now();
        let late = bytes(Body::from_stream(never), 10).await;
        let late = late.expect_err("it does not come");
        assert_eq!((late.status().as_u16(), begun.elapsed()), (408, BODY));
        let large = bytes(Body::from("x".repeat(11)), 10).await;
        assert_eq!(large.expect_err("11 bytes").status().as_u16(), 413);
        let fits = bytes(Body::from("x".repeat(10)), 10).await;
        assert_eq!(fits.expect("10 bytes").len(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_seat_is_taken_until_the_work_has_ended() {
        let doors = Doors::new(CancellationToken::new());
        let end = CancellationToken::new();
        let seat = doors.seat().expect("a seat");
        let work = doors.to_its_end(seat, end.clone().cancelled_owned());
        let answer = tokio::time::timeout(TIME, work).await;
        assert!(answer.is_err(), "nobody waits for it any more");
        doors.afterwards(doors.seat().expect("a seat"), end.clone().cancelled_owned());
        assert_eq!((doors.taken(), doors.under_way()), (2, 2));
        let others: Vec<Seat> = std::iter::from_fn(|| doors.seat().ok()).collect();
        assert_eq!(others.len(), SEATS - 2);
        assert!(doors.beside().seat().is_ok());
        end.cancel();
        while doors.under_way() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(doors.taken(), others.len());
    }

    #[tokio::test(start_paused = true)]
    async fn a_pace_is_kept_after_the_first_second() {
        let pace = Pace::new(10.0);
        let taken = || (0..100).filter(|_| pace.take().is_ok()).count();
        assert_eq!(taken(), 10);
        tokio::time::advance(Duration::from_millis(500)).await;
        assert_eq!(taken(), 5);
        tokio::time::advance(Duration::from_mins(1)).await;
        assert_eq!(taken(), 10);
    }
}
