//! The route that says what became of a command that was queued.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;
use utoipa::IntoParams;

use super::openapi::{AdminProblems, CommonProblems, QueuedRequest};
use super::problem::Problem;
use super::response::json_response;
use super::service::Api;
use crate::aws::Class;
use crate::provision::RequestLookupError;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct RequestPath {
    /// The requestId of a 202, or of a mutation
    id: String,
}

/// What became of a queued command
#[utoipa::path(
    get,
    path = "/v1/requests/{id}",
    operation_id = "getRequest",
    params(RequestPath),
    responses(
        (status = 200, description = "The request", body = QueuedRequest),
        (status = 404, description = "No queued request of the user pool has this id: it was answered \
            at once, or is older than 30 days (request_not_found). Or there is no table of requests \
            (requests_off)"),
        CommonProblems,
        AdminProblems
    )
)]
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    path: Result<Path<RequestPath>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let caller = api.require_admin(&headers).await?;
    let Path(RequestPath { id }) = path?;
    let permit = api.acquire_admin_permit(&caller).await?;
    let view = permit.run(api.requests().find(&id, Some(&caller.pool)));
    let view = view.await.map_err(lookup_problem)?;
    Ok(json_response((StatusCode::OK, json!(view))))
}

fn lookup_problem(error: RequestLookupError) -> Problem {
    let not_found = |code, detail| Problem::new(StatusCode::NOT_FOUND, code, detail);
    match error {
        RequestLookupError::NotFound => not_found(
            "request_not_found",
            "no queued request of your user pool has this id: it was answered at once, or is older \
             than 30 days",
        ),
        RequestLookupError::Off => not_found(
            "requests_off",
            "this service keeps no requests: admin.requests_table is not set",
        ),
        RequestLookupError::Failed(failure) => {
            tracing::warn!(error = %failure, "API look-up of a request failed");
            if failure.class == Class::Systemic {
                Problem::misconfigured()
            } else {
                Problem::unavailable("DynamoDB is throttled or down")
            }
        }
    }
}
