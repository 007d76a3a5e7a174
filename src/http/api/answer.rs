//! What became of an order, as an answer.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::idempotency::Answer;
use super::problem::Problem;
use crate::admin::{NotTaken, Taken};
use crate::aws::{NoPerson, Person};
use crate::event::{Action, GroupName, Order, Sub};
use crate::provision::{Invited, Outcome, Performed, Rejection};

pub(super) fn of(order: &Order, taken: Taken) -> Answer {
    match taken {
        Taken::Queued => (
            StatusCode::ACCEPTED,
            json!({"requestId": order.request_id, "status": "QUEUED"}),
        ),
        Taken::Not(why, performed) => {
            let problem = match why {
                NotTaken::OutOfReach => Problem::unavailable(
                    "neither Cognito nor the queue can be reached; what was asked for may be \
                     half done, ask again",
                ),
                NotTaken::Misconfigured => Problem::misconfigured(),
            };
            half_done(problem, order, &performed)
        }
        Taken::Ended(performed) => match &performed.outcome {
            Outcome::Rejected(rejection) => half_done(refusal(rejection), order, &performed),
            _ => (StatusCode::OK, done(order, &performed)),
        },
    }
}

/// A problem, and what was done all the same: the person may exist.
fn half_done(problem: Problem, order: &Order, performed: &Performed) -> Answer {
    let mut problem = problem.with("requestId", order.request_id.clone());
    if let (Some(person), Some(invited)) = (&performed.whom, &performed.invited) {
        problem = problem.with("user", user(person));
        problem = problem.with("mail", invited.mail.name());
    }
    (problem.status(), problem.to_json())
}

fn done(order: &Order, performed: &Performed) -> Value {
    let mut body = json!({"requestId": order.request_id, "status": "DONE"});
    if let Some(person) = &performed.whom {
        body["user"] = user(person);
    }
    if let Action::Add(membership) | Action::Remove(membership) = &order.action {
        body["group"] = membership.group.as_str().into();
    }
    if let Some(Invited {
        created,
        mail,
        groups,
    }) = &performed.invited
    {
        body["mail"] = mail.name().into();
        if matches!(order.action, Action::Invite(_)) {
            body["created"] = (*created).into();
            body["groups"] = groups.iter().map(GroupName::as_str).collect();
        }
    }
    body
}

/// Without attributes: the caller knows what they sent.
pub(super) fn user(person: &Person) -> Value {
    json!({
        "username": person.username.reveal(),
        "sub": person.sub.as_ref().map(Sub::as_str),
        "status": person.status,
        "enabled": person.enabled,
    })
}

/// A UUID that is the name of one user, and may be the `sub` of another.
pub(super) fn ambiguous() -> Problem {
    Problem::new(
        StatusCode::CONFLICT,
        "ambiguous_user",
        NoPerson::Ambiguous.to_string(),
    )
}

fn refusal(rejection: &Rejection) -> Problem {
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
        "ambiguous_user" => return ambiguous(),
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
