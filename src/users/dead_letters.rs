//! The dead letters of the user.

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::OnProgress;
use crate::app::Services;
use crate::aws::Queue;
use crate::dead_letter::{
    DeadLetterSummary, Filter, PARALLEL_RECEIVES, ScanReport, Selection, SelectionEnd,
};
use crate::event::Sub;

#[derive(Debug, Serialize)]
pub(crate) struct DeadLetters {
    /// Why some or all were not read; `None` if all were.
    pub(crate) not_read: Option<String>,
    pub(crate) found: Vec<DeadLetterSummary>,
}

impl DeadLetters {
    pub(super) fn unread(cause: impl Into<String>) -> Self {
        Self {
            not_read: Some(cause.into()),
            found: Vec::new(),
        }
    }

    /// A queue that cannot be read is not an error: the other facts are still useful.
    pub(crate) async fn read(
        services: &Services,
        sub: Option<&Sub>,
        stop: &CancellationToken,
        on_progress: OnProgress<'_>,
    ) -> Self {
        let Some(sub) = sub.and_then(Sub::loggable) else {
            return Self::unread("Cognito shows no sub for the user");
        };
        let queue = tokio::select! {
            queue = find_queue(services) => queue,
            () = stop.cancelled() => Err("stopped".to_owned()),
        };
        match queue {
            Ok(queue) => read_all(&queue, sub, stop, on_progress).await,
            Err(cause) => Self::unread(cause),
        }
    }
}

/// The error says why there is none to read.
async fn find_queue(services: &Services) -> Result<Queue, String> {
    let settings = &services.config.queue;
    if settings.dead_letter_url.is_none() && settings.url.is_err() {
        return Err("queue.dead_letter_url and queue.url are not set".to_owned());
    }
    let queue = services.dead_letter_queue().await;
    queue.map_err(|error| error.to_string())
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
    let report = ScanReport::finish(selection).await;
    found.sort_by_key(|letter: &DeadLetterSummary| letter.dead_lettered_at);
    let not_read = failure.map(|failure| failure.to_string());
    DeadLetters {
        not_read: not_read.or_else(|| why_unread(&report)),
        found,
    }
}

fn why_unread(report: &ScanReport) -> Option<String> {
    if report.end == SelectionEnd::Stopped {
        return Some("stopped".to_owned());
    }
    let unread = report.unread();
    (!unread.is_empty()).then(|| unread.join("; "))
}
