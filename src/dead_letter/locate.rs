//! Where the letters of a queue go.

use crate::aws::{Failure, Queue, Redrive};
use crate::retry::{Transient, quickly};

/// The dead-letter queue, and when SQS itself moves messages there.
#[derive(Debug)]
pub struct Located {
    /// The dead-letter queue.
    pub queue: Queue,
    /// The source queue's policy, as far as it is known.
    pub redrive: Option<Redrive>,
}

/// Why a dead-letter queue is not found.
#[derive(Debug, thiserror::Error)]
pub enum NotLocated {
    /// The queue cannot be asked.
    #[error(
        "the dead-letter queue of {queue} cannot be found: {failure}; set queue.dead_letter_url to go on without asking"
    )]
    Unknown {
        /// The source queue's URL.
        queue: String,
        /// What came instead of an answer.
        failure: Failure,
    },
    /// Letters would be received as messages, for ever.
    #[error("{queue} is its own dead-letter queue: set queue.dead_letter_url to another queue")]
    Own {
        /// The source queue's URL.
        queue: String,
    },
    /// There is none.
    #[error(
        "{queue} has no RedrivePolicy: give it a dead-letter queue, or name one in queue.dead_letter_url"
    )]
    None {
        /// The source queue's URL.
        queue: String,
    },
}

impl Transient for NotLocated {
    fn is_transient(&self) -> bool {
        matches!(self, Self::Unknown { failure, .. } if failure.is_transient())
    }
}

/// Finds the dead-letter queue of `queue`: the configured one, or the one that
/// its `RedrivePolicy` names.
///
/// # Errors
/// [`NotLocated`].
pub async fn locate(queue: &Queue, configured: Option<&str>) -> Result<Located, NotLocated> {
    let located = match configured {
        Some(url) => Located {
            queue: queue.beside(url),
            // A role that may not ask is no reason to stop.
            redrive: quickly(|| queue.facts())
                .await
                .ok()
                .and_then(|facts| facts.redrive),
        },
        None => by_policy(queue).await?,
    };
    if located.queue.url() == queue.url() {
        return Err(NotLocated::Own {
            queue: queue.url().to_owned(),
        });
    }
    Ok(located)
}

async fn by_policy(queue: &Queue) -> Result<Located, NotLocated> {
    let unknown = |failure| NotLocated::Unknown {
        queue: queue.url().to_owned(),
        failure,
    };
    let facts = quickly(|| queue.facts()).await.map_err(unknown)?;
    let redrive = facts.redrive.ok_or_else(|| NotLocated::None {
        queue: queue.url().to_owned(),
    })?;
    let url = quickly(|| queue.url_of(&redrive.target_arn))
        .await
        .map_err(unknown)?;
    Ok(Located {
        queue: queue.sibling(&url),
        redrive: Some(redrive),
    })
}
