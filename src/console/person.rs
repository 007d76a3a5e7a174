//! The page of one user. It has no personal data until they are asked for.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::Extension;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use tokio_util::sync::CancellationToken;

use super::action_slots::ActionResult;
use super::actions::LIST_PATH;
use super::caller::{Asking, Caller, Role};
use super::form::Form;
use super::page::{Frame, Refusal, View, html};
use super::person_action::Action;
use super::snapshot::Snapshot;
use super::state::Console;
use super::text::{self, Moment, count};
use crate::admin::{LookupError, UserView};
use crate::aws::Failure;
use crate::config::{GroupName, InvalidConfig};
use crate::dead_letter::{self, Filter, ReceivedDeadLetter, printable, short_id};
use crate::event::{PoolId, Sub, Username};
use crate::reason::{self, explain};
use crate::users::{GroupState, UserReport, pool_option};

pub(super) const PEOPLE_PATH: &str = "/console/people";
/// A page does not wait longer for the search of a profile under other ids.
const SEARCH_LIMIT: Duration = Duration::from_secs(5);
/// Dead letters that the page shows.
const MAX_DEAD_LETTERS: usize = 10;

/// A user of a pool that the caller may see.
pub(super) struct Person {
    pub(super) caller: Arc<Caller>,
    pub(super) sub: Sub,
    /// The `sub`, as calls take it.
    pub(super) username: Username,
    pub(super) view: UserView,
    pub(super) report: UserReport,
}

/// The path of the page of a user; `None` for a `sub` that is not a UUID: it could be an address.
pub(super) fn person_path(pool: &PoolId, sub: &str) -> Option<String> {
    let is_uuid = Username::new(sub).is_some_and(|sub| sub.is_uuid());
    is_uuid.then(|| format!("{PEOPLE_PATH}/{pool}/{sub}"))
}

/// The words of an error have no personal data.
pub(super) fn not_read(error: impl std::fmt::Display) -> Refusal {
    let detail = format!("{error}.");
    Refusal::new(
        StatusCode::BAD_GATEWAY,
        "The user pool was not read",
        detail,
    )
    .with_next(PEOPLE_PATH, "People")
}

/// Writes the audit line of a look at users. It says who looked, and never what they typed.
pub(super) async fn audit(
    console: &Console,
    caller: &Caller,
    action: &'static str,
    pool: &PoolId,
    sub: Option<&str>,
    results: usize,
) {
    let actor = caller.actor(&console.services).await;
    tracing::info!(
        target: "usher::audit",
        { actor, action, pool.id = pool.as_str(), user.sub = sub, results },
        "users shown in the console",
    );
}

impl Person {
    /// Reads the user, as the path names them.
    ///
    /// With `searches`, a profile that is not under the sub is searched under other ids, which may
    /// take [`SEARCH_LIMIT`].
    pub(super) async fn read(
        console: &Console,
        caller: &Arc<Caller>,
        pool: &str,
        sub: &str,
        searches: bool,
    ) -> Result<Self, Refusal> {
        let services = &console.services;
        let missing = || {
            Refusal::not_found("No user of an allowed user pool has this sub.")
                .with_next(PEOPLE_PATH, "People")
        };
        let pools = &services.config.pools;
        let is_seen = |pool: &PoolId| caller.only_pool().is_none_or(|only| only == pool);
        let pool = PoolId::new(pool).filter(|pool| pools.is_allowed(pool) && is_seen(pool));
        let asked = Username::new(sub).filter(Username::is_uuid);
        let (pool, asked) = pool.zip(asked).ok_or_else(missing)?;
        let lookup = services.user_lookup().map_err(not_read)?;
        let found = lookup.look_up(&pool, &asked).await;
        let view = found.map_err(|error| match error {
            LookupError::NotFound => missing(),
            LookupError::Ambiguous => Refusal::new(
                StatusCode::CONFLICT,
                "More than one user may match",
                explain("ambiguous_user"),
            )
            .with_next(PEOPLE_PATH, "People"),
            LookupError::Failed(failure) => not_read(failure),
        })?;
        let sub = view.user.sub.clone().ok_or_else(missing)?;
        let report = report(console, &pool, &view, searches)
            .await
            .map_err(not_read)?;
        Ok(Self {
            caller: Arc::clone(caller),
            sub,
            username: asked,
            view,
            report,
        })
    }

    /// Why the caller cannot do it now.
    pub(super) fn refusal(
        &self,
        console: &Console,
        action: Action,
        group: Option<&GroupName>,
    ) -> Option<&str> {
        let Self { caller, view, .. } = self;
        let admin = &console.services.config.admin;
        let forbidden = || match caller.role() {
            Role::Operator => None,
            Role::Administrator => action.forbidden(admin, view, caller.is(&self.sub), group),
        };
        let refusal = action.refusal(view, &self.report, group);
        refusal.or_else(forbidden)
    }

    /// Why the deployment does not let the caller do something, and who can change that.
    pub(super) fn blocked(&self, failure: &Failure, remedy: &str) -> String {
        let text = format!("{failure}; {remedy}");
        if self.caller.role().has_shell() {
            text
        } else {
            format!("{text}; show this to an operator of usher")
        }
    }

    pub(super) fn path(&self) -> String {
        let (pool, sub) = (&self.report.pool, self.sub.as_str());
        format!("{PEOPLE_PATH}/{pool}/{sub}")
    }

    pub(super) fn short_sub(&self) -> &str {
        short_id(self.sub.as_str())
    }
}

/// The report, without dead letters: the page shows those of the last reading.
async fn report(
    console: &Console,
    pool: &PoolId,
    view: &UserView,
    searches: bool,
) -> Result<UserReport, InvalidConfig> {
    let stop = CancellationToken::new();
    // Another page searches: this one does not wait, and does not search beside it.
    let permit = console.profile_search.try_acquire().ok();
    if permit.is_none() || !searches {
        stop.cancel();
    }
    let read = UserReport::read(&console.services, pool, view, &stop, &|_, _| {});
    tokio::pin!(read);
    tokio::select! {
        report = &mut read => return report,
        () = tokio::time::sleep(SEARCH_LIMIT) => stop.cancel(),
    }
    read.await
}

#[derive(Template)]
#[template(path = "console/person.html")]
struct PersonPage<'a> {
    console: &'a Console,
    frame: Frame<'a>,
    person: &'a Person,
    report: &'a UserReport,
    last: Option<Arc<ActionResult>>,
    snapshot: Option<&'a Snapshot>,
    dead_letters: Vec<&'a ReceivedDeadLetter>,
    /// Groups of the configuration that the caller can add.
    other_groups: BTreeSet<&'a GroupName>,
    /// Only where they were asked for.
    attributes: Option<Vec<(String, String)>>,
}

impl<'a> PersonPage<'a> {
    fn new(
        console: &'a Console,
        person: &'a Person,
        snapshot: Option<&'a Snapshot>,
        result: &str,
    ) -> Self {
        let (config, report) = (&console.services.config, &person.report);
        let (pool, sub) = (report.pool.as_str(), person.sub.as_str());
        let title = format!("User {}", person.short_sub());
        let command = format!(
            "usher users show {sub}{}",
            pool_option(config, &report.pool)
        );
        let filter = Filter {
            pool: Some(pool.to_owned()),
            sub: Some(sub.to_owned()),
            ..Filter::default()
        };
        let groups = &config.groups;
        let of_rules = groups.rules.iter().flat_map(|rule| &rule.groups);
        let named = groups.default.iter().chain(of_rules);
        let named = named.chain(&config.admin.groups).chain(&groups.privileged);
        let may_add = |group: &&GroupName| {
            let refusal = person.refusal(console, Action::AddToGroup, Some(group));
            refusal.is_none()
        };
        Self {
            console,
            frame: Frame::new(&person.caller, View::People, title).with_command(command),
            report,
            last: console.actions.result(result, &person.path()),
            snapshot,
            dead_letters: snapshot.map_or_else(Vec::new, |it| it.select(&filter)),
            other_groups: named.filter(may_add).collect(),
            attributes: None,
            person,
        }
    }

    fn actions(&self) -> impl Iterator<Item = Action> {
        let possible = |action: &Action| {
            let refusal = self.person.refusal(self.console, *action, None);
            refusal.is_none()
        };
        Action::WITHOUT_GROUP.into_iter().filter(possible)
    }

    fn can_remove(&self, group: &GroupName) -> bool {
        let remove = Action::RemoveFromGroup;
        let refusal = self.person.refusal(self.console, remove, Some(group));
        refusal.is_none()
    }

    fn shows_dead_letters(&self) -> bool {
        View::DeadLetters.may(self.frame.role)
    }

    fn created(&self) -> Option<Moment> {
        self.report.user.created.map(Moment)
    }

    /// The style of the state of a group.
    fn mark(state: GroupState) -> &'static str {
        match state {
            GroupState::Member | GroupState::InToken => "ok",
            GroupState::Missing => "fail",
            GroupState::NotEvaluated => "unknown",
        }
    }

    fn shown_dead_letters(&self) -> impl Iterator<Item = &ReceivedDeadLetter> {
        self.dead_letters.iter().take(MAX_DEAD_LETTERS).copied()
    }

    fn dead_letter_words(&self) -> String {
        text::dead_letters(self.dead_letters.len() as u64)
    }

    /// The list of all of them.
    fn list_path(&self) -> String {
        let (pool, sub) = (&self.report.pool, self.person.sub.as_str());
        format!("{LIST_PATH}?pool={pool}&sub={sub}#list")
    }

    fn was_search_ended(&self) -> bool {
        self.report.profile_error.as_deref() == Some("stopped")
    }

    fn search_limit() -> String {
        format!("{} s", count(SEARCH_LIMIT.as_secs()))
    }
}

pub(super) async fn show(
    State(console): State<Arc<Console>>,
    Extension(caller): Asking,
    Path((pool, sub)): Path<(String, String)>,
    query: RawQuery,
) -> Result<Response, Refusal> {
    let query = Form::of_query(query);
    let person = Person::read(&console, &caller, &pool, &sub, true).await?;
    let snapshot = console.snapshot();
    let page = PersonPage::new(&console, &person, snapshot.as_deref(), query.get("result"));
    Ok(html(&page))
}

/// Shows the attributes too.
pub(super) async fn personal_data(
    State(console): State<Arc<Console>>,
    Extension(caller): Asking,
    Path((pool, sub)): Path<(String, String)>,
) -> Result<Response, Refusal> {
    let person = Person::read(&console, &caller, &pool, &sub, true).await?;
    let user = &person.view.user;
    audit(
        &console,
        &caller,
        "person_shown",
        &person.report.pool,
        Some(person.sub.as_str()),
        1,
    )
    .await;
    let snapshot = console.snapshot();
    let mut page = PersonPage::new(&console, &person, snapshot.as_deref(), "");
    let name = ("user name", user.username.reveal());
    let all = std::iter::once(name).chain(user.attributes.iter());
    let all = all.map(|(name, value)| (printable(name), printable(value)));
    page.attributes = Some(all.collect());
    Ok(html(&page))
}
