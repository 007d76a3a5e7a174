//! Who is served: the browser that opened the link, on this machine.
//!
//! A page of another site must reach nothing. It cannot read the link, and the browser does not
//! send the cookie for it. `Host` stops a name that an attacker resolves to 127.0.0.1. Another
//! port of this machine counts as the same site for cookies, so a POST also needs
//! `Sec-Fetch-Site: same-origin` and the token that is in each form.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::http::{HeaderMap, HeaderName, header};
use sha2::{Digest, Sha256};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// A random text that only one side should know.
pub(super) struct Secret(String);

impl Secret {
    pub(super) fn new() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        Ok(Self(format!("{:032x}", u128::from_ne_bytes(bytes))))
    }

    pub(super) fn of(text: String) -> Self {
        Self(text)
    }

    /// The time that this takes says nothing about the secret.
    pub(super) fn is(&self, text: &str) -> bool {
        Sha256::digest(text) == Sha256::digest(&self.0)
    }

    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

/// A link signs in once: someone who finds it later, as in a history or a log, gets nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LinkUse {
    First,
    Again,
    /// It belongs to another start of the console.
    Wrong,
}

pub(super) struct Access {
    /// `Host` must be this. Another process may serve `localhost`, by IPv6.
    host: String,
    link_token: Secret,
    is_link_used: AtomicBool,
    /// Other servers at 127.0.0.1 get the cookies of this one for the same path, so its name has
    /// the port.
    cookie_name: String,
    session: Secret,
}

impl Access {
    pub(super) fn new(address: SocketAddr) -> Result<Self, getrandom::Error> {
        let port = address.port();
        Ok(Self {
            host: address.to_string(),
            link_token: Secret::new()?,
            is_link_used: AtomicBool::new(false),
            cookie_name: format!("usher_console_{port}"),
            session: Secret::new()?,
        })
    }

    /// The header that signs a browser in.
    pub(super) fn cookie(&self) -> String {
        let (name, value) = (&self.cookie_name, self.session.reveal());
        format!("{name}={value}; Path=/console; HttpOnly; SameSite=Strict")
    }

    /// The link that an operator opens.
    pub(super) fn link(&self) -> String {
        format!("http://{}/?token={}", self.host, self.link_token.reveal())
    }

    /// What the link with this token does.
    pub(super) fn open(&self, token: &str) -> LinkUse {
        if !self.link_token.is(token) {
            LinkUse::Wrong
        } else if self.is_link_used.swap(true, Ordering::Relaxed) {
            LinkUse::Again
        } else {
            LinkUse::First
        }
    }

    pub(super) fn is_host(&self, headers: &HeaderMap) -> bool {
        let host = text(headers, &header::HOST);
        host == self.host
    }

    pub(super) fn has_session(&self, headers: &HeaderMap) -> bool {
        let cookies = headers.get_all(header::COOKIE).iter();
        let cookies = cookies.filter_map(|value| value.to_str().ok());
        cookies
            .flat_map(|value| value.split(';'))
            .filter_map(|cookie| cookie.trim().split_once('='))
            .any(|(name, value)| name == self.cookie_name && self.session.is(value))
    }

    /// Whether the browser says that a page of this server sends the request. With
    /// `Referrer-Policy: no-referrer` the `Origin` of a form is `null`.
    ///
    /// <https://fetch.spec.whatwg.org/#append-a-request-origin-header>
    pub(super) fn is_same_origin(headers: &HeaderMap, scheme: &str) -> bool {
        let own = format!("{scheme}://{}", text(headers, &header::HOST));
        let origin = text(headers, &header::ORIGIN);
        (origin == "null" || origin == own) && text(headers, &SEC_FETCH_SITE) == "same-origin"
    }
}

/// Empty if there is none, or more than one.
fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> &'a str {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().unwrap_or_default(),
        _ => "",
    }
}
