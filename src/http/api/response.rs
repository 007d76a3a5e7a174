//! Turns the result of a command into a response.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::idempotency::JsonResponse;
use super::problem::Problem;
use crate::admin::{Submission, UnavailableReason};
use crate::aws::{FindUserError, PoolUser};
use crate::event::{AdminCommand, AdminOperation, GroupName, Sub};
use crate::provision::{CommandResult, InvitationResult, Outcome, Rejection};

pub(super) fn from_submission(command: &AdminCommand, submission: Submission) -> JsonResponse {
    match submission {
        Submission::Queued => (
            StatusCode::ACCEPTED,
            json!({"requestId": command.request_id, "status": "QUEUED"}),
        ),
        Submission::Unavailable(reason, result) => {
            let problem = match reason {
                UnavailableReason::Unreachable => Problem::unavailable(
                    "neither Cognito nor the queue can be reached; what was asked for may be \
                     half done, ask again",
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
        problem = problem.with_member("user", user_json(user));
        problem = problem.with_member("mail", invited.mail.name());
    }
    (problem.status(), problem.to_json())
}

fn completed_body(command: &AdminCommand, result: &CommandResult) -> Value {
    let mut body = json!({"requestId": command.request_id, "status": "DONE"});
    if let Some(user) = &result.user {
        body["user"] = user_json(user);
    }
    if let AdminOperation::AddToGroup(membership) | AdminOperation::RemoveFromGroup(membership) =
        &command.operation
    {
        body["group"] = membership.group.as_str().into();
    }
    if let Some(InvitationResult {
        created,
        mail,
        groups,
    }) = &result.invitation
    {
        body["mail"] = mail.name().into();
        if matches!(command.operation, AdminOperation::Invite(_)) {
            body["created"] = (*created).into();
            body["groups"] = groups.iter().map(GroupName::as_str).collect();
        }
    }
    body
}

/// Omits the attributes: the caller of an invitation has sent them.
pub(super) fn user_json(user: &PoolUser) -> Value {
    json!({
        "username": user.username.reveal(),
        "sub": user.sub.as_ref().map(Sub::as_str),
        "status": user.status,
        "enabled": user.enabled,
    })
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
            "Cognito does not take a value: an attribute that the pool does not have, a value \
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
            "a limit of the user pool is reached, such as the mails of a day",
        ),
        "code_delivery_failure" => (
            StatusCode::UNPROCESSABLE_ENTITY,
            "code_delivery_failure",
            "Cognito could not send the mail",
        ),
        "no_sub" | "internal" => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "this should not happen; the log says more under the request id",
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
