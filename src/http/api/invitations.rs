//! Routes that send invitations and resend them.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use serde_json::Value;

use super::openapi::{
    AdminProblems, CommandProblems, CommonProblems, IdempotencyKey, InvitationBody,
};
use super::problem::Problem;
use super::response::{Invited, Queued, Resent};
use super::service::Api;
use super::users::UserPath;
use crate::event::{AdminOperation, Invitation, InvitationDraft, Username};
use crate::http::limits::{parse_object, require_json};

/// Creates a user with groups and profile, and sends the invitation
///
/// An existing user gets the groups and the profile, and another mail only when resend is true.
#[utoipa::path(
    post,
    path = "/v1/invitations",
    operation_id = "inviteUser",
    params(IdempotencyKey),
    request_body = InvitationBody,
    responses(
        (status = 200, description = "Done", body = Invited),
        (status = 202, description = "Cognito throttles or is down: the command is queued, and a \
            worker performs it; GET /v1/requests/{id} says what became of it", body = Queued),
        (status = 404, description = "No such group"),
        (status = 415, description = "The body is not application/json"),
        CommonProblems,
        AdminProblems,
        CommandProblems
    )
)]
pub(super) async fn invite(
    State(api): State<Arc<Api>>,
    request: Request,
) -> Result<Response, Problem> {
    let kind = require_json(request.headers());
    api.run_command(request, |body| {
        kind?;
        let mut object = parse_object(body, &Invitation::FIELDS)?;
        // A missing address is reported like an invalid one.
        object
            .entry("email")
            .or_insert_with(|| Value::String(String::new()));
        let draft: InvitationDraft =
            serde_json::from_value(Value::Object(object)).map_err(|_| {
                Problem::invalid_field(
                    "body",
                    "email, username, givenName and familyName are texts, groups a list of texts, \
                 attributes an object, resend true or false",
                )
            })?;
        Invitation::new(draft)
            .map(AdminOperation::Invite)
            .map_err(|error| Problem::invalid_field(error.field, error.rule))
    })
    .await
}

/// Sends a new code to a user who has not accepted yet
#[utoipa::path(
    post,
    path = "/v1/invitations/{username}/resend",
    operation_id = "resendInvitation",
    params(UserPath, IdempotencyKey),
    responses(
        (status = 200, description = "Done", body = Resent),
        (status = 202, description = "Cognito throttles or is down: the command is queued, and a \
            worker performs it; GET /v1/requests/{id} says what became of it", body = Queued),
        (status = 404, description = "No such user"),
        CommonProblems,
        AdminProblems,
        CommandProblems
    )
)]
pub(super) async fn resend(
    State(api): State<Arc<Api>>,
    path: Result<Path<UserPath>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    api.run_command(request, |_| {
        let Path(UserPath { username }) = path?;
        Username::parse(&username)
            .map(AdminOperation::ResendInvitation)
            .map_err(|rule| Problem::invalid_field("username", rule))
    })
    .await
}
