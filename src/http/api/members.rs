//! Routes that add and remove group members.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;

use super::openapi::{AdminProblems, CommandProblems, CommonProblems, IdempotencyKey, Member};
use super::problem::Problem;
use super::response::{MembershipBody, Queued};
use super::service::Api;
use super::users::UserPath;
use crate::event::{AdminOperation, FieldError, Membership};
use crate::http::limits::{parse_object, require_json};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct GroupPath {
    /// Name of a group that exists
    group: String,
}

/// Adds a user to a group
#[utoipa::path(
    post,
    path = "/v1/groups/{group}/members",
    operation_id = "addUserToGroup",
    params(GroupPath, IdempotencyKey),
    request_body = Member,
    responses(
        (status = 200, description = "Done", body = MembershipBody),
        (status = 202, description = "Cognito throttles or is down: the command is queued, and a \
            worker performs it; GET /v1/requests/{id} says what became of it", body = Queued),
        (status = 404, description = "No such user or group"),
        (status = 415, description = "The body is not application/json"),
        CommonProblems,
        AdminProblems,
        CommandProblems
    )
)]
pub(super) async fn add(
    State(api): State<Arc<Api>>,
    path: Result<Path<GroupPath>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let kind = require_json(request.headers());
    api.run_command(request, |body| {
        kind?;
        let Path(GroupPath { group }) = path?;
        let object = parse_object(body, &["username"])?;
        let username = object.get("username").and_then(|name| name.as_str());
        membership(&group, username.unwrap_or_default()).map(AdminOperation::AddToGroup)
    })
    .await
}

/// Removes a user from a group
#[utoipa::path(
    delete,
    path = "/v1/groups/{group}/members/{username}",
    operation_id = "removeUserFromGroup",
    params(GroupPath, UserPath, IdempotencyKey),
    responses(
        (status = 200, description = "Done", body = MembershipBody),
        (status = 202, description = "Cognito throttles or is down: the command is queued, and a \
            worker performs it; GET /v1/requests/{id} says what became of it", body = Queued),
        (status = 404, description = "No such user or group"),
        CommonProblems,
        AdminProblems,
        CommandProblems
    )
)]
pub(super) async fn remove(
    State(api): State<Arc<Api>>,
    path: Result<Path<(String, String)>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    api.run_command(request, |_| {
        let Path((group, username)) = path?;
        membership(&group, &username).map(AdminOperation::RemoveFromGroup)
    })
    .await
}

fn membership(group: &str, username: &str) -> Result<Membership, Problem> {
    Membership::new(("username", username), ("group", group))
        .map_err(|FieldError { field, rule }| Problem::invalid_field(field, rule))
}
