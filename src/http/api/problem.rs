//! Errors as problem details.
//!
//! <https://www.rfc-editor.org/rfc/rfc9457>

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use crate::admin::{AuthError, TokenError};
use crate::aws::Class;

pub(super) const PROBLEM_JSON: &str = "application/problem+json";

/// An error of a request or of the deployment. Its detail quotes nothing of the request except
/// names of fields.
#[derive(Debug, Clone)]
pub(in crate::http) struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: Cow<'static, str>,
    extensions: Map<String, Value>,
    retry_after_secs: Option<u64>,
}

impl Problem {
    pub(in crate::http) fn new(
        status: StatusCode,
        code: &'static str,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            status,
            code,
            detail: detail.into(),
            extensions: Map::new(),
            retry_after_secs: None,
        }
    }

    /// A field of the request breaks a rule.
    pub(in crate::http) fn invalid_field(field: &str, rule: impl fmt::Display) -> Self {
        let detail = format!("{field}: {rule}");
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail).with_member("field", field)
    }

    pub(in crate::http) fn bad_request(detail: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", detail)
    }

    pub(in crate::http) fn too_many_requests(detail: &'static str) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", detail).retry_after_secs(1)
    }

    /// The budgets of calls to Cognito are used up.
    pub(in crate::http) fn busy() -> Self {
        Self::too_many_requests("no more calls to Cognito are allowed at the moment")
            .retry_after_secs(5)
    }

    pub(in crate::http) fn unavailable(detail: &'static str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail).retry_after_secs(5)
    }

    /// An operator has to fix the deployment first; the log names the cause.
    pub(in crate::http) fn misconfigured() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "misconfigured",
            "usher lacks a permission or something else that it needs for this; it may be half done",
        )
        .retry_after_secs(60)
    }

    #[must_use]
    pub(in crate::http) fn with_member(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.extensions.insert(name.to_owned(), value.into());
        self
    }

    #[must_use]
    pub(in crate::http) fn retry_after(self, wait: Duration) -> Self {
        self.retry_after_secs(wait.as_secs() + 1)
    }

    #[must_use]
    pub(in crate::http) fn retry_after_secs(mut self, seconds: u64) -> Self {
        self.retry_after_secs = Some(seconds);
        self
    }

    pub(in crate::http) fn status(&self) -> StatusCode {
        self.status
    }

    pub(in crate::http) fn to_json(&self) -> Value {
        let mut body = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "status": self.status.as_u16(),
            "code": self.code,
            "detail": self.detail,
        });
        if let Some(object) = body.as_object_mut() {
            object.extend(self.extensions.clone());
        }
        body
    }
}

/// The problem does not show why a token is refused.
impl From<AuthError> for Problem {
    fn from(denied: AuthError) -> Self {
        match denied {
            AuthError::NoToken => Problem::new(
                StatusCode::UNAUTHORIZED,
                "no_token",
                "send the user pool's token: Authorization: Bearer …",
            ),
            AuthError::Unverified(failure) if failure.class == Class::Busy => Problem::busy(),
            AuthError::Token(TokenError::Unavailable) | AuthError::Unverified(_) => {
                Problem::unavailable("the token could not be checked; try again")
            }
            AuthError::Token(TokenError::RateLimited) => {
                Problem::too_many_requests("too many invalid tokens; this one was not checked")
            }
            AuthError::Token(_) => Problem::new(
                StatusCode::UNAUTHORIZED,
                "invalid_token",
                "the token is not one of the user pool and of its app clients, or has expired",
            ),
            AuthError::NotAdministrator => Problem::new(
                StatusCode::FORBIDDEN,
                "not_administrator",
                "only administrators may do this",
            ),
        }
    }
}

impl From<PathRejection> for Problem {
    fn from(_: PathRejection) -> Self {
        Self::bad_request("the path is not UTF-8, percent-encoded")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.to_json().to_string()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        let kind = HeaderValue::from_static(PROBLEM_JSON);
        headers.insert(header::CONTENT_TYPE, kind);
        if self.status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer");
            headers.insert(header::WWW_AUTHENTICATE, scheme);
        }
        if let Some(seconds) = self.retry_after_secs {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}
