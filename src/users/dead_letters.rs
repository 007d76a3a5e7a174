//! The dead letters of the user.

use std::time::Duration;

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::OnProgress;
use crate::app::Services;
use crate::aws::Queue;
use crate::dead_letter::{
    DeadLetterSummary, Filter, PARALLEL_RECEIVES, Selection, SelectionEnd,
    resolve_dead_letter_queue,
};
use crate::event::Sub;

/// Long poll of each receive.
const RECEIVE_WAIT: Duration = Duration::from_secs(1);

#[derive(Debug, Serialize)]
pub(crate) struct DeadLetters {
    /// Why some or all were not read; `None` if all were.
    pub(crate) not_read: Option<String>,
    pub(crate) found: Vec<DeadLetterSummary>,
}

impl DeadLetters {
    /// A queue that cannot be read is not an error: the other facts are still useful.
    pub(super) async fn read(
        services: &Services,
        sub: Option<&Sub>,
        stop: &CancellationToken,
        on_progress: OnProgress<'_>,
    ) -> Self {
        let unread = |cause: String| Self {
            not_read: Some(cause),
            found: Vec::new(),
        };
        let Some(sub) = sub.and_then(Sub::loggable) else {
            return unread("Cognito shows no sub for the user".to_owned());
        };
        let queue = tokio::select! {
            queue = find_queue(services) => queue,
            () = stop.cancelled() => Err("stopped".to_owned()),
        };
        match queue {
            Ok(queue) => read_all(&queue, sub, stop, on_progress).await,
            Err(cause) => unread(cause),
        }
    }
}

/// The error says why there is none to read.
async fn find_queue(services: &Services) -> Result<Queue, String> {
    if let Some(url) = &services.config.queue.dead_letter_url {
        return Ok(services.queue_by_url(url, RECEIVE_WAIT));
    }
    let Ok(source) = services.queue_with_wait(RECEIVE_WAIT) else {
        return Err("queue.dead_letter_url and queue.url are not set".to_owned());
    };
    let found = resolve_dead_letter_queue(&source, None).await;
    found.map(|it| it.queue).map_err(|error| error.to_string())
}

async fn read_all(
    queue: &Queue,
    sub: &str,
    stop: &CancellationToken,
    on_progress: OnProgress<'_>,
) -> DeadLetters {
    let filter = Filter {
        sub: Some(sub.to_owned()),
        ..Filter::default()
    };
    let mut selection = Selection::new(queue, PARALLEL_RECEIVES, filter, stop.clone());
    let mut seen = 0;
    let mut count = |_: &_| {
        seen += 1;
        on_progress(seen, "dead letters");
        true
    };
    let wait = |hidden| {
        if hidden > 0 {
            on_progress(hidden, "dead letters in flight elsewhere: waiting for them");
        }
    };
    let mut found = Vec::new();
    let failure = loop {
        match selection.next(&mut count, wait).await {
            Ok(Some(letters)) => found.extend(letters.into_iter().map(|it| it.summary)),
            Ok(None) => break None,
            Err(failure) => break Some(failure),
        }
    };
    let end = selection.finish().await;
    found.sort_by_key(|letter: &DeadLetterSummary| letter.dead_lettered_at);
    let not_read = failure.map(|failure| failure.to_string());
    DeadLetters {
        not_read: not_read.or_else(|| why_unread(end)),
        found,
    }
}

fn why_unread(end: SelectionEnd) -> Option<String> {
    match end {
        SelectionEnd::Limit => None,
        SelectionEnd::Stopped => Some("stopped".to_owned()),
        SelectionEnd::Exhausted(unseen) => {
            let more = unseen.hidden_elsewhere + unseen.not_received;
            let why = "in flight elsewhere or not delivered; try again in a minute";
            (more > 0).then(|| format!("about {more} more {why}"))
        }
    }
}
