//! Results of `/accept`: metrics and log lines for operators, problems for the page.

use axum::http::StatusCode;

use crate::aws::AcceptError;
use crate::http::api::Problem;

/// Counts the result, and logs the failures that an operator has to fix.
pub(super) fn record_result(refused: Option<&AcceptError>) {
    let mut reason = "";
    match refused {
        Some(AcceptError::Unavailable(failure)) => {
            tracing::error!(error = %failure, "an invitation could not be accepted");
        }
        Some(AcceptError::Misconfigured(fault, failure)) => {
            reason = fault.name();
            tracing::error!(
                error = %failure,
                reason,
                remedy = %fault,
                "an invitation could not be accepted",
            );
        }
        _ => {}
    }
    let result = refused.map_or("accepted", result_name);
    metrics::counter!(
        "usher_invitations_accepted_total", "result" => result, "reason" => reason,
    )
    .increment(1);
}

/// The result in metrics, and the code of the problem unless [`to_problem`] has another one.
fn result_name(refused: &AcceptError) -> &'static str {
    match refused {
        AcceptError::WrongCode => "not_accepted",
        AcceptError::CodeExpired => "expired",
        AcceptError::TooManyAttempts => "too_many_requests",
        AcceptError::Busy => "busy",
        AcceptError::MissingAttributes(_) => "attributes_needed",
        AcceptError::InvalidPassword(_) => "password_refused",
        AcceptError::InvalidAttribute => "attribute_refused",
        AcceptError::AliasExists => "alias_exists",
        AcceptError::TryAgain => "try_again",
        AcceptError::Disabled => "disabled",
        AcceptError::PasswordResetRequired => "reset_needed",
        AcceptError::Unavailable(_) => "unavailable",
        AcceptError::Misconfigured(..) => "misconfigured",
    }
}

/// The problem that the page explains to the user.
pub(super) fn to_problem(refused: AcceptError) -> Problem {
    let code = result_name(&refused);
    let problem = |status, detail: &'static str| Problem::new(status, code, detail);
    match refused {
        // Cognito reports the last two for every code, so strangers would learn which users
        // exist.
        AcceptError::WrongCode | AcceptError::Disabled | AcceptError::PasswordResetRequired => {
            Problem::new(
                StatusCode::FORBIDDEN,
                result_name(&AcceptError::WrongCode),
                "the user name and the code do not match, or the user cannot sign in with a code now",
            )
        }
        AcceptError::CodeExpired => problem(StatusCode::GONE, "the code has expired"),
        AcceptError::TooManyAttempts => problem(
            StatusCode::TOO_MANY_REQUESTS,
            "too many attempts; wait a moment",
        )
        .retry_after_secs(30),
        AcceptError::Busy => problem(
            StatusCode::SERVICE_UNAVAILABLE,
            "no more calls to Cognito are allowed at the moment",
        )
        .retry_after_secs(5),
        AcceptError::MissingAttributes(names) => {
            problem(StatusCode::CONFLICT, "these attributes are needed as well")
                .with_member("attributes", names)
        }
        AcceptError::InvalidPassword(rules) => problem(
            StatusCode::UNPROCESSABLE_ENTITY,
            "the password does not fulfil the rules of the user pool",
        )
        .with_member("lacks", rules),
        AcceptError::InvalidAttribute => problem(
            StatusCode::UNPROCESSABLE_ENTITY,
            "an attribute has a value that the user pool does not take",
        )
        .with_member("attributes", Vec::<String>::new()),
        AcceptError::AliasExists => problem(
            StatusCode::CONFLICT,
            "another user has this e-mail address or phone number",
        ),
        AcceptError::TryAgain => problem(
            StatusCode::CONFLICT,
            "it did not work this time; send it again",
        ),
        AcceptError::Unavailable(_) => Problem::unavailable("Cognito cannot be reached, or fails"),
        AcceptError::Misconfigured(..) => problem(
            StatusCode::SERVICE_UNAVAILABLE,
            "the user pool does not let this service sign the person in; an administrator has to \
             look into it",
        )
        .retry_after_secs(60),
    }
}
