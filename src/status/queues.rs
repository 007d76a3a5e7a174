//! The messages that wait on the queue, and the dead letters with their reasons.

use std::fmt::Write as _;
use std::time::Duration;

use indicatif::HumanDuration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::findings::Findings;
use crate::aws::{Depth, Failure, Queue, QueueAttributes};
use crate::config::Config;
use crate::dead_letter::{
    DeadLetterQueueError, Filter, PARALLEL_RECEIVES, ReasonCounts, Selection,
    resolve_dead_letter_queue,
};
use crate::retry::retry_inline;

pub(super) const QUEUE: &str = "queue";
pub(crate) const DEAD_LETTERS: &str = "dead letters";
/// Work for a longer time than this is a warning: the last message waits that long.
const LONG_BACKLOG: Duration = Duration::from_mins(15);
/// SQS counts a message late that was just received.
const RECOUNT_PAUSE: Duration = Duration::from_secs(1);
/// Dead letters that are read for their reasons. They are hidden meanwhile.
const MAX_READ: u64 = 1000;
/// No further dead letters are read after this time.
const MAX_READ_TIME: Duration = Duration::from_secs(5);

/// Reads a source queue for [`check_backlog`]: a second time where no worker seems to receive.
///
/// # Errors
/// When the queue cannot be read.
pub(crate) async fn read_source(queue: &Queue) -> Result<QueueAttributes, Failure> {
    let attributes = retry_inline(|| queue.attributes()).await?;
    if is_received(attributes.depth) {
        return Ok(attributes);
    }
    tokio::time::sleep(RECOUNT_PAUSE).await;
    retry_inline(|| queue.attributes()).await
}

fn is_received(depth: Depth) -> bool {
    depth.visible == 0 || depth.hidden > 0
}

/// Warns where no worker receives messages, or where they need longer than [`LONG_BACKLOG`] at the
/// configured rate. `has_ready_worker`: a worker says that it receives. `next` is the command that
/// says more where none does.
pub(crate) fn check_backlog(
    findings: &mut Findings,
    config: &Config,
    depth: Depth,
    has_ready_worker: bool,
    next: &str,
) {
    let mut detail = format!("{} waiting, {} in flight", depth.visible, depth.hidden);
    if depth.delayed > 0 {
        let _ = write!(detail, ", {} delayed", depth.delayed);
    }
    if !is_received(depth) && !has_ready_worker {
        let detail = format!("{detail}: no worker receives, or its breaker is open");
        findings.warn(QUEUE, detail);
        return findings.next(next);
    }
    let time = work_left(config, depth);
    if time.as_secs() > 0 {
        let (time, rate) = (HumanDuration(time), config.quota.user_update);
        let _ = write!(
            detail,
            ": about {time} of work at quota.user_update {rate}/s"
        );
    }
    if time > LONG_BACKLOG {
        findings.warn(QUEUE, detail);
    } else {
        findings.ok(QUEUE, detail);
    }
}

/// The time that the messages of the queue need at the configured rate.
pub(crate) fn work_left(config: &Config, depth: Depth) -> Duration {
    let groups = config.groups.default.len().max(1);
    #[allow(clippy::cast_precision_loss, reason = "an estimate")]
    let calls = (depth.visible + depth.hidden) as f64 * groups as f64;
    Duration::try_from_secs_f64(calls / config.quota.user_update).unwrap_or(Duration::MAX)
}

/// The dead-letter queue of `source`, and what SQS counts there.
pub(super) async fn find_dead_letters(
    source: &Queue,
    configured: Option<&str>,
) -> Result<(Queue, Depth), DeadLetterQueueError> {
    let queue = resolve_dead_letter_queue(source, configured).await?.queue;
    match retry_inline(|| queue.attributes()).await {
        Ok(attributes) => Ok((queue, attributes.depth)),
        Err(failure) => Err(DeadLetterQueueError::LookupFailed {
            queue: source.url().to_owned(),
            failure,
        }),
    }
}

/// The reasons of the dead letters that were read.
#[derive(Debug)]
pub(super) struct Reasons {
    counts: ReasonCounts,
    failure: Option<Failure>,
}

/// Each dead letter is a user without groups or profile, so it is a failure. Reads the reasons
/// only if `reasons` is there and has none: a reading hides the dead letters for a moment, and SQS counts it as
/// a receive.
pub(super) async fn check_dead_letters(
    findings: &mut Findings,
    found: Result<(Queue, Depth), DeadLetterQueueError>,
    reasons: Option<&mut Option<Reasons>>,
    stop: &CancellationToken,
) {
    let (queue, depth) = match found {
        Ok(found) => found,
        Err(DeadLetterQueueError::LookupFailed { failure, .. }) => {
            return findings.failure(DEAD_LETTERS, &failure);
        }
        Err(error) => return findings.fail(DEAD_LETTERS, error.to_string()),
    };
    if depth.is_empty() {
        if let Some(reasons) = reasons {
            *reasons = None;
        }
        return findings.ok(DEAD_LETTERS, "none");
    }
    let mut read = None;
    if let Some(reasons) = reasons {
        if depth.visible > 0 && reasons.is_none() {
            *reasons = Some(Reasons::read(&queue, depth.visible.min(MAX_READ), stop).await);
        }
        read = reasons.as_ref();
    }
    findings.fail(DEAD_LETTERS, describe(depth, read));
    findings.next("usher dead-letters list");
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

/// `3 (oldest 2026-08-01 09:05 UTC): throttled 2, not_json 1`
fn describe(depth: Depth, reasons: Option<&Reasons>) -> String {
    let mut about = format!("about {}", depth.total());
    if depth.hidden > 0 {
        let _ = write!(about, ", {} in flight", depth.hidden);
    }
    let Some(Reasons { counts, failure }) = reasons else {
        return about;
    };
    if let Some(failure) = failure {
        return format!("{about}; reasons not known: {failure}");
    }
    let all = counts.by_frequency();
    let oldest = all.iter().filter_map(|(_, summary)| summary.oldest).min();
    let oldest = oldest.map(|oldest| format!(" (oldest {})", oldest.strftime("%F %H:%M UTC")));
    let oldest = oldest.unwrap_or_default();
    let shown = counts.describe();
    match counts.total() {
        0 => about,
        read if read == depth.total() => format!("{read}{oldest}: {shown}"),
        read => format!("{about}; {read} read{oldest}: {shown}"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::Layers;
    use crate::dead_letter::DeadLetterSummary;
    use crate::status::State;

    fn depth(visible: u64, hidden: u64) -> Depth {
        Depth {
            visible,
            hidden,
            delayed: 0,
        }
    }

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
    fn dead_letters_are_counted_by_reason() {
        let all = [("not_json", 3), ("throttled", 250), ("user_not_found", 149)];
        let read = reasons(&all);
        let shown = "(oldest 2026-08-01 09:05 UTC): throttled 250, user_not_found 149, not_json 3";
        let text = describe(depth(402, 0), Some(&read));
        assert_eq!(text, format!("402 {shown}"));
        let text = describe(depth(402, 98), Some(&read));
        assert_eq!(text, format!("about 500, 98 in flight; 402 read {shown}"));
        assert_eq!(describe(depth(0, 5), None), "about 5, 5 in flight");
    }

    #[test]
    fn a_backlog_is_wrong_if_it_is_long_or_no_worker_receives() {
        let flags = ["quota.user_update=10".to_owned()];
        let config = Config::for_command(&Layers::defaults().flags(&flags), &[]).expect("valid");
        let work = "of work at quota.user_update 10/s";
        for (depth, is_ready, state, end) in [
            (
                depth(0, 3),
                false,
                State::Ok,
                "0 waiting, 3 in flight".to_owned(),
            ),
            (
                depth(0, 100),
                false,
                State::Ok,
                format!("100 in flight: about 10 seconds {work}"),
            ),
            (
                depth(2, 0),
                false,
                State::Warn,
                "no worker receives, or its breaker is open".into(),
            ),
            (
                depth(100, 0),
                true,
                State::Ok,
                format!("about 10 seconds {work}"),
            ),
            (
                depth(9000, 0),
                true,
                State::Ok,
                format!("about 15 minutes {work}"),
            ),
            (
                depth(9000, 600),
                true,
                State::Warn,
                format!("about 16 minutes {work}"),
            ),
        ] {
            let mut findings = Findings::default();
            check_backlog(&mut findings, &config, depth, is_ready, "usher check");
            let finding = findings.into_report().findings.remove(0);
            let is_received = !end.starts_with("no worker");
            let next = (!is_received).then_some("usher check");
            assert_eq!(finding.next.as_deref(), next, "{depth:?}");
            assert_eq!(finding.state, state, "{depth:?}");
            assert!(finding.detail.ends_with(&end), "{}", finding.detail);
        }
    }
}
