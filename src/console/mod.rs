//! The console: pages that show the state of a deployment, and act on its dead letters and users.
//!
//! `access` and `guard` decide who is served. `now` reads the findings, `dead_letters` shows what
//! one reading of the dead-letter queue, a `snapshot`, has found. `query` is a filter in a URL.
//! `people` finds users, `person` shows one, `person_action` says what can be done about them, and
//! `perform` does it. `reconcile` finds missed users, and `deployment` checks settings and
//! permissions. `job` is work that takes long, `work` does it. All of them call the functions of the
//! commands.
//! Pages are the templates in `templates/console/`; they work without the script.

mod access;
mod action_slots;
mod actions;
mod chart;
mod dead_letters;
mod deployment;
mod form;
mod guard;
mod job;
mod jobs;
mod now;
mod now_page;
mod page;
mod people;
mod perform;
mod person;
mod person_action;
mod query;
mod reconcile;
mod reconcile_options;
mod reconcile_work;
mod snapshot;
mod state;
mod text;
mod work;

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};

pub(crate) use self::state::Console;

/// All pages.
pub(crate) fn routes(console: &Arc<Console>) -> Router {
    let guarded = Router::new()
        .route("/console", get(now_page::show))
        .route("/console/dead-letters", get(dead_letters::list))
        .route("/console/dead-letters/read", post(actions::read))
        .route("/console/dead-letters/dry-run", post(actions::dry_run))
        .route(
            "/console/dead-letters/replay",
            get(actions::confirm_replay).post(actions::replay),
        )
        .route(
            "/console/dead-letters/drop",
            get(actions::confirm_drop).post(actions::drop),
        )
        .route("/console/dead-letters/export", post(actions::export))
        .route("/console/dead-letters/{id}", get(dead_letters::show))
        .route("/console/dead-letters/{id}/body", post(dead_letters::body))
        .route("/console/people", get(people::start))
        .route("/console/people/look-up", post(people::look_up))
        .route("/console/people/search", post(people::search))
        .route("/console/people/{pool}/{sub}", get(person::show))
        .route(
            "/console/people/{pool}/{sub}/personal-data",
            post(person::personal_data),
        )
        .route("/console/people/{pool}/{sub}/{action}", post(perform::act))
        .route("/console/reconcile", get(reconcile::show))
        .route("/console/reconcile/dry-run", post(reconcile::dry_run))
        .route(
            "/console/reconcile/run",
            get(reconcile::confirm).post(reconcile::run),
        )
        .route("/console/deployment", get(deployment::show))
        .route("/console/deployment/check", post(deployment::check))
        .route("/console/jobs/{number}", get(jobs::show))
        .route("/console/jobs/{number}/stop", post(jobs::stop))
        .layer(from_fn_with_state(
            Arc::clone(console),
            guard::require_session,
        ));
    let open = Router::new()
        .route("/", get(guard::sign_in))
        .route(guard::USED_LINK_PATH, get(guard::used_link))
        .route("/console/console.css", get(page::css))
        .route("/console/console.js", get(page::js));
    let routes = guarded.merge(open).fallback(page::not_found);
    guard::with_headers(routes.layer(from_fn(guard::require_method)))
        .layer(from_fn_with_state(Arc::clone(console), guard::require_host))
        .with_state(Arc::clone(console))
}
