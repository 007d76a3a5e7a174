//! Faults between the SDK and the endpoint: a layer over its routes.
//!
//! A plan looks at each call and may choose a [`Fault`] for it. `answer` is what
//! becomes of the call then, `sqs` what only a queue can do wrong, `ledger` keeps
//! what really happened, and `schedule` makes a plan from a seed.

mod answer;
mod ledger;
pub(crate) mod schedule;
mod sqs;
mod trouble;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use answer::Road;
pub(crate) use answer::Spoiled;
pub(crate) use ledger::Ledger;
pub(crate) use sqs::{Delivery, Partial};

/// One call on its way.
pub(crate) struct Call {
    pub(crate) operation: String,
    pub(crate) input: Value,
}

/// What happens to it.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// The service answers with this error and does nothing.
    Error(StatusCode, &'static str),
    /// The same with status 400 and this text.
    Refused(&'static str, &'static str),
    /// It takes longer than the client waits, and does nothing.
    Hang(Duration),
    /// The connection breaks before the call took effect.
    ResetBefore,
    /// The call takes effect and the connection breaks in the answer.
    ResetAfter,
    /// The answer is replaced; the call takes effect.
    Answer(fn(Value) -> Value),
    /// It takes this long, and goes well.
    Delay(Duration),
    /// It waits for this, and goes well.
    Until(CancellationToken),
    /// The call does nothing, and its answer is spoiled.
    Before(Spoiled),
    /// The call takes effect, and its answer is spoiled.
    After(Spoiled),
    /// Some entries of a batch fare otherwise than the rest.
    Partial(Partial),
    /// A receive brings something else than what the queue has to give.
    Delivery(Delivery),
    /// Says that it is done, in these words, and does nothing.
    Pretended(Value),
    /// Another call is made than the one that was asked for.
    Altered(fn(Value) -> Value),
    /// The service's clock is this many hours off; the call goes well.
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
    /// From now on each call is shown to the plan.
    pub(crate) fn plan(&self, plan: impl FnMut(&Call) -> Option<Fault> + Send + 'static) {
        self.inner().plan = Some(Box::new(plan));
    }

    /// No more faults.
    pub(crate) fn mend(&self) {
        self.inner().plan = None;
    }

    /// Calls of an operation so far, those with a fault included.
    pub(crate) fn calls(&self, operation: &str) -> u64 {
        let inner = self.inner();
        inner.calls.get(operation).copied().unwrap_or_default()
    }

    /// Faults of an operation so far.
    pub(crate) fn count(&self, operation: &str) -> u64 {
        let inner = self.inner();
        inner.faults.get(operation).copied().unwrap_or_default()
    }

    /// All faults so far.
    pub(crate) fn total(&self) -> u64 {
        self.inner().faults.values().sum()
    }

    /// Back-offs that are longer than a visibility timeout end after a few
    /// seconds. A message may become visible early at any time (an operator can
    /// make it so), and nobody wants to wait ten minutes for a test.
    pub(crate) fn time_lapse(&self) {
        self.inner().time_lapse = true;
    }

    /// A look at what really happened.
    pub(crate) fn ledger<T>(&self, look: impl FnOnce(&mut Ledger) -> T) -> T {
        look(&mut self.inner().ledger)
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

    /// A plan that panics fails its own test and no other call.
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
    if target.is_none() {
        // Not of the JSON protocols: STS.
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
    let road = Road {
        faults: &faults,
        parts,
        next,
    };
    let response = road.answer(&call, fault).await;
    faults.ledger(|ledger| ledger.took(&call, begun.elapsed()));
    response
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
