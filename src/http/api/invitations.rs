//! Routes that send invitations and resend them.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use serde_json::Value;

use super::members::bad_path;
use super::{Api, Problem};
use crate::event::{AdminOperation, Invitation, InvitationDraft, Username};
use crate::http::limits::{parse_object, require_json};

/// `POST /v1/invitations` with the members of an [`InvitationDraft`].
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

/// `POST /v1/invitations/{username}/resend`.
pub(super) async fn resend(
    State(api): State<Arc<Api>>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    api.run_command(request, |_| {
        let Path(username) = path.map_err(bad_path)?;
        Username::parse(&username)
            .map(AdminOperation::ResendInvitation)
            .map_err(|rule| Problem::invalid_field("username", rule))
    })
    .await
}
