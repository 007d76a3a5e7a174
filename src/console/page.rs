//! What every page has: its frame, its style sheet and script, and the page of a refusal.

use askama::Template;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

use super::caller::{Caller, Role};

const CSS: &str = concat!(
    include_str!("../../templates/base.css"),
    include_str!("../../templates/console/console.css")
);
const JS: &str = include_str!("../../templates/console/console.js");

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum View {
    Now,
    DeadLetters,
    People,
    Invitations,
    Reconcile,
    Deployment,
    /// Outside the views.
    #[default]
    None,
}

impl View {
    /// In the order of the menu.
    pub(super) const ALL: &[Self] = &[
        Self::Now,
        Self::DeadLetters,
        Self::People,
        Self::Invitations,
        Self::Reconcile,
        Self::Deployment,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Now | Self::None => "Now",
            Self::DeadLetters => "Dead letters",
            Self::People => "People",
            Self::Invitations => "Invitations",
            Self::Reconcile => "Reconcile",
            Self::Deployment => "Deployment",
        }
    }

    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Now | Self::None => "/console",
            Self::DeadLetters => "/console/dead-letters",
            Self::People => "/console/people",
            Self::Invitations => "/console/invitations",
            Self::Reconcile => "/console/reconcile",
            Self::Deployment => "/console/deployment",
        }
    }

    /// Who is served this view. Buttons and the menu follow from it too.
    pub(super) fn may(self, role: Role) -> bool {
        match role {
            Role::Operator => true,
            Role::Administrator => {
                matches!(self, Self::Now | Self::People | Self::Invitations)
            }
        }
    }
}

/// Below these, a page decides for itself, or is for everyone who is signed in.
const SHARED_PATHS: [&str; 2] = ["/console/jobs", "/console/sign-out"];

/// Whether this role is served the path. What belongs to no view is for operators only.
pub(super) fn may_ask(role: Role, path: &str) -> bool {
    let is_below = |base: &str| {
        let rest = path.strip_prefix(base);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let is_of = |view: View| match view {
        View::Now => path == view.path(),
        _ => is_below(view.path()),
    };
    let mut views = View::ALL.iter().filter(|view| is_of(**view));
    role == Role::Operator
        || SHARED_PATHS.into_iter().any(is_below)
        || views.any(|view| view.may(role))
}

/// What the layout shows around a page.
#[derive(Default)]
pub(super) struct Frame<'a> {
    pub(super) title: String,
    pub(super) view: View,
    /// Empty for a browser that is not signed in.
    pub(super) caller: &'a str,
    pub(super) role: Role,
    /// For the forms of the page.
    pub(super) token: &'a str,
    /// The command that does the same.
    pub(super) command: String,
    /// Whether the script reads the page again and again.
    pub(super) moves: bool,
}

impl<'a> Frame<'a> {
    pub(super) fn new(caller: &'a Caller, view: View, title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            view,
            caller: caller.name(),
            role: caller.role(),
            token: caller.token.reveal(),
            ..Self::default()
        }
    }

    /// How the command differs. It cannot know which are the oldest before it has read all.
    pub(super) fn difference(&self) -> &'static str {
        let is_limited = self.command.contains(" --limit ");
        if is_limited && self.command.starts_with("usher dead-letters ") {
            ", where --limit takes the first that SQS delivers"
        } else {
            ""
        }
    }

    /// For a browser that is not signed in.
    pub(super) fn without_caller(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            ..Self::default()
        }
    }

    /// The views of the menu.
    pub(super) fn views(&self) -> impl Iterator<Item = &'static View> {
        View::ALL.iter().filter(|view| view.may(self.role))
    }

    /// Whether the page can end the session. That of an operator ends with the console.
    pub(super) fn can_sign_out(&self) -> bool {
        self.role == Role::Administrator
    }

    pub(super) fn with_command(self, command: impl Into<String>) -> Self {
        let command = if self.role.has_shell() {
            command.into()
        } else {
            String::new()
        };
        Self { command, ..self }
    }
}

pub(super) fn html(page: &impl Template) -> Response {
    Html(page.to_string()).into_response()
}

pub(super) async fn css() -> Response {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], CSS).into_response()
}

pub(super) async fn js() -> Response {
    let kind = "text/javascript; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], JS).into_response()
}

#[derive(Template)]
#[template(path = "console/forward.html")]
struct ForwardPage<'a> {
    title: &'a str,
    path: &'a str,
}

/// Leads to another page of the console. The browser then asks for it from this page, and sends
/// its cookies, whatever site it came from.
pub(super) fn forward(title: &str, path: &str) -> Response {
    html(&ForwardPage { title, path })
}

/// Why nothing was done, as a page.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    title: String,
    detail: String,
    /// Where to go next: a path and its name.
    next: Option<(String, &'static str)>,
}

#[derive(Template)]
#[template(path = "console/refusal.html")]
struct RefusalPage<'a> {
    frame: Frame<'static>,
    refusal: &'a Refusal,
}

impl Refusal {
    pub(super) fn new(
        status: StatusCode,
        title: impl Into<String>,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            status,
            title: title.into(),
            detail: detail.into(),
            next: None,
        }
    }

    pub(super) fn signed_out() -> Self {
        let detail = "Open the link that the console printed in your terminal when it started. A \
                      restarted console prints a new link.";
        Self::new(StatusCode::UNAUTHORIZED, "You are not signed in", detail)
    }

    pub(super) fn used_link() -> Self {
        let detail = "It works once. Use the browser that opened it. If it was not you, someone else is \
                      signed in: stop the console at once. It prints a new link when you start it again.";
        Self::new(
            StatusCode::UNAUTHORIZED,
            "This link was already used",
            detail,
        )
    }

    pub(super) fn forbidden(detail: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "Nothing was done", detail)
    }

    pub(super) fn not_found(detail: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "Not found", detail)
    }

    pub(super) fn with_next(self, path: impl Into<String>, name: &'static str) -> Self {
        Self {
            next: Some((path.into(), name)),
            ..self
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let page = RefusalPage {
            frame: Frame::without_caller(self.title.clone()),
            refusal: &self,
        };
        (self.status, html(&page)).into_response()
    }
}

pub(super) async fn not_found() -> Refusal {
    Refusal::not_found("This page does not exist.").with_next("/console", "Now")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_administrator_is_served_only_their_views() {
        for (path, expected) in [
            ("/console", true),
            ("/console/jobs/1", true),
            ("/console/jobs/1/stop", true),
            ("/console/sign-out", true),
            ("/console/people", true),
            ("/console/people/look-up", true),
            ("/console/invitations/new", true),
            ("/console/dead-letters", false),
            ("/console/dead-letters/1/body", false),
            ("/console/dead-letters-of-others", false),
            ("/console/jobsite", false),
            ("/console/", false),
            ("/console/of-no-view", false),
        ] {
            assert_eq!(may_ask(Role::Administrator, path), expected, "{path}");
            assert!(may_ask(Role::Operator, path));
        }
    }
}
