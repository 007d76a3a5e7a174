//! `/accept`: the page on which invited users choose their password.
//!
//! The code comes in the fragment of the link, which a browser sends to no server, and goes to
//! Cognito in the body of a POST. It is in no requested URL, no log and no error.
//!
//! The service signs the user in, not the browser: a page cannot hold the secret of an app
//! client. One POST brings code and password, and no session is stored. A request for a new
//! code searches with `ListUsers`, since `AdminGetUser` makes a dormant user count as active,
//! and strangers may ask.

mod page;
mod response;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing;
use serde::Deserialize;
use serde_json::{Value, json};
use tower_http::set_header::SetResponseHeaderLayer;

use self::page::PageRenderer;
use super::api::Problem;
use super::limits::{Admission, RequestPermit, parse_object, read_body, require_json, with_limits};
use crate::admin::UserLookup;
use crate::aws::{Acceptance, SignIn};
use crate::config::AcceptPage;
use crate::event::{InvisibleCharacter, Invitation, PoolId, Sub, Username, is_loggable_id};
use crate::rate_limiter::{KeyedRateLimiter, RateLimiter};

/// Makes browsers use only TLS for this host, for a year. They obey it in a response over TLS,
/// which the load balancer makes of ours, and ignore it in plain HTTP. It excludes subdomains,
/// which may belong to others.
///
/// <https://www.rfc-editor.org/rfc/rfc6797#section-8.1>
pub(crate) const STRICT_TRANSPORT_SECURITY: &str = "max-age=31536000";

/// Acceptances a minute under one name: people mistype a code, and try passwords.
const MAX_ACCEPTS_PER_MINUTE: u32 = 20;
/// The share of the `ListUsers` budget for requests for a new code: strangers send them, and
/// `usher reconcile` needs the rest.
const NEW_CODE_BUDGET_SHARE: f64 = 0.5;
/// One request under one name is recorded in this time.
const NEW_CODE_INTERVAL: Duration = Duration::from_hours(1);

/// Three texts and the 17 attributes that a pool can require, each of the maximum length in
/// ASCII.
const MAX_ACCEPT_BODY_BYTES: usize = 40 * 1024;
/// A user name, with room for JSON escapes.
const MAX_NEW_CODE_BODY_BYTES: usize = 2 * 1024;

/// The limit of `AdminCreateUser`.
///
/// <https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_AdminCreateUser.html>
const MAX_USERNAME_CHARS: usize = 128;
/// The limit for a password, and for a code, which is a temporary password.
const MAX_PASSWORD_CHARS: usize = 256;
/// A pool has 17 standard attributes that users may write, and at most 50 custom ones.
///
/// <https://docs.aws.amazon.com/cognito/latest/developerguide/quotas.html>
const MAX_ATTRIBUTES: usize = 67;
/// The limits of `AttributeType`.
///
/// <https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_AttributeType.html>
const MAX_ATTRIBUTE_NAME_CHARS: usize = 32;
const MAX_ATTRIBUTE_VALUE_CHARS: usize = 2048;

/// The page, and the routes that it calls.
#[derive(Debug)]
pub(crate) struct AcceptService {
    sign_in: SignIn,
    user_lookup: UserLookup,
    pools: BTreeSet<PoolId>,
    page: PageRenderer,
    accept_limiter: RateLimiter,
    accept_name_limiter: KeyedRateLimiter,
    new_code_limiter: RateLimiter,
    new_code_name_limiter: KeyedRateLimiter,
    admission: Admission,
}

#[derive(Deserialize)]
struct AcceptRequest {
    username: String,
    code: String,
    password: String,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
}

impl AcceptService {
    /// `user_lookup` finds users of these pools who ask for a new code.
    pub(crate) fn new(
        settings: &AcceptPage,
        sign_in: SignIn,
        user_lookup: UserLookup,
        pools: BTreeSet<PoolId>,
        admission: Admission,
    ) -> Self {
        let mut allowed = pools.iter();
        let only_pool = allowed.next().filter(|_| allowed.next().is_none());
        let pool_count = u32::try_from(pools.len()).unwrap_or(u32::MAX).max(1);
        let new_code_rate =
            user_lookup.search_rate() * NEW_CODE_BUDGET_SHARE / f64::from(pool_count);
        Self {
            page: PageRenderer::new(settings.clone(), only_pool.cloned()),
            accept_limiter: RateLimiter::per_second(sign_in.rate()),
            accept_name_limiter: KeyedRateLimiter::new(
                MAX_ACCEPTS_PER_MINUTE,
                Duration::from_mins(1),
            ),
            new_code_limiter: RateLimiter::per_second(new_code_rate),
            new_code_name_limiter: KeyedRateLimiter::new(1, NEW_CODE_INTERVAL),
            sign_in,
            user_lookup,
            pools,
            admission,
        }
    }

    pub(crate) fn routes(self) -> Router {
        let admission = self.admission.clone();
        let routes = Router::new()
            .route("/accept", routing::get(get_page).post(accept))
            .route("/accept/renewal", routing::post(request_new_code))
            .route("/accept/accept.css", routing::get(page::css))
            .route("/accept/accept.js", routing::get(page::js))
            .with_state(Arc::new(self));
        with_limits(routes, admission).layer(SetResponseHeaderLayer::overriding(
            header::STRICT_TRANSPORT_SECURITY,
            HeaderValue::from_static(STRICT_TRANSPORT_SECURITY),
        ))
    }
}

async fn get_page(State(accept): State<Arc<AcceptService>>) -> Response {
    accept.page.to_response(&accept.sign_in).await
}

/// `POST /accept`: replaces the code with a password.
async fn accept(
    State(accept): State<Arc<AcceptService>>,
    request: Request,
) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    require_json(&head.headers)?;
    let given = read_accept_request(body).await?;
    // A flood under one name takes nothing from the others' rate, and a flood of names does not end
    // the tracking of those that were tried.
    let username = given.username.trim();
    if !accept.accept_name_limiter.has_token(username) {
        return Err(
            Problem::too_many_requests("too many attempts; wait a minute").retry_after_secs(60),
        );
    }
    accept.accept_limiter.try_acquire().map_err(|wait| {
        Problem::too_many_requests("too many people are accepting just now").retry_after(wait)
    })?;
    accept.accept_name_limiter.try_acquire(username);
    let permit = accept.admission.try_acquire()?;
    let service = Arc::clone(&accept);
    let done = accept.admission.run_detached(permit, async move {
        let acceptance = Acceptance {
            username: given.username.trim(),
            code: given.code.trim(),
            password: &given.password,
            attributes: &given.attributes,
        };
        service.sign_in.accept(&acceptance).await
    });
    let result = done.await?;
    response::record_result(result.as_ref().err());
    match result {
        Ok(()) => Ok(json_response(
            StatusCode::OK,
            &json!({"status": "accepted"}),
        )),
        Err(refused) => Err(response::to_problem(refused)),
    }
}

async fn read_accept_request(body: Body) -> Result<AcceptRequest, Problem> {
    let body = read_body(body, MAX_ACCEPT_BODY_BYTES).await?;
    let members = ["username", "code", "password", "attributes"];
    let given =
        serde_json::from_value::<AcceptRequest>(Value::Object(parse_object(&body, &members)?))
            .map_err(|_| {
                let rule = "username, code and password are texts, attributes an object of texts";
                Problem::invalid_field("body", rule)
            })?;
    for (field, value, max) in [
        ("username", given.username.trim(), MAX_USERNAME_CHARS),
        ("code", given.code.trim(), MAX_PASSWORD_CHARS),
        ("password", given.password.as_str(), MAX_PASSWORD_CHARS),
    ] {
        if value.is_empty() || value.chars().count() > max {
            let rule = format!("must have 1 to {max} characters");
            return Err(Problem::invalid_field(field, &rule));
        }
    }
    // Copied text may contain them, and Cognito would only say that name and code do not match.
    for (field, value) in [
        ("username", given.username.trim()),
        ("code", given.code.trim()),
    ] {
        if let Some(invisible) = InvisibleCharacter::find_in_name(value) {
            return Err(Problem::invalid_field(field, invisible));
        }
    }
    check_attributes(&given.attributes)?;
    Ok(given)
}

/// Refuses attributes beyond the limits of a user pool.
fn check_attributes(attributes: &BTreeMap<String, String>) -> Result<(), Problem> {
    let broken = if attributes.len() > MAX_ATTRIBUTES {
        format!("there are at most {MAX_ATTRIBUTES}")
    } else if !attributes
        .keys()
        .all(|name| (1..=MAX_ATTRIBUTE_NAME_CHARS).contains(&name.chars().count()))
    {
        format!("a name has 1 to {MAX_ATTRIBUTE_NAME_CHARS} characters")
    } else if attributes
        .values()
        .any(|value| value.chars().count() > MAX_ATTRIBUTE_VALUE_CHARS)
    {
        format!("a value has at most {MAX_ATTRIBUTE_VALUE_CHARS} characters")
    } else {
        let broken = attributes.iter().find_map(|(name, value)| {
            let rule = Invitation::check_value(name, value).err()?;
            Some(format!("{name}: {rule}"))
        });
        match broken {
            Some(broken) => broken,
            None => return Ok(()),
        }
    };
    Err(Problem::invalid_field("attributes", broken))
}

/// `POST /accept/renewal`: records that a user needs a new code. The response does not show
/// whether the user exists.
async fn request_new_code(
    State(accept): State<Arc<AcceptService>>,
    request: Request,
) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    require_json(&head.headers)?;
    let body = read_body(body, MAX_NEW_CODE_BODY_BYTES).await?;
    let object = parse_object(&body, &["username"])?;
    let username = object
        .get("username")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let username = Username::parse(username.trim())
        .map_err(|rule| Problem::invalid_field("username", rule))?;
    if accept.new_code_name_limiter.try_acquire(username.reveal()) {
        let permit = accept.acquire_new_code_permit();
        let permit =
            permit.inspect_err(|_| accept.new_code_name_limiter.refund(username.reveal()))?;
        // After the response: its duration would show whether the user exists.
        let service = Arc::clone(&accept);
        accept.admission.spawn_background(permit, async move {
            service.record_request(&username).await;
        });
    }
    Ok(json_response(
        StatusCode::ACCEPTED,
        &json!({"status": "asked"}),
    ))
}

impl AcceptService {
    fn acquire_new_code_permit(&self) -> Result<RequestPermit, Problem> {
        self.new_code_limiter.try_acquire().map_err(|wait| {
            Problem::too_many_requests("too many people are asking just now").retry_after(wait)
        })?;
        self.admission.try_acquire()
    }

    /// Writes the audit line and counts, if an invited user asks for a new code. usher
    /// notifies no one; an alarm on the count may.
    async fn record_request(&self, username: &Username) {
        let mut has_failed = false;
        for pool in &self.pools {
            match self.user_lookup.find_invited(pool, username).await {
                Ok(Some(user)) => {
                    metrics::counter!("usher_invitations_asked_total").increment(1);
                    let sub = user.sub.as_ref().map(Sub::as_str);
                    let sub = sub.filter(|sub| is_loggable_id(sub));
                    tracing::info!(
                        target: "usher::audit",
                        action = "AskForInvitation",
                        user.sub = sub,
                        pool.id = pool.as_str(),
                        remedy = sub.map(|sub| format!("POST /v1/invitations/{sub}/resend")),
                        "invited user asks for a new code",
                    );
                    return;
                }
                Ok(None) => {}
                Err(failure) => {
                    has_failed = true;
                    tracing::warn!(
                        error = %failure,
                        "look-up failed for a request for a new invitation",
                    );
                }
            }
        }
        if has_failed {
            self.new_code_name_limiter.refund(username.reveal());
        }
    }
}

fn json_response(status: StatusCode, body: &Value) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (status, kind, body.to_string()).into_response()
}

#[cfg(test)]
mod tests;
