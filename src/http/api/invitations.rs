//! Invitations.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use serde_json::Value;

use super::members::bad_path;
use super::{Api, Problem};
use crate::event::{Action, Draft, Invitation, Username};
use crate::http::limits::{is_json, object};

/// `POST /v1/invitations` with the members of a [`Draft`].
pub(super) async fn invite(
    State(api): State<Arc<Api>>,
    request: Request,
) -> Result<Response, Problem> {
    let kind = is_json(request.headers());
    api.order(request, |body| {
        kind?;
        let mut object = object(body, &Invitation::FIELDS)?;
        // An absent address is told like a wrong one.
        object
            .entry("email")
            .or_insert_with(|| Value::String(String::new()));
        let draft: Draft = serde_json::from_value(Value::Object(object)).map_err(|_| {
            Problem::field(
                "body",
                "email, username, givenName and familyName are texts, groups a list of texts, \
                 attributes an object, resend true or false",
            )
        })?;
        Invitation::new(draft)
            .map(Action::Invite)
            .map_err(|wrong| Problem::field(wrong.field, wrong.rule))
    })
    .await
}

/// `POST /v1/invitations/{username}/resend`.
pub(super) async fn resend(
    State(api): State<Arc<Api>>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    api.order(request, |_| {
        let Path(username) = path.map_err(bad_path)?;
        Username::plain(&username)
            .map(Action::Resend)
            .map_err(|rule| Problem::field("username", rule))
    })
    .await
}
