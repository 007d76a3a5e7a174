//! Records what becomes of a queued admin command, and reads it.
//!
//! The sender of a command writes after the send, so a command that could not be sent leaves no
//! item. A worker may be faster, and its result stays. A write that fails is logged and changes
//! nothing else: the next one makes the item if there is none.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Outcome;
use crate::aws::{Failure, RequestTable, Transition};
use crate::event::{AdminCommand, PoolId};
use crate::retry::retry_inline;

/// The table of requests; without one nothing is recorded.
#[derive(Debug, Clone, Default)]
pub(crate) struct RequestLog(Option<RequestTable>);

/// What became of an admin command that was queued.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RequestView {
    #[serde(rename(deserialize = "id"))]
    pub(crate) request_id: String,
    /// Status and reason of the last transition.
    #[serde(skip_deserializing)]
    pub(crate) status: String,
    #[serde(skip_deserializing, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// The kind of command, such as `AddUserToGroup`.
    pub(crate) command: String,
    #[serde(rename(deserialize = "groupNames"))]
    pub(crate) groups: Vec<String>,
    pub(crate) user_pool_id: String,
    pub(crate) requested_at: String,
    /// Oldest first.
    pub(crate) transitions: Vec<RequestTransition>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RequestTransition {
    /// `QUEUED`, `DONE` or `FAILED`.
    pub(crate) status: String,
    pub(crate) at: String,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// Finds its dead letter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) message_id: Option<String>,
}

#[derive(Debug)]
pub(crate) enum RequestLookupError {
    /// The table of requests is not configured.
    Off,
    /// The request was never queued, is too old, or belongs to another user pool.
    NotFound,
    Failed(Failure),
}

const FAILED: &str = "FAILED";

/// Together with the other time limits of a caller it ends before their request does.
const QUEUED_WRITE_TIMEOUT: Duration = Duration::from_millis(900);
/// No caller waits for a worker, and this write is the last one.
const RESULT_WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// An item that is older than the send by this much is of an earlier request with the same id, as
/// a client makes it with the same `Idempotency-Key`. A younger one shows that a worker was
/// faster, whatever the difference between the clocks.
const MAX_CLOCK_SKEW: Duration = Duration::from_mins(1);
/// That of an admin command.
const MAX_ID_LENGTH: usize = 256;

impl RequestLog {
    pub(crate) fn new(table: Option<RequestTable>) -> Self {
        Self(table)
    }

    /// Records that the command is on the queue.
    pub(crate) async fn record_queued(&self, command: &AdminCommand) {
        let now = Timestamp::now();
        let queued = Transition {
            status: "QUEUED",
            at: now,
            reason: None,
            message_id: None,
            unless_changed_since: Some(now - MAX_CLOCK_SKEW),
        };
        self.write(command, &queued, QUEUED_WRITE_TIMEOUT).await;
    }

    /// Records the end of a queued command. An outcome that another attempt follows is none.
    /// `message_id` is what a dead letter calls its source message.
    pub(crate) async fn record_result(
        &self,
        command: &AdminCommand,
        outcome: &Outcome,
        message_id: &str,
    ) {
        let (status, reason) = match outcome {
            Outcome::Done | Outcome::AlreadyDone(_) => ("DONE", None),
            Outcome::Rejected(rejection) => (FAILED, Some(rejection.reason.as_str())),
            Outcome::Retry(_) | Outcome::Ignored(_) | Outcome::Blocked(_) => return,
        };
        let ended = Transition {
            status,
            at: Timestamp::now(),
            reason,
            message_id: reason.map(|_| message_id),
            unless_changed_since: None,
        };
        self.write(command, &ended, RESULT_WRITE_TIMEOUT).await;
    }

    async fn write(&self, command: &AdminCommand, transition: &Transition<'_>, limit: Duration) {
        let Some(table) = &self.0 else {
            return;
        };
        let write = retry_inline(|| table.add_transition(command, transition));
        let error = match tokio::time::timeout(limit, write).await {
            Ok(Ok(())) => return,
            Ok(Err(failure)) => failure.to_string(),
            Err(_) => "no answer in time".to_owned(),
        };
        tracing::warn!(
            request.id = command.request_id,
            status = transition.status,
            error,
            "state of an admin command could not be written to admin.requests_table; the command \
             itself goes on",
        );
    }

    /// The request with this id, of this pool if one is given.
    pub(crate) async fn find(
        &self,
        id: &str,
        pool: Option<&PoolId>,
    ) -> Result<RequestView, RequestLookupError> {
        let table = self.0.as_ref().ok_or(RequestLookupError::Off)?;
        if !(1..=MAX_ID_LENGTH).contains(&id.len()) {
            return Err(RequestLookupError::NotFound);
        }
        // Without further tries: a Lambda has five seconds.
        let item = table.read(id).await.map_err(RequestLookupError::Failed)?;
        // Another program's item is no request.
        let view = item.and_then(|item| serde_json::from_value(item.into()).ok());
        view.map(RequestView::with_status)
            .filter(|view| pool.is_none_or(|pool| pool.as_str() == view.user_pool_id))
            .ok_or(RequestLookupError::NotFound)
    }
}

impl RequestView {
    fn with_status(self) -> Self {
        let last = self.transitions.last().cloned();
        Self {
            status: last
                .as_ref()
                .map(|it| it.status.clone())
                .unwrap_or_default(),
            reason: last.and_then(|it| it.reason),
            ..self
        }
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.status == FAILED
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use serde_json::{Value, json};
    use tokio::time::Instant;

    use super::*;
    use crate::aws::cognito::fake::fake_aws;
    use crate::event::{AdminOperation, Username};
    use crate::provision::{Rejection, Retry};

    fn command() -> AdminCommand {
        AdminCommand {
            request_id: "r1".to_owned(),
            requested_by: "deadbeef-0000-4000-8000-000000000000".to_owned(),
            requested_at: None,
            pool: PoolId::new("eu-west-1_x").expect("not empty"),
            operation: AdminOperation::ResendInvitation(Username::new("ada").expect("not empty")),
        }
    }

    /// A log whose calls get this answer, and the number of calls.
    async fn log(delay: Duration, status: u16, body: Value) -> (RequestLog, Arc<AtomicU32>) {
        let calls = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&calls);
        let aws = fake_aws(move |_, _| {
            counted.fetch_add(1, Ordering::Relaxed);
            (delay, status, body.clone())
        });
        let table = RequestTable::new(&aws.await, "requests");
        (RequestLog::new(Some(table)), calls)
    }

    #[tokio::test(start_paused = true)]
    async fn a_table_that_does_not_answer_delays_by_a_limit() {
        let (log, _) = log(Duration::from_hours(1), 200, json!({})).await;
        let begun = Instant::now();
        log.record_queued(&command()).await;
        assert!(begun.elapsed() <= QUEUED_WRITE_TIMEOUT + Duration::from_millis(5));
        let begun = Instant::now();
        log.record_result(&command(), &Outcome::Done, "m").await;
        assert!(begun.elapsed() <= RESULT_WRITE_TIMEOUT + Duration::from_millis(5));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_condition_is_not_tried_again() {
        let refusal = json!({"__type": "x#ConditionalCheckFailedException", "message": ""});
        let (log, calls) = log(Duration::ZERO, 400, refusal).await;
        log.record_queued(&command()).await;
        assert_eq!(calls.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn an_outcome_that_is_not_the_last_is_not_recorded() {
        let (log, calls) = log(Duration::ZERO, 200, json!({})).await;
        let retry = Outcome::Retry(Retry::new(Rejection::foreign_pool()));
        log.record_result(&command(), &retry, "m").await;
        assert_eq!(calls.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn a_lookup_says_whether_the_table_or_the_item_is_missing() {
        let off = RequestLog::default().find("r1", None).await;
        assert!(matches!(off, Err(RequestLookupError::Off)));
        RequestLog::default().record_queued(&command()).await;
        let foreign = json!({"Responses": {"requests": [{"id": {"S": "r1"}}]}});
        let (log, calls) = log(Duration::ZERO, 200, foreign).await;
        for id in ["", "r1", &"r".repeat(MAX_ID_LENGTH + 1)] {
            let found = log.find(id, None).await;
            assert!(matches!(found, Err(RequestLookupError::NotFound)), "{id}");
        }
        assert_eq!(
            calls.load(Ordering::Relaxed),
            1,
            "only for an id that can exist"
        );
    }
}
