//! `GET /`: names the pages of a server, for people who open its address in a browser.

use askama::Template;
use axum::Router;
use axum::http::{HeaderValue, header};
use axum::response::Html;
use axum::routing;
use tower_http::set_header::SetResponseHeaderLayer;

use super::limits::{Admission, with_limits};

/// The page needs only itself.
const CONTENT_SECURITY_POLICY: &str =
    "default-src 'none'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

#[derive(Template)]
#[template(path = "index.html")]
struct IndexTemplate<'a> {
    pages: &'a [IndexPage],
}

/// A page that `GET /` names.
#[derive(Debug, Clone, Copy)]
pub(crate) struct IndexPage {
    pub path: &'static str,
    /// What it shows.
    pub content: &'static str,
}

/// The route `/`.
pub(super) fn index_route(pages: &[IndexPage]) -> Router {
    let page = IndexTemplate { pages }.to_string();
    let policy = HeaderValue::from_static(CONTENT_SECURITY_POLICY);
    Router::new()
        .route("/", routing::get(|| async { Html(page) }))
        .layer(SetResponseHeaderLayer::overriding(
            header::CONTENT_SECURITY_POLICY,
            policy,
        ))
}

/// The route `/` of the public server.
pub(crate) fn public_index(pages: &[IndexPage], admission: Admission) -> Router {
    with_limits(index_route(pages), admission)
}
