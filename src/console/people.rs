//! The view People: look one user up, or search by the beginning of an attribute. What is typed
//! never becomes part of a URL or of a log.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};

use super::caller::{Asking, Caller};
use super::form::{Fields, Form};
use super::page::{Frame, Refusal, View, html};
use super::person::{audit, not_read, person_path};
use super::state::Console;
use super::text::Moment;
use crate::admin::{FoundUsers, LookupError};
use crate::aws::ListedUser;
use crate::dead_letter::printable;
use crate::event::{PoolId, Sub, Username};
use crate::reason::explain;
use crate::retry::retry_inline;

#[derive(Template)]
#[template(path = "console/people.html")]
struct PeoplePage<'a> {
    frame: Frame<'a>,
    /// To choose from; with none, the form asks for an id.
    pools: Vec<&'a PoolId>,
    form: &'a Form,
    /// Why nothing was found, and what to try.
    problem: Option<String>,
    found: Option<Found>,
}

/// What a search has found.
struct Found {
    title: &'static str,
    rows: Vec<UserRow>,
    /// Cognito's token of the next page.
    next: Option<String>,
}

pub(super) struct UserRow {
    /// Leads to the page of the user.
    pub(super) path: Option<String>,
    pub(super) name: String,
    pub(super) email: String,
    status: String,
    pub(super) enabled: bool,
    created: Option<Moment>,
}

impl<'a> PeoplePage<'a> {
    /// The attributes that a search chooses from, with their labels. `ListUsers` filters by no
    /// other that a person would type.
    ///
    /// <https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_ListUsers.html>
    const SEARCHED: [(&'static str, &'static str); 6] = [
        ("email", "E-mail address"),
        ("username", "User name"),
        ("sub", "Sub"),
        ("given_name", "Given name"),
        ("family_name", "Family name"),
        ("phone_number", "Phone number"),
    ];

    fn new(console: &'a Console, caller: &'a Caller, form: &'a Form) -> Self {
        let frame = Frame::new(caller, View::People, "People");
        Self {
            frame: frame.with_command("usher users show USER"),
            pools: caller.pools(&console.services.config.pools.allowed),
            form,
            problem: None,
            found: None,
        }
    }

    fn respond(self, status: StatusCode) -> Response {
        (status, html(&self)).into_response()
    }

    fn with_problem(self, status: StatusCode, problem: impl Into<String>) -> Response {
        let problem = Some(problem.into());
        Self { problem, ..self }.respond(status)
    }

    fn with_found(
        self,
        title: &'static str,
        pool: &PoolId,
        users: &[ListedUser],
        next: Option<String>,
    ) -> Response {
        let rows = users.iter().map(|user| UserRow::new(pool, user));
        let found = Some(Found {
            title,
            rows: rows.collect(),
            next,
        });
        Self { found, ..self }.respond(StatusCode::OK)
    }

    fn is_chosen(&self, attribute: &str) -> bool {
        self.form.get("attribute") == attribute
    }

    /// The pool of the form. With one pool, the form has no field for it.
    fn pool(&self) -> Result<PoolId, &'static str> {
        if let [pool] = self.pools.as_slice() {
            return Ok((*pool).clone());
        }
        let pool = PoolId::new(self.form.get("pool"));
        let allowed = |pool: &PoolId| self.pools.is_empty() || self.pools.contains(&pool);
        pool.filter(allowed)
            .ok_or("Choose a user pool of pools.allowed.")
    }
}

impl UserRow {
    pub(super) fn new(pool: &PoolId, user: &ListedUser) -> Self {
        let attribute = |name| user.attributes.get(name);
        let names = ["given_name", "family_name"].into_iter();
        let full: Vec<&str> = names.filter_map(attribute).collect();
        let name = match (attribute("name"), full.as_slice()) {
            (Some(name), _) => name.to_owned(),
            (None, []) => user.username.reveal().to_owned(),
            (None, names) => names.join(" "),
        };
        let sub = user.sub.as_ref().map(Sub::as_str);
        Self {
            path: sub.and_then(|sub| person_path(pool, sub)),
            name: printable(&name),
            email: attribute("email").map_or_else(String::new, printable),
            status: user.cognito_status.clone(),
            enabled: user.enabled,
            created: user.created.map(Moment),
        }
    }
}

pub(super) async fn start(
    State(console): State<Arc<Console>>,
    Extension(caller): Asking,
) -> Response {
    PeoplePage::new(&console, &caller, &Form::default()).respond(StatusCode::OK)
}

/// Leads to the page of the user.
pub(super) async fn look_up(
    State(console): State<Arc<Console>>,
    Extension(caller): Asking,
    Extension(form): Fields,
) -> Result<Response, Refusal> {
    let page = PeoplePage::new(&console, &caller, &form);
    let invalid = StatusCode::UNPROCESSABLE_ENTITY;
    let pool = match page.pool() {
        Ok(pool) => pool,
        Err(rule) => return Ok(page.with_problem(invalid, rule)),
    };
    let asked = match Username::parse(form.get("user")) {
        Ok(asked) => asked,
        Err(rule) => return Ok(page.with_problem(invalid, format!("Not searched: {rule}."))),
    };
    let lookup = console.services.user_lookup().map_err(not_read)?;
    let found = lookup.find(&pool, &asked).await;
    let (sub, results) = match &found {
        Ok(FoundUsers::One(view)) => (view.user.sub.as_ref().and_then(Sub::loggable), 1),
        Ok(FoundUsers::Several(users)) => (None, users.len()),
        Err(_) => (None, 0),
    };
    audit(&console, &caller, "people_look_up", &pool, sub, results).await;
    match &found {
        Ok(FoundUsers::One(_)) => Ok(match sub.and_then(|sub| person_path(&pool, sub)) {
            Some(path) => Redirect::to(&path).into_response(),
            None => page.with_problem(
                StatusCode::CONFLICT,
                if caller.role().has_shell() {
                    "The sub of this user is not a UUID, so they have no page. Use usher users show."
                } else {
                    "The sub of this user is not a UUID, so they have no page. Ask an operator of \
                     usher."
                },
            ),
        }),
        Ok(FoundUsers::Several(users)) => {
            Ok(page.with_found("Several users have this address", &pool, users, None))
        }
        Err(LookupError::NotFound) => {
            let problem = format!(
                "No user of {pool} has this e-mail address, user name or sub. Case matters. \
                 Search for the beginning of it, or for another attribute.",
            );
            Ok(page.with_problem(StatusCode::NOT_FOUND, problem))
        }
        Err(LookupError::Ambiguous) => {
            Ok(page.with_problem(StatusCode::CONFLICT, explain("ambiguous_user")))
        }
        Err(LookupError::Failed(failure)) => Err(not_read(failure)),
    }
}

/// Answers with one page of users.
pub(super) async fn search(
    State(console): State<Arc<Console>>,
    Extension(caller): Asking,
    Extension(form): Fields,
) -> Result<Response, Refusal> {
    let mut page = PeoplePage::new(&console, &caller, &form);
    let invalid = StatusCode::UNPROCESSABLE_ENTITY;
    let pool = match page.pool() {
        Ok(pool) => pool,
        Err(rule) => return Ok(page.with_problem(invalid, rule)),
    };
    let mut attributes = PeoplePage::SEARCHED.into_iter().map(|(name, _)| name);
    let Some(attribute) = attributes.find(|name| page.is_chosen(name)) else {
        return Ok(page.with_problem(invalid, "Choose an attribute of the list."));
    };
    let (prefix, token) = (form.get("prefix"), form.all("next").next());
    let cognito = console.services.cognito();
    let listed = retry_inline(|| cognito.list_by_prefix(&pool, attribute, prefix, token)).await;
    let results = listed.as_ref().map_or(0, |users| users.items.len());
    audit(&console, &caller, "people_search", &pool, None, results).await;
    match listed {
        Ok(users) => {
            let filter = format!(" --filter '{attribute} ^= \"PREFIX\"'");
            let filter = if prefix.is_empty() { "" } else { &filter };
            let command =
                format!("aws cognito-idp list-users --user-pool-id {pool} --max-items 60{filter}");
            page.frame = page.frame.with_command(command);
            let is_empty = users.items.is_empty() && users.next.is_none();
            let title = if is_empty { "No user found" } else { "Found" };
            Ok(page.with_found(title, &pool, &users.items, users.next))
        }
        Err(failure) if failure.code == "InvalidParameterException" => {
            let problem = "Cognito does not accept this search. The next page of a search expires: search again.";
            Ok(page.with_problem(invalid, problem))
        }
        Err(failure) => Err(not_read(failure)),
    }
}
