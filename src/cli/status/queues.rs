//! The depth of both queues, and the reasons of the dead letters.

use std::fmt::Write as _;
use std::time::Duration;

use indicatif::HumanDuration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::screen::Finding;
use crate::aws::{Depth, Failure, Queue};
use crate::cli::check::{LONG_BACKLOG, NO_RECEIVER, State, work_left};
use crate::config::Config;
use crate::dead_letter::{
    DeadLetterQueueError, Filter, ReasonCounts, Selection, resolve_dead_letter_queue,
};
use crate::retry::retry_inline;

const SOURCE: &str = "queue";
const DEAD_LETTERS: &str = "dead letters";
/// Dead letters that are read for their reasons. They are hidden meanwhile.
const MAX_READ: u64 = 1000;
/// No further dead letters are read after this time.
const MAX_READ_TIME: Duration = Duration::from_secs(5);
const PARALLEL_RECEIVES: usize = 8;
const MAX_REASONS: usize = 3;
/// Only a longer reason is cut.
const MAX_REASON_CHARS: usize = 24;
/// SQS counts a message late that was just received.
const RECOUNT_PAUSE: Duration = Duration::from_secs(1);

pub(super) struct Queues {
    source: Queue,
    configured: Option<String>,
    dead_letters: Option<Queue>,
    reasons: Option<Reasons>,
    is_refresh: bool,
}

/// What SQS counts.
pub(super) struct QueueCounts {
    pub(super) source: Result<Depth, Failure>,
    /// The finding says why they could not be counted.
    dead_letters: Result<Depth, Finding>,
}

/// The dead letters that were read.
struct Reasons {
    counts: ReasonCounts,
    failure: Option<Failure>,
}

impl Queues {
    pub(super) fn new(source: Queue, configured: Option<String>) -> Self {
        Self {
            source,
            configured,
            dead_letters: None,
            reasons: None,
            is_refresh: false,
        }
    }

    pub(super) async fn count(&mut self) -> QueueCounts {
        let source = self.count_source().await;
        let dead_letters = if source.is_ok() {
            self.count_dead_letters().await
        } else {
            let why = "the queue cannot be read";
            Err(Finding::new(DEAD_LETTERS, State::Skipped, why))
        };
        QueueCounts {
            source,
            dead_letters,
        }
    }

    async fn count_source(&self) -> Result<Depth, Failure> {
        let depth = read_depth(&self.source).await?;
        if depth.visible == 0 || depth.hidden > 0 {
            return Ok(depth);
        }
        tokio::time::sleep(RECOUNT_PAUSE).await;
        read_depth(&self.source).await
    }

    async fn count_dead_letters(&mut self) -> Result<Depth, Finding> {
        let queue = match &self.dead_letters {
            Some(queue) => queue.clone(),
            None => self.find_dead_letters().await?,
        };
        let depth = read_depth(&queue).await;
        self.dead_letters = Some(queue);
        depth.map_err(|failure| Finding::of_failure(DEAD_LETTERS, &failure))
    }

    async fn find_dead_letters(&self) -> Result<Queue, Finding> {
        match resolve_dead_letter_queue(&self.source, self.configured.as_deref()).await {
            Ok(resolved) => Ok(resolved.queue),
            Err(DeadLetterQueueError::LookupFailed { failure, .. }) => {
                Err(Finding::of_failure(DEAD_LETTERS, &failure))
            }
            Err(error) => Err(Finding::new(DEAD_LETTERS, State::Fail, error.to_string())),
        }
    }

    /// Reads reasons once: each reading hides the dead letters for a moment, and counts as a
    /// receive.
    pub(super) async fn read_reasons(&mut self, counts: &QueueCounts, stop: &CancellationToken) {
        let (Some(queue), Ok(depth)) = (&self.dead_letters, &counts.dead_letters) else {
            return;
        };
        self.is_refresh = self.reasons.is_some();
        if depth.is_empty() {
            self.reasons = None;
        } else if depth.visible > 0 && !self.is_refresh {
            let limit = depth.visible.min(MAX_READ);
            self.reasons = Some(Reasons::read(queue, limit, stop).await);
        }
    }

    pub(super) fn dead_letter_finding(&self, counts: QueueCounts) -> Finding {
        let depth = match counts.dead_letters {
            Ok(depth) => depth,
            Err(finding) => return finding,
        };
        if depth.is_empty() {
            return Finding::new(DEAD_LETTERS, State::Ok, "none");
        }
        let mut in_use = String::new();
        if depth.hidden > 0 {
            // After the first reading SQS may still count what this process had hidden.
            let by = if self.is_refresh {
                ""
            } else {
                " by another process"
            };
            in_use = format!(", {} in use{by}", depth.hidden);
        }
        let detail = describe(depth.total(), &in_use, self.reasons.as_ref());
        Finding::new(DEAD_LETTERS, State::Warn, detail).with_next("usher dead-letters list")
    }
}

impl QueueCounts {
    pub(super) fn has_backlog(&self) -> bool {
        self.source.as_ref().is_ok_and(|depth| depth.visible > 0)
    }

    /// A backlog is not a problem in itself.
    pub(super) fn source_finding(
        &self,
        config: &Config,
        mean_wait: Option<Duration>,
        has_ready_worker: bool,
    ) -> Finding {
        let depth = match &self.source {
            Ok(depth) => *depth,
            Err(failure) => {
                let mut finding = Finding::of_failure(SOURCE, failure);
                finding.state = State::Fail;
                return finding;
            }
        };
        let is_shown = |wait: &Duration| depth.visible > 0 && wait.as_secs() > 0;
        let mean_wait = mean_wait.filter(is_shown);
        let mut detail = format!("{} waiting", depth.visible);
        if let Some(wait) = mean_wait {
            let _ = write!(detail, " (about {:#})", HumanDuration(wait));
        }
        let _ = write!(detail, ", {} in flight", depth.hidden);
        if depth.delayed > 0 {
            let _ = write!(detail, ", {} delayed", depth.delayed);
        }
        if depth.visible + depth.hidden == 0 {
            return Finding::new(SOURCE, State::Ok, detail);
        }
        if depth.hidden == 0 && !has_ready_worker {
            let detail = format!("{detail}: {NO_RECEIVER}");
            return Finding::new(SOURCE, State::Warn, detail).with_next("usher check");
        }
        let time = HumanDuration(work_left(config, depth));
        let rate = config.quota.user_update;
        let _ = write!(detail, ": done in about {time:#} at {rate}/s");
        let is_late = mean_wait.is_some_and(|wait| wait > LONG_BACKLOG);
        let state = if is_late { State::Warn } else { State::Ok };
        Finding::new(SOURCE, state, detail)
    }
}

async fn read_depth(queue: &Queue) -> Result<Depth, Failure> {
    let attributes = retry_inline(|| queue.attributes()).await?;
    Ok(attributes.depth)
}

impl Reasons {
    /// Reads up to `limit` dead letters. It does not wait for those that another process hides.
    async fn read(queue: &Queue, limit: u64, stop: &CancellationToken) -> Self {
        let end = stop.child_token();
        let filter = Filter {
            limit: Some(limit),
            ..Filter::default()
        };
        let mut selection = Selection::new(queue, PARALLEL_RECEIVES, filter, end.clone());
        let started = Instant::now();
        let failure = loop {
            match selection.next(|_| true, |_| end.cancel()).await {
                Ok(Some(_)) if started.elapsed() < MAX_READ_TIME => {}
                Ok(_) => break None,
                Err(failure) => break Some(failure),
            }
        };
        let counts = selection.take_seen();
        selection.finish().await;
        Self { counts, failure }
    }
}

fn describe(total: u64, in_use: &str, reasons: Option<&Reasons>) -> String {
    let about = format!("about {total}{in_use}");
    let Some(Reasons { counts, failure }) = reasons else {
        return about;
    };
    if let Some(failure) = failure {
        return format!("{about}; reasons not known: {failure}");
    }
    let summaries = counts.by_frequency();
    let shown = summaries.iter().take(MAX_REASONS).map(|(reason, summary)| {
        let reason: String = reason.chars().take(MAX_REASON_CHARS).collect();
        format!("{reason} {}", summary.count)
    });
    let mut shown = shown.collect::<Vec<_>>().join(", ");
    if summaries.len() > MAX_REASONS {
        shown.push_str(", …");
    }
    let oldest = summaries.iter().filter_map(|(_, summary)| summary.oldest);
    let since = oldest.min().map_or_else(String::new, |oldest| {
        format!(" since {} UTC", oldest.strftime("%F %H:%M"))
    });
    match counts.total() {
        0 => about,
        read if read == total => format!("{total}{since}: {shown}"),
        read => format!("{about}; {read} read{since}: {shown}"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::dead_letter::DeadLetterSummary;

    fn reasons(reasons: &[(&str, usize)]) -> Reasons {
        let mut counts = ReasonCounts::default();
        for (reason, count) in reasons {
            let attributes = [
                ("usher.reason", *reason),
                ("usher.dead_lettered_at", "2026-08-01T09:05:00Z"),
            ];
            let attributes = attributes.map(|(name, value)| (name.to_owned(), value.to_owned()));
            let summary = DeadLetterSummary::new("id", "{", &BTreeMap::from(attributes));
            for _ in 0..*count {
                counts.add(&summary);
            }
        }
        Reasons {
            counts,
            failure: None,
        }
    }

    #[test]
    fn dead_letters_are_counted_by_their_most_frequent_reasons() {
        let all = [
            ("not_json", 3),
            ("throttled", 250),
            ("user_not_found", 147),
            ("a", 2),
        ];
        let read = reasons(&all);
        let shown = "since 2026-08-01 09:05 UTC: throttled 250, user_not_found 147, not_json 3, …";
        assert_eq!(describe(402, "", Some(&read)), format!("402 {shown}"));
        let partial = describe(500, ", 98 in use", Some(&read));
        assert_eq!(partial, format!("about 500, 98 in use; 402 read {shown}"));
        assert_eq!(describe(5, ", 5 in use", None), "about 5, 5 in use");
    }
}
