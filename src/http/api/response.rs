//! What became of an order, as an answer.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::idempotency::JsonResponse;
use super::problem::Problem;
use crate::admin::{Submission, UnavailableReason};
use crate::aws::{FindUserError, PoolUser};
use crate::event::{AdminCommand, AdminOperation, GroupName, Sub};
use crate::provision::{CommandResult, InvitationResult, Outcome, Rejection};

pub(super) fn from_submission(order: &AdminCommand, taken: Submission) -> JsonResponse {
    match taken {
        Submission::Queued => (
            StatusCode::ACCEPTED,
            json!({"requestId": order.request_id, "status": "QUEUED"}),
        ),
        Submission::Unavailable(why, performed) => {
            let problem = match why {
                UnavailableReason::Unreachable => Problem::unavailable(
                    "neither Cognito nor the queue can be reached; what was asked for may be \
                     half done, ask again",
                ),
                UnavailableReason::Misconfigured => Problem::misconfigured(),
            };
            problem_response(problem, order, &performed)
        }
        Submission::Completed(performed) => match &performed.outcome {
            Outcome::Rejected(rejection) => {
                problem_response(rejection_problem(rejection), order, &performed)
            }
            _ => (StatusCode::OK, completed_body(order, &performed)),
        },
    }
}

/// A problem, and what was done all the same: the person may exist.
fn problem_response(
    problem: Problem,
    order: &AdminCommand,
    performed: &CommandResult,
) -> JsonResponse {
    let mut problem = problem.with_member("requestId", order.request_id.clone());
    if let (Some(person), Some(invited)) = (&performed.user, &performed.invitation) {
        problem = problem.with_member("user", user_json(person));
        problem = problem.with_member("mail", invited.mail.name());
    }
    (problem.status(), problem.to_json())
}

fn completed_body(order: &AdminCommand, performed: &CommandResult) -> Value {
    let mut body = json!({"requestId": order.request_id, "status": "DONE"});
    if let Some(person) = &performed.user {
        body["user"] = user_json(person);
    }
    if let AdminOperation::AddToGroup(membership) | AdminOperation::RemoveFromGroup(membership) =
        &order.operation
    {
        body["group"] = membership.group.as_str().into();
    }
    if let Some(InvitationResult {
        created,
        mail,
        groups,
    }) = &performed.invitation
    {
        body["mail"] = mail.name().into();
        if matches!(order.operation, AdminOperation::Invite(_)) {
            body["created"] = (*created).into();
            body["groups"] = groups.iter().map(GroupName::as_str).collect();
        }
    }
    body
}

/// Without attributes: the caller knows what they sent.
pub(super) fn user_json(person: &PoolUser) -> Value {
    json!({
        "username": person.username.reveal(),
        "sub": person.sub.as_ref().map(Sub::as_str),
        "status": person.status,
        "enabled": person.enabled,
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
            "somebody whose e-mail address is another, or is not verified, has this user name",
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
