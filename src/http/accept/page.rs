//! The page, its script and its style sheet.

use std::time::Duration;

use askama::Template;
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::Response;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use crate::aws::{PasswordRules, SignIn};
use crate::config::AcceptPage;
use crate::event::PoolId;

const ACCEPT_CSS: &str = concat!(
    include_str!("../../../templates/base.css"),
    include_str!("accept.css")
);
const ACCEPT_JS: &str = include_str!("accept.js");

/// Allows only the page's own script and style, and calls of this service.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
                      connect-src 'self'; form-action 'none'; base-uri 'none'; \
                      frame-ancestors 'none'";

/// Between two reads of the password rules, also after one that failed.
const RULES_MAX_AGE: Duration = Duration::from_mins(10);
/// The page is shown without the rules if the read takes longer.
const RULES_TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Template)]
#[template(path = "accept.html")]
struct PageTemplate<'a> {
    brand: &'a str,
    contact: &'a str,
    done_url: &'a str,
    /// Empty if it is unknown.
    min_length: &'a str,
    /// Kinds of characters, separated by spaces.
    required: &'a str,
}

#[derive(Debug)]
pub(super) struct PageRenderer {
    settings: AcceptPage,
    /// The pool whose password rules the page shows; `None` if there are several pools, since
    /// the user's is unknown.
    pool: Option<PoolId>,
    rules: Mutex<KnownRules>,
}

#[derive(Debug, Default)]
struct KnownRules {
    rules: Option<PasswordRules>,
    read_at: Option<Instant>,
}

impl PageRenderer {
    pub(super) fn new(settings: AcceptPage, pool: Option<PoolId>) -> Self {
        Self {
            settings,
            pool,
            rules: Mutex::default(),
        }
    }

    pub(super) async fn to_response(&self, sign_in: &SignIn) -> Response {
        let rules = self.password_rules(sign_in).await;
        let min_length = rules.as_ref().map(|rules| rules.min_length.to_string());
        let required = rules.map(|rules| rules.required.join(" "));
        let page = PageTemplate {
            brand: &self.settings.brand,
            contact: self.settings.contact.as_deref().unwrap_or_default(),
            done_url: self.settings.done_url.as_deref().unwrap_or_default(),
            min_length: &min_length.unwrap_or_default(),
            required: &required.unwrap_or_default(),
        };
        asset("text/html; charset=utf-8", page.to_string())
    }

    /// `None` if they could not be read, for example without `cognito-idp:DescribeUserPool`.
    async fn password_rules(&self, sign_in: &SignIn) -> Option<PasswordRules> {
        let pool = self.pool.as_ref()?;
        let mut known = self.rules.lock().await;
        if known.read_at.is_none_or(|at| at.elapsed() > RULES_MAX_AGE) {
            match timeout(RULES_TIMEOUT, sign_in.password_rules(pool)).await {
                Ok(Ok(rules)) => known.rules = rules,
                Ok(Err(failure)) => tracing::warn!(
                    error = %failure,
                    "/accept shows no password rules: DescribeUserPool failed",
                ),
                Err(_) => tracing::warn!(
                    "/accept shows no password rules: DescribeUserPool took too long",
                ),
            }
            known.read_at = Some(Instant::now());
        }
        known.rules.clone()
    }
}

pub(super) async fn css() -> Response {
    asset("text/css; charset=utf-8", ACCEPT_CSS)
}

pub(super) async fn js() -> Response {
    asset("text/javascript; charset=utf-8", ACCEPT_JS)
}

fn asset(kind: &'static str, text: impl Into<Body>) -> Response {
    let mut response = Response::new(text.into());
    for (name, value) in [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
    ] {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}
