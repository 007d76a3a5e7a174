//! Routes that read users and profiles.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::{IntoParams, ToSchema};

use super::openapi::{AdminProblems, CommonProblems};
use super::problem::Problem;
use super::response::{self, User, json_response};
use super::service::Api;
use crate::admin::LookupError;
use crate::aws::Class;
use crate::event::{GroupName, Username};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct UserPath {
    /// User name, alias or sub, percent-encoded. A UUID must be the sub of the user
    pub(super) username: String,
}

#[derive(Serialize, ToSchema)]
struct UserShown {
    #[serde(flatten)]
    user: User,
    groups: Vec<String>,
    #[schema(required, value_type = Option<Object>)]
    profile: Option<Map<String, Value>>,
}

/// Status, groups and profile of a user
#[utoipa::path(
    get,
    path = "/v1/users/{username}",
    operation_id = "getUser",
    params(UserPath),
    responses(
        (status = 200, description = "The user", body = UserShown),
        (status = 404, description = "No such user"),
        (status = 409, description = "The UUID is the user name of one user and may be the sub of another \
            (ambiguous_user)"),
        CommonProblems,
        AdminProblems
    )
)]
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    path: Result<Path<UserPath>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let caller = api.require_admin(&headers).await?;
    let Path(UserPath { username }) = path?;
    let username =
        Username::parse(&username).map_err(|rule| Problem::invalid_field("username", rule))?;
    let permit = api.acquire_admin_permit(&caller).await?;
    let view = permit
        .run(api.user_lookup.get_user(&caller, &username))
        .await;
    let view = view.map_err(|error| lookup_problem(&error, "user_not_found", "no such user"))?;
    let body = json!(UserShown {
        user: User::from(&view.user),
        groups: view.groups.iter().map(GroupName::to_string).collect(),
        profile: view.profile,
    });
    Ok(json_response((StatusCode::OK, body)))
}

/// The caller's own record
///
/// For every user, not only for administrators. The record under the token's sub, when its owner
/// is the token's `sub::username`, its sub or its user name. A user name that is a UUID or has :: in
/// it is not compared.
#[utoipa::path(
    get,
    path = "/v1/me/profile",
    operation_id = "getOwnProfile",
    responses(
        (status = 200, description = "The record, as in the table", body = Object),
        (status = 404, description = "There is none"),
        (status = 429, description = "Over admin.rate, too many requests in progress, or \
            too many invalid tokens to check this one; Retry-After says when to try again"),
        CommonProblems
    )
)]
pub(super) async fn own_profile(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let caller = api.require_user(&headers).await?;
    let permit = api.admission.try_acquire()?;
    let profile = permit.run(api.user_lookup.own_profile(&caller)).await;
    let profile =
        profile.map_err(|error| lookup_problem(&error, "profile_not_found", "no profile (yet)"))?;
    Ok(json_response((StatusCode::OK, profile.into())))
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
