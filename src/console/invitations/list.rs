//! The list of people who were invited and have not accepted yet.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use jiff::Timestamp;

use super::invite;
use super::pool::{not_read, pool_of};
use super::pool_form::PoolForm;
use crate::aws::ListedUser;
use crate::console::action_slots::ActionResult;
use crate::console::caller::{Asking, Caller};
use crate::console::form::{Fields, Form};
use crate::console::job::Job;
use crate::console::page::{Frame, Refusal, View, html};
use crate::console::people::UserRow;
use crate::console::person::audit;
use crate::console::person_action::Action;
use crate::console::state::Console;
use crate::console::text::Moment;
use crate::dead_letter::short_id;
use crate::event::{PoolId, Sub};
use crate::retry::retry_inline;

const STATUS: &str = "FORCE_CHANGE_PASSWORD";

#[derive(Template)]
#[template(path = "console/invitations.html")]
struct ListPage<'a> {
    frame: Frame<'a>,
    pool: &'a PoolId,
    pools: Vec<&'a PoolId>,
    form: &'a Form,
    /// The result of the form for one person.
    last: Option<Arc<ActionResult>>,
    jobs: Vec<Arc<Job>>,
    rows: Vec<InvitedRow>,
    code_days: String,
    /// Cognito's token of the next page.
    next: Option<String>,
    has_names: bool,
}

struct InvitedRow {
    sub: String,
    user: UserRow,
    state: InvitedState,
    expires: Option<Moment>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum InvitedState {
    Waiting,
    Expired,
    Disabled,
}

pub(super) async fn show(
    State(console): State<Arc<Console>>,
    Extension(caller): Asking,
    query: RawQuery,
) -> Result<Response, Refusal> {
    let query = Form::of_query(query);
    page(&console, &caller, &query, false).await
}

/// Another page, or names and addresses too.
pub(super) async fn more(
    State(console): State<Arc<Console>>,
    Extension(caller): Asking,
    Extension(form): Fields,
) -> Result<Response, Refusal> {
    let has_names = !form.get("names").is_empty();
    page(&console, &caller, &form, has_names).await
}

async fn page(
    console: &Console,
    caller: &Caller,
    form: &Form,
    has_names: bool,
) -> Result<Response, Refusal> {
    let pool = pool_of(console, caller, form)?;
    let cognito = console.services.cognito();
    let settings = retry_inline(|| cognito.invitation_settings(&pool)).await;
    let settings = settings.map_err(not_read)?;
    let (by, token) = ("cognito:user_status", form.all("next").next());
    let read = retry_inline(|| cognito.list_by_prefix(&pool, by, STATUS, token)).await;
    let mut read = read.map_err(not_read)?;
    read.items.sort_by_key(|user| Reverse(user.created));
    if has_names {
        audit(
            console,
            caller,
            "invitations_shown",
            &pool,
            None,
            read.items.len(),
        )
        .await;
    }
    let rows = read.items.iter();
    let rows = rows.map(|user| InvitedRow::new(&pool, user, settings.code_lifetime));
    let command =
        format!("aws cognito-idp list-users --user-pool-id {pool} --filter '{by} = \"{STATUS}\"'");
    Ok(html(&ListPage {
        frame: Frame::new(caller, View::Invitations, "Invitations").with_command(command),
        pool: &pool,
        pools: caller.pools(&console.services.config.pools.allowed),
        form,
        last: console.actions.result(form.get("result"), invite::PATH),
        jobs: console.jobs.of(View::Invitations, Some(&pool)),
        rows: rows.collect(),
        code_days: PoolForm::code_days(&settings),
        next: read.next,
        has_names,
    }))
}

impl InvitedRow {
    /// A new code is a change of the user.
    fn new(pool: &PoolId, user: &ListedUser, lifetime: Duration) -> Self {
        let begin = user.modified.max(user.created);
        let expires = begin.and_then(|begin| begin.checked_add(lifetime).ok());
        let is_expired = expires.is_some_and(|expires| expires < Timestamp::now());
        let sub = user.sub.as_ref().and_then(Sub::loggable);
        Self {
            sub: sub.unwrap_or_default().to_owned(),
            user: UserRow::new(pool, user),
            state: match is_expired {
                _ if !user.enabled => InvitedState::Disabled,
                true => InvitedState::Expired,
                false => InvitedState::Waiting,
            },
            expires: expires.map(Moment),
        }
    }

    fn short_sub(&self) -> &str {
        short_id(&self.sub)
    }
}

impl InvitedState {
    /// The style and the word.
    fn mark(self) -> (&'static str, &'static str) {
        match self {
            Self::Waiting => ("ok", "waiting"),
            Self::Expired => ("warn", "expired"),
            Self::Disabled => ("unknown", "disabled"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::UserStatus;
    use crate::event::{UserAttributes, Username};

    #[test]
    fn the_last_change_decides_when_an_invitation_expires() {
        let (week, day) = (Duration::from_hours(7 * 24), Duration::from_hours(24));
        let now = Timestamp::now();
        let old = now.checked_sub(week + day).expect("a time");
        let state = |created, modified, enabled| {
            let user = ListedUser {
                username: Username::new("ada").expect("a name"),
                sub: Sub::new("1-2"),
                attributes: UserAttributes::default(),
                status: UserStatus::Invited,
                cognito_status: STATUS.to_owned(),
                enabled,
                created,
                modified,
            };
            let pool = PoolId::new("eu-west-1_x").expect("an id");
            InvitedRow::new(&pool, &user, week).state
        };
        for (created, modified, enabled, expected) in [
            (Some(now), None, true, InvitedState::Waiting),
            (Some(old), None, true, InvitedState::Expired),
            (Some(old), Some(old), true, InvitedState::Expired),
            (Some(old), Some(now), true, InvitedState::Waiting),
            (None, None, true, InvitedState::Waiting),
            (Some(now), None, false, InvitedState::Disabled),
        ] {
            assert_eq!(state(created, modified, enabled), expected);
        }
    }
}
