//! The page of one job: its progress, its end, and a button that stops it.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Redirect, Response};

use super::caller::{Asking, Caller};
use super::job::{Job, JobKind, JobProgress};
use super::page::{Frame, Refusal, View, html};
use super::state::Console;
use super::text::{self, Moment};
use crate::event::PoolId;

#[derive(Template)]
#[template(path = "console/job.html")]
struct JobPage<'a> {
    frame: Frame<'a>,
    job: &'a Job,
    progress: JobProgress,
}

impl JobPage<'_> {
    /// The page that asks before what a dry run was about: its path and its name.
    fn next(&self) -> Option<(String, &'static str)> {
        let plan = &self.job.plan;
        let selected = plan.selected.as_ref()?;
        let name = match plan.view {
            View::Reconcile => "run",
            _ => "replay",
        };
        let path = format!("{}/{name}?{selected}", plan.view.path());
        let has_succeeded = self.progress.end.as_ref().is_some_and(|end| end.is_success);
        (plan.kind == JobKind::DryRun && has_succeeded).then_some((path, name))
    }
}

pub(super) async fn show(
    State(console): State<Arc<Console>>,
    Extension(caller): Asking,
    Path(number): Path<String>,
) -> Result<Response, Refusal> {
    let job = find(&console, &caller, &number)?;
    let progress = job.progress();
    let end = progress.end.as_ref();
    let is_shown_there = [JobKind::Read, JobKind::Check].contains(&job.plan.kind);
    if is_shown_there && end.is_some_and(|end| end.is_success) {
        return Ok(Redirect::to(job.plan.view.path()).into_response());
    }
    let frame = Frame::new(&caller, job.plan.view, job.plan.title.clone());
    let page = JobPage {
        frame: Frame {
            moves: end.is_none(),
            ..frame.with_command(job.plan.command.clone())
        },
        job: &job,
        progress,
    };
    Ok(html(&page))
}

pub(super) async fn stop(
    State(console): State<Arc<Console>>,
    Extension(caller): Asking,
    Path(number): Path<String>,
) -> Result<Response, Refusal> {
    let job = find(&console, &caller, &number)?;
    if job.is_running() {
        audit(&console, &caller, "job_stopped", &job).await;
        job.stop.cancel();
    }
    Ok(Redirect::to(&job.path()).into_response())
}

/// The file that `usher users invite --results` reads.
pub(super) async fn results(
    State(console): State<Arc<Console>>,
    Extension(caller): Asking,
    Path(number): Path<String>,
) -> Result<Response, Refusal> {
    let job = find(&console, &caller, &number)?;
    let results = job.progress().end.and_then(|end| end.results);
    let results = results.ok_or_else(|| Refusal::not_found("This job has no result file."))?;
    audit(&console, &caller, "job_results_downloaded", &job).await;
    let headers = [
        (header::CONTENT_TYPE, "application/jsonl"),
        (
            header::CONTENT_DISPOSITION,
            "attachment; filename=\"invitations.results.jsonl\"",
        ),
    ];
    Ok((headers, results.to_string()).into_response())
}

/// Writes the audit line of what a caller did with a job. The title of a job may name a user.
async fn audit(console: &Console, caller: &Caller, action: &'static str, job: &Job) {
    let actor = caller.actor(&console.services).await;
    tracing::info!(
        target: "usher::audit",
        {
            actor,
            action,
            pool.id = job.plan.pool.as_ref().map(PoolId::as_str),
            job.kind = job.plan.kind.name(),
            job.number = job.number,
        },
        "a job of the console: {action}",
    );
}

/// A job of a view that the caller is served, and of a pool that they see.
fn find(console: &Console, caller: &Caller, number: &str) -> Result<Arc<Job>, Refusal> {
    let number = number.parse().ok();
    let job = number.and_then(|number| console.jobs.find(number));
    let is_seen = |job: &Arc<Job>| {
        let only = caller.only_pool();
        job.plan.view.may(caller.role()) && (only.is_none() || only == job.plan.pool.as_ref())
    };
    let job = job.filter(is_seen);
    job.ok_or_else(|| {
        Refusal::not_found("This console has no such job. It forgets its jobs when it restarts.")
            .with_next(View::Now.path(), View::Now.name())
    })
}
