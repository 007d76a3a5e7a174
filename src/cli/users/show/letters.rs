//! The dead letters of the user.

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::app::Services;
use crate::cli::dead_letters::{CommandContext, PARALLEL_RECEIVES, short_id, special_step};
use crate::cli::reasons::explain;
use crate::dead_letter::{DeadLetterSummary, Filter, SelectionEnd};
use crate::event::Sub;

#[derive(Debug, Serialize)]
pub(super) struct DeadLetters {
    /// Why some or all were not read; `None` if all were.
    pub(super) not_read: Option<String>,
    pub(super) found: Vec<DeadLetterSummary>,
    /// Whether the configuration names a queue.
    #[serde(skip)]
    pub(super) has_queue: bool,
}

impl DeadLetters {
    /// A queue that cannot be read is not an error: the other facts are still useful.
    pub(super) async fn read(
        services: &Services,
        sub: Option<&Sub>,
        stop: &CancellationToken,
    ) -> Self {
        let queue = &services.config.queue;
        if queue.dead_letter_url.is_none() && queue.url.is_err() {
            return Self {
                has_queue: false,
                ..Self::unread("queue.dead_letter_url and queue.url are not set")
            };
        }
        let Some(sub) = sub.and_then(Sub::loggable) else {
            return Self::unread("Cognito shows no sub for the user");
        };
        let found = scan(services, sub, stop).await;
        found.unwrap_or_else(|error| Self::unread(format!("{error:#}")))
    }

    fn unread(cause: impl Into<String>) -> Self {
        Self {
            not_read: Some(cause.into()),
            found: Vec::new(),
            has_queue: true,
        }
    }

    /// Whether each was read, as far as there is a queue.
    pub(super) fn is_complete(&self) -> bool {
        self.not_read.is_none() || !self.has_queue
    }

    /// Whether a replay of one may succeed, since the user exists.
    pub(super) fn has_replayable(&self) -> bool {
        self.found.iter().any(|it| step_of(it).is_none())
    }

    /// What to do about the others.
    pub(super) fn special_steps(&self) -> Vec<String> {
        self.found.iter().filter_map(step_of).collect()
    }

    pub(super) fn lines(&self) -> Vec<String> {
        let row = |letter: &DeadLetterSummary| {
            let time = letter.dead_lettered_at;
            let time = time.map(|time| time.strftime("%F %H:%M UTC").to_string());
            let time = time.unwrap_or_else(|| "-".to_owned());
            let id = short_id(&letter.id);
            format!("{id}  {time}  {}", explain(&letter.reason))
        };
        let mut lines: Vec<String> = self.found.iter().map(row).collect();
        lines.extend(match (&self.not_read, lines.is_empty()) {
            (Some(cause), true) => Some(format!("not read: {cause}")),
            (Some(cause), false) => Some(format!("not all read: {cause}")),
            (None, true) => Some("none".to_owned()),
            (None, false) => None,
        });
        lines
    }
}

fn step_of(letter: &DeadLetterSummary) -> Option<String> {
    // The look-up has found the user meanwhile.
    special_step(letter).filter(|_| letter.reason != "user_not_found")
}

async fn scan(
    services: &Services,
    sub: &str,
    stop: &CancellationToken,
) -> anyhow::Result<DeadLetters> {
    let context = CommandContext::with_services(services.clone(), stop.clone()).await?;
    let filter = Filter {
        sub: Some(sub.to_owned()),
        ..Filter::default()
    };
    let mut scan = context.scan(filter, PARALLEL_RECEIVES).await;
    let found = scan.collect().await;
    let report = scan.finish().await;
    let unread = match report.end {
        SelectionEnd::Stopped => vec!["stopped".to_owned()],
        _ => report.unread(),
    };
    let mut found = found?;
    found.sort_by_key(|letter| letter.dead_lettered_at);
    Ok(DeadLetters {
        not_read: (!unread.is_empty()).then(|| unread.join("; ")),
        found,
        has_queue: true,
    })
}
