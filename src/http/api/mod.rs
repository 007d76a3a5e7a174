//! The administrators' API, and everybody's own record.
//!
//! `openapi.json` says what each route takes and answers; a test holds the two
//! together.

mod answer;
mod idempotency;
mod invitations;
mod members;
mod problem;
mod users;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing;
use tower_http::cors::CorsLayer;

use super::limits::{Doors, Pace, Seat, bytes, limited};
use crate::admin::{Denied, Desk, Gate, Office, Refused};
use crate::aws::Class;
use crate::event::{Action, Caller, Order, Trace};
use idempotency::{Answer, Known, Memory};
pub(super) use problem::Problem;

/// What the routes work with.
#[derive(Debug)]
pub struct Api {
    gate: Gate,
    desk: Desk,
    office: Office,
    memory: Arc<Memory>,
    pace: Pace,
    /// For what everybody may ask for, beside the administrators' own.
    everybodys_pace: Pace,
    doors: Doors,
}

/// The description of the API.
pub const OPENAPI: &str = include_str!("openapi.json");

/// <https://www.w3.org/TR/trace-context/#traceparent-header>
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// No body of ours needs a tenth of it.
const MAX_BODY: usize = 64 * 1024;
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

impl Api {
    /// At most `rate` requests of administrators a second, and as many of others.
    pub fn new(gate: Gate, desk: Desk, office: Office, rate: u32, doors: Doors) -> Self {
        Self {
            gate,
            desk,
            office,
            memory: Arc::default(),
            pace: Pace::new(rate.into()),
            everybodys_pace: Pace::new(rate.into()),
            doors,
        }
    }

    /// The routes under `/v1`; browsers may call from these origins.
    pub fn routes(self, origins: &[String]) -> Router {
        let doors = self.doors.clone();
        let routes = Router::new()
            .route("/v1/groups/{group}/members", routing::post(members::add))
            .route(
                "/v1/groups/{group}/members/{username}",
                routing::delete(members::remove),
            )
            .route("/v1/invitations", routing::post(invitations::invite))
            .route(
                "/v1/invitations/{username}/resend",
                routing::post(invitations::resend),
            )
            .route("/v1/users/{username}", routing::get(users::show))
            .route("/v1/me/profile", routing::get(users::own_profile))
            .route("/v1/openapi.json", routing::get(openapi))
            .route("/v1/{*rest}", routing::any(no_route))
            .method_not_allowed_fallback(no_method)
            .with_state(Arc::new(self))
            .layer(from_fn_with_state(doors, limited));
        if origins.is_empty() {
            return routes;
        }
        let origins: Vec<HeaderValue> = origins
            .iter()
            .filter_map(|origin| origin.parse().ok())
            .collect();
        let cors = CorsLayer::new()
            .allow_origin(origins)
            .allow_methods([Method::GET, Method::POST, Method::DELETE])
            .allow_headers([
                header::AUTHORIZATION,
                header::CONTENT_TYPE,
                HeaderName::from_static("idempotency-key"),
                TRACEPARENT,
            ])
            .expose_headers([header::RETRY_AFTER, REPLAYED]);
        routes.layer(cors)
    }

    /// Counted between the token and the question to Cognito: neither strangers nor the
    /// refused use up what administrators need.
    async fn administrator(&self, headers: &HeaderMap) -> Result<Caller, Problem> {
        let caller = self.caller(headers).await?;
        self.gate
            .named(&caller)
            .map_err(|denied| refusal(&denied))?;
        within(&self.pace)?;
        Ok(caller)
    }

    /// A seat for what an administrator asks for, once the body is there. Whether they
    /// still are one is the first part of the work.
    async fn seat(&self, caller: &Caller) -> Result<Seat, Problem> {
        let seat = self.doors.seat()?;
        let still = seat.within(self.gate.still(caller)).await;
        still.map_err(|denied| refusal(&denied))?;
        Ok(seat)
    }

    async fn anybody(&self, headers: &HeaderMap) -> Result<Caller, Problem> {
        let caller = self.caller(headers).await?;
        within(&self.everybodys_pace)?;
        Ok(caller)
    }

    async fn caller(&self, headers: &HeaderMap) -> Result<Caller, Problem> {
        let caller = self.gate.anybody(authorization(headers)).await;
        caller.map_err(|denied| refusal(&denied))
    }

    /// Takes an order of an administrator: checked, once for each key, to its end.
    async fn order(
        self: Arc<Self>,
        request: Request,
        action: impl FnOnce(&[u8]) -> Result<Action, Problem>,
    ) -> Result<Response, Problem> {
        let (head, body) = request.into_parts();
        let caller = self.administrator(&head.headers).await?;
        let body = bytes(body, MAX_BODY).await?;
        let seat = self.seat(&caller).await?;
        let what = [
            head.method.as_str().as_bytes(),
            head.uri.path().as_bytes(),
            &body,
        ];
        let action = action(&body)?;
        let place = match self.memory.look(&caller, &head.headers, &what)? {
            Known::New(place) => place,
            Known::Answered(answer) => {
                let mut response = json(answer);
                response
                    .headers_mut()
                    .insert(REPLAYED, HeaderValue::from_static("true"));
                return Ok(response);
            }
        };
        let order = Order {
            request_id: place.request_id.clone(),
            requested_by: caller.sub,
            requested_at: Some(jiff::Timestamp::now()),
            pool: caller.pool,
            action,
        };
        let trace = Trace::of_traceparent(traceparent(&head.headers));
        let api = Arc::clone(&self);
        let done = self.doors.to_its_end(seat, async move {
            let answer = answer::of(&order, api.desk.take(&order, &trace).await);
            place.answered(&answer);
            answer
        });
        Ok(json(done.await?))
    }
}

fn within(pace: &Pace) -> Result<(), Problem> {
    pace.take().map_err(|wait| {
        Problem::too_many("more requests a second than admin.rate allows").again_after(wait)
    })
}

fn json((status, body): Answer) -> Response {
    let kind = if status.is_success() {
        "application/json"
    } else {
        "application/problem+json"
    };
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    }
    response
}

fn authorization(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()
}

/// Two of them are none.
fn traceparent(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(TRACEPARENT).iter();
    values
        .next()
        .filter(|_| values.next().is_none())?
        .to_str()
        .ok()
}

/// Whoever has no good token learns nothing of why.
fn refusal(denied: &Denied) -> Problem {
    match denied {
        Denied::NoToken => Problem::new(
            StatusCode::UNAUTHORIZED,
            "no_token",
            "send the user pool's token: Authorization: Bearer …",
        ),
        Denied::Unverified(failure) if failure.class == Class::Busy => Problem::busy(),
        Denied::Token(Refused::Unavailable) | Denied::Unverified(_) => {
            Problem::unavailable("whether the token is good cannot be found out now")
        }
        Denied::Token(Refused::Limited) => {
            Problem::too_many("too many invalid tokens; this one was not checked")
        }
        Denied::Token(_) => Problem::new(
            StatusCode::UNAUTHORIZED,
            "invalid_token",
            "the token is not one of the user pool and of its app clients, or has expired",
        ),
        Denied::NotAdministrator => Problem::new(
            StatusCode::FORBIDDEN,
            "not_administrator",
            "only administrators may do this",
        ),
    }
}

async fn openapi(State(_): State<Arc<Api>>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI).into_response()
}

async fn no_route() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "no_route",
        "there is nothing here; /v1/openapi.json says what there is",
    )
}

async fn no_method() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "no_method",
        "not with this method; /v1/openapi.json says what there is",
    )
}
