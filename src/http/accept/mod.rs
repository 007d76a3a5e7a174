//! `/accept`: where people who were invited choose their password.
//!
//! The code comes in the fragment of the link, which a browser sends to no server, and goes to
//! Cognito in the body of a POST; it is in no URL, no log and no error.

mod answer;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing;
use serde::Deserialize;
use serde_json::{Value, json};

use super::api::Problem;
use super::limits::{Doors, Pace, Paces, Seat, bytes, is_json, limited, object};
use crate::admin::Office;
use crate::aws::{Acceptance, SignIn};
use crate::config::AcceptPage;
use crate::event::{Invisible, Invitation, PoolId, Sub, Username, is_opaque};

const PAGE: &str = include_str!("accept.html");
const STYLE: &str = include_str!("accept.css");
const SCRIPT: &str = include_str!("accept.js");

/// Nothing but this page's own script and style, and calls of this service.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
                      connect-src 'self'; form-action 'none'; base-uri 'none'; \
                      frame-ancestors 'none'";

/// Browsers ask this host for nothing without TLS, for a year. They take it from an answer
/// over TLS, which the load balancer makes of ours, and ignore it in plain HTTP. Subdomains
/// may be somebody else's.
///
/// <https://www.rfc-editor.org/rfc/rfc6797#section-8.1>
const STRICT_TRANSPORT: &str = "max-age=31536000";

/// Acceptances a minute under one name: people mistype a code, and try passwords.
const RATE_OF_ONE: u32 = 20;
/// The part of the budget of `ListUsers` that askings for a new code may take: strangers
/// ask, and `usher reconcile` needs the rest.
const ASKING_SHARE: f64 = 0.5;
/// One of the same person is told to the administrators in this time.
const ASKING: Duration = Duration::from_hours(1);

/// Three texts and the 17 attributes that a pool can require, each as long as it may be
/// in ASCII.
const MAX_BODY: usize = 40 * 1024;
/// A user name, as JSON may escape it.
const MAX_RENEWAL_BODY: usize = 2 * 1024;

/// Characters of a user name.
///
/// <https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_AdminCreateUser.html>
const MAX_USERNAME: usize = 128;
/// Characters of a password, and of a code, which is one.
const MAX_PASSWORD: usize = 256;
/// Attributes of a pool: 17 standard ones that people may write, and 50 of its own.
///
/// <https://docs.aws.amazon.com/cognito/latest/developerguide/quotas.html>
const MAX_ATTRIBUTES: usize = 67;
/// Characters of an attribute's name.
///
/// <https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_AttributeType.html>
const MAX_ATTRIBUTE_NAME: usize = 32;
/// Characters of an attribute's value.
const MAX_ATTRIBUTE_VALUE: usize = 2048;

/// The page, and what it calls.
#[derive(Debug)]
pub struct Accept {
    sign_in: SignIn,
    office: Office,
    pools: BTreeSet<PoolId>,
    page: String,
    pace: Pace,
    paces: Paces,
    asking: Pace,
    askings: Paces,
    doors: Doors,
}

#[derive(Deserialize)]
struct Given {
    username: String,
    code: String,
    password: String,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
}

impl Accept {
    /// `office` looks for people of these pools who ask for a new code.
    pub fn new(
        settings: &AcceptPage,
        sign_in: SignIn,
        office: Office,
        pools: BTreeSet<PoolId>,
        doors: Doors,
    ) -> Self {
        let fill = |page: String, name: &str, value: Option<&String>| {
            page.replace(name, &escaped(value.map_or("", String::as_str)))
        };
        let page = fill(PAGE.to_owned(), "{{contact}}", settings.contact.as_ref());
        let asked_in = u32::try_from(pools.len()).unwrap_or(u32::MAX).max(1);
        let asking = office.search_rate() * ASKING_SHARE / f64::from(asked_in);
        Self {
            page: fill(page, "{{done_url}}", settings.done_url.as_ref()),
            pace: Pace::new(sign_in.rate()),
            paces: Paces::new(RATE_OF_ONE, Duration::from_mins(1)),
            asking: Pace::new(asking),
            askings: Paces::new(1, ASKING),
            sign_in,
            office,
            pools,
            doors,
        }
    }

    /// The routes under `/accept`.
    pub fn routes(self) -> Router {
        let doors = self.doors.clone();
        Router::new()
            .route("/accept", routing::get(page).post(accept))
            .route("/accept/renewal", routing::post(renewal))
            .route(
                "/accept/accept.css",
                routing::get(|| async { asset("text/css; charset=utf-8", STYLE) }),
            )
            .route(
                "/accept/accept.js",
                routing::get(|| async { asset("text/javascript; charset=utf-8", SCRIPT) }),
            )
            .with_state(Arc::new(self))
            .layer(from_fn_with_state(doors, limited))
            .layer(map_response(with_strict_transport))
    }
}

async fn with_strict_transport(mut response: Response) -> Response {
    let value = HeaderValue::from_static(STRICT_TRANSPORT);
    let headers = response.headers_mut();
    headers.insert(header::STRICT_TRANSPORT_SECURITY, value);
    response
}

async fn page(State(accept): State<Arc<Accept>>) -> Response {
    asset("text/html; charset=utf-8", &accept.page)
}

fn asset(kind: &'static str, text: &str) -> Response {
    let mut response = Response::new(Body::from(text.to_owned()));
    for (name, value) in [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
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

/// `POST /accept`: the code for a password.
async fn accept(State(accept): State<Arc<Accept>>, request: Request) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    is_json(&head.headers)?;
    let given = given(body).await?;
    // First by name: a flood under one name leaves the others their pace.
    if !accept.paces.take(given.username.trim()) {
        return Err(Problem::too_many("too many attempts; wait a minute").again_in(60));
    }
    accept.pace.take().map_err(|wait| {
        Problem::too_many("too many people are accepting just now").again_after(wait)
    })?;
    let seat = accept.doors.seat()?;
    let signing = Arc::clone(&accept);
    let done = accept.doors.to_its_end(seat, async move {
        let acceptance = Acceptance {
            username: given.username.trim(),
            code: given.code.trim(),
            password: &given.password,
            attributes: &given.attributes,
        };
        signing.sign_in.accept(&acceptance).await
    });
    let result = done.await?;
    answer::note(result.as_ref().err());
    match result {
        Ok(()) => Ok(json_response(
            StatusCode::OK,
            &json!({"status": "accepted"}),
        )),
        Err(refused) => Err(answer::problem(refused)),
    }
}

async fn given(body: Body) -> Result<Given, Problem> {
    let body = bytes(body, MAX_BODY).await?;
    let members = ["username", "code", "password", "attributes"];
    let given =
        serde_json::from_value::<Given>(Value::Object(object(&body, &members)?)).map_err(|_| {
            let rule = "username, code and password are texts, attributes an object of texts";
            Problem::field("body", rule)
        })?;
    for (field, value, max) in [
        ("username", given.username.trim(), MAX_USERNAME),
        ("code", given.code.trim(), MAX_PASSWORD),
        ("password", given.password.as_str(), MAX_PASSWORD),
    ] {
        if value.is_empty() || value.chars().count() > max {
            let rule = format!("must have 1 to {max} characters");
            return Err(Problem::field(field, &rule));
        }
    }
    // Copied text brings them along, and Cognito would only say that both do not match.
    for (field, value) in [
        ("username", given.username.trim()),
        ("code", given.code.trim()),
    ] {
        if let Some(invisible) = Invisible::in_name(value) {
            return Err(Problem::field(field, invisible));
        }
    }
    check_attributes(&given.attributes)?;
    Ok(given)
}

/// No user pool holds more.
fn check_attributes(attributes: &BTreeMap<String, String>) -> Result<(), Problem> {
    let broken = if attributes.len() > MAX_ATTRIBUTES {
        format!("there are at most {MAX_ATTRIBUTES}")
    } else if !attributes
        .keys()
        .all(|name| (1..=MAX_ATTRIBUTE_NAME).contains(&name.chars().count()))
    {
        format!("a name has 1 to {MAX_ATTRIBUTE_NAME} characters")
    } else if attributes
        .values()
        .any(|value| value.chars().count() > MAX_ATTRIBUTE_VALUE)
    {
        format!("a value has at most {MAX_ATTRIBUTE_VALUE} characters")
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
    Err(Problem::field("attributes", broken))
}

/// `POST /accept/renewal`: somebody asks the administrators for a new code. The answer
/// does not tell whether there is such a person.
async fn renewal(State(accept): State<Arc<Accept>>, request: Request) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    is_json(&head.headers)?;
    let body = bytes(body, MAX_RENEWAL_BODY).await?;
    let object = object(&body, &["username"])?;
    let username = object
        .get("username")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let username =
        Username::plain(username.trim()).map_err(|rule| Problem::field("username", rule))?;
    if accept.askings.take(username.reveal()) {
        let seat = accept.seat_to_ask();
        let seat = seat.inspect_err(|_| accept.askings.give_back(username.reveal()))?;
        // After the answer: how long it takes would tell whether there is such a person.
        let asking = Arc::clone(&accept);
        accept
            .doors
            .afterwards(seat, async move { asking.tell(&username).await });
    }
    Ok(json_response(
        StatusCode::ACCEPTED,
        &json!({"status": "asked"}),
    ))
}

impl Accept {
    fn seat_to_ask(&self) -> Result<Seat, Problem> {
        self.asking.take().map_err(|wait| {
            Problem::too_many("too many people are asking just now").again_after(wait)
        })?;
        self.doors.seat()
    }

    /// Tells the administrators that somebody of our pools asks for a new code.
    async fn tell(&self, username: &Username) {
        let mut has_failed = false;
        for pool in &self.pools {
            match self.office.invited(pool, username).await {
                Ok(Some(person)) => {
                    metrics::counter!("usher_invitations_asked_total").increment(1);
                    tracing::info!(
                        target: "usher::audit",
                        action = "AskForInvitation",
                        user.sub = person.sub.as_ref().map(Sub::as_str).filter(|sub| is_opaque(sub)),
                        pool.id = pool.as_str(),
                        "somebody asks for a new invitation; POST /v1/invitations/{{sub}}/resend sends it",
                    );
                    return;
                }
                Ok(None) => {}
                Err(failure) => {
                    has_failed = true;
                    tracing::warn!(
                        error = %failure,
                        "whether somebody who asks for a new invitation has one cannot be found out",
                    );
                }
            }
        }
        if has_failed {
            self.askings.give_back(username.reveal());
        }
    }
}

fn json_response(status: StatusCode, body: &Value) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (status, kind, body.to_string()).into_response()
}

/// For an attribute of HTML, in double quotes.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests;
