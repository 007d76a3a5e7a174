//! Reconcile: a dry run says who was missed, and then a run queues a sign-up for each.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::actions::{MAX_UNTYPED, needs_dry_run, start};
use super::caller::{Asking, Caller};
use super::form::{Fields, Form};
use super::job::{Job, JobKind, JobPlan};
use super::page::{Frame, Refusal, View, html};
use super::query::FieldError;
use super::reconcile_options::ReconcileOptions;
use super::reconcile_work as work;
use super::state::Console;
use super::text::{self, Moment};
use crate::config::GroupName;
use crate::reconcile::DEFAULT_BACKLOG;
use crate::text::plural;

const PATH: &str = "/console/reconcile";
/// The latest runs that the page lists.
const MAX_RUNS: usize = 10;

#[derive(Template)]
#[template(path = "console/reconcile.html")]
struct ReconcilePage<'a> {
    frame: Frame<'a>,
    /// Those of `pools.allowed`; empty if it allows any.
    pools: Vec<String>,
    default_groups: String,
    compares_profiles: bool,
    form: &'a Form,
    errors: Vec<FieldError>,
    runs: Vec<Arc<Job>>,
}

impl<'a> ReconcilePage<'a> {
    fn new(console: &Console, caller: &'a Caller, form: &'a Form, errors: Vec<FieldError>) -> Self {
        let config = &console.services.config;
        let groups = config.groups.default.iter().map(GroupName::as_str);
        let mut runs = console.jobs.of(View::Reconcile, None);
        runs.truncate(MAX_RUNS);
        let frame = Frame::new(caller, View::Reconcile, "Reconcile");
        Self {
            frame: frame.with_command("usher reconcile --dry-run"),
            pools: config
                .pools
                .allowed
                .iter()
                .map(ToString::to_string)
                .collect(),
            default_groups: groups.collect::<Vec<_>>().join(", "),
            compares_profiles: config.profiles.is_some(),
            form,
            errors,
            runs,
        }
    }

    /// Name, label and hint.
    const FIELDS: [(&'static str, &'static str, &'static str); 2] = [
        (
            "since",
            "Only users created since (UTC)",
            "A time, a day, or how long ago, such as 2d.",
        ),
        (
            "limit",
            "At most",
            "The most sign-ups that a run may queue.",
        ),
    ];

    fn error(&self, name: &str) -> Option<&str> {
        let error = self.errors.iter().find(|(field, _)| *field == name);
        error.map(|(_, rule)| rule.as_str())
    }
}

pub(super) async fn show(
    State(console): State<Arc<Console>>,
    Extension(caller): Asking,
) -> Response {
    let form = Form::default();
    html(&ReconcilePage::new(&console, &caller, &form, Vec::new()))
}

pub(super) async fn dry_run(
    State(console): State<Arc<Console>>,
    Extension(caller): Asking,
    Extension(form): Fields,
) -> Result<Response, Refusal> {
    let options = match ReconcileOptions::parse(&form, &console.services.config) {
        Ok(options) => options,
        Err(errors) => {
            let page = ReconcilePage::new(&console, &caller, &form, errors);
            return Ok((StatusCode::UNPROCESSABLE_ENTITY, html(&page)).into_response());
        }
    };
    let plan = JobPlan {
        kind: JobKind::DryRun,
        title: format!("Dry run of a reconcile: {}", options.describe()),
        command: options.command(true),
        view: View::Reconcile,
        pool: None,
        selected: Some(options.encoded()),
    };
    start(&console, plan, move |console, job| {
        work::reconcile(console, job, options, true)
    })
}

/// What a run will queue, before it does.
#[derive(Template)]
#[template(path = "console/reconcile_run.html")]
struct RunPage<'a> {
    frame: Frame<'a>,
    /// What the options are, in words.
    words: String,
    fields: Vec<(&'static str, String)>,
    dry_run: Option<Arc<Job>>,
    /// The sign-ups that the dry run has found.
    count: u64,
    cost: String,
    form: &'a Form,
    is_refused: bool,
}

impl<'a> RunPage<'a> {
    fn new(
        console: &Console,
        caller: &'a Caller,
        options: &ReconcileOptions,
        form: &'a Form,
    ) -> Self {
        let dry_run = console.jobs.dry_run(&options.encoded());
        let count = dry_run.as_ref().and_then(|job| job.progress().end);
        let count = count.map_or(0, |end| end.sign_ups);
        // At most those that the dry run has found.
        let limit = if dry_run.is_some() {
            Some(count)
        } else {
            options.limit
        };
        let run = ReconcileOptions {
            limit,
            ..options.clone()
        };
        let title = if dry_run.is_some() {
            format!("Queue {}", plural(count, "sign-up"))
        } else {
            "Queue sign-ups".to_owned()
        };
        let frame = Frame::new(caller, View::Reconcile, title);
        Self {
            frame: frame.with_command(run.command(false)),
            words: options.describe(),
            fields: options.fields(),
            dry_run,
            count,
            cost: cost(console),
            form,
            is_refused: false,
        }
    }

    fn must_type(&self) -> bool {
        self.count > MAX_UNTYPED
    }
}

/// How fast a run is.
fn cost(console: &Console) -> String {
    let rate = console.services.config.sign_up_rate();
    let backlog = plural(DEFAULT_BACKLOG, "message");
    format!(
        "At most {rate} a second are sent. While more than {backlog} are on the queue the run \
         pauses, so that new sign-ups do not wait."
    )
}

fn parse(console: &Console, form: &Form) -> Result<ReconcileOptions, Refusal> {
    let options = ReconcileOptions::parse(form, &console.services.config);
    options.map_err(|errors| {
        let errors = errors.iter().map(|(name, rule)| format!("{name} {rule}"));
        let detail = errors.collect::<Vec<_>>().join("; ");
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        Refusal::new(status, "The options are not valid", detail).with_next(PATH, "Reconcile")
    })
}

pub(super) async fn confirm(
    State(console): State<Arc<Console>>,
    Extension(caller): Asking,
    query: RawQuery,
) -> Result<Response, Refusal> {
    let form = Form::of_query(query);
    let options = parse(&console, &form)?;
    Ok(html(&RunPage::new(&console, &caller, &options, &form)))
}

pub(super) async fn run(
    State(console): State<Arc<Console>>,
    Extension(caller): Asking,
    Extension(form): Fields,
) -> Result<Response, Refusal> {
    let options = parse(&console, &form)?;
    let mut page = RunPage::new(&console, &caller, &options, &form);
    let path = format!("{PATH}/run?{}", options.encoded());
    if page.dry_run.is_none() {
        return Err(needs_dry_run(path));
    }
    if page.count == 0 || form.get("count") != page.count.to_string() {
        let detail = "A newer dry run found a different number. Look at it first.";
        let refusal = Refusal::new(StatusCode::CONFLICT, "Nothing was done", detail);
        return Err(refusal.with_next(path, "Go to the dry run"));
    }
    if page.must_type() && !form.has_typed(page.count) {
        page.is_refused = true;
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, html(&page)).into_response());
    }
    let plan = JobPlan {
        kind: JobKind::Reconcile,
        title: format!("{}: {}", page.frame.title, page.words),
        command: page.frame.command.clone(),
        view: View::Reconcile,
        pool: None,
        selected: Some(options.encoded()),
    };
    // At most those that the dry run has found.
    let limit = Some(page.count);
    let options = ReconcileOptions { limit, ..options };
    start(&console, plan, move |console, job| {
        work::reconcile(console, job, options, false)
    })
}
