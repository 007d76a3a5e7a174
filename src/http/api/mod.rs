//! The administrators' API, and each user's own profile.
//!
//! `openapi` describes input and output of each route; a test compares the answers with it.

mod idempotency;
mod invitations;
mod members;
mod openapi;
mod problem;
mod response;
mod users;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing;
use tower_http::cors::CorsLayer;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::limits::{Admission, RequestPermit, read_body, with_limits};
use crate::admin::{AuthError, Authorizer, CommandService, TokenError, UserLookup};
use crate::aws::Class;
use crate::event::{AdminCommand, AdminOperation, Caller, Trace};
use crate::rate_limiter::RateLimiter;
use idempotency::{IdempotencyLookup, IdempotencyStore, JsonResponse};
use openapi::Description;
pub use openapi::OPENAPI;
pub(super) use problem::Problem;

/// The state that the routes of the API share.
#[derive(Debug)]
pub struct Api {
    authorizer: Authorizer,
    command_service: CommandService,
    user_lookup: UserLookup,
    idempotency: IdempotencyStore,
    admin_limiter: RateLimiter,
    /// For requests that every user may send; not shared with the administrators.
    user_limiter: RateLimiter,
    admission: Admission,
}

/// <https://www.w3.org/TR/trace-context/#traceparent-header>
const TRACEPARENT_HEADER: HeaderName = HeaderName::from_static("traceparent");
/// No valid body needs a tenth of it.
const MAX_API_BODY_BYTES: usize = 64 * 1024;
const PROBLEM_JSON: &str = "application/problem+json";
const REPLAYED_HEADER: HeaderName = HeaderName::from_static("idempotency-replayed");

impl Api {
    /// At most `rate` requests of administrators a second, and as many of other users.
    pub(crate) fn new(
        authorizer: Authorizer,
        command_service: CommandService,
        user_lookup: UserLookup,
        rate: u32,
        admission: Admission,
    ) -> Self {
        Self {
            authorizer,
            command_service,
            user_lookup,
            idempotency: IdempotencyStore::default(),
            admin_limiter: RateLimiter::per_second(rate.into()),
            user_limiter: RateLimiter::per_second(rate.into()),
            admission,
        }
    }

    /// The routes under `/v1`, which browsers may call from these origins.
    pub fn routes(self, origins: &[String]) -> Router {
        let admission = self.admission.clone();
        let routes = Router::from(described_routes())
            .route("/v1/{*rest}", routing::any(no_route))
            .method_not_allowed_fallback(no_method)
            .with_state(Arc::new(self));
        let routes = with_limits(routes, admission);
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
                TRACEPARENT_HEADER,
            ])
            .expose_headers([header::RETRY_AFTER, REPLAYED_HEADER]);
        routes.layer(cors)
    }

    /// Counts after the check of the token and before the call of Cognito: neither strangers nor
    /// refused users use up the rate of administrators.
    async fn require_admin(&self, headers: &HeaderMap) -> Result<Caller, Problem> {
        let caller = self.authenticate(headers).await?;
        self.authorizer
            .require_admin(&caller)
            .map_err(|denied| access_problem(&denied))?;
        check_rate(&self.admin_limiter)?;
        Ok(caller)
    }

    /// A permit for an administrator's request whose body has arrived. The first part of the
    /// work checks that they still are an administrator.
    async fn acquire_admin_permit(&self, caller: &Caller) -> Result<RequestPermit, Problem> {
        let permit = self.admission.try_acquire()?;
        let authorized = permit
            .run(self.authorizer.require_current_admin(caller))
            .await;
        authorized.map_err(|denied| access_problem(&denied))?;
        Ok(permit)
    }

    async fn require_user(&self, headers: &HeaderMap) -> Result<Caller, Problem> {
        let caller = self.authenticate(headers).await?;
        check_rate(&self.user_limiter)?;
        Ok(caller)
    }

    async fn authenticate(&self, headers: &HeaderMap) -> Result<Caller, Problem> {
        let caller = self.authorizer.authenticate(authorization(headers)).await;
        caller.map_err(|denied| access_problem(&denied))
    }

    /// Authorizes and runs a command to its end, once for each `Idempotency-Key`.
    async fn run_command(
        self: Arc<Self>,
        request: Request,
        parse: impl FnOnce(&[u8]) -> Result<AdminOperation, Problem>,
    ) -> Result<Response, Problem> {
        let (head, body) = request.into_parts();
        let caller = self.require_admin(&head.headers).await?;
        let body = read_body(body, MAX_API_BODY_BYTES).await?;
        let permit = self.acquire_admin_permit(&caller).await?;
        let parts = [
            head.method.as_str().as_bytes(),
            head.uri.path().as_bytes(),
            &body,
        ];
        let operation = parse(&body)?;
        let pending = match self.idempotency.look_up(&caller, &head.headers, &parts)? {
            IdempotencyLookup::New(pending) => pending,
            IdempotencyLookup::Replayed(answer) => {
                let mut response = json_response(answer);
                response
                    .headers_mut()
                    .insert(REPLAYED_HEADER, HeaderValue::from_static("true"));
                return Ok(response);
            }
        };
        let command = AdminCommand {
            request_id: pending.request_id.clone(),
            requested_by: caller.sub,
            requested_at: Some(jiff::Timestamp::now()),
            pool: caller.pool,
            operation,
        };
        let trace = Trace::from_traceparent(traceparent(&head.headers));
        let api = Arc::clone(&self);
        let done = self.admission.run_detached(permit, async move {
            let answer = response::from_submission(
                &command,
                api.command_service.submit(&command, &trace).await,
            );
            pending.complete(&answer);
            answer
        });
        Ok(json_response(done.await?))
    }
}

/// The routes, with their description.
fn described_routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(members::add))
        .routes(routes!(members::remove))
        .routes(routes!(invitations::invite))
        .routes(routes!(invitations::resend))
        .routes(routes!(users::show))
        .routes(routes!(users::own_profile))
        .routes(routes!(description))
}

fn check_rate(limiter: &RateLimiter) -> Result<(), Problem> {
    limiter.try_acquire().map_err(|wait| {
        Problem::too_many_requests("more requests a second than admin.rate allows")
            .retry_after(wait)
    })
}

fn json_response((status, body): JsonResponse) -> Response {
    let kind = if status.is_success() {
        "application/json"
    } else {
        PROBLEM_JSON
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

/// `None` where the header occurs twice.
fn traceparent(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(TRACEPARENT_HEADER).iter();
    values
        .next()
        .filter(|_| values.next().is_none())?
        .to_str()
        .ok()
}

/// The problem does not show why a token is refused.
fn access_problem(denied: &AuthError) -> Problem {
    match denied {
        AuthError::NoToken => Problem::new(
            StatusCode::UNAUTHORIZED,
            "no_token",
            "send the user pool's token: Authorization: Bearer …",
        ),
        AuthError::Unverified(failure) if failure.class == Class::Busy => Problem::busy(),
        AuthError::Token(TokenError::Unavailable) | AuthError::Unverified(_) => {
            Problem::unavailable("whether the token is good cannot be found out now")
        }
        AuthError::Token(TokenError::RateLimited) => {
            Problem::too_many_requests("too many invalid tokens; this one was not checked")
        }
        AuthError::Token(_) => Problem::new(
            StatusCode::UNAUTHORIZED,
            "invalid_token",
            "the token is not one of the user pool and of its app clients, or has expired",
        ),
        AuthError::NotAdministrator => Problem::new(
            StatusCode::FORBIDDEN,
            "not_administrator",
            "only administrators may do this",
        ),
    }
}

/// This document
#[utoipa::path(
    get,
    path = "/v1/openapi.json",
    operation_id = "getDescription",
    security(()),
    responses(
        (status = 200, description = "OpenAPI", body = Object),
        (status = 503, description = "Nothing was done, or the result is unknown; try again after \
            Retry-After")
    )
)]
async fn description(State(_): State<Arc<Api>>) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (kind, OPENAPI.as_str()).into_response()
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
