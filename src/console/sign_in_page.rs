//! The pages of a sign-in. A challenge is in fields of its page, so no worker remembers it.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::page::{Frame, View, html};
use crate::aws::{Challenge, ChallengeKind};

#[derive(Template)]
#[template(path = "console/sign_in.html")]
struct SignInPage<'a> {
    frame: Frame<'static>,
    next: &'a str,
    /// Empty at the first look.
    message: &'a str,
    is_error: bool,
}

/// Leads to the page `next`.
pub(super) fn sign_in(status: StatusCode, next: &str, message: &str) -> Response {
    let page = SignInPage {
        frame: Frame::without_caller("Sign in"),
        next,
        message,
        is_error: !status.is_success(),
    };
    (status, html(&page)).into_response()
}

#[derive(Template)]
#[template(path = "console/challenge.html")]
struct ChallengePage<'a> {
    frame: Frame<'static>,
    challenge: &'a Challenge,
    lead: &'static str,
    next: &'a str,
    /// Empty before the first answer.
    error: &'a str,
}

impl ChallengePage<'_> {
    fn is_new_password(&self) -> bool {
        self.challenge.kind == ChallengeKind::NewPassword
    }
}

pub(super) fn challenge(
    status: StatusCode,
    challenge: &Challenge,
    next: &str,
    error: &str,
) -> Response {
    let (title, lead) = match challenge.kind {
        ChallengeKind::NewPassword => (
            "Choose a new password",
            "Your password was a temporary one. The new one replaces it.",
        ),
        ChallengeKind::SoftwareToken => (
            "Enter the code",
            "It is the one that your authenticator app shows now.",
        ),
        ChallengeKind::TextMessage => ("Enter the code", "It was sent to your telephone."),
        ChallengeKind::Email => ("Enter the code", "It was sent to your e-mail address."),
    };
    let page = ChallengePage {
        frame: Frame::without_caller(title),
        challenge,
        lead,
        next,
        error,
    };
    (status, html(&page)).into_response()
}

/// The page after the sign-in: one of this console, whatever was asked for.
pub(super) fn next_path(asked: &str) -> &str {
    let rest = asked.strip_prefix(View::Now.path());
    let is_own = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']));
    let is_of_sign_in = asked.starts_with("/console/sign-");
    if is_own && !is_of_sign_in && asked.bytes().all(|byte| byte.is_ascii_graphic()) {
        asked
    } else {
        View::Now.path()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_in_leads_only_to_the_console() {
        for own in ["/console", "/console?a=b", "/console/people?page=2"] {
            assert_eq!(next_path(own), own);
        }
        for other in [
            "",
            "https://evil.example/console",
            "//evil.example/console",
            "/consoles",
            "/v1/me/profile",
            "/console/sign-out",
            "/console/\r\nset-cookie: a=b",
        ] {
            assert_eq!(next_path(other), "/console", "{other:?}");
        }
    }
}
