//! The console: pages that show the state of a deployment, act on its dead letters and users, and
//! invite people.
//!
//! Two hosts serve it. For an operator, on their own machine, `access` and `guard` decide who is
//! served. For administrators, in a worker, `pool_guard` does: `sign_in` signs them in with the user
//! pool, and `session` keeps that in cookies. A `caller` has a role, and `page` says which views a
//! role sees.
//!
//! `now` reads the findings, `dead_letters` shows what one reading of the dead-letter queue, a
//! `snapshot`, has found. `query` is a filter in a URL. `people` finds users, `person` shows one,
//! `person_action` says what can be done about them, and `perform` does it; `invitations` makes new
//! ones. `reconcile` finds missed users, and `deployment` checks settings and permissions. `job` is
//! work that takes long, `work` does it. All of them call the functions of the commands.
//! Pages are the templates in `templates/console/`; they work without the script.

mod access;
mod action_slots;
mod actions;
mod caller;
mod chart;
mod dead_letters;
mod deployment;
mod form;
mod guard;
mod invitations;
mod job;
mod jobs;
mod now;
mod now_page;
mod page;
mod people;
mod perform;
mod person;
mod person_action;
mod pool_guard;
mod query;
mod reconcile;
mod reconcile_options;
mod reconcile_work;
mod session;
mod sign_in;
mod sign_in_page;
mod snapshot;
mod state;
mod text;
mod work;

use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::Redirect;
use axum::routing::{any, get, post};
use tower_http::set_header::SetResponseHeaderLayer;

pub(crate) use self::guard::LinkHost;
pub(crate) use self::pool_guard::PoolHost;
pub(crate) use self::state::Console;
use crate::http::{STRICT_TRANSPORT_SECURITY, with_limits_and};

/// All pages that need a caller.
fn views(console: &Arc<Console>) -> Router {
    Router::new()
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
        .route("/console/jobs/{number}/results", get(jobs::results))
        .merge(invitations::routes())
        .with_state(Arc::clone(console))
}

/// What needs no caller.
fn open_routes() -> Router {
    Router::new()
        // As people type it.
        .route("/console/", get(|| async { Redirect::to("/console") }))
        .route("/console/console.css", get(page::css))
        .route("/console/console.js", get(page::js))
}

/// The console of an operator.
pub(crate) fn link_routes(console: &Arc<Console>, host: &Arc<LinkHost>) -> Router {
    let guarded =
        views(console).layer(from_fn_with_state(Arc::clone(host), guard::require_session));
    let open = Router::new()
        .route("/", get(guard::sign_in))
        .route(guard::USED_LINK_PATH, get(guard::used_link))
        .with_state(Arc::clone(host));
    let routes = guarded
        .merge(open)
        .merge(open_routes())
        .fallback(page::not_found);
    guard::with_headers(routes.layer(from_fn(guard::require_method)))
        .layer(from_fn_with_state(Arc::clone(host), guard::require_host))
}

/// The console of administrators, below `/console`.
pub(crate) fn pool_routes(console: &Arc<Console>, host: PoolHost) -> Router {
    let host = Arc::new(host);
    let sign_out = Router::new()
        .route("/console/sign-out", post(sign_in::end))
        .with_state(Arc::clone(&host));
    let guarded = views(console)
        .merge(sign_out)
        .route("/console/{*other}", any(page::not_found))
        .layer(from_fn_with_state(
            Arc::clone(&host),
            pool_guard::require_session,
        ));
    let open = Router::new()
        .route(
            "/console/sign-in",
            get(sign_in::first_view).post(sign_in::begin),
        )
        .route(
            "/console/sign-in/answer",
            get(sign_in::first_view).post(sign_in::answer),
        )
        .with_state(Arc::clone(&host));
    let routes = guarded
        .merge(open)
        .merge(open_routes())
        .layer(from_fn(guard::require_method));
    let routes = guard::with_headers(with_limits_and(
        routes,
        host.admission.clone(),
        pool_guard::LIMIT_RESPONSES,
    ));
    routes.layer(SetResponseHeaderLayer::overriding(
        header::STRICT_TRANSPORT_SECURITY,
        HeaderValue::from_static(STRICT_TRANSPORT_SECURITY),
    ))
}
