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

/// A challenge that a page asks for.
pub(super) struct Asked {
    pub(super) challenge: Challenge,
    /// That of the temporary password, where a new one is asked for; otherwise empty.
    pub(super) mark: String,
}

#[derive(Template)]
#[template(path = "console/challenge.html")]
struct ChallengePage<'a> {
    frame: Frame<'static>,
    challenge: &'a Challenge,
    mark: &'a str,
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

pub(super) fn challenge(status: StatusCode, asked: &Asked, next: &str, error: &str) -> Response {
    let Asked { challenge, mark } = asked;
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
        mark,
        lead,
        next,
        error,
    };
    (status, html(&page)).into_response()
}

/// The page after the sign-in: one of an administrator that a link can open, whatever was asked for.
pub(super) fn next_path(asked: &str) -> &str {
    let (path, query) = asked.split_once('?').unwrap_or((asked, ""));
    let segments: Vec<&str> = path.split('/').collect();
    let is_page = matches!(
        segments.as_slice(),
        ["", "console"]
            | ["", "console", "people" | "invitations"]
            | ["", "console", "invitations", "new" | "file"]
            | ["", "console", "people", _, _]
            | ["", "console", "jobs", _]
    );
    // A browser makes another path of dots and of escaped ones.
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_/".contains(c);
    if is_page && path.chars().all(is_plain) && query.bytes().all(|it| it.is_ascii_graphic()) {
        asked
    } else {
        View::Now.path()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_in_leads_only_to_a_page_of_the_console() {
        for own in [
            "/console",
            "/console?a=b",
            "/console/people?page=2",
            "/console/people/eu-west-1_x/42296c21-5207-4a93-8e3b-d3fc17fff32d?result=1",
            "/console/invitations?pool=eu-west-1_x",
            "/console/invitations/new",
            "/console/invitations/file",
            "/console/jobs/12",
        ] {
            assert_eq!(next_path(own), own);
        }
        for other in [
            "",
            "https://evil.example/console",
            "//evil.example/console",
            "/consoles",
            "/v1/me/profile",
            "/console/\r\nset-cookie: a=b",
            "/console?a\r\nset-cookie: a=b",
            // Other paths for a browser.
            "/console/..",
            "/console/../v1/me/profile",
            "/console/people/../../accept",
            "/console/people/%2e%2e/x",
            "/console/people/.%2E/x",
            "/console/jobs/..",
            "/console/jobs/.",
            "/console/people\\..\\x",
            // They take only POST.
            "/console/sign-out",
            "/console/sign-in",
            "/console/people/look-up",
            "/console/people/search",
            "/console/people/eu-west-1_x/1-2/disable",
            "/console/people/eu-west-1_x/1-2/personal-data",
            "/console/jobs/1/stop",
            // Of operators, and of no one.
            "/console/dead-letters",
            "/console/nothing",
            "/console/",
        ] {
            assert_eq!(next_path(other), "/console", "{other:?}");
        }
    }
}
