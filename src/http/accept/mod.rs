//! `/accept`: where people who were invited choose their password.
//!
//! The code comes in the fragment of the link, which no server sees, and goes to
//! Cognito in the body of a POST; it is in no URL, no log and no error.

mod answer;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing;
use serde::Deserialize;
use serde_json::{Value, json};

use super::api::Problem;
use super::limits::{Doors, Pace, bytes, is_json, limited, object};
use crate::admin::Office;
use crate::aws::{Acceptance, SignIn};
use crate::config::AcceptPage;
use crate::event::{PoolId, Sub, Username, is_opaque};

const PAGE: &str = include_str!("accept.html");
const STYLE: &str = include_str!("accept.css");
const SCRIPT: &str = include_str!("accept.js");

/// Nothing but this page's own script and style, and calls of this service.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
                      connect-src 'self'; form-action 'none'; base-uri 'none'; \
                      frame-ancestors 'none'";

/// Acceptances a second: strangers may call this, and Cognito's own limit is 30 for
/// the whole account.
const RATE: u32 = 10;
/// Askings for a new code a second.
const ASKING_RATE: u32 = 2;

/// The page, and what it calls.
#[derive(Debug)]
pub struct Accept {
    sign_in: SignIn,
    office: Office,
    pools: BTreeSet<PoolId>,
    page: String,
    pace: Pace,
    asking: Pace,
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
        Self {
            page: fill(page, "{{done_url}}", settings.done_url.as_ref()),
            sign_in,
            office,
            pools,
            pace: Pace::new(RATE),
            asking: Pace::new(ASKING_RATE),
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
    }
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
    let given = given(&head.headers, body).await?;
    if !accept.pace.take() {
        return Err(Problem::too_many("too many people are accepting just now"));
    }
    let signing = Arc::clone(&accept);
    let done = accept.doors.to_its_end(async move {
        let acceptance = Acceptance {
            username: given.username.trim(),
            code: given.code.trim(),
            password: &given.password,
            attributes: &given.attributes,
        };
        signing.sign_in.accept(&acceptance).await
    });
    let result = done.await?;
    let name = answer::name(result.as_ref().err());
    metrics::counter!("usher_invitations_accepted_total", "result" => name).increment(1);
    match result {
        Ok(()) => Ok(json_response(
            StatusCode::OK,
            &json!({"status": "accepted"}),
        )),
        Err(refused) => Err(answer::problem(refused)),
    }
}

async fn given(headers: &HeaderMap, body: Body) -> Result<Given, Problem> {
    is_json(headers)?;
    let body = bytes(body).await?;
    let members = ["username", "code", "password", "attributes"];
    let given = serde_json::from_value::<Given>(Value::Object(object(&body, &members)?))
        .map_err(|_| Problem::field("body", "username, code and password are texts"))?;
    for (field, value) in [
        ("username", given.username.trim()),
        ("code", given.code.trim()),
        ("password", given.password.as_str()),
    ] {
        if value.is_empty() || value.len() > 2048 {
            return Err(Problem::field(field, "must not be empty"));
        }
    }
    Ok(given)
}

/// `POST /accept/renewal`: somebody asks the administrators for a new code. The answer
/// does not tell whether there is such a person.
async fn renewal(State(accept): State<Arc<Accept>>, request: Request) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    is_json(&head.headers)?;
    let body = bytes(body).await?;
    let object = object(&body, &["username"])?;
    let username = object
        .get("username")
        .and_then(Value::as_str)
        .and_then(|name| Username::plain(name.trim()))
        .ok_or_else(|| Problem::field("username", Username::RULE))?;
    if !accept.asking.take() {
        return Err(Problem::too_many("too many people are asking just now"));
    }
    // After the answer: how long it takes would tell whether there is such a person.
    let asking = Arc::clone(&accept);
    tokio::spawn(async move {
        let person = asking.office.invited(&asking.pools, &username).await;
        let Some(person) = person else { return };
        metrics::counter!("usher_invitations_asked_total").increment(1);
        tracing::info!(
            target: "usher::audit",
            action = "AskForInvitation",
            user.sub = person.sub.as_ref().map(Sub::as_str).filter(|sub| is_opaque(sub)),
            "somebody asks for a new invitation; POST /v1/invitations/{{sub}}/resend sends it",
        );
    });
    Ok(json_response(
        StatusCode::ACCEPTED,
        &json!({"status": "asked"}),
    ))
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
