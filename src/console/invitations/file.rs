//! A list of many people, as a CSV file: what will happen, then a job.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use tokio::task::spawn_blocking;

use super::confirm::ConfirmPage;
use super::pool_form::PoolForm;
use crate::console::action_slots::ActionResult;
use crate::console::actions::{busy, start};
use crate::console::caller::{Asking, Caller, Role};
use crate::console::form::{Fields, Form};
use crate::console::job::{Job, JobEnd, JobKind, JobPlan};
use crate::console::page::{Frame, Refusal, View, html};
use crate::console::perform::require_running;
use crate::console::state::Console;
use crate::event::PoolId;
use crate::text::plural;
use crate::users::{
    HashKey, InviteTally, Operator, PendingRow, ResultsEntry, ResultsHeader, Row, RowError,
    StopReason, invite_all, parse_invitations, pool_option,
};

pub(super) const PATH: &str = "/console/invitations/file";
const MAX_BYTES: usize = 1_000_000;
const MAX_ROWS: usize = 5000;
/// A row with an address may have several.
const MAX_LINES_READ: usize = 4 * MAX_ROWS;
/// Each may cost a call, and Cognito allows five a second.
const MAX_GROUPS: usize = 50;
/// As in `usher users invite`.
const GIVE_UP_AFTER: Duration = Duration::from_mins(10);
/// More lines with one result are counted.
const MAX_LINES: usize = 20;

#[derive(Template)]
#[template(path = "console/invite_file.html")]
struct FilePage<'a> {
    frame: Frame<'a>,
    pool_form: &'a PoolForm,
    /// What was typed.
    rows: &'a str,
    /// What is wrong with the whole list.
    error: String,
    errors: Vec<RowError>,
}

impl<'a> FilePage<'a> {
    fn new(
        console: &'a Console,
        caller: &'a Caller,
        pool_form: &'a PoolForm,
        rows: &'a str,
    ) -> Self {
        let frame = Frame::new(caller, View::Invitations, "Invite many people");
        let command = command(console, &pool_form.pool);
        Self {
            frame: frame.with_command(format!("{command} --dry-run")),
            pool_form,
            rows,
            error: String::new(),
            errors: Vec::new(),
        }
    }

    fn with_errors(self, error: String, errors: Vec<RowError>) -> Response {
        let page = Self {
            error,
            errors,
            ..self
        };
        (StatusCode::UNPROCESSABLE_ENTITY, html(&page)).into_response()
    }
}

fn command(console: &Console, pool: &PoolId) -> String {
    let pool = pool_option(&console.services.config, pool);
    format!("usher users invite --file FILE{pool}")
}

pub(super) async fn new(
    State(console): State<Arc<Console>>,
    Extension(caller): Asking,
    query: RawQuery,
) -> Result<Response, Refusal> {
    let pool_form = PoolForm::read(&console, &caller, &Form::of_query(query)).await?;
    Ok(html(&FilePage::new(&console, &caller, &pool_form, "")))
}

/// Answers with the errors or with the page that asks, or starts the job.
pub(super) async fn send(
    State(console): State<Arc<Console>>,
    Extension(caller): Asking,
    Extension(form): Fields,
) -> Result<Response, Refusal> {
    require_running(&console)?;
    let (id, text) = (form.get("action"), form.get("rows"));
    let pool_form = Arc::new(PoolForm::read(&console, &caller, &form).await?);
    let page = FilePage::new(&console, &caller, &pool_form, text);
    if !form.get("change").is_empty() {
        return Ok(html(&page));
    }
    // The one thread of a worker has other work than a list of 1 MB.
    let (schema, list) = (Arc::clone(&pool_form), Arc::clone(&form));
    let rows = spawn_blocking(move || read(&schema, list.get("rows"))).await;
    let rows = rows.map_err(|_| {
        let detail = "usher failed: see its log.";
        Refusal::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "Nothing was sent",
            detail,
        )
    })?;
    let rows = match rows {
        Ok(rows) => rows,
        Err((error, errors)) => return Ok(page.with_errors(error, errors)),
    };
    let invitations: Vec<_> = rows.iter().map(|row| &row.invitation).collect();
    let confirm =
        ConfirmPage::new(&console, &caller, PATH, &pool_form, &form, &invitations).await?;
    let before = console.actions.result(id, PATH);
    if let Some(job) = before.as_ref().and_then(|before| before.next.as_ref()) {
        return Ok(Redirect::to(job).into_response());
    }
    // An offer that has to wait is not used up.
    let running = console.jobs.running().filter(|_| !id.is_empty());
    if let Some(running) = running {
        return Err(busy(&running));
    }
    let pool = &pool_form.pool;
    if let Some(asks) = confirm.ask(&console, &caller, &form, command(&console, pool))? {
        return Ok(asks);
    }
    let started = start_job(&console, pool, caller, rows);
    let started = started.inspect_err(|_| console.actions.release(id))?;
    let jobs = console.jobs.of(View::Invitations, Some(pool));
    let path = jobs.first().map(|job| job.path());
    let result = ActionResult::new("Sent", true, "").with_next(path);
    console.actions.end(id, result);
    Ok(started)
}

/// The rows, or what is wrong with the list and its rows.
fn read(pool_form: &PoolForm, text: &str) -> Result<Vec<Row>, (String, Vec<RowError>)> {
    let too_large = |what: String, max: &str| {
        let error = format!("The list has {what}, and this page takes {max}. Divide it.");
        Err((error, Vec::new()))
    };
    if text.is_empty() {
        return Err(("There is no list yet.".to_owned(), Vec::new()));
    }
    if text.len() > MAX_BYTES {
        return too_large(format!("{} kB", text.len() / 1000), "1 MB");
    }
    // Before they are read: each takes memory.
    let lines = text.lines().count();
    if lines > MAX_LINES_READ {
        return too_large(plural(lines as u64, "line"), &MAX_LINES_READ.to_string());
    }
    let (rows, mut errors) = parse_invitations(text.as_bytes());
    errors.extend(pool_form.check_rows(&rows));
    if !errors.is_empty() {
        errors.sort_by_key(|error| error.line);
        let number = plural(errors.len() as u64, "error");
        // One for each character would make a page of 100 MB.
        errors.truncate(MAX_ROWS);
        return Err((format!("{number}. Nothing was sent."), errors));
    }
    let groups: BTreeSet<_> = rows.iter().flat_map(|row| &row.invitation.groups).collect();
    for (number, max, noun) in [
        (rows.len(), MAX_ROWS, "row"),
        (groups.len(), MAX_GROUPS, "group"),
    ] {
        if number > max {
            return too_large(plural(number as u64, noun), &max.to_string());
        }
    }
    Ok(rows)
}

fn start_job(
    console: &Arc<Console>,
    pool: &PoolId,
    caller: Arc<Caller>,
    rows: Vec<Row>,
) -> Result<Response, Refusal> {
    let plan = JobPlan {
        kind: JobKind::Invite,
        title: format!("Sending {}", plural(rows.len() as u64, "invitation")),
        command: command(console, pool),
        view: View::Invitations,
        pool: Some(pool.clone()),
        selected: None,
    };
    let pool = pool.clone();
    start(console, plan, move |console, job| {
        run(console, job, pool, caller, rows)
    })
}

/// Sends all rows. The results are those of the file that `usher users invite` keeps.
async fn run(
    console: Arc<Console>,
    job: Arc<Job>,
    pool: PoolId,
    caller: Arc<Caller>,
    rows: Vec<Row>,
) -> anyhow::Result<JobEnd> {
    job.update(|progress| progress.total = rows.len() as u64);
    let key = HashKey::random()?;
    let rows = rows.into_iter().map(|row| {
        Ok(PendingRow {
            hash: key.hash(&pool, &row.invitation)?,
            row,
            has_pending_mail: false,
        })
    });
    let rows = rows.collect::<anyhow::Result<Vec<_>>>()?;
    let (role, actor) = (caller.role(), caller.actor(&console.services).await);
    let operator = Operator::new(&console.services, &pool, actor, GIVE_UP_AFTER, &job.stop);
    let mut so_far = InviteTally::default();
    let mut lines = BTreeMap::<_, Vec<u64>>::new();
    let mut results = ResultsHeader::line(&pool, &key)?;
    let tally = invite_all(&operator, rows, &job.stop, |pending, result| {
        so_far.add(result);
        let of_result = lines
            .entry((result.status, result.explanation(role.grant_remedy())))
            .or_default();
        of_result.push(result.line.unwrap_or_default());
        results += &ResultsEntry::line(&pool, &pending.hash, result)?;
        let (done, message) = (so_far.rows(), so_far.text());
        job.update(|progress| (progress.done, progress.message) = (done, message));
        Ok(())
    });
    let tally = tally.await?;
    let rows = lines.into_iter().map(|((status, why), lines)| {
        let number = lines.len() as u64;
        let why = if status.is_done() {
            String::new()
        } else {
            format!("{why} ({})", words(lines))
        };
        (status.name().to_owned(), number, why)
    });
    Ok(JobEnd {
        columns: ["Result", "Rows", "Why"],
        rows: rows.collect(),
        notes: notes(&tally, role),
        results: Some(results.into()),
        ..JobEnd::new(tally.is_success(), tally.text())
    })
}

/// `lines 3, 7 and 4 more`
fn words(mut lines: Vec<u64>) -> String {
    lines.sort_unstable();
    let shown: Vec<String> = lines.iter().take(MAX_LINES).map(u64::to_string).collect();
    let word = if lines.len() == 1 { "line" } else { "lines" };
    let more = match lines.len().saturating_sub(MAX_LINES) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{word} {}{more}", shown.join(", "))
}

fn notes(tally: &InviteTally, role: Role) -> Vec<String> {
    let again = "Send the list again later: people who have the invitation get no second mail.";
    let stopped = match &tally.stop_reason {
        Some(StopReason::MailLimit) => "The daily limit of mails is reached. ",
        Some(StopReason::Blocked(_)) => "Stopped: every row would fail. ",
        Some(StopReason::Outage(_)) => "Stopped: no call succeeded. ",
        None => "",
    };
    let stopped = (tally.untried > 0).then(|| format!("{stopped}{again}"));
    let unsent = (tally.unsent_mails > 0).then(|| {
        let mails = plural(tally.unsent_mails, "mail");
        let how = if role.has_shell() {
            "use the command with the result file"
        } else {
            "give the result file to an operator of usher"
        };
        format!("{mails} not sent. Resend each in the list of invitations, or {how}.")
    });
    let unknown = (tally.unknown_mails > 0).then(|| {
        let mails = plural(tally.unknown_mails, "mail");
        format!("{mails}: delivery unknown (no answer from Cognito). Resend them if asked.")
    });
    [stopped, unsent, unknown].into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_sorted_and_many_are_counted() {
        assert_eq!(words(vec![3]), "line 3");
        assert_eq!(words(vec![7, 3]), "lines 3, 7");
        let text = words((2..26).rev().collect());
        let is_cut = text.starts_with("lines 2, 3") && text.ends_with("21 and 4 more");
        assert!(is_cut, "{text}");
    }
}
