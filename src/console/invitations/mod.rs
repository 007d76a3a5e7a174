//! The view Invitations: who was invited and has not accepted yet, a form for one person, and a
//! list of many.
//!
//! `pool_form` is what can be typed for a user pool, and `field` one attribute of it. `confirm` says
//! what will happen, before `invite` or `file` does it.

mod confirm;
mod field;
mod file;
mod invite;
mod list;
mod pool;
mod pool_form;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;

use super::page::View;
use super::state::Console;

pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new()
        .route(View::Invitations.path(), get(list::show).post(list::more))
        .route(invite::PATH, get(invite::new).post(invite::send))
        .route(file::PATH, get(file::new).post(file::send))
}
