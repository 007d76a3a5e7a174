//! What the jobs do, with the functions of the commands.

use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;

use super::job::{Job, JobEnd};
use super::snapshot::{MAX_BYTES, MAX_DEAD_LETTERS, Snapshot};
use super::state::Console;
use super::text::{count, dead_letters};
use crate::dead_letter::{
    DeadLetterSummary, DryRunTally, Filter, PARALLEL_RECEIVES, ReceivedDeadLetter, RemovalCounts,
    Replay, ReplayTarget, SINGLE_RECEIVE, ScanReport, Selection, SelectionEnd, waiting_for,
};
use crate::retry::retry_inline;

/// Reads the dead-letter queue, and replaces the snapshot.
pub(super) async fn read(console: Arc<Console>, job: Arc<Job>) -> anyhow::Result<JobEnd> {
    let queue = console.services.dead_letter_queue().await?;
    let attributes = retry_inline(|| queue.attributes()).await.ok();
    let total = attributes.as_ref().map_or(0, |it| it.depth.total());
    job.update(|progress| progress.total = total);
    let filter = Filter {
        limit: Some(MAX_DEAD_LETTERS),
        ..Filter::default()
    };
    let mut selection = Selection::new(&queue, PARALLEL_RECEIVES, filter, job.stop.clone())
        .with_max_bytes(MAX_BYTES);
    let found = collect(&mut selection, &job, Vec::push).await;
    let report = ScanReport::finish(selection).await;
    let found = found?;
    if report.end == SelectionEnd::Stopped {
        bail!("stopped: the last reading is still shown");
    }
    let mut unread = report.unread();
    if report.end == SelectionEnd::Limit {
        unread.push(format!(
            "a reading ends at {} or {} MB. Replay or drop these and read again, or use the \
             commands, which read all",
            dead_letters(MAX_DEAD_LETTERS),
            MAX_BYTES / 1_000_000
        ));
    }
    let read = found.len() as u64;
    let mut snapshot = Snapshot::new(job.number as u64, found);
    snapshot.unread = unread;
    let retention = attributes.and_then(|it| it.retention_seconds);
    snapshot.retention = retention.map(Duration::from_secs);
    console.replace_snapshot(snapshot);
    Ok(JobEnd::new(true, format!("{} read", dead_letters(read))))
}

/// Receives the dead letters that match. They stay hidden.
async fn collect<T>(
    selection: &mut Selection,
    job: &Job,
    keep: fn(&mut Vec<T>, ReceivedDeadLetter),
) -> anyhow::Result<Vec<T>> {
    let mut found = Vec::new();
    while let Some(page) = selection.next(|_| true, |n| show_hidden(job, n)).await? {
        for dead_letter in page {
            keep(&mut found, dead_letter);
        }
        job.update(|progress| {
            progress.done = found.len() as u64;
            progress.message.clear();
        });
    }
    Ok(found)
}

fn show_hidden(job: &Job, hidden_elsewhere: u64) {
    job.update(|progress| {
        progress.message = match hidden_elsewhere {
            0 => "waiting until SQS's counts are current".to_owned(),
            hidden => waiting_for(hidden),
        };
    });
}

/// Predicts the result of a replay.
pub(super) async fn dry_run(
    console: Arc<Console>,
    job: Arc<Job>,
    snapshot: Arc<Snapshot>,
    filter: Filter,
) -> anyhow::Result<JobEnd> {
    let predictor = console.services.dry_run()?;
    let selected = snapshot.select(&filter);
    job.update(|progress| progress.total = selected.len() as u64);
    let mut tally = DryRunTally::default();
    let mut done = 0;
    for dead_letter in &selected {
        if job.stop.is_cancelled() {
            break;
        }
        let would = predictor.predict(&dead_letter.message.body).await;
        tally.add(&dead_letter.summary.reason, &would);
        done += 1;
        job.update(|progress| progress.done = done);
    }
    let is_complete = done == selected.len() as u64;
    let parts = tally.outcomes.iter();
    let parts = parts.map(|(label, n)| format!("{} {label}", count(*n)));
    let parts: Vec<String> = parts.collect();
    let rows = tally.rows.into_iter();
    let rows = rows.map(|((reason, would), n)| (reason, n, would));
    let stopped = (!is_complete).then(|| format!("stopped after {done} of {}", selected.len()));
    let summary = match done {
        0 => "nothing was predicted".to_owned(),
        _ => parts.join(", "),
    };
    Ok(JobEnd {
        rows: rows.collect(),
        notes: stopped.into_iter().collect(),
        ..JobEnd::new(is_complete, summary)
    })
}

/// Sends the dead letters with these ids to the source queue.
pub(super) async fn replay(
    console: Arc<Console>,
    job: Arc<Job>,
    snapshot: Arc<Snapshot>,
    ids: Vec<String>,
) -> anyhow::Result<JobEnd> {
    mark(&snapshot, &job);
    let services = &console.services;
    let asked = ids.len() as u64;
    job.update(|progress| progress.total = asked);
    let queue = services.dead_letter_queue().await?;
    let target = ReplayTarget::Queue(services.queue()?);
    let audit = console.audit("replay").await;
    let selection = Selection::new(&queue, SINGLE_RECEIVE, of_ids(ids), job.stop.clone());
    let replayed = Replay::new(target, services.config.sign_up_rate(), audit)
        .run(selection, |step| {
            if step.hidden_elsewhere > 0 {
                show_hidden(&job, step.hidden_elsewhere);
            } else {
                let parts = step.tally.iter().map(|(result, n)| format!("{n} {result}"));
                let message = parts.collect::<Vec<_>>().join(", ");
                let done = step.tally.values().sum();
                job.update(|progress| (progress.done, progress.message) = (done, message));
            }
        })
        .await;
    let done = replayed.tally.values().sum();
    let mut notes = missing(asked, done, replayed.end);
    if let Some(failure) = &replayed.failure {
        notes.push(format!(
            "stopped: {failure}; the other dead letters are unchanged"
        ));
    }
    let is_success = replayed.is_success() && done == asked;
    Ok(JobEnd {
        notes,
        ..JobEnd::new(is_success, replayed.to_string())
    })
}

/// Deletes the dead letters with these ids. `note` says why in the audit lines.
pub(super) async fn drop(
    console: Arc<Console>,
    job: Arc<Job>,
    snapshot: Arc<Snapshot>,
    ids: Vec<String>,
    note: String,
) -> anyhow::Result<JobEnd> {
    mark(&snapshot, &job);
    let asked = ids.len() as u64;
    job.update(|progress| progress.total = asked);
    let queue = console.services.dead_letter_queue().await?;
    let mut selection = Selection::new(&queue, PARALLEL_RECEIVES, of_ids(ids), job.stop.clone());
    let keep = |found: &mut Vec<DeadLetterSummary>, it: ReceivedDeadLetter| found.push(it.summary);
    let found = collect(&mut selection, &job, keep).await;
    job.update(|progress| progress.done = 0);
    let audit = console.audit("drop").await.with_note(note);
    let mut removed = RemovalCounts::default();
    removed
        .drop_all(
            &mut selection,
            found.as_deref().unwrap_or_default(),
            &audit,
            |removed| {
                job.update(|progress| progress.done = removed.deleted + removed.failed);
            },
        )
        .await;
    let mut end = selection.finish().await;
    if job.stop.is_cancelled() {
        end = SelectionEnd::Stopped;
    }
    found?;
    let RemovalCounts { deleted, failed } = removed;
    let mut notes = missing(asked, deleted + failed, end);
    if failed > 0 {
        notes.push(format!("{} could not be deleted", dead_letters(failed)));
    }
    let summary = format!("{} deleted", dead_letters(deleted));
    Ok(JobEnd {
        notes,
        ..JobEnd::new(deleted == asked, summary)
    })
}

/// Further actions on the snapshot are refused.
fn mark(snapshot: &Snapshot, job: &Job) {
    // Only this sets it: an action on a marked snapshot is refused.
    let _ = snapshot.changed_by.set(job.plan.title.clone());
}

/// Not by `ids`: another dead letter may have one of them as its original message id.
fn of_ids(ids: Vec<String>) -> Filter {
    Filter {
        limit: Some(ids.len() as u64),
        exact_ids: ids.into_iter().collect(),
        ..Filter::default()
    }
}

/// Says why `done` is less than `asked`.
fn missing(asked: u64, done: u64, end: SelectionEnd) -> Vec<String> {
    let rest = dead_letters(asked.saturating_sub(done));
    let note = match end {
        _ if done == asked => return Vec::new(),
        SelectionEnd::Stopped => format!("stopped: {rest} not touched"),
        _ => format!("{rest} not found: deleted, in flight or not delivered. Read the queue again"),
    };
    vec![note]
}
