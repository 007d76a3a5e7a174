//! What every request of an operator passes: the checks of [`Access`], and the headers of every
//! response.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{RawQuery, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use tower_http::set_header::SetResponseHeaderLayer;

use super::access::{Access, LinkUse};
use super::caller::Caller;
use super::form::{self, Form};
use super::page::{Refusal, forward};

/// Each page needs its own script and style, sends forms, and fetches itself.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

pub(super) const USED_LINK_PATH: &str = "/console/used-link";

/// Serves one operator: the browser that opened the link.
pub(crate) struct LinkHost {
    access: Access,
    caller: Arc<Caller>,
}

impl LinkHost {
    /// For a server at `address`, which must be on loopback. `arn` is that of the credentials at
    /// the start, for the pages.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub(crate) fn new(address: SocketAddr, arn: String) -> anyhow::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            access: Access::new(address)?,
            caller: Arc::new(Caller::operator(arn)?),
        }))
    }

    /// The link that signs one browser in.
    pub(crate) fn link(&self) -> String {
        self.access.link()
    }
}

pub(super) async fn require_host(
    State(host): State<Arc<LinkHost>>,
    request: Request,
    next: Next,
) -> Response {
    if host.access.is_host(request.headers()) {
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

/// Lets only the signed-in browser pass.
pub(super) async fn require_session(
    State(host): State<Arc<LinkHost>>,
    request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    if !host.access.has_session(request.headers()) {
        return Err(Refusal::signed_out());
    }
    let request = with_caller(request, &host.caller, "http").await?;
    Ok(next.run(request).await)
}

/// Adds the caller as an extension; to a POST also its fields, [`Form`], once its origin and its
/// token are checked.
pub(super) async fn with_caller(
    request: Request,
    caller: &Arc<Caller>,
    scheme: &str,
) -> Result<Request, Refusal> {
    let (mut head, mut body) = request.into_parts();
    if head.method == Method::POST {
        let form = read_form(&head.headers, body, scheme, form::MAX_BYTES).await?;
        if !caller.token.is(form.get("token")) {
            return Err(Refusal::forbidden(
                "The page is from an earlier session of the console: open it again.",
            ));
        }
        head.extensions.insert(Arc::new(form));
        body = Body::empty();
    }
    head.extensions.insert(Arc::clone(caller));
    Ok(Request::from_parts(head, body))
}

/// The fields of a POST that a page of this console sends.
pub(super) async fn read_form(
    headers: &HeaderMap,
    body: Body,
    scheme: &str,
    max_bytes: usize,
) -> Result<Form, Refusal> {
    if !Access::is_same_origin(headers, scheme) {
        return Err(Refusal::forbidden(
            "The request does not come from a page of this console.",
        ));
    }
    Form::read(headers, body, max_bytes).await
}

/// `GET /`: with the token of the link it sets the cookie, once. It answers with a page: a browser
/// sends no strict cookie after a redirect, if another site had the link.
pub(super) async fn sign_in(
    State(host): State<Arc<LinkHost>>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let access = &host.access;
    let Some(query) = query else {
        return Ok(Redirect::to("/console").into_response());
    };
    match access.open(Form::parse(query.as_bytes()).get("token")) {
        LinkUse::First => {
            let page = forward("You are signed in", "/console");
            Ok(([(header::SET_COOKIE, access.cookie())], page).into_response())
        }
        LinkUse::Again => Ok(Redirect::to(USED_LINK_PATH).into_response()),
        LinkUse::Wrong => Err(Refusal::signed_out()),
    }
}

/// Where a used link leads: `/` does not get the cookie, which is only for `/console`.
pub(super) async fn used_link(
    State(host): State<Arc<LinkHost>>,
    headers: HeaderMap,
) -> Result<Redirect, Refusal> {
    if host.access.has_session(&headers) {
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
