//! Why an invitation was not accepted, for the page.

use axum::http::StatusCode;

use crate::aws::NotAccepted;
use crate::http::api::Problem;

/// The name in metrics.
pub(super) fn name(refused: Option<&NotAccepted>) -> &'static str {
    match refused {
        None => "accepted",
        Some(NotAccepted::Code) => "not_accepted",
        Some(NotAccepted::Expired) => "expired",
        Some(NotAccepted::TooMany) => "too_many_requests",
        Some(NotAccepted::Busy) => "busy",
        Some(NotAccepted::Lacks(_)) => "attributes_needed",
        Some(NotAccepted::Password(_)) => "password_refused",
        Some(NotAccepted::Attribute) => "attribute_refused",
        Some(NotAccepted::TryAgain) => "try_again",
        Some(NotAccepted::Failed(_)) => "unavailable",
    }
}

/// What the page can tell the person.
pub(super) fn problem(refused: NotAccepted) -> Problem {
    let code = name(Some(&refused));
    let problem = |status, detail: &'static str| Problem::new(status, code, detail);
    match refused {
        NotAccepted::Code => problem(
            StatusCode::FORBIDDEN,
            "the user name or the code is not right, or the code was used already",
        ),
        NotAccepted::Expired => problem(StatusCode::GONE, "the code has expired"),
        NotAccepted::TooMany => problem(
            StatusCode::TOO_MANY_REQUESTS,
            "too many attempts; wait a moment",
        )
        .again_in(30),
        NotAccepted::Busy => Problem::busy(),
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
        NotAccepted::TryAgain => problem(StatusCode::CONFLICT, "it took too long; send it again"),
        NotAccepted::Failed(failure) => {
            tracing::error!(error = %failure, "an invitation could not be accepted");
            Problem::unavailable("Cognito cannot be reached, or refuses this service")
        }
    }
}
