//! Routes that read users and profiles.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::json;

use super::members::bad_path;
use super::{Api, Problem, response};
use crate::admin::LookupError;
use crate::aws::Class;
use crate::event::{GroupName, Username};

/// `GET /v1/users/{username}`: status, groups, profile.
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let caller = api.require_admin(&headers).await?;
    let Path(username) = path.map_err(bad_path)?;
    let username =
        Username::parse(&username).map_err(|rule| Problem::invalid_field("username", rule))?;
    let permit = api.acquire_admin_permit(&caller).await?;
    let view = permit
        .run(api.user_lookup.get_user(&caller, &username))
        .await;
    let view = view.map_err(|error| lookup_problem(&error, "user_not_found", "no such user"))?;
    let mut body = response::user_json(&view.user);
    body["groups"] = view.groups.iter().map(GroupName::as_str).collect();
    body["profile"] = view.profile.map_or(json!(null), Into::into);
    Ok(super::json_response((StatusCode::OK, body)))
}

/// `GET /v1/me/profile`: only the caller's own profile.
pub(super) async fn own_profile(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let caller = api.require_user(&headers).await?;
    let permit = api.admission.try_acquire()?;
    let profile = permit.run(api.user_lookup.own_profile(&caller)).await;
    let profile =
        profile.map_err(|error| lookup_problem(&error, "profile_not_found", "no profile (yet)"))?;
    Ok(super::json_response((StatusCode::OK, profile.into())))
}

fn lookup_problem(error: &LookupError, code: &'static str, detail: &'static str) -> Problem {
    match error {
        LookupError::NotFound => Problem::new(StatusCode::NOT_FOUND, code, detail),
        LookupError::Ambiguous => response::ambiguous_user(),
        LookupError::Failed(failure) if failure.class == Class::Busy => Problem::busy(),
        LookupError::Failed(failure) => {
            tracing::warn!(error = %failure, "API look-up of a user or profile failed");
            if matches!(failure.class, Class::Systemic) {
                Problem::misconfigured()
            } else {
                Problem::unavailable("Cognito or DynamoDB is throttled or down")
            }
        }
    }
}
