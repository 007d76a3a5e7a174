//! Why an invitation was not accepted: for the page, and for the operator.

use axum::http::StatusCode;

use crate::aws::NotAccepted;
use crate::http::api::Problem;

/// Counts it, and writes the line of what an operator has to know.
pub(super) fn note(refused: Option<&NotAccepted>) {
    let mut reason = "";
    match refused {
        Some(NotAccepted::Unavailable(failure)) => {
            tracing::error!(error = %failure, "an invitation could not be accepted");
        }
        Some(NotAccepted::Misconfigured(fault, failure)) => {
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
    let result = refused.map_or("accepted", name);
    metrics::counter!(
        "usher_invitations_accepted_total", "result" => result, "reason" => reason,
    )
    .increment(1);
}

/// The result in metrics, and the code of the answer unless [`problem`] has another one.
fn name(refused: &NotAccepted) -> &'static str {
    match refused {
        NotAccepted::Code => "not_accepted",
        NotAccepted::Expired => "expired",
        NotAccepted::TooMany => "too_many_requests",
        NotAccepted::Busy => "busy",
        NotAccepted::Lacks(_) => "attributes_needed",
        NotAccepted::Password(_) => "password_refused",
        NotAccepted::Attribute => "attribute_refused",
        NotAccepted::AliasExists => "alias_exists",
        NotAccepted::TryAgain => "try_again",
        NotAccepted::Disabled => "disabled",
        NotAccepted::ResetNeeded => "reset_needed",
        NotAccepted::Unavailable(_) => "unavailable",
        NotAccepted::Misconfigured(..) => "misconfigured",
    }
}

/// What the page can tell the person.
pub(super) fn problem(refused: NotAccepted) -> Problem {
    let code = name(&refused);
    let problem = |status, detail: &'static str| Problem::new(status, code, detail);
    match refused {
        // Cognito says the last two whatever the code is: strangers would learn which users
        // there are.
        NotAccepted::Code | NotAccepted::Disabled | NotAccepted::ResetNeeded => Problem::new(
            StatusCode::FORBIDDEN,
            name(&NotAccepted::Code),
            "the user name and the code do not match, or the user cannot sign in with a code now",
        ),
        NotAccepted::Expired => problem(StatusCode::GONE, "the code has expired"),
        NotAccepted::TooMany => problem(
            StatusCode::TOO_MANY_REQUESTS,
            "too many attempts; wait a moment",
        )
        .again_in(30),
        NotAccepted::Busy => problem(
            StatusCode::SERVICE_UNAVAILABLE,
            "the calls to Cognito are used up for the moment",
        )
        .again_in(5),
        NotAccepted::Lacks(names) => {
            problem(StatusCode::CONFLICT, "these attributes are needed as well")
                .with("attributes", names)
        }
        NotAccepted::Password(rules) => problem(
            StatusCode::UNPROCESSABLE_ENTITY,
            "the password does not fulfil the rules of the user pool",
        )
        .with("lacks", rules),
        NotAccepted::Attribute => problem(
            StatusCode::UNPROCESSABLE_ENTITY,
            "an attribute has a value that the user pool does not take",
        )
        .with("attributes", Vec::<String>::new()),
        NotAccepted::AliasExists => problem(
            StatusCode::CONFLICT,
            "another user has this e-mail address or phone number",
        ),
        NotAccepted::TryAgain => problem(
            StatusCode::CONFLICT,
            "it did not work this time; send it again",
        ),
        NotAccepted::Unavailable(_) => Problem::unavailable("Cognito cannot be reached, or fails"),
        NotAccepted::Misconfigured(..) => problem(
            StatusCode::SERVICE_UNAVAILABLE,
            "the user pool does not let this service sign the person in; an administrator has to \
             look into it",
        )
        .again_in(60),
    }
}
