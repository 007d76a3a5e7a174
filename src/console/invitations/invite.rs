//! The form for one person.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::confirm::ConfirmPage;
use super::field::FormField;
use super::pool::to_result;
use super::pool_form::{FormError, GROUPS_ID, PoolForm};
use crate::aws::PoolGroup;
use crate::config::GroupName;
use crate::console::action_slots::ActionResult;
use crate::console::caller::{Asking, Caller, Role};
use crate::console::form::{Fields, Form};
use crate::console::page::{Frame, Refusal, View, html};
use crate::console::perform::{GIVE_UP_AFTER, finish, require_running};
use crate::console::person::person_path;
use crate::console::state::Console;
use crate::event::PoolId;
use crate::provision::CommandResult;
use crate::users::{Operator, RowResult, RowStatus, pool_option};

pub(super) const PATH: &str = "/console/invitations/new";

#[derive(Template)]
#[template(path = "console/invite.html")]
struct FormPage<'a> {
    frame: Frame<'a>,
    pool_form: &'a PoolForm,
    /// What was typed.
    form: &'a Form,
    errors: Vec<FormError>,
    default_groups: String,
    /// Those that not everyone gets.
    groups: Vec<&'a PoolGroup>,
    has_rules: bool,
}

impl<'a> FormPage<'a> {
    fn new(
        console: &'a Console,
        caller: &'a Caller,
        pool_form: &'a PoolForm,
        form: &'a Form,
    ) -> Self {
        let groups = &console.services.config.groups;
        let default: Vec<&str> = groups.default.iter().map(GroupName::as_str).collect();
        let others = pool_form.groups.iter();
        let others = others.filter(|group| !groups.default.contains(&group.name));
        let frame = Frame::new(caller, View::Invitations, "Invite a person");
        Self {
            frame: frame.with_command(command(console, pool_form)),
            pool_form,
            form,
            errors: Vec::new(),
            default_groups: default.join(", "),
            groups: others.collect(),
            has_rules: !groups.rules.is_empty(),
        }
    }

    fn with_errors(self, errors: Vec<FormError>) -> Response {
        let page = Self { errors, ..self };
        (StatusCode::UNPROCESSABLE_ENTITY, html(&page)).into_response()
    }

    fn error(&self, id: &str) -> Option<&str> {
        let error = self.errors.iter().find(|error| error.id == id);
        error.map(|error| error.rule.as_str())
    }

    /// The ids of what describes the field.
    fn described_by(&self, field: &FormField) -> String {
        let name = &field.name;
        match self.error(name) {
            Some(_) => format!("{name}-error {name}-hint"),
            None => format!("{name}-hint"),
        }
    }

    fn is_chosen(&self, group: &GroupName) -> bool {
        self.form
            .all("group")
            .any(|chosen| chosen == group.as_str())
    }
}

fn command(console: &Console, pool_form: &PoolForm) -> String {
    let pool = pool_option(&console.services.config, &pool_form.pool);
    format!("usher users invite --email ADDRESS --group GROUP{pool}")
}

pub(super) async fn new(
    State(console): State<Arc<Console>>,
    Extension(caller): Asking,
    query: RawQuery,
) -> Result<Response, Refusal> {
    let pool_form = PoolForm::read(&console, &caller, &Form::of_query(query)).await?;
    // Nothing that a person types is ever in a URL.
    let empty = Form::default();
    Ok(html(&FormPage::new(&console, &caller, &pool_form, &empty)))
}

/// Answers with the errors or with the page that asks, or sends the invitation.
pub(super) async fn send(
    State(console): State<Arc<Console>>,
    Extension(caller): Asking,
    Extension(form): Fields,
) -> Result<Response, Refusal> {
    require_running(&console)?;
    let pool_form = PoolForm::read(&console, &caller, &form).await?;
    let (pool, id) = (&pool_form.pool, form.get("action"));
    if console.actions.result(id, PATH).is_some() {
        return Ok(to_result(pool, id));
    }
    let page = FormPage::new(&console, &caller, &pool_form, &form);
    if !form.get("change").is_empty() {
        return Ok(html(&page));
    }
    let invitation = match pool_form.invitation(&form) {
        Ok(invitation) => invitation,
        Err(errors) => return Ok(page.with_errors(errors)),
    };
    let confirm =
        ConfirmPage::new(&console, &caller, PATH, &pool_form, &form, &[&invitation]).await?;
    let refusals = confirm.groups().into_iter().map(|group| group.refusal);
    let refusals: Vec<_> = refusals.filter(|it| !it.is_empty()).collect();
    if !refusals.is_empty() {
        let errors = refusals.into_iter().map(FormError::of_groups);
        return Ok(page.with_errors(errors.collect()));
    }
    if let Some(asks) = confirm.ask(&console, &caller, &form, command(&console, &pool_form))? {
        return Ok(asks);
    }
    let (own, to, caller) = (Arc::clone(&console), pool.clone(), Arc::clone(&caller));
    let invite = async move {
        let actor = caller.actor(&own.services).await;
        let operator = Operator::new(&own.services, &to, actor, GIVE_UP_AFTER, &own.stop);
        let result = operator.invite(&invitation, false).await;
        action_result(&to, caller.role(), &result)
    };
    finish(&console, id, invite).await?;
    Ok(to_result(pool, id))
}

/// In the words of the command.
fn action_result(pool: &PoolId, role: Role, result: &CommandResult) -> ActionResult {
    let row = RowResult::new(None, result);
    let label = match row.status {
        RowStatus::Invited => "Invited",
        RowStatus::Exists | RowStatus::Resent => "The user existed already",
        RowStatus::Refused => "Refused",
        RowStatus::Failed => "Not finished",
    };
    let mail = row.mail.as_ref().map(|_| row.mail_text());
    let parts = [Some(row.explanation(role.grant_remedy())), mail]
        .into_iter()
        .flatten();
    let parts: Vec<String> = parts.filter(|part| !part.is_empty()).collect();
    let next = row.sub.and_then(|sub| person_path(pool, &sub));
    ActionResult::new(label, row.status.is_done(), parts.join("; ")).with_next(next)
}
