//! The session of an administrator: cookies, and the token of forms that follows from them.
//!
//! Several workers serve one browser, so none of them remembers a session. The cookie holds the
//! access token, which every worker verifies.

use std::fmt::Write;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::access::Secret;
use crate::aws::SessionTokens;

/// A browser takes a cookie with this prefix only over TLS, for the whole host, and not from a
/// subdomain.
///
/// <https://developer.mozilla.org/en-US/docs/Web/HTTP/Reference/Headers/Set-Cookie#cookie_prefixes>
const ACCESS_COOKIE: &str = "__Host-usher_console";
/// Only for the sign-out.
const REFRESH_COOKIE: &str = "__Host-usher_console_refresh";
/// Browsers drop a larger cookie without a word.
///
/// <https://www.rfc-editor.org/rfc/rfc6265#section-6.1>
pub(super) const MAX_COOKIE_BYTES: usize = 4096;

/// Adds the cookies of a session. False if the access token is too large for one, as that of a
/// member of very many groups is. Without the other cookie, a sign-out revokes nothing.
pub(super) fn begin(response: &mut Response, tokens: &SessionTokens) -> bool {
    let Some(access) = cookie(ACCESS_COOKIE, &tokens.access, tokens.lifetime) else {
        return false;
    };
    let refresh = tokens.refresh.as_deref();
    let refresh = refresh.and_then(|token| cookie(REFRESH_COOKIE, token, tokens.lifetime));
    let headers = response.headers_mut();
    for value in [Some(access), refresh].into_iter().flatten() {
        headers.append(header::SET_COOKIE, value);
    }
    true
}

/// Removes the cookies. Not for a response to a browser that sent none: after a link of another
/// site it sends none, and would lose them.
pub(super) fn end(mut response: Response) -> Response {
    let removals = [ACCESS_COOKIE, REFRESH_COOKIE].map(|name| cookie(name, "", Duration::ZERO));
    for value in removals.into_iter().flatten() {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
    response
}

/// `None` if it is too large, or has characters that no token has.
fn cookie(name: &str, value: &str, lifetime: Duration) -> Option<HeaderValue> {
    let seconds = lifetime.as_secs();
    let text =
        format!("{name}={value}; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age={seconds}");
    let fits = text.len() <= MAX_COOKIE_BYTES;
    fits.then_some(text)?.try_into().ok()
}

pub(super) fn access_token(headers: &HeaderMap) -> Option<&str> {
    sent_cookie(headers, ACCESS_COOKIE)
}

pub(super) fn refresh_token(headers: &HeaderMap) -> Option<&str> {
    sent_cookie(headers, REFRESH_COOKIE)
}

fn sent_cookie<'a>(headers: &'a HeaderMap, wanted: &str) -> Option<&'a str> {
    let cookies = headers.get_all(header::COOKIE).iter();
    let cookies = cookies.filter_map(|value| value.to_str().ok());
    cookies
        .flat_map(|value| value.split(';'))
        .filter_map(|cookie| cookie.trim().split_once('='))
        .find(|(name, _)| *name == wanted)
        .map(|(_, value)| value)
}

/// The token in each form. It follows from the access token, so that every worker knows it and
/// they share no key. A page of another site cannot make it: a script can read neither the
/// cookie nor, without CORS, a page with a form. It does not give the access token away.
pub(super) fn form_token(access_token: &str) -> Secret {
    hmac(access_token, "usher console form")
}

/// The mark of a temporary password on the page that asks for a new one, so that no worker
/// remembers it. Someone who has the page could try passwords with it, but could also set one: the
/// page has the session of the challenge.
pub(super) fn password_mark(challenge_session: &str, password: &str) -> Secret {
    hmac(challenge_session, password)
}

fn hmac(key: &str, text: &str) -> Secret {
    let key = Sha256::digest(key);
    #[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("any length");
    mac.update(text.as_bytes());
    let mut text = String::new();
    for byte in mac.finalize().into_bytes() {
        let _ = write!(text, "{byte:02x}");
    }
    Secret::of(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_that_browsers_drop_is_not_sent() {
        let tokens = |bytes| SessionTokens {
            access: "a".repeat(bytes),
            refresh: Some("r".repeat(bytes)),
            lifetime: Duration::from_hours(1),
        };
        for (bytes, cookies) in [(3900, 2), (4012, 1), (4100, 0)] {
            let mut response = Response::default();
            assert_eq!(begin(&mut response, &tokens(bytes)), cookies > 0);
            let sent = response.headers().get_all(header::SET_COOKIE);
            assert_eq!(sent.iter().count(), cookies, "{bytes}");
            assert!(sent.iter().all(|it| it.len() <= MAX_COOKIE_BYTES));
        }
    }

    #[test]
    fn each_session_has_its_own_form_token() {
        let token = form_token("header.claims.signature");
        // By `key=$(printf header.claims.signature | openssl dgst -sha256 -r | cut -c-64);
        // printf 'usher console form' | openssl dgst -sha256 -mac HMAC -macopt hexkey:$key`.
        assert_eq!(
            token.reveal(),
            "c9aa9b060f5cb49acb99d6f9b7e4540205d35a19624aafa5975389727e168cf6"
        );
        assert!(!form_token("header.claims.other").is(token.reveal()));
    }
}
