//! The console: pages that show the state of a deployment, and act on its dead letters.
//!
//! `access` and `guard` decide who is served. `now` reads the findings, `dead_letters` shows what
//! one reading of the dead-letter queue, a `snapshot`, has found. `query` is a filter in a URL.
//! `job` is work that takes long, `work` does it. All of them call the functions of the commands.
//! Pages are the templates in `templates/console/`; they work without the script.

mod access;
mod actions;
mod chart;
mod dead_letters;
mod form;
mod guard;
mod job;
mod jobs;
mod now;
mod now_page;
mod page;
mod query;
mod snapshot;
mod state;
mod text;
mod work;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
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
        .route("/console/jobs/{number}", get(jobs::show))
        .route("/console/jobs/{number}/stop", post(jobs::stop))
        .layer(from_fn_with_state(
            Arc::clone(console),
            guard::require_session,
        ));
    let open = Router::new()
        .route("/", get(guard::sign_in))
        .route("/console/console.css", get(page::css))
        .route("/console/console.js", get(page::js));
    guard::with_headers(guarded.merge(open).fallback(page::not_found))
        .layer(from_fn_with_state(Arc::clone(console), guard::require_host))
        .with_state(Arc::clone(console))
}
