//! Turns the result of a command into a response.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::openapi::Mail;
use super::problem::{PROBLEM_JSON, Problem};
use crate::admin::{Submission, UnavailableReason};
use crate::aws::{FindUserError, PoolUser};
use crate::event::{AdminCommand, AdminOperation, GroupName};
use crate::provision::{CommandResult, Outcome, Rejection};

pub(super) type JsonResponse = (StatusCode, Value);

#[derive(Serialize, ToSchema)]
pub(super) struct User {
    username: String,
    #[schema(required)]
    sub: Option<String>,
    /// `UserStatus` of Cognito
    status: String,
    enabled: bool,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Membership)]
pub(super) struct MembershipBody {
    request_id: String,
    status: DoneStatus,
    user: User,
    group: String,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Invited {
    request_id: String,
    status: DoneStatus,
    user: User,
    #[schema(value_type = Mail)]
    mail: &'static str,
    created: bool,
    groups: Vec<String>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Resent {
    request_id: String,
    status: DoneStatus,
    user: User,
    #[schema(value_type = Mail)]
    mail: &'static str,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Queued {
    request_id: String,
    status: QueuedStatus,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
enum DoneStatus {
    Done,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
enum QueuedStatus {
    Queued,
}

/// Omits the attributes: the caller of an invitation has sent them.
impl From<&PoolUser> for User {
    fn from(user: &PoolUser) -> Self {
        Self {
            username: user.username.reveal().to_owned(),
            sub: user.sub.as_ref().map(|sub| sub.as_str().to_owned()),
            status: user.status.clone(),
            enabled: user.enabled,
        }
    }
}

pub(super) fn json_response((status, body): JsonResponse) -> Response {
    let kind = if status.is_success() {
        "application/json"
    } else {
        PROBLEM_JSON
    };
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    }
    response
}

pub(super) fn from_submission(command: &AdminCommand, submission: Submission) -> JsonResponse {
    match submission {
        Submission::Queued => (
            StatusCode::ACCEPTED,
            json!(Queued {
                request_id: command.request_id.clone(),
                status: QueuedStatus::Queued,
            }),
        ),
        Submission::Unavailable(reason, result) => {
            let problem = match reason {
                UnavailableReason::Unreachable => Problem::unavailable(
                    "neither Cognito nor the queue can be reached; the request may be \
                     half done, repeat it",
                ),
                UnavailableReason::Misconfigured => Problem::misconfigured(),
            };
            problem_response(problem, command, &result)
        }
        Submission::Completed(result) => match &result.outcome {
            Outcome::Rejected(rejection) => {
                problem_response(rejection_problem(rejection), command, &result)
            }
            _ => (StatusCode::OK, completed_body(command, &result)),
        },
    }
}

/// A problem, with user and mail where the invited user exists nevertheless.
fn problem_response(
    problem: Problem,
    command: &AdminCommand,
    result: &CommandResult,
) -> JsonResponse {
    let mut problem = problem.with_member("requestId", command.request_id.clone());
    if let (Some(user), Some(invited)) = (&result.user, &result.invitation) {
        problem = problem.with_member("user", json!(User::from(user)));
        problem = problem.with_member("mail", invited.mail.name());
    }
    (problem.status(), problem.to_json())
}

fn completed_body(command: &AdminCommand, result: &CommandResult) -> Value {
    let (request_id, status) = (command.request_id.clone(), DoneStatus::Done);
    let user = result.user.as_ref().map(User::from);
    match (&command.operation, user, &result.invitation) {
        (
            AdminOperation::AddToGroup(membership) | AdminOperation::RemoveFromGroup(membership),
            Some(user),
            _,
        ) => json!(MembershipBody {
            request_id,
            status,
            user,
            group: membership.group.to_string(),
        }),
        (AdminOperation::Invite(_), Some(user), Some(invited)) => json!(Invited {
            request_id,
            status,
            user,
            mail: invited.mail.name(),
            created: invited.created,
            groups: invited.groups.iter().map(GroupName::to_string).collect(),
        }),
        (AdminOperation::ResendInvitation(_), Some(user), Some(invited)) => json!(Resent {
            request_id,
            status,
            user,
            mail: invited.mail.name(),
        }),
        // Does not occur: a command that is done has a user.
        _ => json!({"requestId": request_id, "status": status}),
    }
}

/// A UUID that is the name of one user, and may be the `sub` of another.
pub(super) fn ambiguous_user() -> Problem {
    Problem::new(
        StatusCode::CONFLICT,
        "ambiguous_user",
        FindUserError::Ambiguous.to_string(),
    )
}

fn rejection_problem(rejection: &Rejection) -> Problem {
    let known: (StatusCode, &'static str, &'static str) = match rejection.reason.as_str() {
        "group_not_grantable" => (
            StatusCode::FORBIDDEN,
            "group_not_grantable",
            "administrators may not give or take this group (admin.grantable_groups)",
        ),
        "foreign_pool" => (
            StatusCode::FORBIDDEN,
            "foreign_pool",
            "the user pool is not among pools.allowed",
        ),
        "user_not_found" => (
            StatusCode::NOT_FOUND,
            "user_not_found",
            "there is no such user",
        ),
        "group_not_found" => (
            StatusCode::NOT_FOUND,
            "group_not_found",
            "there is no such group",
        ),
        "ambiguous_user" => return ambiguous_user(),
        "username_taken" => (
            StatusCode::CONFLICT,
            "username_taken",
            "another user, with another or unverified e-mail address, has this user name",
        ),
        "alias_exists" => (
            StatusCode::CONFLICT,
            "alias_exists",
            "another user has this e-mail address or phone number",
        ),
        "already_accepted" => (
            StatusCode::CONFLICT,
            "already_accepted",
            "this user has accepted already, or needs no password: there is no code to send again",
        ),
        "user_disabled" => (
            StatusCode::CONFLICT,
            "user_disabled",
            "the user is disabled: enable them first",
        ),
        "invalid_parameter" => (
            StatusCode::UNPROCESSABLE_ENTITY,
            "invalid_parameter",
            "Cognito does not accept a value: an attribute that the pool does not have, a value \
             out of its bounds, or a user name that is an e-mail address where the pool wants \
             another",
        ),
        "user_lambda_validation" => (
            StatusCode::UNPROCESSABLE_ENTITY,
            "user_lambda_validation",
            "a trigger of the user pool refuses this user",
        ),
        "limit_exceeded" => (
            StatusCode::UNPROCESSABLE_ENTITY,
            "limit_exceeded",
            "a limit of the user pool is reached, such as its mails per day",
        ),
        "code_delivery_failure" => (
            StatusCode::UNPROCESSABLE_ENTITY,
            "code_delivery_failure",
            "Cognito could not send the mail",
        ),
        "no_sub" | "internal" => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "this should not happen; the log has details under the request id",
        ),
        _ => {
            return Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "refused",
                format!("Cognito refuses it: {}", rejection.reason),
            );
        }
    };
    Problem::new(known.0, known.1, known.2)
}
