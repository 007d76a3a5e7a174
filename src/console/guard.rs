//! What every request passes: the checks of [`Access`], and the headers of every response.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{RawQuery, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use tower_http::set_header::SetResponseHeaderLayer;

use super::access::{Access, LinkUse};
use super::form::Form;
use super::page::{Refusal, signed_in};
use super::state::Console;

/// Each page needs its own script and style, sends forms, and fetches itself.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

pub(super) const USED_LINK_PATH: &str = "/console/used-link";

pub(super) async fn require_host(
    State(console): State<Arc<Console>>,
    request: Request,
    next: Next,
) -> Response {
    if console.access.is_host(request.headers()) {
        next.run(request).await
    } else {
        (StatusCode::MISDIRECTED_REQUEST, "not this host\n").into_response()
    }
}

/// No route has another method. A HEAD request would use up the link.
pub(super) async fn require_method(request: Request, next: Next) -> Response {
    if [Method::GET, Method::POST].contains(request.method()) {
        next.run(request).await
    } else {
        let allowed = [(header::ALLOW, "GET, POST")];
        (StatusCode::METHOD_NOT_ALLOWED, allowed).into_response()
    }
}

/// Lets only the signed-in browser pass. A POST has its fields as an extension, [`Form`], once
/// its origin and its token are checked.
pub(super) async fn require_session(
    State(console): State<Arc<Console>>,
    request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    let access = &console.access;
    if !access.has_session(request.headers()) {
        return Err(Refusal::signed_out());
    }
    if request.method() != Method::POST {
        return Ok(next.run(request).await);
    }
    if !Access::is_same_origin(request.headers()) {
        return Err(Refusal::forbidden(
            "The request does not come from a page of this console.",
        ));
    }
    let (mut head, body) = request.into_parts();
    let form = Form::read(&head.headers, body).await?;
    if !access.token.is(form.get("token")) {
        return Err(Refusal::forbidden(
            "The page is from an earlier start of the console: open its link again.",
        ));
    }
    head.extensions.insert(Arc::new(form));
    Ok(next.run(Request::from_parts(head, Body::empty())).await)
}

/// `GET /`: with the token of the link it sets the cookie, once. It answers with a page: a browser
/// sends no strict cookie after a redirect, if another site had the link.
pub(super) async fn sign_in(
    State(console): State<Arc<Console>>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let access = &console.access;
    let Some(query) = query else {
        return Ok(Redirect::to("/console").into_response());
    };
    match access.open(Form::parse(query.as_bytes()).get("token")) {
        LinkUse::First => {
            Ok(([(header::SET_COOKIE, access.cookie())], signed_in()).into_response())
        }
        LinkUse::Again => Ok(Redirect::to(USED_LINK_PATH).into_response()),
        LinkUse::Wrong => Err(Refusal::signed_out()),
    }
}

/// Where a used link leads: `/` does not get the cookie, which is only for `/console`.
pub(super) async fn used_link(
    State(console): State<Arc<Console>>,
    headers: HeaderMap,
) -> Result<Redirect, Refusal> {
    if console.access.has_session(&headers) {
        Ok(Redirect::to("/console"))
    } else {
        Err(Refusal::used_link())
    }
}

/// Adds the headers of every response.
pub(super) fn with_headers<S: Clone + Send + Sync + 'static>(routes: Router<S>) -> Router<S> {
    let header = |name: HeaderName, value| {
        SetResponseHeaderLayer::overriding(name, HeaderValue::from_static(value))
    };
    let custom = HeaderName::from_static;
    routes
        .layer(header(
            header::CONTENT_SECURITY_POLICY,
            CONTENT_SECURITY_POLICY,
        ))
        .layer(header(header::REFERRER_POLICY, "no-referrer"))
        .layer(header(header::CACHE_CONTROL, "no-store"))
        .layer(header(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(header(custom("cross-origin-opener-policy"), "same-origin"))
        .layer(header(
            custom("cross-origin-resource-policy"),
            "same-origin",
        ))
}
