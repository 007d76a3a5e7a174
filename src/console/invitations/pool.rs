//! The user pool that a request is about, and where it leads.

use std::fmt::Display;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};

use crate::console::caller::Caller;
use crate::console::form::Form;
use crate::console::page::{Refusal, View};
use crate::console::person;
use crate::console::reconcile_options::parse_pool;
use crate::console::state::Console;
use crate::event::PoolId;

/// The pool of an administrator. For an operator the one that the field `pool` names, or the first
/// of `pools.allowed`.
pub(super) fn pool_of(console: &Console, caller: &Caller, form: &Form) -> Result<PoolId, Refusal> {
    if let Some(pool) = caller.only_pool() {
        return Ok(pool.clone());
    }
    let config = &console.services.config;
    let pool = match (form.get("pool"), config.pools.allowed.first()) {
        ("", Some(first)) => Ok(first.clone()),
        (id, _) => parse_pool(id, config),
    };
    pool.map_err(|rule| {
        let detail = format!("The user pool {rule}. Set pools.allowed to your user pool.");
        Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, "No user pool", detail)
    })
}

/// The list, with the result of the action.
pub(super) fn to_result(pool: &PoolId, action: &str) -> Response {
    let list = View::Invitations.path();
    Redirect::to(&format!("{list}?pool={pool}&result={action}")).into_response()
}

pub(super) fn not_read(error: impl Display) -> Refusal {
    person::not_read(error).with_next(View::Invitations.path(), View::Invitations.name())
}
