//! What every request of an administrator passes: the session, the role, and the limits.
//!
//! The load balancer decides which `Host` it forwards, and makes TLS of plain HTTP.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::caller::Caller;
use super::guard::with_caller;
use super::page::{Refusal, forward, may_ask, not_found};
use super::{session, sign_in_page};
use crate::admin::{AuthError, Authorizer};
use crate::aws::SignIn;
use crate::event;
use crate::http::{Admission, LimitResponses};
use crate::rate_limiter::{KeyedRateLimiter, RateLimiter};

/// The scheme that browsers see.
pub(super) const SCHEME: &str = "https";
/// The share of the sign-in budget: strangers can use it up, and `/accept` needs the rest.
const SIGN_IN_BUDGET_SHARE: f64 = 0.5;
/// Steps of sign-ins under one name: people mistype, and strangers try passwords and codes.
const MAX_STEPS_PER_MINUTE: u32 = 20;

/// As pages. A late action continues, so the page must not say that nothing was done.
pub(super) const LIMIT_RESPONSES: LimitResponses = LimitResponses {
    late: || {
        let detail = "What you asked for may be done, or may still be in progress. Look before you \
                      do it again.";
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "No answer in time", detail)
            .with_next("/console", "Now")
            .into_response()
    },
    shutting_down: || busy().into_response(),
};

/// Serves the administrators of the user pools.
pub(crate) struct PoolHost {
    pub(super) sign_in: SignIn,
    pub(super) authorizer: Authorizer,
    pub(super) admission: Admission,
    step_limiter: RateLimiter,
    name_limiter: KeyedRateLimiter,
}

impl PoolHost {
    /// `authorizer` accepts access tokens of the app client of `sign_in`.
    pub(crate) fn new(sign_in: SignIn, authorizer: Authorizer, admission: Admission) -> Self {
        Self {
            step_limiter: RateLimiter::per_second(sign_in.rate() * SIGN_IN_BUDGET_SHARE),
            name_limiter: KeyedRateLimiter::new(MAX_STEPS_PER_MINUTE, Duration::from_mins(1)),
            sign_in,
            authorizer,
            admission,
        }
    }

    /// Takes one step of a sign-in from the limits. A flood under one name takes nothing from the
    /// others' rate, and a flood of names does not end the tracking of those that were tried.
    pub(super) fn admit_step(&self, username: &str) -> Result<(), Refusal> {
        if !self.name_limiter.has_token(username) {
            let detail = "Wait a minute, and then begin again.";
            let page = Refusal::new(StatusCode::TOO_MANY_REQUESTS, "Too many attempts", detail);
            return Err(page.with_next("/console", "Sign in"));
        }
        self.step_limiter.try_acquire().map_err(|_| busy())?;
        self.name_limiter.try_acquire(username);
        Ok(())
    }

    /// The user of an access token, who was an administrator when it was issued.
    pub(super) async fn verify(&self, access_token: &str) -> Result<event::Caller, AuthError> {
        let user = self.authorizer.verify(access_token).await?;
        self.authorizer.require_admin(&user)?;
        Ok(user)
    }

    /// The same for a user who is an administrator now.
    pub(super) async fn verify_current(
        &self,
        access_token: &str,
    ) -> Result<event::Caller, AuthError> {
        let user = self.verify(access_token).await?;
        self.authorizer.require_current_admin(&user).await?;
        Ok(user)
    }

    pub(super) async fn revoke(&self, refresh_token: Option<&str>) {
        let Some(token) = refresh_token else { return };
        if let Err(failure) = self.sign_in.revoke(token).await {
            tracing::warn!(
                error = %failure,
                "a refresh token of the console was not revoked; it stays valid until it expires",
            );
        }
    }
}

/// Lets only administrators pass, and only to their views.
pub(super) async fn require_session(
    State(host): State<Arc<PoolHost>>,
    request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    let asked = request.uri().path_and_query();
    let asked = asked.filter(|_| request.method() == Method::GET);
    let path = sign_in_page::next_path(asked.map_or("", |it| it.as_str())).to_owned();
    let Some(token) = session::access_token(request.headers()) else {
        return Ok(without_session(&request, &path));
    };
    let refresh_token = session::refresh_token(request.headers()).map(str::to_owned);
    let user = match host.verify(token).await {
        Ok(user) => user,
        // Anyone can send a token that is not an administrator's, so it causes no call.
        Err(error) => return Ok(refuse(&host, &error, &path, None).await),
    };
    let caller = Arc::new(Caller::administrator(
        user.clone(),
        session::form_token(token),
    ));
    if !may_ask(caller.role(), request.uri().path()) {
        return Err(not_found().await);
    }
    let request = with_caller(request, &caller, SCHEME).await?;
    let admission = host.admission.clone();
    let work = async move {
        match host.authorizer.require_current_admin(&user).await {
            Ok(()) => next.run(request).await,
            Err(error) => refuse(&host, &error, &path, refresh_token).await,
        }
    };
    admission.run(work).await.ok_or_else(busy)
}

/// After a link of another site the browser keeps its strict cookies back, so the first page
/// leads to itself.
fn without_session(request: &Request, path: &str) -> Response {
    let site = request.headers().get("sec-fetch-site");
    if request.method() == Method::GET && site.is_some_and(|site| site == "cross-site") {
        return forward("The console opens", path);
    }
    sign_in_page::sign_in(StatusCode::UNAUTHORIZED, path, "")
}

/// Ends the session, unless the token may be good.
///
/// The refresh token of a former administrator is revoked. When a session expires there is none to
/// revoke: its cookie ends at the same time. With a token that was not verified a stranger could
/// cause calls, so nothing is revoked then.
async fn refuse(
    host: &Arc<PoolHost>,
    error: &AuthError,
    path: &str,
    refresh_token: Option<String>,
) -> Response {
    if matches!(error, AuthError::NotAdministrator) {
        let own = Arc::clone(host);
        let revoke = async move { own.revoke(refresh_token.as_deref()).await };
        // Without a permit nothing is revoked. The session ends anyway.
        let _ = host.admission.run(revoke).await;
    }
    match refusal(error) {
        Some(page) if error.is_temporary() => page.into_response(),
        Some(page) => session::end(page.into_response()),
        None => session::end(sign_in_page::sign_in(StatusCode::UNAUTHORIZED, path, "")),
    }
}

/// `None` if another sign-in may help.
pub(super) fn refusal(error: &AuthError) -> Option<Refusal> {
    if let AuthError::Unverified(failure) = error {
        tracing::warn!(error = %failure, "the membership of an administrator was not verified");
    }
    match error {
        AuthError::NotAdministrator => {
            let title = "This console is for administrators";
            let detail = "You are not in one of their groups in the user pool.";
            let page = Refusal::new(StatusCode::FORBIDDEN, title, detail);
            Some(page.with_next("/console", "Sign in as someone else"))
        }
        _ if error.is_temporary() => Some(busy()),
        _ => None,
    }
}

pub(super) fn busy() -> Refusal {
    let detail = "Nothing was done. Try again in a moment.";
    Refusal::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "The console is busy",
        detail,
    )
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::http::{PublicServer, with_limits_and};

    #[tokio::test(start_paused = true)]
    async fn a_late_action_is_answered_with_a_page() {
        let late = || async { std::future::pending::<Response>().await };
        let routes = Router::new().route("/console/late", get(late));
        let stop = CancellationToken::new();
        let routes = with_limits_and(routes, Admission::new(stop.clone()), LIMIT_RESPONSES);
        let server = PublicServer::bind(([127, 0, 0, 1], 0).into()).await;
        let server = server.expect("bound");
        let address = server.address().expect("an address");
        let running = tokio::spawn(server.run(routes, stop.clone()));
        let mut stream = TcpStream::connect(address).await.expect("connected");
        let request = b"GET /console/late HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        stream.write_all(request).await.expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        for part in [
            "HTTP/1.1 503",
            "content-type: text/html",
            "<h1>No answer in time</h1>",
            "Look before you do it again.",
        ] {
            assert!(answer.contains(part), "{part}: {answer}");
        }
        stop.cancel();
        running.await.expect("ended");
    }
}
