//! The job of a reconcile, with the functions of `usher reconcile`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::job::{Job, JobEnd};
use super::reconcile_options::ReconcileOptions;
use super::state::Console;
use super::text::count;
use crate::dead_letter::RECEIVE_WAIT;
use crate::event::{Cursor, PoolId};
use crate::reconcile::{
    DEFAULT_BACKLOG, IncompleteUserLine, PoolRun, PoolRunProgress, PoolSummary, ReconcilePlan,
    why_no_search,
};
use crate::text::plural;

/// A run gives up after this time without a successful call.
const GIVE_UP_AFTER: Duration = Duration::from_mins(10);

/// Runs over the pool, without a checkpoint: another run does not queue those again who were
/// provisioned meanwhile.
pub(super) async fn reconcile(
    console: Arc<Console>,
    job: Arc<Job>,
    options: ReconcileOptions,
    is_dry_run: bool,
) -> anyhow::Result<JobEnd> {
    let run = pool_run(&console, &job, &options, is_dry_run)?;
    // Before the run: credentials that end during it would leave it without a name.
    let actor = console.services.aws().caller_name().await;
    if !is_dry_run {
        audit(&actor, &options.pool, 0, "started");
    }
    let estimate = run.services.cognito.estimate_user_count(&options.pool);
    let estimate = estimate.await.unwrap_or_default();
    job.update(|progress| progress.total = estimate);
    let mut found = Found::default();
    let summary = run.run(Cursor::default(), None, |step| {
        if let PoolRunProgress::Users(cursor, incomplete) = step {
            found.queued = cursor.queued;
            for user in incomplete {
                found.add(&user.line(&options.pool));
            }
        }
        show(&job, &step, is_dry_run);
        Ok(())
    });
    let summary = summary.await;
    if !is_dry_run {
        match &summary {
            Ok(summary) => audit(&actor, &options.pool, summary.queued, &summary.describe("")),
            // What was sent of the last page is not known.
            Err(error) => audit(
                &actor,
                &options.pool,
                found.queued,
                &format!("at least: {error:#}"),
            ),
        }
    }
    let mut end = end(&summary?, found, is_dry_run);
    if let Some(why) = why_no_search(&console.services.config) {
        end.notes
            .push(format!("{why}; profiles under another id are not found"));
    }
    Ok(end)
}

fn pool_run<'a>(
    console: &Console,
    job: &'a Job,
    options: &ReconcileOptions,
    dry_run: bool,
) -> anyhow::Result<PoolRun<'a>> {
    let config = &console.services.config;
    let queue = console.services.queue_with_wait(RECEIVE_WAIT)?;
    let services = console.services.reconcile(queue)?;
    Ok(PoolRun {
        plan: ReconcilePlan {
            pool: options.pool.clone(),
            groups: ReconcilePlan::groups_to_compare(config, options.groups),
            table: services.table(),
            search: ReconcilePlan::choose_search(config, None, false),
            include_federated: options.federated,
            since: options.since,
            limit: options.limit,
            max_backlog: Some(DEFAULT_BACKLOG),
            dry_run,
            rate: config.sign_up_rate(),
        },
        services,
        give_up_after: GIVE_UP_AFTER,
        stop: &job.stop,
    })
}

fn show(job: &Job, step: &PoolRunProgress<'_>, is_dry_run: bool) {
    let what = if is_dry_run { "incomplete" } else { "queued" };
    job.update(|progress| match step {
        PoolRunProgress::Members => "reading group members".clone_into(&mut progress.message),
        PoolRunProgress::Owners => "reading profile owners".clone_into(&mut progress.message),
        PoolRunProgress::Paused(waiting) => {
            progress.message = format!("paused: {} in the queue", plural(*waiting, "message"));
        }
        PoolRunProgress::Users(cursor, _) => {
            progress.done = cursor.users;
            progress.message = format!("{} {what}", count(cursor.queued));
        }
    });
}

/// The users who lack something.
#[derive(Default)]
struct Found {
    /// Sign-ups queued, or that would be.
    queued: u64,
    /// By what is missing: their number, and the `sub` of one.
    by_lack: BTreeMap<String, (u64, String)>,
}

impl Found {
    fn add(&mut self, user: &IncompleteUserLine<'_>) {
        let (number, example) = self.by_lack.entry(user.describe()).or_default();
        *number += 1;
        if example.is_empty() {
            user.sub.unwrap_or_default().clone_into(example);
        }
    }
}

fn end(summary: &PoolSummary, found: Found, is_dry_run: bool) -> JobEnd {
    let stopped = if is_dry_run {
        "stopped: not all users were checked"
    } else {
        "stopped: what is queued stays queued; a dry run shows who remains"
    };
    let stopped = (!summary.complete).then(|| stopped.to_owned());
    let notes = [
        summary.describe_refused(),
        summary.describe_left_out(),
        stopped,
    ];
    let rows = found.by_lack.into_iter();
    JobEnd {
        notes: notes.into_iter().flatten().collect(),
        columns: ["Users", "Number", "For example (sub)"],
        rows: rows
            .map(|(lack, (n, example))| (lack, n, example))
            .collect(),
        sign_ups: summary.incomplete,
        ..JobEnd::new(summary.is_success(), summary.describe(""))
    }
}

/// Says who has queued how many sign-ups.
fn audit(actor: &str, pool: &PoolId, queued: u64, result: &str) {
    tracing::info!(
        target: "usher::audit",
        {
            actor,
            action = "reconcile",
            pool.id = pool.as_str(),
            users.queued = queued,
            result,
        },
        "reconcile of a user pool: {result}",
    );
}
