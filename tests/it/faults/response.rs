//! Executes a call with its fault, and builds the answer.

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

/// A response that the network or a proxy damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Damaged {
    /// An error of the service.
    Error(StatusCode, &'static str),
    /// The connection breaks after the headers.
    Reset,
    /// The connection closes without an answer.
    Closed,
    /// An answer after this time, when the client has given up.
    Late(Duration),
    /// Only the first half of the body.
    Truncated,
    /// Status 200 with a body that is not JSON.
    NotJson,
    /// The HTML page of a proxy.
    Page(StatusCode),
}

/// One call to the endpoint through the fault layer.
pub(super) struct ProxiedCall<'a> {
    pub(super) faults: &'a Faults,
    pub(super) parts: Parts,
    pub(super) next: Next,
}

/// The unchanged answer of the endpoint.
pub(super) struct EndpointAnswer {
    pub(super) parts: response::Parts,
    pub(super) body: Bytes,
}

const PAGE: &str = "<html><head><title>Gateway</title></head><body>Please stand by.</body></html>";

impl ProxiedCall<'_> {
    pub(super) async fn answer(&self, call: &Call, fault: Option<Fault>) -> Response {
        match fault {
            None => self.forward(call).await.whole(),
            Some(Fault::Error(status, code)) => error(status, code),
            Some(Fault::Refused(code, text)) => says(StatusCode::BAD_REQUEST, code, text),
            Some(Fault::Hang(time)) => damage(Damaged::Late(time), None).await,
            Some(Fault::ResetBefore) => reset_connection(),
            Some(Fault::ResetAfter) => {
                self.forward(call).await;
                reset_connection()
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
            Some(Fault::Before(damaged)) => damage(damaged, None).await,
            Some(Fault::After(damaged)) => {
                let forwarded = self.forward(call).await;
                damage(damaged, Some(forwarded)).await
            }
            Some(Fault::Partial(partial)) => self.partial(call, partial).await,
            Some(Fault::Delivery(delivery)) => self.deliver(call, delivery).await,
            Some(Fault::Pretended(answer)) => (StatusCode::OK, answer.to_string()).into_response(),
            Some(Fault::Altered(change)) => self.forward_as(call, change).await.whole(),
            Some(Fault::Skewed(hours)) => self.skewed(call, hours).await,
        }
    }

    /// Forwards the call to the endpoint, and records its effect in the ledger.
    pub(super) async fn forward(&self, call: &Call) -> EndpointAnswer {
        let forwarded = self.ask(&call.input, None).await;
        self.faults.ledger(|ledger| ledger.effect(call, &forwarded));
        forwarded
    }

    async fn forward_as(&self, call: &Call, change: fn(Value) -> Value) -> EndpointAnswer {
        let altered = Call {
            operation: call.operation.clone(),
            input: change(call.input.clone()),
        };
        self.forward(&altered).await
    }

    /// Makes one more call that the worker does not see.
    pub(super) async fn also(&self, target: &'static str, input: &Value) {
        self.ask(input, Some(target)).await;
    }

    async fn ask(&self, input: &Value, target: Option<&'static str>) -> EndpointAnswer {
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
        EndpointAnswer { parts, body }
    }

    async fn skewed(&self, call: &Call, hours: i64) -> Response {
        let forwarded = self.forward(call).await;
        let now = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(hours);
        let mut response = if call.operation == "ReceiveMessage" {
            let mut answer = forwarded.json();
            super::sqs::shift_timestamps(&mut answer, hours);
            forwarded.with(&answer)
        } else {
            forwarded.whole()
        };
        let date = now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        if let Ok(date) = HeaderValue::from_str(&date) {
            response.headers_mut().insert(header::DATE, date);
        }
        response
    }
}

impl EndpointAnswer {
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

async fn damage(damaged: Damaged, forwarded: Option<EndpointAnswer>) -> Response {
    match damaged {
        Damaged::Error(status, code) => error(status, code),
        Damaged::Reset => reset_connection(),
        // Ends the task of the connection and closes it. Unlike a panic it is not reported.
        Damaged::Closed => std::panic::resume_unwind(Box::new("the connection closes")),
        Damaged::Late(time) => {
            tokio::time::sleep(time).await;
            error(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable")
        }
        Damaged::Truncated => forwarded.map_or_else(
            || (StatusCode::OK, "{\"Half\"").into_response(),
            EndpointAnswer::half,
        ),
        Damaged::NotJson => (StatusCode::OK, "upstream said nothing").into_response(),
        Damaged::Page(status) => {
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

/// Sends the headers, and then resets the connection.
fn reset_connection() -> Response {
    let cut = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
    let body = Body::from_stream(stream::iter([Ok(Bytes::from_static(b"{")), Err(cut)]));
    (StatusCode::OK, body).into_response()
}
