//! Finds the dead-letter queue of a source queue.

use crate::aws::{Failure, Queue, RedrivePolicy};
use crate::reason::Reason;
use crate::retry::{Transient, retry_inline};

/// The dead-letter queue, and when SQS itself moves a message to it.
#[derive(Debug)]
pub struct DeadLetterQueue {
    /// The client of the dead-letter queue.
    pub queue: Queue,
    /// The source queue's policy; `None` if it has none or it cannot be read.
    pub redrive_policy: Option<RedrivePolicy>,
}

/// Why no dead-letter queue can be used.
#[derive(Debug, thiserror::Error)]
pub enum DeadLetterQueueError {
    /// A call to SQS failed.
    #[error(
        "cannot find the dead-letter queue of {queue}: {failure}{}",
        hint(failure)
    )]
    LookupFailed {
        /// The source queue's URL.
        queue: String,
        /// The failure of the call.
        failure: Failure,
    },
    /// Dead letters would be received as messages again and again.
    #[error("{queue} is its own dead-letter queue: set queue.dead_letter_url to another queue")]
    SameQueue {
        /// The source queue's URL.
        queue: String,
    },
    /// The source queue names no dead-letter queue, and neither does the configuration.
    #[error(
        "{queue} has no RedrivePolicy: give it a dead-letter queue, or name one in queue.dead_letter_url"
    )]
    NoRedrivePolicy {
        /// The source queue's URL.
        queue: String,
    },
}

/// The setting saves the calls that a role may not make.
fn hint(failure: &Failure) -> &'static str {
    if failure.reason == Reason::AccessDenied {
        "; queue.dead_letter_url names it without a call"
    } else {
        ""
    }
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
/// [`DeadLetterQueueError`] if none is found, or if it is the source queue itself.
pub(crate) async fn resolve_dead_letter_queue(
    queue: &Queue,
    configured: Option<&str>,
) -> Result<DeadLetterQueue, DeadLetterQueueError> {
    let resolved = match configured {
        Some(url) => DeadLetterQueue {
            queue: queue.with_url_and_endpoint(url),
            // The role may lack the permission to read it.
            redrive_policy: retry_inline(|| queue.attributes())
                .await
                .ok()
                .and_then(|attributes| attributes.redrive_policy),
        },
        None => resolve_by_redrive_policy(queue).await?,
    };
    if resolved.queue.url() == queue.url() {
        return Err(DeadLetterQueueError::SameQueue {
            queue: queue.url().to_owned(),
        });
    }
    Ok(resolved)
}

async fn resolve_by_redrive_policy(queue: &Queue) -> Result<DeadLetterQueue, DeadLetterQueueError> {
    let lookup_failed = |failure| DeadLetterQueueError::LookupFailed {
        queue: queue.url().to_owned(),
        failure,
    };
    let attributes = retry_inline(|| queue.attributes())
        .await
        .map_err(lookup_failed)?;
    let redrive =
        attributes
            .redrive_policy
            .ok_or_else(|| DeadLetterQueueError::NoRedrivePolicy {
                queue: queue.url().to_owned(),
            })?;
    let url = retry_inline(|| queue.url_of(&redrive.target_arn))
        .await
        .map_err(lookup_failed)?;
    Ok(DeadLetterQueue {
        queue: queue.with_url(&url),
        redrive_policy: Some(redrive),
    })
}
