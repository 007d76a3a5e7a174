//! The page of one job: its progress, its end, and a button that stops it.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};

use super::actions::LIST_PATH;
use super::job::{Job, JobKind, JobProgress};
use super::page::{Frame, Refusal, View, html};
use super::state::Console;
use super::text::{self, Moment};

#[derive(Template)]
#[template(path = "console/job.html")]
struct JobPage<'a> {
    frame: Frame<'a>,
    job: &'a Job,
    progress: JobProgress,
}

impl JobPage<'_> {
    /// The page that replays what a dry run was about.
    fn replay_path(&self) -> Option<String> {
        let plan = &self.job.plan;
        let selected = plan.selected.as_ref()?;
        let (snapshot, query) = (selected.snapshot, &selected.query);
        let is_dry_run = plan.kind == JobKind::DryRun;
        is_dry_run.then(|| format!("{LIST_PATH}/replay?snapshot={snapshot}&{query}"))
    }
}

pub(super) async fn show(
    State(console): State<Arc<Console>>,
    Path(number): Path<usize>,
) -> Result<Response, Refusal> {
    let job = find(&console, number)?;
    let progress = job.progress();
    let end = progress.end.as_ref();
    if job.plan.kind == JobKind::Read && end.is_some_and(|end| end.is_success) {
        return Ok(Redirect::to(LIST_PATH).into_response());
    }
    let frame = Frame::new(&console, job.plan.view, job.plan.title.clone());
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
    Path(number): Path<usize>,
) -> Result<Response, Refusal> {
    let job = find(&console, number)?;
    job.stop.cancel();
    Ok(Redirect::to(&job.path()).into_response())
}

fn find(console: &Console, number: usize) -> Result<Arc<Job>, Refusal> {
    let job = console.jobs.find(number);
    job.ok_or_else(|| {
        Refusal::not_found("This console has no such job: it may have been started again.")
            .with_next(LIST_PATH, "Dead letters")
    })
}
