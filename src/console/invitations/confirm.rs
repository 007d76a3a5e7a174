//! What will happen, before it happens.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::pool::to_result;
use super::pool_form::PoolForm;
use crate::console::action_slots::Taken;
use crate::console::actions::MAX_UNTYPED;
use crate::console::caller::Caller;
use crate::console::form::Form;
use crate::console::page::{Frame, Refusal, View, html};
use crate::console::state::Console;
use crate::event::{Invitation, PoolId};
use crate::reason::explain_refusal;
use crate::text::plural;
use crate::users::GroupPlan;

#[derive(Template)]
#[template(path = "console/invite_confirm.html")]
pub(super) struct ConfirmPage<'a> {
    frame: Frame<'a>,
    /// The path of the form, which the offer has too.
    path: &'static str,
    pool_form: &'a PoolForm,
    /// Label and value of each field of the form for one person; empty for a list.
    facts: Vec<(&'a str, String)>,
    plan: GroupPlan,
    total: u64,
    /// Invitations that name a group which they cannot get.
    refused: u64,
    /// What was sent. The page sends it again.
    values: Vec<(&'a str, &'a str)>,
    /// The id of the offer.
    id: String,
    /// The number that was typed is not that of the invitations.
    is_wrong: bool,
}

/// A group that invitations give.
pub(super) struct PlannedGroup<'a> {
    name: &'a str,
    invitations: usize,
    /// Why the group refuses an invitation that names it; empty if it does not.
    pub(super) refusal: String,
}

impl<'a> ConfirmPage<'a> {
    pub(super) async fn new(
        console: &'a Console,
        caller: &'a Caller,
        path: &'static str,
        pool_form: &'a PoolForm,
        form: &'a Form,
        invitations: &[&Invitation],
    ) -> Result<Self, Refusal> {
        let all = || invitations.iter().copied();
        let (pool, listed) = (&pool_form.pool, &pool_form.listed);
        let plan = GroupPlan::new(&console.services, pool, all(), listed).await;
        let plan = plan.map_err(|error| {
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            Refusal::new(status, "Nothing was sent", error.to_string())
        })?;
        let total = invitations.len() as u64;
        let title = format!("Send {}?", plural(total, "invitation"));
        let fields = pool_form.fields.iter();
        let facts = fields.map(|field| (field.label.as_str(), field.value(form)));
        let own = ["token", "action", "typed"];
        Ok(Self {
            frame: Frame::new(caller, View::Invitations, title),
            path,
            pool_form,
            facts: facts.filter(|(_, value)| !value.is_empty()).collect(),
            total,
            refused: all().filter(|it| plan.refuses(it)).count() as u64,
            plan,
            values: form
                .fields()
                .filter(|(name, _)| !own.contains(name))
                .collect(),
            id: String::new(),
            is_wrong: false,
        })
    }

    pub(super) fn groups(&self) -> Vec<PlannedGroup<'_>> {
        let remedy = self.frame.role.grant_remedy();
        let groups = self.plan.rows.iter();
        let groups = groups.map(|(group, rows)| {
            let name = group.as_str();
            let reason = self.plan.refusals.get(group);
            let refusal = reason.map(|it| explain_refusal(it, Some(name), remedy));
            PlannedGroup {
                name,
                invitations: *rows,
                refusal: refusal.unwrap_or_default(),
            }
        });
        groups.collect()
    }

    /// `None` if this was confirmed as it was shown: the caller then does it. Otherwise the page
    /// that asks.
    pub(super) fn ask(
        mut self,
        console: &Console,
        caller: &Caller,
        form: &Form,
        command: String,
    ) -> Result<Option<Response>, Refusal> {
        self.frame = self.frame.with_command(command);
        let id = form.get("action");
        if !id.is_empty() && self.must_type() && !form.has_typed(self.total) {
            id.clone_into(&mut self.id);
            self.is_wrong = true;
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            return Ok(Some((status, html(&self)).into_response()));
        }
        let GroupPlan { rows, refusals, .. } = &self.plan;
        let effect = format!("{:?} {rows:?} {refusals:?}", self.values);
        Ok(match console.actions.take(id, self.path, &effect) {
            Taken::Now => None,
            Taken::Before => Some(to_result(self.pool(), id)),
            Taken::Changed => {
                self.id = console
                    .actions
                    .offer(caller.id(), self.path.to_owned(), &effect)?;
                Some(html(&self))
            }
        })
    }

    fn pool(&self) -> &PoolId {
        &self.pool_form.pool
    }

    fn words(&self) -> String {
        plural(self.total, "invitation")
    }

    fn is_list(&self) -> bool {
        self.facts.is_empty()
    }

    fn code_days(&self) -> String {
        PoolForm::code_days(&self.pool_form.settings)
    }

    fn must_type(&self) -> bool {
        self.total > MAX_UNTYPED
    }
}
