//! Actions on the dead letters of a snapshot: read it, dry run, replay, drop, export.
//!
//! An action means the dead letters that were seen, by their ids. So it names the snapshot, the
//! filter and the number, and is refused when one of them has changed.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};

use super::caller::{Asking, Caller};
use super::form::{Fields, Form};
use super::job::{Job, JobEnd, JobKind, JobPlan};
use super::page::{Frame, Refusal, View, html};
use super::query::Query;
use super::snapshot::Snapshot;
use super::state::Console;
use super::text::{count, dead_letters, duration};
use super::work;
use crate::dead_letter::{ExportLine, ReasonCounts, ReceivedDeadLetter, fails_again, printable};

pub(super) const LIST_PATH: &str = "/console/dead-letters";
/// Above this number a person types it.
pub(super) const MAX_UNTYPED: u64 = 100;
const NOTE_CHARS: std::ops::RangeInclusive<usize> = 3..=500;

/// The dead letters that a request means.
struct Chosen {
    snapshot: Arc<Snapshot>,
    query: Query,
    count: u64,
}

fn stale(detail: &str) -> Refusal {
    Refusal::new(StatusCode::CONFLICT, "Nothing was done", detail)
        .with_next(LIST_PATH, "Dead letters")
}

/// `path` is the page that offers the dry run.
pub(super) fn needs_dry_run(path: String) -> Refusal {
    let detail = "Do a dry run of exactly this first. It changes nothing, and shows what will \
                  happen.";
    Refusal::new(StatusCode::CONFLICT, "Nothing was done", detail)
        .with_next(path, "Go to the dry run")
}

impl Chosen {
    /// For a form that changes them: it must say how many were seen.
    fn to_change(console: &Console, form: &Form) -> Result<Self, Refusal> {
        if form.get("count").is_empty() {
            return Err(stale(
                "The form does not say how many dead letters you saw.",
            ));
        }
        Self::new(console, form)
    }

    fn new(console: &Console, form: &Form) -> Result<Self, Refusal> {
        let Some(snapshot) = console.snapshot() else {
            return Err(stale("The dead-letter queue has not been read yet."));
        };
        if form.get("snapshot") != snapshot.number.to_string() {
            return Err(stale(
                "Your page is older than the last reading of the dead-letter queue. Look at the \
                 new one first.",
            ));
        }
        if let Some(change) = snapshot.changed_by.get() {
            let detail = format!("The queue has changed ({change}). Read it again first.");
            return Err(stale(&detail));
        }
        let query = Query::parse(form, &snapshot);
        if let Some((name, rule)) = query.errors.first() {
            return Err(stale(&format!("The filter is not valid: {name}: {rule}")));
        }
        let count = snapshot.select(&query.filter).len() as u64;
        if count == 0 {
            return Err(stale("No dead letter matches the filter."));
        }
        let seen = form.all("count").next();
        if seen.is_some_and(|seen| seen != count.to_string()) {
            return Err(stale(
                "The filter now selects other dead letters than you saw.",
            ));
        }
        Ok(Self {
            snapshot,
            query,
            count,
        })
    }

    fn dead_letters(&self) -> Vec<&ReceivedDeadLetter> {
        self.snapshot.select(&self.query.filter)
    }

    fn ids(&self) -> Vec<String> {
        let dead_letters = self.dead_letters().into_iter();
        dead_letters.map(|it| it.summary.id.clone()).collect()
    }

    /// `37 dead letters: user_not_found`
    fn words(&self) -> String {
        let number = dead_letters(self.count);
        match self.query.describe() {
            filter if filter.is_empty() && self.count > 1 => format!("all {number}"),
            filter if filter.is_empty() => number,
            filter => format!("{number}: {filter}"),
        }
    }

    /// As the query of the page that asks.
    fn selected(&self) -> String {
        format!("snapshot={}&{}", self.snapshot.number, self.query.encoded())
    }

    fn plan(&self, kind: JobKind) -> JobPlan {
        let arguments = self.query.change_arguments();
        let (title, command) = match kind {
            JobKind::Replay => ("Replay", format!("replay{arguments}")),
            JobKind::Drop => ("Drop", format!("drop{arguments}")),
            _ => (
                "Dry run",
                format!("replay --dry-run{}", self.query.arguments()),
            ),
        };
        JobPlan {
            kind,
            title: format!("{title} of {}", self.words()),
            command: format!("usher dead-letters {command}"),
            view: View::DeadLetters,
            pool: None,
            selected: Some(self.selected()),
        }
    }
}

/// Starts a job, and leads to its page.
pub(super) fn start<W>(
    console: &Arc<Console>,
    plan: JobPlan,
    work: impl FnOnce(Arc<Console>, Arc<Job>) -> W + Send + 'static,
) -> Result<Response, Refusal>
where
    W: Future<Output = anyhow::Result<JobEnd>> + 'static,
{
    let own = Arc::clone(console);
    match console.jobs.start(plan, move |job| work(own, job)) {
        Ok(job) => Ok(Redirect::to(&job.path()).into_response()),
        Err(running) => Err(busy(&running)),
    }
}

pub(super) fn busy(running: &Job) -> Refusal {
    let detail = "Another job is running. Wait until it ends, or stop it.";
    Refusal::new(StatusCode::CONFLICT, "Nothing was done", detail)
        .with_next(running.path(), "The job that is running")
}

pub(super) async fn read(State(console): State<Arc<Console>>) -> Result<Response, Refusal> {
    let plan = JobPlan {
        kind: JobKind::Read,
        title: "Reading the dead-letter queue".to_owned(),
        command: "usher dead-letters list".to_owned(),
        view: View::DeadLetters,
        pool: None,
        selected: None,
    };
    start(&console, plan, work::read)
}

pub(super) async fn dry_run(
    State(console): State<Arc<Console>>,
    Extension(form): Fields,
) -> Result<Response, Refusal> {
    let chosen = Chosen::new(&console, &form)?;
    let plan = chosen.plan(JobKind::DryRun);
    let Chosen {
        snapshot, query, ..
    } = chosen;
    start(&console, plan, move |console, job| {
        work::dry_run(console, job, snapshot, query.filter)
    })
}

pub(super) async fn confirm_replay(
    State(console): State<Arc<Console>>,
    Extension(caller): Asking,
    query: RawQuery,
) -> Result<Response, Refusal> {
    confirm(&console, &caller, query, JobKind::Replay)
}

pub(super) async fn confirm_drop(
    State(console): State<Arc<Console>>,
    Extension(caller): Asking,
    query: RawQuery,
) -> Result<Response, Refusal> {
    confirm(&console, &caller, query, JobKind::Drop)
}

fn confirm(
    console: &Console,
    caller: &Caller,
    query: RawQuery,
    kind: JobKind,
) -> Result<Response, Refusal> {
    let form = Form::of_query(query);
    let chosen = Chosen::new(console, &form)?;
    Ok(ConfirmPage::new(console, caller, &chosen, kind, &form).to_response())
}

pub(super) async fn replay(
    State(console): State<Arc<Console>>,
    Extension(caller): Asking,
    Extension(form): Fields,
) -> Result<Response, Refusal> {
    let chosen = Chosen::to_change(&console, &form)?;
    let mut page = ConfirmPage::new(&console, &caller, &chosen, JobKind::Replay, &form);
    if page.dry_run.is_none() {
        let path = format!("{LIST_PATH}/replay?{}", chosen.selected());
        return Err(needs_dry_run(path));
    }
    if !page.is_confirmed() {
        return Ok(page.to_response());
    }
    let (plan, ids) = (chosen.plan(JobKind::Replay), chosen.ids());
    start(&console, plan, move |console, job| {
        work::replay(console, job, chosen.snapshot, ids)
    })
}

pub(super) async fn drop(
    State(console): State<Arc<Console>>,
    Extension(caller): Asking,
    Extension(form): Fields,
) -> Result<Response, Refusal> {
    let chosen = Chosen::to_change(&console, &form)?;
    let mut page = ConfirmPage::new(&console, &caller, &chosen, JobKind::Drop, &form);
    if !page.is_confirmed() {
        return Ok(page.to_response());
    }
    let (plan, ids) = (chosen.plan(JobKind::Drop), chosen.ids());
    let note = printable(form.get("note"));
    start(&console, plan, move |console, job| {
        work::drop(console, job, chosen.snapshot, ids, note)
    })
}

/// The lines of a file that `usher dead-letters import` reads. They hold personal data.
pub(super) async fn export(
    State(console): State<Arc<Console>>,
    Extension(form): Fields,
) -> Result<Response, Refusal> {
    let chosen = Chosen::new(&console, &form)?;
    let dead_letters = chosen.dead_letters();
    let lines = ExportLine::lines(dead_letters.iter().copied()).map_err(|error| {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        Refusal::new(status, "Nothing was exported", error.to_string())
    })?;
    let audit = console.audit("export").await;
    for dead_letter in dead_letters {
        audit.log(&dead_letter.summary, "exported");
    }
    let name = jiff::Timestamp::now().strftime("dead-letters-%Y%m%d-%H%M%S.jsonl");
    let disposition = format!("attachment; filename=\"{name}\"");
    let headers = [
        (header::CONTENT_TYPE, "application/jsonl".to_owned()),
        (header::CONTENT_DISPOSITION, disposition),
    ];
    Ok((headers, lines).into_response())
}

/// What will happen, before it happens.
#[derive(Template)]
#[template(path = "console/confirm.html")]
struct ConfirmPage<'a> {
    frame: Frame<'a>,
    words: String,
    count: u64,
    snapshot: u64,
    fields: Vec<(&'static str, String)>,
    reasons: Vec<(String, String)>,
    is_drop: bool,
    must_type: bool,
    cost: String,
    warning: Option<String>,
    dry_run: Option<Arc<Job>>,
    form: &'a Form,
    errors: Vec<(&'static str, &'static str)>,
}

impl<'a> ConfirmPage<'a> {
    fn new(
        console: &Console,
        caller: &'a Caller,
        chosen: &Chosen,
        kind: JobKind,
        form: &'a Form,
    ) -> Self {
        let is_drop = kind == JobKind::Drop;
        let title = if is_drop { "Drop" } else { "Replay" };
        let summaries = chosen.dead_letters().into_iter().map(|it| &it.summary);
        let counts = ReasonCounts::of(summaries.clone());
        let hopeless = ReasonCounts::of(summaries.filter(|it| it.is_hopeless()));
        let reasons = counts.by_frequency().into_iter();
        let reasons = reasons.map(|(reason, it)| (reason.to_owned(), count(it.count)));
        let plan = chosen.plan(kind);
        Self {
            frame: Frame::new(caller, View::DeadLetters, title).with_command(plan.command),
            words: chosen.words(),
            count: chosen.count,
            snapshot: chosen.snapshot.number,
            fields: chosen.query.fields(),
            reasons: reasons.collect(),
            is_drop,
            must_type: is_drop || chosen.count > MAX_UNTYPED,
            cost: cost(console, chosen.count),
            warning: (!is_drop && hopeless.total() > 0).then(|| fails_again(&hopeless.describe())),
            dry_run: console.jobs.dry_run(&chosen.selected()),
            form,
            errors: Vec::new(),
        }
    }

    /// Whether all required fields are valid. The page shows the errors.
    fn is_confirmed(&mut self) -> bool {
        if self.must_type && !self.form.has_typed(self.count) {
            self.errors.push(("typed", "is not the number"));
        }
        if self.is_drop {
            let note = self.form.get("note");
            if !NOTE_CHARS.contains(&note.chars().count()) {
                self.errors.push(("note", "must have 3 to 500 characters"));
            } else if note.contains('@') {
                self.errors
                    .push(("note", "must not name anyone: leave out addresses"));
            }
        }
        self.errors.is_empty()
    }

    fn to_response(&self) -> Response {
        let status = if self.errors.is_empty() {
            StatusCode::OK
        } else {
            StatusCode::UNPROCESSABLE_ENTITY
        };
        (status, html(self)).into_response()
    }

    fn error(&self, name: &str) -> Option<&'static str> {
        let error = self.errors.iter().find(|(field, _)| *field == name);
        error.map(|(_, rule)| *rule)
    }
}

/// What a replay takes of a worker's budget.
fn cost(console: &Console, number: u64) -> String {
    let config = &console.services.config;
    let groups = config.groups.default.len() as u64;
    let rate = config.sign_up_rate();
    #[expect(clippy::cast_precision_loss, reason = "a number of dead letters")]
    let time = Duration::from_secs_f64((number as f64 / rate).ceil());
    format!(
        "{} about {} of AdminAddUserToGroup: {} at the rate of one worker. At most {rate} dead \
         letters a second are sent.",
        if number == 1 { "It needs" } else { "They need" },
        match number * groups {
            1 => "1 call".to_owned(),
            calls => format!("{} calls", count(calls)),
        },
        duration(time),
    )
}
