//! What is looked up.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::json;

use super::members::bad_path;
use super::{Api, Problem, answer};
use crate::admin::Missing;
use crate::aws::Class;
use crate::event::{GroupName, Username};

/// `GET /v1/users/{username}`: status, groups, profile.
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let caller = api.administrator(&headers).await?;
    let Path(username) = path.map_err(bad_path)?;
    let username = Username::plain(&username).map_err(|rule| Problem::field("username", rule))?;
    let seat = api.seat(&caller).await?;
    let shown = seat.within(api.office.user(&caller, &username)).await;
    let shown = shown.map_err(|missing| problem(&missing, "user_not_found", "no such user"))?;
    let mut body = answer::user(&shown.person);
    body["groups"] = shown.groups.iter().map(GroupName::as_str).collect();
    body["profile"] = shown.profile.map_or(json!(null), Into::into);
    Ok(super::json((StatusCode::OK, body)))
}

/// `GET /v1/me/profile`: the caller's own record, and nobody else's.
pub(super) async fn own_profile(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let caller = api.anybody(&headers).await?;
    let seat = api.doors.seat()?;
    let profile = seat.within(api.office.own_profile(&caller)).await;
    let profile =
        profile.map_err(|missing| problem(&missing, "profile_not_found", "no profile (yet)"))?;
    Ok(super::json((StatusCode::OK, profile.into())))
}

fn problem(missing: &Missing, code: &'static str, detail: &'static str) -> Problem {
    match missing {
        Missing::Nothing => Problem::new(StatusCode::NOT_FOUND, code, detail),
        Missing::Ambiguous => answer::ambiguous(),
        Missing::Failed(failure) if failure.class == Class::Busy => Problem::busy(),
        Missing::Failed(failure) => {
            tracing::warn!(error = %failure, "a look-up for the API failed");
            if matches!(failure.class, Class::Systemic) {
                Problem::misconfigured()
            } else {
                Problem::unavailable("Cognito or DynamoDB is throttled or down")
            }
        }
    }
}
