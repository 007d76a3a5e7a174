//! Faults between the SDK and the endpoint: a layer over its routes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde_json::{Value, json};

/// One call on its way.
pub(crate) struct Call {
    pub(crate) operation: String,
    pub(crate) input: Value,
}

/// What happens to it.
#[derive(Clone)]
pub(crate) enum Fault {
    /// The service answers with this error and does nothing.
    Error(StatusCode, &'static str),
    /// It takes longer than the client waits, and does nothing.
    Hang(Duration),
    /// The connection breaks before the call took effect.
    ResetBefore,
    /// The call takes effect and the connection breaks in the answer.
    ResetAfter,
    /// The answer is replaced; the call takes effect.
    Answer(fn(Value) -> Value),
}

type Plan = Box<dyn FnMut(&Call) -> Option<Fault> + Send>;

#[derive(Clone, Default)]
pub(crate) struct Faults(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    plan: Option<Plan>,
    calls: HashMap<String, u64>,
    faults: HashMap<String, u64>,
}

impl Faults {
    /// From now on each call is shown to the plan.
    pub(crate) fn plan(&self, plan: impl FnMut(&Call) -> Option<Fault> + Send + 'static) {
        self.0.lock().expect("not poisoned").plan = Some(Box::new(plan));
    }

    /// No more faults.
    pub(crate) fn mend(&self) {
        self.0.lock().expect("not poisoned").plan = None;
    }

    /// Calls of an operation so far, those with a fault included.
    pub(crate) fn calls(&self, operation: &str) -> u64 {
        self.0
            .lock()
            .expect("not poisoned")
            .calls
            .get(operation)
            .copied()
            .unwrap_or_default()
    }

    /// Faults of an operation so far.
    pub(crate) fn count(&self, operation: &str) -> u64 {
        self.0
            .lock()
            .expect("not poisoned")
            .faults
            .get(operation)
            .copied()
            .unwrap_or_default()
    }

    fn decide(&self, call: &Call) -> Option<Fault> {
        let mut inner = self.0.lock().expect("not poisoned");
        *inner.calls.entry(call.operation.clone()).or_default() += 1;
        let fault = inner.plan.as_mut().and_then(|plan| plan(call));
        if fault.is_some() {
            *inner.faults.entry(call.operation.clone()).or_default() += 1;
        }
        fault
    }
}

/// The layer.
pub(crate) async fn layer(State(faults): State<Faults>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let bytes = axum::body::to_bytes(body, usize::MAX)
        .await
        .unwrap_or_default();
    let target = parts
        .headers
        .get("x-amz-target")
        .and_then(|target| target.to_str().ok());
    let call = Call {
        operation: target
            .and_then(|t| t.rsplit('.').next())
            .unwrap_or_default()
            .to_owned(),
        input: serde_json::from_slice(&bytes).unwrap_or_default(),
    };
    let fault = faults.decide(&call);
    let forward = next.run(Request::from_parts(parts, Body::from(bytes)));
    match fault {
        None => forward.await,
        Some(Fault::Error(status, code)) => error(status, code),
        Some(Fault::Hang(time)) => {
            tokio::time::sleep(time).await;
            error(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable")
        }
        Some(Fault::ResetBefore) => broken(),
        Some(Fault::ResetAfter) => {
            forward.await;
            broken()
        }
        Some(Fault::Answer(change)) => {
            let (parts, body) = forward.await.into_parts();
            let bytes = axum::body::to_bytes(body, usize::MAX)
                .await
                .unwrap_or_default();
            let answer = change(serde_json::from_slice(&bytes).unwrap_or_default());
            Response::from_parts(parts, Body::from(answer.to_string()))
        }
    }
}

fn error(status: StatusCode, code: &str) -> Response {
    (
        status,
        json!({"__type": code, "message": "as the test has it"}).to_string(),
    )
        .into_response()
}

/// Headers, and then the connection is gone.
fn broken() -> Response {
    let cut = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
    let body = Body::from_stream(stream::iter([Ok(Bytes::from_static(b"{")), Err(cut)]));
    (StatusCode::OK, body).into_response()
}

/// Answers `TooManyRequestsException` to what comes faster than `quota` calls a second,
/// with room for a burst.
pub(crate) fn enforced(quota: f64, burst: f64) -> impl FnMut(&Call) -> Option<Fault> {
    let mut tokens = burst;
    let mut last = Instant::now();
    move |call| {
        if call.operation != "AdminAddUserToGroup" {
            return None;
        }
        let now = Instant::now();
        tokens = (tokens + now.duration_since(last).as_secs_f64() * quota).min(burst);
        last = now;
        if tokens >= 1.0 {
            tokens -= 1.0;
            None
        } else {
            Some(Fault::Error(
                StatusCode::BAD_REQUEST,
                "TooManyRequestsException",
            ))
        }
    }
}
