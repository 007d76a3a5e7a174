//! The routes of the API, and the document that describes them.

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing;
use serde_json::json;
use tower_http::cors::CorsLayer;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::openapi::{Description, complete};
use super::problem::Problem;
use super::service::{Api, REPLAYED_HEADER, TRACEPARENT_HEADER};
use super::{invitations, members, requests, users};
use crate::http::limits::with_limits;

/// The description of the API, in JSON.
pub static OPENAPI: LazyLock<String> = LazyLock::new(|| {
    let mut api = described_routes().into_openapi();
    complete(&mut api);
    format!("{:#}", json!(api))
});

/// The routes under `/v1`, which browsers may call from these origins.
pub(crate) fn api_routes(api: Api, origins: &[String]) -> Router {
    let admission = api.admission.clone();
    let routes = Router::from(described_routes())
        .route("/v1/{*rest}", routing::any(no_route))
        .method_not_allowed_fallback(no_method)
        .with_state(Arc::new(api));
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

/// The routes, with their description.
fn described_routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(members::add))
        .routes(routes!(members::remove))
        .routes(routes!(invitations::invite))
        .routes(routes!(invitations::resend))
        .routes(routes!(requests::show))
        .routes(routes!(users::show))
        .routes(routes!(users::own_profile))
        .routes(routes!(description))
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
        "this path does not exist; /v1/openapi.json lists the paths",
    )
}

async fn no_method() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "no_method",
        "this path does not take this method; /v1/openapi.json lists the methods",
    )
}
