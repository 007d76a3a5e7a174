//! The dead letters of the last reading: by reason, as a list, and one in full.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;

use super::actions::LIST_PATH;
use super::caller::{Asking, Caller};
use super::form::Form;
use super::job::Job;
use super::page::{Frame, Refusal, View, html};
use super::person::person_path;
use super::query::Query;
use super::snapshot::{ReasonRow, Snapshot};
use super::state::Console;
use super::text::{self, Moment, count, dead_letters, duration};
use crate::dead_letter::{self, DeadLetterSummary, ReceivedDeadLetter, printable, short_id};
use crate::event::PoolId;

const PAGE_ROWS: usize = 50;
/// More reasons are not listed.
const MAX_REASONS: usize = 50;

#[derive(Template)]
#[template(path = "console/dead_letters.html")]
struct ListPage<'a> {
    frame: Frame<'a>,
    snapshot: Option<&'a Snapshot>,
    running: Option<Arc<Job>>,
    reasons: Vec<ReasonRow<'a>>,
    more_reasons: usize,
    query: Query,
    form: Form,
    /// All that match, and those of this page.
    selected: usize,
    rows: Vec<&'a ReceivedDeadLetter>,
    page: usize,
}

pub(super) async fn list(
    State(console): State<Arc<Console>>,
    Extension(caller): Asking,
    query: RawQuery,
) -> Response {
    let form = Form::of_query(query);
    let snapshot = console.snapshot();
    let snapshot = snapshot.as_deref();
    let query = snapshot.map_or_else(Query::default, |it| Query::parse(&form, it));
    // With a part of the filter, actions would mean more than what was asked for.
    let selected = match snapshot {
        Some(snapshot) if query.errors.is_empty() => snapshot.select(&query.filter),
        _ => Vec::new(),
    };
    let pages = selected.len().div_ceil(PAGE_ROWS).max(1);
    let page = form.get("page").parse().unwrap_or(1).clamp(1, pages);
    let rows = selected.chunks(PAGE_ROWS).nth(page - 1);
    let mut reasons = snapshot.map_or_else(Vec::new, Snapshot::by_reason);
    let more_reasons = reasons.len().saturating_sub(MAX_REASONS);
    reasons.truncate(MAX_REASONS);
    let command = query.list_command();
    html(&ListPage {
        frame: Frame::new(&caller, View::DeadLetters, "Dead letters").with_command(command),
        snapshot,
        running: console.jobs.running(),
        reasons,
        more_reasons,
        rows: rows.unwrap_or_default().to_vec(),
        selected: selected.len(),
        page,
        query,
        form,
    })
}

impl ListPage<'_> {
    /// Name, label and hint.
    const FILTER_FIELDS: [(&'static str, &'static str, &'static str); 5] = [
        (
            "since",
            "Since (UTC)",
            "A time, a day, or how long ago, such as 2h.",
        ),
        (
            "before",
            "Before (UTC)",
            "In the same forms; only older than this time.",
        ),
        ("pool", "User pool", "Its id."),
        ("sub", "User", "The sub, a UUID."),
        ("limit", "At most", "The oldest come first."),
    ];

    fn total_words(&self) -> String {
        dead_letters(self.snapshot.map_or(0, |it| it.dead_letters.len() as u64))
    }

    fn has_reason(&self, reason: &str) -> bool {
        self.query.filter.reasons.iter().any(|it| it == reason)
    }

    fn error(&self, name: &str) -> Option<&str> {
        let error = self.query.errors.iter().find(|(field, _)| *field == name);
        error.map(|(_, rule)| rule.as_str())
    }

    fn selected_words(&self) -> String {
        dead_letters(self.selected as u64)
    }

    /// The filter in words, after a colon.
    fn filter_words(&self) -> String {
        match self.query.describe() {
            words if words.is_empty() => words,
            words => format!(": {words}"),
        }
    }

    /// The page that asks before `action`.
    fn confirm_path(&self, action: &str) -> String {
        let snapshot = self.snapshot.map_or(0, |it| it.number);
        format!(
            "{LIST_PATH}/{action}?snapshot={snapshot}&{}",
            self.query.encoded()
        )
    }

    fn page_path(&self, page: usize) -> String {
        format!("{LIST_PATH}?{}&page={page}#list", self.query.encoded())
    }

    fn has_next_page(&self) -> bool {
        self.page * PAGE_ROWS < self.selected
    }

    fn range(&self) -> String {
        let first = (self.page - 1) * PAGE_ROWS + 1;
        let last = first + self.rows.len() - 1;
        format!(
            "{} to {} of {}",
            count(first as u64),
            count(last as u64),
            count(self.selected as u64)
        )
    }
}

impl ReasonRow<'_> {
    fn path(&self) -> String {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("reason", self.reason)
            .finish();
        format!("{LIST_PATH}?{query}#list")
    }
}

#[derive(Template)]
#[template(path = "console/dead_letter.html")]
struct DeadLetterPage<'a> {
    frame: Frame<'a>,
    snapshot: &'a Snapshot,
    dead_letter: &'a ReceivedDeadLetter,
    it: &'a DeadLetterSummary,
    /// Leads to the page of the user.
    person_path: Option<String>,
    state: Option<&'static str>,
    /// Only where it was asked for.
    body: Option<String>,
}

impl<'a> DeadLetterPage<'a> {
    fn new(
        console: &Console,
        caller: &'a Caller,
        snapshot: &'a Snapshot,
        dead_letter: &'a ReceivedDeadLetter,
    ) -> Self {
        let it = &dead_letter.summary;
        let title = format!("Dead letter {}", short_id(&it.id));
        let command = format!("usher dead-letters show {}", short_id(&it.id));
        let pools = &console.services.config.pools;
        let pool = it.pool.as_deref().and_then(PoolId::new);
        let pool = pool.filter(|pool| pools.is_allowed(pool));
        Self {
            frame: Frame::new(caller, View::DeadLetters, title).with_command(command),
            snapshot,
            dead_letter,
            person_path: pool.and_then(|pool| person_path(&pool, it.sub.as_deref()?)),
            it,
            state: dead_letter.unfinished(console.services.config.profiles.is_some()),
            body: None,
        }
    }

    fn history(&self) -> Vec<(&'static str, Moment)> {
        let times = [
            ("First received", self.it.first_received_at),
            ("Dead-lettered", self.it.dead_lettered_at),
            ("Sent to this queue", self.dead_letter.message.sent_at),
        ];
        let known = times.into_iter();
        known
            .filter_map(|(name, time)| Some((name, Moment(time?))))
            .collect()
    }

    /// The filter that means this one only.
    fn fields(&self) -> Vec<(&'static str, &str)> {
        vec![("id", &self.it.id)]
    }

    /// The page that asks before `action`.
    fn confirm_path(&self, action: &str) -> String {
        let (number, id) = (self.snapshot.number, text::segment(&self.it.id));
        format!("{LIST_PATH}/{action}?snapshot={number}&id={id}")
    }

    fn left(&self) -> Option<String> {
        let left = self.snapshot.time_left(self.dead_letter.message.sent_at);
        left.map(duration)
    }
}

fn find<'a>(
    snapshot: Option<&'a Snapshot>,
    id: &str,
) -> Result<(&'a Snapshot, &'a ReceivedDeadLetter), Refusal> {
    let found = snapshot.and_then(|it| Some((it, it.find(id)?)));
    found.ok_or_else(|| {
        Refusal::not_found("The last reading of the dead-letter queue has no such dead letter.")
            .with_next(LIST_PATH, "Dead letters")
    })
}

pub(super) async fn show(
    State(console): State<Arc<Console>>,
    Extension(caller): Asking,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    let snapshot = console.snapshot();
    let (snapshot, dead_letter) = find(snapshot.as_deref(), &id)?;
    let page = DeadLetterPage::new(&console, &caller, snapshot, dead_letter);
    Ok(html(&page))
}

/// Shows the body too, which holds personal data.
pub(super) async fn body(
    State(console): State<Arc<Console>>,
    Extension(caller): Asking,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    let snapshot = console.snapshot();
    let (snapshot, dead_letter) = find(snapshot.as_deref(), &id)?;
    let audit = console.audit("show").await;
    audit.log(&dead_letter.summary, "body shown");
    let mut page = DeadLetterPage::new(&console, &caller, snapshot, dead_letter);
    let lines = dead_letter.message.body.lines().map(printable);
    page.body = Some(lines.collect::<Vec<_>>().join("\n"));
    page.frame.command.push_str(" --body");
    Ok(html(&page))
}
