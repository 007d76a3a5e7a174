//! The state of the API, and the checks that each request passes.

use std::sync::Arc;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::Response;

use super::idempotency::{IdempotencyLookup, IdempotencyStore};
use super::problem::Problem;
use super::response::{self, json_response};
use crate::admin::{Authorizer, CommandService, UserLookup};
use crate::event::{AdminCommand, AdminOperation, Caller, Trace};
use crate::http::limits::{Admission, RequestPermit, read_body};
use crate::provision::RequestLog;
use crate::rate_limiter::RateLimiter;

/// The state that the routes of the API share.
#[derive(Debug)]
pub struct Api {
    authorizer: Authorizer,
    command_service: CommandService,
    pub(super) user_lookup: UserLookup,
    idempotency: IdempotencyStore,
    admin_limiter: RateLimiter,
    /// For requests that every user may send; not shared with the administrators.
    user_limiter: RateLimiter,
    pub(super) admission: Admission,
}

/// <https://www.w3.org/TR/trace-context/#traceparent-header>
pub(super) const TRACEPARENT_HEADER: HeaderName = HeaderName::from_static("traceparent");
/// No valid body needs a tenth of it.
const MAX_API_BODY_BYTES: usize = 64 * 1024;
pub(super) const REPLAYED_HEADER: HeaderName = HeaderName::from_static("idempotency-replayed");

impl Api {
    /// At most `rate` requests of administrators a second, and as many of other users.
    pub(crate) fn new(
        authorizer: Authorizer,
        command_service: CommandService,
        user_lookup: UserLookup,
        rate: u32,
        admission: Admission,
    ) -> Self {
        Self {
            authorizer,
            command_service,
            user_lookup,
            idempotency: IdempotencyStore::default(),
            admin_limiter: RateLimiter::per_second(rate.into()),
            user_limiter: RateLimiter::per_second(rate.into()),
            admission,
        }
    }

    pub(super) fn requests(&self) -> &RequestLog {
        self.command_service.requests()
    }

    /// Counts after the check of the token and before the call of Cognito: neither strangers nor
    /// refused users use up the rate of administrators.
    pub(super) async fn require_admin(&self, headers: &HeaderMap) -> Result<Caller, Problem> {
        let caller = self.authenticate(headers).await?;
        self.authorizer.require_admin(&caller)?;
        check_rate(&self.admin_limiter)?;
        Ok(caller)
    }

    /// A permit for an administrator's request whose body has arrived. The first part of the
    /// work checks that they still are an administrator.
    pub(super) async fn acquire_admin_permit(
        &self,
        caller: &Caller,
    ) -> Result<RequestPermit, Problem> {
        let permit = self.admission.try_acquire()?;
        permit
            .run(self.authorizer.require_current_admin(caller))
            .await?;
        Ok(permit)
    }

    pub(super) async fn require_user(&self, headers: &HeaderMap) -> Result<Caller, Problem> {
        let caller = self.authenticate(headers).await?;
        check_rate(&self.user_limiter)?;
        Ok(caller)
    }

    async fn authenticate(&self, headers: &HeaderMap) -> Result<Caller, Problem> {
        let token = authorization(headers);
        Ok(self.authorizer.authenticate(token).await?)
    }

    /// Authorizes and runs a command to its end, once for each `Idempotency-Key`.
    pub(super) async fn run_command(
        self: Arc<Self>,
        request: Request,
        parse: impl FnOnce(&[u8]) -> Result<AdminOperation, Problem>,
    ) -> Result<Response, Problem> {
        let (head, body) = request.into_parts();
        let caller = self.require_admin(&head.headers).await?;
        let body = read_body(body, MAX_API_BODY_BYTES).await?;
        let permit = self.acquire_admin_permit(&caller).await?;
        let parts = [
            head.method.as_str().as_bytes(),
            head.uri.path().as_bytes(),
            &body,
        ];
        let operation = parse(&body)?;
        let pending = match self.idempotency.look_up(&caller, &head.headers, &parts)? {
            IdempotencyLookup::New(pending) => pending,
            IdempotencyLookup::Replayed(stored) => {
                let mut response = json_response(stored);
                response
                    .headers_mut()
                    .insert(REPLAYED_HEADER, HeaderValue::from_static("true"));
                return Ok(response);
            }
        };
        let command = AdminCommand {
            request_id: pending.request_id.clone(),
            requested_by: caller.sub,
            requested_at: Some(jiff::Timestamp::now()),
            pool: caller.pool,
            operation,
        };
        let trace = Trace::from_traceparent(traceparent(&head.headers));
        let api = Arc::clone(&self);
        let done = self.admission.run_detached(permit, async move {
            let response = response::from_submission(
                &command,
                api.command_service.submit(&command, &trace).await,
            );
            pending.complete(&response);
            response
        });
        Ok(json_response(done.await?))
    }
}

fn check_rate(limiter: &RateLimiter) -> Result<(), Problem> {
    limiter.try_acquire().map_err(|wait| {
        Problem::too_many_requests("more requests a second than admin.rate allows")
            .retry_after(wait)
    })
}

fn authorization(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()
}

/// `None` where the header occurs twice.
fn traceparent(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(TRACEPARENT_HEADER).iter();
    values
        .next()
        .filter(|_| values.next().is_none())?
        .to_str()
        .ok()
}
