//! Limits of requests: size, time, rate, and how many are in progress.
//!
//! A request takes its permit once its body is there, and the work gives it back when the work
//! ends, which may be after the response. So 480 permits bound the work, not the connections.
//! Every Cognito call must get its rate permit within five seconds of that, and a call takes at
//! most five, so a request is over within ten.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_http::set_header::SetResponseHeaderLayer;

use super::api::Problem;
use crate::aws::{ATTEMPT_TIMEOUT, with_deadline};

/// For the body of a request to arrive. The request holds no permit meanwhile.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);
/// From the permit of a request to its response.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// From the permit to the last rate permit for a call, which then ends within `REQUEST_TIMEOUT`.
const PERMIT_TIMEOUT: Duration = REQUEST_TIMEOUT
    .checked_sub(ATTEMPT_TIMEOUT)
    .expect("more than one call takes");
/// Requests in progress at once in one pool of permits.
const MAX_CONCURRENT_REQUESTS: usize = 480;

/// Admits requests until the process drains. A clone shares the permits, and
/// [`Self::separate_pool`] has others.
#[derive(Debug, Clone)]
pub(crate) struct Admission {
    stop: CancellationToken,
    permits: Arc<Semaphore>,
    tasks: TaskTracker,
}

impl Admission {
    /// Admits no more requests once `stop` is cancelled.
    pub(crate) fn new(stop: CancellationToken) -> Self {
        Self {
            stop,
            permits: Arc::new(Semaphore::new(MAX_CONCURRENT_REQUESTS)),
            tasks: TaskTracker::new(),
        }
    }

    /// Another pool of permits in the same process: strangers who use the one take no permits
    /// of the other.
    #[must_use]
    pub(crate) fn separate_pool(&self) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(MAX_CONCURRENT_REQUESTS)),
            ..self.clone()
        }
    }

    /// A permit for a request whose body has arrived.
    pub(super) fn try_acquire(&self) -> Result<RequestPermit, Problem> {
        if self.stop.is_cancelled() {
            return Err(shutting_down());
        }
        let permit = Arc::clone(&self.permits).try_acquire_owned();
        let permit = permit.map_err(|_| {
            Problem::too_many_requests("too many requests are in progress").retry_after_secs(5)
        })?;
        Ok(RequestPermit {
            _permit: permit,
            deadline: Instant::now() + PERMIT_TIMEOUT,
        })
    }

    /// Runs `work` after the response; [`Self::drain`] waits for it.
    pub(super) fn spawn_background(
        &self,
        permit: RequestPermit,
        work: impl Future<Output = ()> + Send + 'static,
    ) {
        self.tasks.spawn(permit.run_and_release(work));
    }

    /// Runs `work` to its end, whether or not the client waits for it: a lost connection must
    /// not leave an invitation half done.
    pub(super) async fn run_detached<T: Send + 'static>(
        &self,
        permit: RequestPermit,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Problem> {
        let task = self.tasks.spawn(permit.run_and_release(work));
        task.await.map_err(|_| {
            metrics::counter!("usher_panics_total").increment(1);
            Problem::unavailable("the request could not be finished")
        })
    }

    /// Runs the work of a request to its end, as [`Self::run_detached`] does. `None` if no request
    /// is admitted now, or the work has failed.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let permit = self.try_acquire().ok()?;
        self.run_detached(permit, work).await.ok()
    }

    /// Waits for requests in progress, at most as long as one may take.
    pub(crate) async fn drain(&self) {
        self.tasks.close();
        if tokio::time::timeout(REQUEST_TIMEOUT, self.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!("drain timed out; HTTP requests in progress were cut off");
        }
    }

    #[cfg(test)]
    pub(super) fn permits_in_use(&self) -> usize {
        MAX_CONCURRENT_REQUESTS - self.permits.available_permits()
    }

    /// Includes work whose client no longer waits.
    #[cfg(test)]
    pub(super) fn running_tasks(&self) -> usize {
        self.tasks.len()
    }
}

/// The right to work on one request. The work holds it until it ends, which may be after the
/// response.
#[derive(Debug)]
pub(super) struct RequestPermit {
    _permit: OwnedSemaphorePermit,
    /// The deadline for rate permits of its calls.
    deadline: Instant,
}

impl RequestPermit {
    /// Runs a part of the work under the request's deadline.
    pub(super) async fn run<T>(&self, work: impl Future<Output = T>) -> T {
        with_deadline(self.deadline, work).await
    }

    async fn run_and_release<T>(self, work: impl Future<Output = T>) -> T {
        self.run(work).await
    }
}

fn shutting_down() -> Problem {
    Problem::unavailable("this process is shutting down")
}

/// What a client gets instead of an answer: JSON for programs, a page for a browser.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LimitResponses {
    /// The time is over. The work continues if it was begun.
    pub late: fn() -> Response,
    pub shutting_down: fn() -> Response,
}

impl LimitResponses {
    const JSON: Self = Self {
        late: || {
            Problem::unavailable(
                "no answer in time; the request may have been done, repeat it with the same \
                 Idempotency-Key",
            )
            .into_response()
        },
        shutting_down: || shutting_down().into_response(),
    };
}

/// Adds limits and headers to every route except health and metrics.
pub(crate) fn with_limits(routes: Router, admission: Admission) -> Router {
    with_limits_and(routes, admission, LimitResponses::JSON)
}

/// The same with other responses.
pub(crate) fn with_limits_and(
    routes: Router,
    admission: Admission,
    responses: LimitResponses,
) -> Router {
    let default_header =
        |name, value| SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value));
    routes
        .layer(from_fn_with_state((admission, responses), enforce_limits))
        .layer(default_header(header::CACHE_CONTROL, "no-store"))
        .layer(default_header(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
}

async fn enforce_limits(
    State((admission, responses)): State<(Admission, LimitResponses)>,
    request: Request,
    next: Next,
) -> Response {
    let response = if admission.stop.is_cancelled() {
        (responses.shutting_down)()
    } else {
        // The response of tower-http's time-out could not have such a body.
        tokio::time::timeout(BODY_TIMEOUT + REQUEST_TIMEOUT, next.run(request))
            .await
            .unwrap_or_else(|_| (responses.late)())
    };
    let status = response.status().as_u16().to_string();
    metrics::counter!("usher_http_requests_total", "status" => status).increment(1);
    response
}

/// Reads the body of a request: at most `max` bytes, within `BODY_TIMEOUT`.
pub(super) async fn read_body(body: Body, max: usize) -> Result<Bytes, Problem> {
    let body = tokio::time::timeout(BODY_TIMEOUT, to_bytes(body, max)).await;
    let body = body.map_err(|_| {
        let detail = format!(
            "the body did not arrive within {} s",
            BODY_TIMEOUT.as_secs()
        );
        Problem::new(StatusCode::REQUEST_TIMEOUT, "body_timeout", detail)
    })?;
    body.map_err(|_| {
        let detail = format!("the body was cut off or is larger than {max} bytes");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
    })
}

/// Parses a body as a JSON object that has only these members.
pub(super) fn parse_object(body: &[u8], members: &[&str]) -> Result<Map<String, Value>, Problem> {
    let object: Map<String, Value> = serde_json::from_slice(body)
        .map_err(|_| Problem::bad_request("the body must be a JSON object"))?;
    match object.keys().find(|name| !members.contains(&name.as_str())) {
        Some(_) => {
            let rule = format!("has an unknown member; allowed: {}", members.join(", "));
            Err(Problem::invalid_field("body", &rule))
        }
        None => Ok(object),
    }
}

/// Requires a JSON content type, which a form of another site cannot send.
pub(super) fn require_json(headers: &axum::http::HeaderMap) -> Result<(), Problem> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_late_or_large_body_is_refused() {
        let never = futures_util::stream::pending::<Result<Bytes, std::io::Error>>();
        let started = Instant::now();
        let late = read_body(Body::from_stream(never), 10).await;
        let late = late.expect_err("it does not come");
        assert_eq!(
            (late.status().as_u16(), started.elapsed()),
            (408, BODY_TIMEOUT)
        );
        let large = read_body(Body::from("x".repeat(11)), 10).await;
        assert_eq!(large.expect_err("11 bytes").status().as_u16(), 413);
        let fits = read_body(Body::from("x".repeat(10)), 10).await;
        assert_eq!(fits.expect("10 bytes").len(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_permit_is_held_until_the_work_has_ended() {
        let admission = Admission::new(CancellationToken::new());
        let end = CancellationToken::new();
        let permit = admission.try_acquire().expect("a permit");
        let work = admission.run_detached(permit, end.clone().cancelled_owned());
        let answer = tokio::time::timeout(REQUEST_TIMEOUT, work).await;
        assert!(answer.is_err(), "the client has stopped waiting");
        admission.spawn_background(
            admission.try_acquire().expect("a permit"),
            end.clone().cancelled_owned(),
        );
        assert_eq!(
            (admission.permits_in_use(), admission.running_tasks()),
            (2, 2)
        );
        let others: Vec<RequestPermit> =
            std::iter::from_fn(|| admission.try_acquire().ok()).collect();
        assert_eq!(others.len(), MAX_CONCURRENT_REQUESTS - 2);
        assert!(admission.separate_pool().try_acquire().is_ok());
        end.cancel();
        while admission.running_tasks() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(admission.permits_in_use(), others.len());
    }
}
