//! Where the letters of a queue go.

use crate::aws::{Failure, Queue, RedrivePolicy};
use crate::retry::{Transient, retry_inline};

/// The dead-letter queue, and when SQS itself moves messages there.
#[derive(Debug)]
pub struct DeadLetterQueue {
    /// The dead-letter queue.
    pub queue: Queue,
    /// The source queue's policy, as far as it is known.
    pub redrive: Option<RedrivePolicy>,
}

/// Why a dead-letter queue is not found.
#[derive(Debug, thiserror::Error)]
pub enum DeadLetterQueueError {
    /// The queue cannot be asked.
    #[error(
        "the dead-letter queue of {queue} cannot be found: {failure}; set queue.dead_letter_url to go on without asking"
    )]
    LookupFailed {
        /// The source queue's URL.
        queue: String,
        /// What came instead of an answer.
        failure: Failure,
    },
    /// Letters would be received as messages, for ever.
    #[error("{queue} is its own dead-letter queue: set queue.dead_letter_url to another queue")]
    SameQueue {
        /// The source queue's URL.
        queue: String,
    },
    /// There is none.
    #[error(
        "{queue} has no RedrivePolicy: give it a dead-letter queue, or name one in queue.dead_letter_url"
    )]
    NoRedrivePolicy {
        /// The source queue's URL.
        queue: String,
    },
}

impl Transient for DeadLetterQueueError {
    fn is_transient(&self) -> bool {
        matches!(self, Self::LookupFailed { failure, .. } if failure.is_transient())
    }
}

/// Finds the dead-letter queue of `queue`: the configured one, or the one that
/// its `RedrivePolicy` names.
///
/// # Errors
/// [`DeadLetterQueueError`].
pub(crate) async fn resolve_dead_letter_queue(
    queue: &Queue,
    configured: Option<&str>,
) -> Result<DeadLetterQueue, DeadLetterQueueError> {
    let located = match configured {
        Some(url) => DeadLetterQueue {
            queue: queue.with_url_and_endpoint(url),
            // A role that may not ask is no reason to stop.
            redrive: retry_inline(|| queue.attributes())
                .await
                .ok()
                .and_then(|facts| facts.redrive_policy),
        },
        None => resolve_by_redrive_policy(queue).await?,
    };
    if located.queue.url() == queue.url() {
        return Err(DeadLetterQueueError::SameQueue {
            queue: queue.url().to_owned(),
        });
    }
    Ok(located)
}

async fn resolve_by_redrive_policy(queue: &Queue) -> Result<DeadLetterQueue, DeadLetterQueueError> {
    let unknown = |failure| DeadLetterQueueError::LookupFailed {
        queue: queue.url().to_owned(),
        failure,
    };
    let facts = retry_inline(|| queue.attributes()).await.map_err(unknown)?;
    let redrive = facts
        .redrive_policy
        .ok_or_else(|| DeadLetterQueueError::NoRedrivePolicy {
            queue: queue.url().to_owned(),
        })?;
    let url = retry_inline(|| queue.url_of(&redrive.target_arn))
        .await
        .map_err(unknown)?;
    Ok(DeadLetterQueue {
        queue: queue.with_url(&url),
        redrive: Some(redrive),
    })
}
