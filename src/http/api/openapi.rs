//! The description of the API for its clients: what the annotations of the routes do not say.
//!
//! <https://spec.openapis.org/oas/v3.1.0>

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::openapi::schema::{SchemaType, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Content, Object, ObjectBuilder, Ref, RefOr, Response};
use utoipa::{IntoParams, IntoResponses, OpenApi, ToSchema};

use super::problem::PROBLEM_JSON;

/// The description without its routes.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "usher",
        version = "1",
        description = "Actions of administrators of an Amazon Cognito user pool, and each user's \
            own record. The pool is the one that issued the token.",
    ),
    components(schemas(Problem)),
    security(("token" = []))
)]
pub(super) struct Description;

/// Adds what the routes have in common.
pub(super) fn complete(api: &mut utoipa::openapi::OpenApi) {
    let token = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .description(Some(
            "A token of the user pool: access or id, as admin.token_use says, of one of \
             admin.client_ids",
        ))
        .build();
    let components = api.components.get_or_insert_default();
    components.add_security_scheme("token", SecurityScheme::Http(token));
    // The licence of the program is not one of the API.
    api.info.license = None;
    let routes = api.paths.paths.values_mut();
    let operations = routes.flat_map(|route| [&mut route.get, &mut route.post, &mut route.delete]);
    for operation in operations.flatten() {
        for (status, response) in &mut operation.responses.responses {
            if let RefOr::T(response) = response
                && status.as_str() >= "400"
            {
                let problem = Content::new(Some(Ref::from_schema_name("Problem")));
                response
                    .content
                    .insert(PROBLEM_JSON.to_owned(), problem.into());
            }
        }
    }
}

/// RFC 9457
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes `super::Problem`")]
pub(super) struct Problem {
    r#type: String,
    title: String,
    status: u16,
    /// Short and stable
    code: String,
    detail: String,
    #[schema(nullable = false)]
    field: Option<String>,
    #[schema(nullable = false)]
    request_id: Option<String>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "describes a header")]
pub(super) struct IdempotencyKey {
    /// The same request with the same key gets the same response for an hour, from the
    /// same process
    #[param(
        rename = "Idempotency-Key",
        nullable = false,
        min_length = 1,
        max_length = 255
    )]
    key: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes a body")]
pub(super) struct Member {
    /// User name, alias or sub. A UUID must be the sub of the user
    username: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = Invitation)]
#[expect(dead_code, reason = "describes a body")]
pub(super) struct InvitationBody {
    #[schema(format = Email)]
    email: String,
    /// For pools whose users choose a name, or are named by phone number; default: the
    /// e-mail address
    username: Option<String>,
    given_name: Option<String>,
    family_name: Option<String>,
    #[schema(schema_with = attributes)]
    attributes: Option<Map<String, Value>>,
    /// Existing groups, in addition to those of the rules
    #[schema(max_items = 100)]
    groups: Option<Vec<String>>,
    /// Send the mail again to a user who has one
    resend: Option<bool>,
}

/// What became of a command that was queued
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes `RequestView`")]
pub(super) struct QueuedRequest {
    request_id: String,
    status: RequestStatus,
    /// Why it failed: short and stable
    #[schema(nullable = false)]
    reason: Option<String>,
    /// Such as `AddUserToGroup`
    command: String,
    /// The groups that the command names
    groups: Vec<String>,
    user_pool_id: String,
    #[schema(format = DateTime)]
    requested_at: String,
    /// Oldest first
    transitions: Vec<RequestTransition>,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes `RequestView`")]
struct RequestTransition {
    status: RequestStatus,
    #[schema(format = DateTime)]
    at: String,
    #[schema(nullable = false)]
    reason: Option<String>,
    /// Tells operators which dead letter it is
    #[schema(nullable = false)]
    message_id: Option<String>,
}

/// A failed request is a dead letter, and changes again if operators replay it
#[derive(ToSchema)]
#[schema(rename_all = "UPPERCASE")]
#[expect(dead_code, reason = "describes the names of `RequestView`")]
enum RequestStatus {
    Queued,
    Done,
    Failed,
}

fn attributes() -> Object {
    let scalar = vec![Type::String, Type::Number, Type::Boolean, Type::Null];
    let scalar = ObjectBuilder::new().schema_type(SchemaType::Array(scalar));
    ObjectBuilder::new()
        .schema_type(SchemaType::Array(vec![Type::Object, Type::Null]))
        .description(Some("Standard attributes and custom:… ones"))
        .additional_properties(Some(scalar))
        .build()
}

/// failed: Cognito could not send it, ask for it again; unknown: the response was lost; `no_code`:
/// the user pool lets the user sign in without a password, so there is no code to accept or to send
/// again
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "describes the names of `MailStatus`")]
pub(super) enum Mail {
    Sent,
    NotSent,
    Failed,
    Unknown,
    NoCode,
}

/// The problems that every request may get.
pub(super) struct CommonProblems;

impl IntoResponses for CommonProblems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&[
            ("401", "No token, or an invalid one"),
            (
                "503",
                "Nothing was done, or the result is unknown; try again after Retry-After",
            ),
        ])
    }
}

/// The further problems of administrators' requests.
pub(super) struct AdminProblems;

impl IntoResponses for AdminProblems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&[
            (
                "400",
                "The body is not a JSON object, or the path is not UTF-8",
            ),
            (
                "403",
                "The caller is not an administrator, or administrators may not do this",
            ),
            (
                "422",
                "A field is invalid, Cognito does not accept a value, or the \
                 Idempotency-Key came with another request",
            ),
            (
                "429",
                "Over admin.rate, too many requests in progress, no call to Cognito left in \
                 [quota], or too many invalid tokens to check this one; Retry-After says when \
                 to try again",
            ),
        ])
    }
}

/// The further problems of a command.
pub(super) struct CommandProblems;

impl IntoResponses for CommandProblems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&[
            ("408", "The body did not arrive within 5 s"),
            (
                "409",
                "The state of the user or group conflicts with it, or the same \
                 request is in progress",
            ),
            ("413", "The body is larger than 64 KiB"),
        ])
    }
}

fn problems(by_status: &[(&str, &str)]) -> BTreeMap<String, RefOr<Response>> {
    let response = |description: &str| Response::new(description).into();
    by_status
        .iter()
        .map(|(status, description)| ((*status).to_owned(), response(description)))
        .collect()
}
