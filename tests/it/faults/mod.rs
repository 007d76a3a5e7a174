//! Faults between the SDK and the endpoint: a layer over the endpoint's routes.
//!
//! A plan sees each call and may choose a [`Fault`] for it. `response` executes the fault,
//! `sqs` has the faults of queues, `ledger` records effects and faults, and `schedule`
//! makes a plan from a seed.

mod ledger;
mod response;
pub(crate) mod schedule;
mod service_faults;
mod sqs;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

pub(crate) use ledger::Ledger;
pub(crate) use response::Damaged;
use response::ProxiedCall;
pub(crate) use sqs::{Delivery, Partial};

/// One call of a service operation.
pub(crate) struct Call {
    pub(crate) operation: String,
    pub(crate) input: Value,
}

/// The fault of one call.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// The service answers with this error and does nothing.
    Error(StatusCode, &'static str),
    /// The service answers with status 400, this code and this text, and does nothing.
    Refused(&'static str, &'static str),
    /// The call takes longer than the client waits, and does nothing.
    Hang(Duration),
    /// The connection breaks before the call takes effect.
    ResetBefore,
    /// The call takes effect and the connection breaks in the answer.
    ResetAfter,
    /// The answer is replaced; the call takes effect.
    Answer(fn(Value) -> Value),
    /// The call succeeds after this time.
    Delay(Duration),
    /// The call succeeds when the token is cancelled.
    Until(CancellationToken),
    /// The call does nothing, and its answer is damaged.
    Before(Damaged),
    /// The call takes effect, and its answer is damaged.
    After(Damaged),
    /// Some entries of a batch have another result than the rest.
    Partial(Partial),
    /// A receive returns other messages than those of the queue.
    Delivery(Delivery),
    /// The service answers with this JSON and status 200, and does nothing.
    Pretended(Value),
    /// The input of the call is changed before it takes effect.
    Altered(fn(Value) -> Value),
    /// The service's clock is this many hours off; the call succeeds.
    Skewed(i64),
}

type Plan = Box<dyn FnMut(&Call) -> Option<Fault> + Send>;

#[derive(Clone, Default)]
pub(crate) struct Faults(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    plan: Option<Plan>,
    calls: HashMap<String, u64>,
    faults: HashMap<String, u64>,
    ledger: Ledger,
    time_lapse: bool,
}

impl Faults {
    /// Replaces the plan; it decides about each further call.
    pub(crate) fn plan(&self, plan: impl FnMut(&Call) -> Option<Fault> + Send + 'static) {
        self.inner().plan = Some(Box::new(plan));
    }

    /// Removes the plan: no more faults.
    pub(crate) fn clear(&self) {
        self.inner().plan = None;
    }

    /// The calls of an operation so far, including those with a fault.
    pub(crate) fn calls(&self, operation: &str) -> u64 {
        let inner = self.inner();
        inner.calls.get(operation).copied().unwrap_or_default()
    }

    /// The faults of an operation so far.
    pub(crate) fn count(&self, operation: &str) -> u64 {
        let inner = self.inner();
        inner.faults.get(operation).copied().unwrap_or_default()
    }

    /// The faults of all operations so far.
    pub(crate) fn total(&self) -> u64 {
        self.inner().faults.values().sum()
    }

    /// Shortens back-offs that are longer than a visibility timeout to a few seconds. An
    /// operator can make a message visible early, too, and a test must not take ten minutes.
    pub(crate) fn time_lapse(&self) {
        self.inner().time_lapse = true;
    }

    /// Reads or changes the ledger.
    pub(crate) fn ledger<T>(&self, read: impl FnOnce(&mut Ledger) -> T) -> T {
        read(&mut self.inner().ledger)
    }

    fn decide(&self, call: &Call) -> Option<Fault> {
        let mut inner = self.inner();
        *inner.calls.entry(call.operation.clone()).or_default() += 1;
        let fault = inner.plan.as_mut().and_then(|plan| plan(call))?;
        *inner.faults.entry(call.operation.clone()).or_default() += 1;
        inner.ledger.fault(call, &fault);
        Some(fault)
    }

    fn is_time_lapse(&self) -> bool {
        self.inner().time_lapse
    }

    /// A panic in a plan fails its own test and no other call.
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The layer over the routes of the embedded endpoint.
pub(crate) async fn layer(State(faults): State<Faults>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let bytes = axum::body::to_bytes(body, usize::MAX)
        .await
        .unwrap_or_default();
    let target = parts
        .headers
        .get("x-amz-target")
        .and_then(|target| target.to_str().ok());
    if target.is_none() {
        // STS does not use a JSON protocol.
        return next.run(Request::from_parts(parts, bytes.into())).await;
    }
    let mut call = Call {
        operation: target
            .and_then(|t| t.rsplit('.').next())
            .unwrap_or_default()
            .to_owned(),
        input: serde_json::from_slice(&bytes).unwrap_or_default(),
    };
    sqs::translate(&faults, &mut call);
    let begun = Instant::now();
    let fault = faults.decide(&call);
    let proxied = ProxiedCall {
        faults: &faults,
        parts,
        next,
    };
    let response = proxied.answer(&call, fault).await;
    faults.ledger(|ledger| ledger.took(&call, begun.elapsed()));
    response
}

/// Answers `TooManyRequestsException` to calls above `quota` a second, after a burst.
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
