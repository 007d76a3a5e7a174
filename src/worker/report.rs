//! One log line and its metrics for each settled message.

use std::time::Duration;

use super::trace;
use crate::event::{Event, PoolId, Sub};
use crate::message::Delivery;
use crate::provision::Outcome;
use crate::telemetry::spans;

/// Level `info` for a success, `warn` for a retry or a blocked message, `error` for a rejection.
/// No field holds personal data: a `sub` that is not an opaque id is left out.
pub(super) fn record_settled(delivery: &Delivery, outcome: &Outcome) {
    let message = &delivery.message;
    let event = delivery.event.as_ref().ok();
    let work = message.receive_time.elapsed();
    let queued = message.sent_at.map_or(Duration::ZERO, |sent| {
        let since_sent = jiff::Timestamp::now().duration_since(sent).unsigned_abs();
        since_sent.saturating_sub(work)
    });
    let (outcome_name, reason) = (outcome.name(), outcome.reason_code());
    metrics::counter!(
        "usher_messages_total", "outcome" => outcome_name, "reason" => reason.to_owned(),
    )
    .increment(1);
    metrics::histogram!("usher_message_queue_seconds").record(queued);
    metrics::histogram!("usher_message_work_seconds").record(work);

    let sign_up = match event {
        Some(Event::SignUp(sign_up)) => Some(sign_up),
        _ => None,
    };
    let pool = event.and_then(Event::pool).map(PoolId::as_str);
    let sub = sign_up
        .and_then(|sign_up| sign_up.sub.as_ref())
        .map(Sub::as_str);
    let request_id = match event {
        Some(Event::AdminCommand(command)) => Some(command.request_id.as_str()),
        _ => None,
    };
    spans::record_outcome(spans::AttemptOutcome {
        outcome: outcome_name,
        reason,
        is_error: matches!(
            outcome,
            Outcome::Retry(_) | Outcome::Rejected(_) | Outcome::Blocked(_)
        ),
        pool,
        sub,
        request_id,
    });
    let trace = trace::id(delivery);
    macro_rules! line {
        ($level:ident, $error:expr, $text:literal) => {
            tracing::$level!(
                message.id = message.id,
                message.attempt = delivery.attempts(),
                outcome = outcome_name,
                reason,
                error = $error,
                pool.id = pool,
                user.sub = sub,
                request.id = request_id,
                trace.id = trace,
                queue_ms = millis(queued),
                duration_ms = millis(work),
                $text,
            )
        };
    }
    match outcome {
        Outcome::Done | Outcome::AlreadyDone(_) | Outcome::Ignored(_) => {
            line!(info, None::<&str>, "message settled");
        }
        Outcome::Retry(retry) => {
            line!(
                warn,
                Some(retry.cause.error.as_str()),
                "message returned to the queue for another attempt"
            );
        }
        Outcome::Rejected(rejection) => {
            line!(
                error,
                Some(rejection.error.as_str()),
                "message sent to the dead-letter queue"
            );
        }
        Outcome::Blocked(failure) => {
            line!(
                warn,
                Some(failure.to_string().as_str()),
                "message returned to the queue until the deployment is fixed"
            );
        }
    }
}

/// Writes no log line: the message has no outcome.
pub(super) fn record_released() {
    spans::record_outcome(spans::AttemptOutcome {
        outcome: "released",
        reason: "",
        is_error: false,
        pool: None,
        sub: None,
        request_id: None,
    });
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
