//! What becomes of a call under a fault.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header, response};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde_json::{Value, json};

use super::{Call, Fault, Faults};

/// An answer that is not what the service meant to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spoiled {
    /// The service's own error.
    Error(StatusCode, &'static str),
    /// The connection breaks after the headers.
    Reset,
    /// The connection closes without a word.
    Closed,
    /// Nothing until the client has gone.
    Late(Duration),
    /// The first half of the body.
    Truncated,
    /// 200, and no JSON.
    NotJson,
    /// A proxy's page: no code, no JSON.
    Page(StatusCode),
}

/// The way to the endpoint and back, for one call.
pub(super) struct Road<'a> {
    pub(super) faults: &'a Faults,
    pub(super) parts: Parts,
    pub(super) next: Next,
}

/// What the endpoint said.
pub(super) struct Said {
    pub(super) parts: response::Parts,
    pub(super) body: Bytes,
}

const PAGE: &str = "<html><head><title>Gateway</title></head><body>Please stand by.</body></html>";

impl Road<'_> {
    pub(super) async fn answer(&self, call: &Call, fault: Option<Fault>) -> Response {
        match fault {
            None => self.forward(call).await.whole(),
            Some(Fault::Error(status, code)) => error(status, code),
            Some(Fault::Refused(code, text)) => says(StatusCode::BAD_REQUEST, code, text),
            Some(Fault::Hang(time)) => spoil(Spoiled::Late(time), None).await,
            Some(Fault::ResetBefore) => broken(),
            Some(Fault::ResetAfter) => {
                self.forward(call).await;
                broken()
            }
            Some(Fault::Answer(change)) => self.forward(call).await.changed(change),
            Some(Fault::Delay(time)) => {
                tokio::time::sleep(time).await;
                self.forward(call).await.whole()
            }
            Some(Fault::Until(opened)) => {
                opened.cancelled().await;
                self.forward(call).await.whole()
            }
            Some(Fault::Before(spoiled)) => spoil(spoiled, None).await,
            Some(Fault::After(spoiled)) => {
                let said = self.forward(call).await;
                spoil(spoiled, Some(said)).await
            }
            Some(Fault::Partial(partial)) => self.partial(call, partial).await,
            Some(Fault::Delivery(delivery)) => self.deliver(call, delivery).await,
            Some(Fault::Pretended(answer)) => (StatusCode::OK, answer.to_string()).into_response(),
            Some(Fault::Altered(change)) => self.forward_as(call, change).await.whole(),
            Some(Fault::Skewed(hours)) => self.skewed(call, hours).await,
        }
    }

    /// The call goes to the endpoint, and what it did there into the ledger.
    pub(super) async fn forward(&self, call: &Call) -> Said {
        let said = self.ask(&call.input, None).await;
        self.faults.ledger(|ledger| ledger.effect(call, &said));
        said
    }

    async fn forward_as(&self, call: &Call, change: fn(Value) -> Value) -> Said {
        let altered = Call {
            operation: call.operation.clone(),
            input: change(call.input.clone()),
        };
        self.forward(&altered).await
    }

    /// One more call behind the worker's back.
    pub(super) async fn also(&self, target: &'static str, input: &Value) {
        self.ask(input, Some(target)).await;
    }

    async fn ask(&self, input: &Value, target: Option<&'static str>) -> Said {
        let mut parts = self.parts.clone();
        if let Some(target) = target {
            let target = HeaderValue::from_static(target);
            parts.headers.insert("x-amz-target", target);
        }
        let request = Request::from_parts(parts, Body::from(input.to_string()));
        let (parts, body) = self.next.clone().run(request).await.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX)
            .await
            .unwrap_or_default();
        Said { parts, body }
    }

    async fn skewed(&self, call: &Call, hours: i64) -> Response {
        let said = self.forward(call).await;
        let now = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(hours);
        let mut response = if call.operation == "ReceiveMessage" {
            let mut answer = said.json();
            super::sqs::shift_timestamps(&mut answer, hours);
            said.with(&answer)
        } else {
            said.whole()
        };
        let date = now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        if let Ok(date) = HeaderValue::from_str(&date) {
            response.headers_mut().insert(header::DATE, date);
        }
        response
    }
}

impl Said {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    pub(super) fn whole(self) -> Response {
        Response::from_parts(self.parts, Body::from(self.body))
    }

    pub(super) fn with(self, answer: &Value) -> Response {
        Response::from_parts(self.parts, Body::from(answer.to_string()))
    }

    fn changed(self, change: fn(Value) -> Value) -> Response {
        let answer = change(self.json());
        self.with(&answer)
    }

    fn half(mut self) -> Response {
        self.body.truncate(self.body.len() / 2);
        self.whole()
    }
}

async fn spoil(spoiled: Spoiled, said: Option<Said>) -> Response {
    match spoiled {
        Spoiled::Error(status, code) => error(status, code),
        Spoiled::Reset => broken(),
        // Ends the connection's task, and with it the connection. Unlike a
        // panic it is not reported.
        Spoiled::Closed => std::panic::resume_unwind(Box::new("the connection closes")),
        Spoiled::Late(time) => {
            tokio::time::sleep(time).await;
            error(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable")
        }
        Spoiled::Truncated => {
            said.map_or_else(|| (StatusCode::OK, "{\"Half\"").into_response(), Said::half)
        }
        Spoiled::NotJson => (StatusCode::OK, "upstream said nothing").into_response(),
        Spoiled::Page(status) => {
            (status, [(header::CONTENT_TYPE, "text/html")], PAGE).into_response()
        }
    }
}

fn error(status: StatusCode, code: &str) -> Response {
    says(status, code, "as the test has it")
}

fn says(status: StatusCode, code: &str, text: &str) -> Response {
    let body = json!({"__type": code, "message": text}).to_string();
    (status, body).into_response()
}

/// Headers, and then the connection is gone.
fn broken() -> Response {
    let cut = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
    let body = Body::from_stream(stream::iter([Ok(Bytes::from_static(b"{")), Err(cut)]));
    (StatusCode::OK, body).into_response()
}
