//! Routes that add and remove group members.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;

use super::{Api, Problem};
use crate::event::{AdminOperation, FieldError, Membership};
use crate::http::limits::{parse_object, require_json};

/// `POST /v1/groups/{group}/members` with `{"username": …}`.
pub(super) async fn add(
    State(api): State<Arc<Api>>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let kind = require_json(request.headers());
    api.run_command(request, |body| {
        kind?;
        let Path(group) = path.map_err(bad_path)?;
        let object = parse_object(body, &["username"])?;
        let username = object.get("username").and_then(|name| name.as_str());
        membership(&group, username.unwrap_or_default()).map(AdminOperation::AddToGroup)
    })
    .await
}

/// `DELETE /v1/groups/{group}/members/{username}`.
pub(super) async fn remove(
    State(api): State<Arc<Api>>,
    path: Result<Path<(String, String)>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    api.run_command(request, |_| {
        let Path((group, username)) = path.map_err(bad_path)?;
        membership(&group, &username).map(AdminOperation::RemoveFromGroup)
    })
    .await
}

fn membership(group: &str, username: &str) -> Result<Membership, Problem> {
    Membership::new(("username", username), ("group", group))
        .map_err(|FieldError { field, rule }| Problem::invalid_field(field, rule))
}

pub(super) fn bad_path(_: PathRejection) -> Problem {
    Problem::bad_request("the path is not UTF-8, percent-encoded")
}
